package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/covify/covify/wheel"
)

// A bundle is a folder:
//
//	index.json               its wheels, as an index would list them
//	wheels/NAME.whl
//	pyc/coverage-V-cpXY.zip  what CPython X.Y compiles coverage V and the start-up module to
const (
	bundleIndex = "index.json"
	parallel    = 4
)

// BundleIndex is a bundle's index.json.
type BundleIndex struct {
	Files []wheel.File `json:"files"`
}

func wheelPath(file wheel.File) string { return path.Join("wheels", path.Base(file.Name)) }

// readBundle reads a bundle's list; a folder without one is an empty bundle.
func readBundle(bundle fs.FS) (*BundleIndex, error) {
	data, err := fs.ReadFile(bundle, bundleIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return &BundleIndex{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	var listed BundleIndex
	if err := json.Unmarshal(data, &listed); err != nil {
		return nil, fmt.Errorf("reading the bundle's %s: %w", bundleIndex, err)
	}
	return &listed, nil
}

// WriteBundle collects the chosen wheels in dir, a folder that Source.Bundle
// then takes, and gives their sizes' sum. Wheels of an earlier bundle there
// that are not chosen again are removed. The list is written last.
func (s *Source) WriteBundle(ctx context.Context, dir string, choice wheel.Choice) (*BundleIndex, int64, error) {
	offered, err := s.Files(ctx)
	if err != nil {
		return nil, 0, err
	}
	files, err := choice.Pick(offered)
	if err != nil {
		return nil, 0, err
	}
	sizes := make([]int64, len(files))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, file := range files {
		group.Go(func() error {
			data, err := s.wheel(groupCtx, file)
			if err != nil {
				return err
			}
			sizes[i] = int64(len(data))
			return writeWhole(filepath.Join(dir, filepath.FromSlash(wheelPath(file))), data)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, 0, err
	}
	listed := &BundleIndex{Files: files}
	for i := range files {
		files[i].URL = ""
	}
	if err := s.finishBundle(dir, listed); err != nil {
		return nil, 0, err
	}
	var total int64
	for _, size := range sizes {
		total += size
	}
	return listed, total, nil
}

// finishBundle carries compiled files over from the source's own bundle,
// removes what dir no longer lists, and writes the list.
func (s *Source) finishBundle(dir string, listed *BundleIndex) error {
	if err := s.copyCompiled(dir, listed); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, file := range listed.Files {
		wanted[filepath.Base(file.Name)] = true
	}
	present, err := filepath.Glob(filepath.Join(dir, "wheels", "*.whl"))
	if err != nil {
		return err
	}
	for _, file := range present {
		if !wanted[filepath.Base(file)] {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	data, err := json.MarshalIndent(listed, "", " ")
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(dir, bundleIndex), append(data, '\n'))
}

func (s *Source) copyCompiled(dir string, listed *BundleIndex) error {
	if s.Bundle == nil {
		return nil
	}
	copied := map[string]bool{}
	for _, file := range listed.Files {
		if copied[file.Version] {
			continue
		}
		copied[file.Version] = true
		names, err := fs.Glob(s.Bundle, compiledPath(file.Version, "cp*"))
		if err != nil {
			return err
		}
		for _, name := range names {
			data, err := fs.ReadFile(s.Bundle, name)
			if err != nil {
				return err
			}
			if err := writeWhole(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
				return err
			}
		}
	}
	return nil
}
