package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The images to measure with: the official-layout one as it is, and padded.
const (
	slim   = "slim"
	padded = "padded"
)

const padLayers = 4

// baseImage is an image in the registry, tagged base.
type baseImage struct {
	name   string
	title  string
	remote v1.Image
	layers []string // digests
	user   string
}

// imageNames are the images to measure with.
func (w *world) imageNames() []string {
	if w.opts.sizeMB == 0 {
		return []string{slim}
	}
	return []string{slim, padded}
}

// image returns an image, which is pushed when it is first asked for.
func (w *world) image(ctx context.Context, name string) (*baseImage, error) {
	if b := w.images[name]; b != nil {
		return b, nil
	}
	img, err := tarball.ImageFromPath(w.opts.image, nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", w.opts.image, err)
	}
	if name == padded {
		w.say("padding the image to %d MB", w.opts.sizeMB)
		if img, err = pad(img, int64(w.opts.sizeMB)*1e6); err != nil {
			return nil, fmt.Errorf("padding the image: %w", err)
		}
	}
	if err := w.push(ctx, "bench/"+name+":base", img); err != nil {
		return nil, err
	}
	b, err := w.pushed(ctx, name)
	if err != nil {
		return nil, err
	}
	w.images[name] = b
	return b, w.push(ctx, "counted/"+name+":base", b.remote)
}

// repository is where an image is. What comes through the proxy is kept apart: its names, which go into variants, are others.
func (w *world) repository(registry string, b *baseImage) string {
	if registry == w.proxy.address {
		return registry + "/counted/" + b.name
	}
	return registry + "/bench/" + b.name
}

// pushed looks at the image that was pushed: only that one knows where its layers can be mounted from.
func (w *world) pushed(ctx context.Context, name string) (*baseImage, error) {
	b := &baseImage{name: name}
	var err error
	if b.remote, err = remoteImage(ctx, w.opts.registry+"/bench/"+name+":base"); err != nil {
		return nil, err
	}
	m, err := b.remote.Manifest()
	if err != nil {
		return nil, err
	}
	config, err := b.remote.ConfigFile()
	if err != nil {
		return nil, err
	}
	b.user = config.Config.User
	var size int64
	for _, l := range m.Layers {
		b.layers = append(b.layers, l.Digest.String())
		size += l.Size
	}
	w.proxy.watch(b.layers)
	b.title = fmt.Sprintf("%s image, %s in %d layers", name, bytesText(size), len(m.Layers))
	return b, nil
}

func remoteImage(ctx context.Context, ref string) (v1.Image, error) {
	r, err := name.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	return remote.Image(r, remote.WithContext(ctx))
}

// push writes an image into the registry, not by way of the proxy.
func (w *world) push(ctx context.Context, ref string, img v1.Image) error {
	r, err := name.ParseReference(w.opts.registry + "/" + ref)
	if err != nil {
		return err
	}
	if err := remote.Write(r, img, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	return nil
}

// fresh puts the image into a repository that holds nothing else and returns its name, without the registry.
func (w *world) fresh(ctx context.Context, b *baseImage) (string, error) {
	ref := w.unique("bench/"+b.name) + ":base"
	return ref, w.push(ctx, ref, b.remote)
}

// rebuilt puts an image of the same layers and another configuration beside the image and returns its tag.
func (w *world) rebuilt(ctx context.Context, registry string, b *baseImage) (string, error) {
	config, err := b.remote.ConfigFile()
	if err != nil {
		return "", err
	}
	config = config.DeepCopy()
	config.Author = w.unique("bench")
	img, err := mutate.ConfigFile(b.remote, config)
	if err != nil {
		return "", err
	}
	repository := strings.TrimPrefix(w.repository(registry, b), registry+"/")
	return config.Author, w.push(ctx, repository+":"+config.Author, img)
}

// pad adds layers until the compressed layers are of the wanted size together. They hold files as the image's own are.
func pad(img v1.Image, wanted int64) (v1.Image, error) {
	sample, have, err := corpus(img, 48<<20)
	if err != nil {
		return nil, err
	}
	ratio, err := compressibility(sample)
	if err != nil {
		return nil, err
	}
	if have >= wanted {
		return nil, fmt.Errorf("the image has %s already", bytesText(have))
	}
	plainSize := int64(float64(wanted-have) / padLayers / ratio)
	mediaType := types.DockerLayer
	if of, err := img.MediaType(); err == nil && of == types.OCIManifestSchema1 {
		mediaType = types.OCILayer
	}
	for i := range padLayers {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeFiles(w, sample, plainSize, uint64(i))) }()
		layer := stream.NewLayer(r, stream.WithMediaType(mediaType), stream.WithCompressionLevel(gzip.BestSpeed))
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// corpus reads regular files' content of the layers, a limited number of bytes of each, and adds up the layers' size.
func corpus(img v1.Image, limit int64) (content []byte, size int64, err error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, 0, err
	}
	for _, l := range layers {
		n, err := l.Size()
		if err != nil {
			return nil, 0, err
		}
		size += n
		if err := readFiles(&content, l, limit); err != nil {
			return nil, 0, err
		}
	}
	return content, size, nil
}

func readFiles(content *[]byte, l v1.Layer, limit int64) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	var b bytes.Buffer
	for tr := tar.NewReader(r); int64(b.Len()) < limit; {
		if _, err := tr.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if _, err := io.Copy(&b, tr); err != nil {
			return err
		}
	}
	*content = append(*content, b.Bytes()...)
	return nil
}

// compressibility is the compressed size of files made of the sample, by their plain size.
func compressibility(sample []byte) (float64, error) {
	const size = 48 << 20
	var n counter
	z, err := gzip.NewWriterLevel(&n, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	if err := writeFiles(z, sample, size, padLayers); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return float64(n) / size, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// writeFiles writes a tar file of about the given size: files from 1 to 64 kB, cut from the sample. The same seed gives
// the same bytes.
func writeFiles(w io.Writer, sample []byte, size int64, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, uint64(len(sample))))
	tw := tar.NewWriter(w)
	for i := 0; size > 0; i++ {
		n := 1<<10 + random.IntN(63<<10)
		at := random.IntN(len(sample) - n)
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: fmt.Sprintf("srv/pad%d/%03d/file%05d", seed, i/100, i), Size: int64(n),
			Mode: 0o644, ModTime: time.Unix(1e9, 0), Format: tar.FormatPAX,
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(sample[at : at+n]); err != nil {
			return err
		}
		size -= int64(n) + 1<<10
	}
	return tw.Close()
}
