package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/wheel"
	"github.com/spf13/cobra"
)

// pythonFlags say which Python runs coverage, and where its coverage comes from.
type pythonFlags struct {
	python string
	image  string
	wheels wheelFlags
}

func (f *pythonFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.python, "python", "", "Python that runs coverage (default python3 or python of PATH)")
	c.Flags().StringVar(&f.image, "image", "", "variant whose Python runs coverage instead of this machine's; where there is none, the last one run")
	c.MarkFlagsMutuallyExclusive("python", "image")
	f.wheels.add(c)
}

// find gives a Python for a job in the checkout root: this machine's, else that of a variant.
func (f *pythonFlags) find(ctx context.Context, stderr io.Writer, root string, inputs []string) (covdata.Python, error) {
	if f.image != "" {
		return pythonInImage(ctx, stderr, f.image, root, inputs)
	}
	python, err := f.onHost(ctx, stderr)
	var none *covdata.NoPythonError
	if !errors.As(err, &none) || f.python != "" {
		return python, err
	}
	python, imageErr := pythonInImage(ctx, stderr, "", root, inputs)
	if imageErr != nil {
		return python, errorf("%w; %w", err, imageErr)
	}
	return python, nil
}

// onHost gives this machine's Python with the coverage that covify brings; its own coverage, if any, is not used.
func (f *pythonFlags) onHost(ctx context.Context, stderr io.Writer) (covdata.Python, error) {
	names := []string{"python3", "python"}
	if f.python != "" {
		names = []string{f.python}
	}
	var candidates []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil && f.python != "" {
			return covdata.Python{}, errorf("--python: %w", err)
		}
		if err == nil {
			candidates = append(candidates, path)
		}
	}
	found, err := covdata.FindPython(ctx, candidates)
	if err != nil {
		return covdata.Python{}, err
	}
	dir, err := ensureCoverage(ctx, f.wheels, found.Version, stderr)
	if err != nil {
		return covdata.Python{}, err
	}
	return covdata.Python{Command: []string{found.Path}, Path: dir}, nil
}

// ensureCoverage gives a directory in the user's cache that holds coverage for a Python version. It needs no
// compiled code: combining and reporting do not trace.
func ensureCoverage(ctx context.Context, wheels wheelFlags, version [2]int, stderr io.Writer) (string, error) {
	return coverageFor(ctx, wheels, wheel.Target{Implementation: "cp", Major: version[0], Minor: version[1]}, stderr)
}

// coverageFor gives a directory in the user's cache that holds coverage for an interpreter.
func coverageFor(ctx context.Context, wheels wheelFlags, target wheel.Target, stderr io.Writer) (string, error) {
	cache := cacheDir()
	if cache == "" {
		return "", errorf("no place for coverage: this user has no cache folder; COVIFY_CACHE_DIR can name one")
	}
	logf := func(format string, args ...any) { fmt.Fprintf(stderr, "covify: "+format+"\n", args...) }
	source, err := wheels.source(logf)
	if err != nil {
		return "", err
	}
	payload, err := source.Payload(ctx, target, "")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "coverage", payload.Name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, unpack(payload, dir)
}

// unpack writes the payload's files to dir, which appears whole or not at all.
func unpack(payload *wheel.Payload, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return errorf("making a place for coverage: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return errorf("making a place for coverage: %w", err)
	}
	defer os.RemoveAll(temp)
	for _, file := range payload.Files {
		path := filepath.Join(temp, filepath.FromSlash(file.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return errorf("unpacking coverage: %w", err)
		}
		if err := os.WriteFile(path, file.Data, file.Mode); err != nil {
			return errorf("unpacking coverage: %w", err)
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return errorf("unpacking coverage: %w", err)
	}
	err = os.Rename(temp, dir)
	if _, there := os.Stat(dir); there == nil {
		return nil // another process was faster
	}
	return errorf("unpacking coverage: %w", err)
}
