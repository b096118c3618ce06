package runner

import (
	"archive/tar"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

//go:embed fetching.py
var fetching string

// fetchingJob is what fetching.py reads.
type fetchingJob struct {
	Data  string   `json:"data"`
	Move  bool     `json:"move"`
	Aside []string `json:"aside"`
}

// Fetch brings the data files of a running container to a folder here, wherever the container has them, and returns their
// paths. With move they are gone from the container afterwards; those that its running processes write to stay, and saved is what
// a Save with Reset gave.
func (e Engine) Fetch(ctx context.Context, c Container, dir string, saved []SavedProcess, move bool) ([]string, error) {
	fail := func(err error) ([]string, error) {
		return nil, fmt.Errorf("bringing the data of container %q to %s: %w", c.Name, dir, err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fail(err)
	}
	pythons, err := c.pythons()
	if err != nil {
		return fail(err)
	}
	job := fetchingJob{Data: c.dataDir(), Move: move, Aside: []string{}}
	for _, process := range saved {
		if process.File != "" {
			job.Aside = append(job.Aside, process.File)
		}
	}
	command, err := e.script(ctx, c, pythons[0], fetching, job, "-u", "0")
	if err != nil {
		return fail(err)
	}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return fail(err)
	}
	files, unpackErr := unpack(out, dir)
	if unpackErr != nil {
		_ = command.Process.Kill() // it may wait for a reader
	}
	if err := errors.Join(unpackErr, command.Wait()); err != nil { // whose exit code is none of ours
		return fail(fmt.Errorf("%s: %s", err.Error(), bytes.TrimSpace(stderr.Bytes())))
	}
	return files, nil
}

// unpack writes the data files of a tar stream into a folder. Each is there whole or not at all.
func unpack(stream io.Reader, dir string) ([]string, error) {
	var files []string
	for r := tar.NewReader(stream); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return files, err
		}
		name := header.Name
		if filepath.Base(name) != name || !strings.HasPrefix(name, ".coverage") {
			return files, fmt.Errorf("a data file cannot be called %q", name)
		}
		path := filepath.Join(dir, name)
		if err := unpackFile(r, path); err != nil {
			return files, err
		}
		if isData(name) {
			files = append(files, path)
		}
	}
}

func unpackFile(r io.Reader, path string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".covify-new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, r)
	if err := errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
