// Command imagesize prints the compressed size of every image in OCI layouts: the sum of its layers, as a registry holds them. It fails
// if one is over the limit.
//
// usage: go run ./hack/imagesize LIMIT-IN-MB DIR [DIR...]
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hack/imagesize:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: go run ./hack/imagesize LIMIT-IN-MB DIR [DIR...]")
	}
	limit, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return err
	}
	var over error
	for _, dir := range args[1:] {
		images, err := layout(dir).images()
		if err != nil {
			return fmt.Errorf("reading the layout %s: %w", dir, err)
		}
		var words []string
		for _, image := range images {
			words = append(words, fmt.Sprintf("%s %.1f MB", image.platform, float64(image.size)/1e6))
			if float64(image.size) > limit*1e6 {
				over = fmt.Errorf("the image in %s for %s is over %g MB", dir, image.platform, limit)
			}
		}
		fmt.Fprintf(out, "%s: %s, compressed\n", filepath.Base(dir), strings.Join(words, ", "))
	}
	return over
}

// layout is the folder of an OCI image layout.
type layout string

type image struct {
	platform string
	size     int64
}

func (l layout) images() ([]image, error) {
	var top ocispecs.Index
	if err := l.read("index.json", &top); err != nil {
		return nil, err
	}
	return l.below(top)
}

func (l layout) below(index ocispecs.Index) (all []image, err error) {
	for _, d := range index.Manifests {
		blob := filepath.Join("blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
		if d.MediaType == ocispecs.MediaTypeImageIndex {
			var inner ocispecs.Index
			if err := l.read(blob, &inner); err != nil {
				return nil, err
			}
			found, err := l.below(inner)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
			continue
		}
		var manifest ocispecs.Manifest
		if err := l.read(blob, &manifest); err != nil {
			return nil, err
		}
		found := image{platform: "image"}
		if d.Platform != nil {
			found.platform = d.Platform.OS + "/" + d.Platform.Architecture
		}
		for _, layer := range manifest.Layers {
			found.size += layer.Size
		}
		all = append(all, found)
	}
	if len(all) == 0 {
		return nil, errors.New("it holds no image")
	}
	return all, nil
}

func (l layout) read(name string, value any) error {
	data, err := os.ReadFile(filepath.Join(string(l), name))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, value)
}
