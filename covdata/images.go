package covdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// imagesAtOnce is how many images are asked at the same time.
const imagesAtOnce = 4

// images answers the script's question for files of images. What an image has is asked for once: its ID says that it does not change.
type images struct {
	sources  string // where answers are kept
	temp     string // for what is not
	contents Contents
}

// question is the script's.
type question struct {
	Images []struct {
		Image      Image
		Containers []string
		Paths      []string
	}
}

// found is the answer for one image: each file is below one of the folders, at its path in the image.
type found struct {
	Folders []string `json:"folders"`
	Error   string   `json:"error"` // why files are missing that may be there
}

func (i *images) answer(ctx context.Context, text []byte) ([]byte, error) {
	var asked question
	if err := json.Unmarshal(text, &asked); err != nil {
		return nil, fmt.Errorf("reading the script's question: %w", err)
	}
	all := make([]found, len(asked.Images))
	var group errgroup.Group
	group.SetLimit(imagesAtOnce)
	for n, one := range asked.Images {
		group.Go(func() error {
			all[n] = i.find(ctx, n, one.Image, one.Containers, one.Paths)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return json.Marshal(map[string][]found{"images": all})
}

// find brings the files of one image, and what only its containers have.
func (i *images) find(ctx context.Context, n int, image Image, containers, paths []string) found {
	folder := filepath.Join(i.sources, strings.ReplaceAll(image.ID, ":", "-"))
	answer := found{Folders: []string{folder}}
	missing, err := i.kept(ctx, folder, image, paths)
	if err != nil {
		answer.Error = err.Error()
	}
	for _, container := range containers {
		if len(missing) == 0 {
			break
		}
		image.Container = container
		folder := filepath.Join(i.temp, "containers", strconv.Itoa(n), strconv.Itoa(len(answer.Folders)))
		if taken, err := i.take(ctx, folder, image, missing); err == nil {
			answer.Folders = append(answer.Folders, folder)
			missing = slices.DeleteFunc(missing, func(p string) bool { return taken[p] })
		}
	}
	return answer
}

// kept has the files of an image in its folder, and returns the paths that it does not have. On an error the folder may have some.
func (i *images) kept(ctx context.Context, folder string, image Image, paths []string) (missing []string, err error) {
	index := folder + ".json"
	known := map[string]bool{}
	if text, err := os.ReadFile(index); err == nil && json.Unmarshal(text, &known) != nil {
		known = map[string]bool{}
	}
	unknown := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { _, asked := known[p]; return asked })
	if len(unknown) > 0 {
		taken, err := i.take(ctx, folder, image, unknown)
		if err != nil {
			return unknown, err
		}
		for _, p := range unknown {
			known[p] = taken[p]
		}
		if err := i.note(index, known); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return known[p] }), nil
}

// take brings files into a folder and returns which there are.
func (i *images) take(ctx context.Context, folder string, image Image, paths []string) (map[string]bool, error) {
	taken := map[string]bool{}
	if err := errors.Join(os.MkdirAll(folder, 0o777), ignore(filepath.Dir(i.sources))); err != nil {
		return nil, fmt.Errorf("keeping files of image %q: %w", image.Name, err)
	}
	err := i.contents(ctx, image, paths, func(p string, content io.Reader) error {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return fmt.Errorf("%q is no path of an image", p)
		}
		taken[p] = true
		return writeWhole(filepath.Join(folder, filepath.FromSlash(p)), content)
	})
	return taken, err
}

func (i *images) note(index string, known map[string]bool) error {
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return writeWhole(index, strings.NewReader(string(text)))
}

// writeWhole writes a file that others never see half written.
func writeWhole(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, content)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
