package covdata

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:embed script/*.py
var script embed.FS

// job is what the script reads; all its paths are absolute.
type job struct {
	Root     string      `json:"root"`
	Config   string      `json:"config"`
	Path     string      `json:"path"`
	Temp     string      `json:"temp"`
	Inputs   []string    `json:"inputs"`
	HostData bool        `json:"host_data"`
	AsBefore bool        `json:"as_before"`
	Output   string      `json:"output"`
	Keep     bool        `json:"keep"` // the output may stay if it is up to date
	Maps     [][2]string `json:"maps"`
	Session  bool        `json:"session"`
	Sources  string      `json:"sources"` // where files of images are kept; "" if images cannot be asked
	Files    []string    `json:"files"`   // the checkout's, relative to the root
	Report   *wish       `json:"report"`
}

func newJob(ctx context.Context, python Python, opts CombineOptions, wanted *wish) (*job, error) {
	task := &job{
		Root: opts.Root, Config: opts.Config, Path: python.Path, Output: opts.Output,
		Inputs: append([]string{}, opts.Inputs...), HostData: opts.HostData, AsBefore: opts.AsBefore,
		Maps: [][2]string{}, Session: opts.Session, Keep: wanted != nil, Report: wanted,
	}
	if task.Root == "" {
		task.Root = "."
	}
	if task.Output == "" {
		task.Output = filepath.Join(task.Root, DefaultOutput)
	}
	if opts.Contents != nil {
		task.Sources = filepath.Join(task.Root, DefaultSources)
	}
	for _, pair := range opts.Maps {
		task.Maps = append(task.Maps, [2]string{pair.From, pair.To})
	}
	if err := task.makeAbsolute(); err != nil {
		return nil, err
	}
	files, err := checkoutFiles(ctx, task.Root)
	if err != nil {
		return nil, fmt.Errorf("listing the files of %s: %w", task.Root, err)
	}
	task.Files = append([]string{}, files...) // never null in JSON
	return task, nil
}

func (j *job) makeAbsolute() error {
	paths := []*string{&j.Root, &j.Config, &j.Path, &j.Output, &j.Sources}
	for i := range j.Inputs {
		paths = append(paths, &j.Inputs[i])
	}
	for _, path := range paths {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("finding %q: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// work makes the combined data and, if there is a wish, the report of it. It always returns a result.
func work(ctx context.Context, python Python, opts CombineOptions, wanted *wish, stdout io.Writer) (*result, error) {
	done := &result{}
	task, err := newJob(ctx, python, opts, wanted)
	if err != nil {
		return done, err
	}
	if err := os.MkdirAll(filepath.Dir(task.Output), 0o777); err != nil {
		return done, fmt.Errorf("making the output's directory: %w", err)
	}
	if err := ignore(filepath.Dir(task.Output)); err != nil {
		return done, err
	}
	// Beside the output, so that a rename puts it in place, and a container that sees the one sees the other.
	task.Temp, err = os.MkdirTemp(filepath.Dir(task.Output), ".combine-")
	if err != nil {
		return done, fmt.Errorf("making a temporary directory: %w", err)
	}
	defer os.RemoveAll(task.Temp)
	images := &images{sources: task.Sources, temp: task.Temp, contents: opts.Contents}
	if err := task.run(ctx, python, images, stdout, opts.Stderr); err != nil {
		return done, err
	}
	return done, done.read(filepath.Join(task.Temp, "result.json"), python)
}

// ignore keeps covify's own directory out of version control, as the directory's own affair.
func ignore(dir string) error {
	file := filepath.Join(dir, ".gitignore")
	if filepath.Base(dir) != filepath.Dir(DefaultOutput) {
		return nil
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	if err := os.WriteFile(file, []byte("*\n"), 0o666); err != nil {
		return fmt.Errorf("keeping %s out of version control: %w", dir, err)
	}
	return nil
}

func (j *job) run(ctx context.Context, python Python, images *images, stdout, stderr io.Writer) error {
	if err := os.CopyFS(j.Temp, script); err != nil {
		return fmt.Errorf("writing the script: %w", err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("writing the job: %w", err)
	}
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	answer := func(question []byte) ([]byte, error) { return images.answer(ctx, question) }
	return python.run(ctx, filepath.Join(j.Temp, "script"), text, answer, stdout, stderr)
}

// result is what the script leaves.
type result struct {
	Summary *Summary
	Report  *verdict
	Error   *fault
}

// fault is an error of the script; kind tells which of the package's errors it is.
type fault struct {
	Kind     string
	Message  string
	Root     string
	Looked   []string
	LeftOut  []LeftOut `json:"left_out"`
	Unmapped []Unmapped
}

func (f *fault) err(python Python) error {
	switch f.Kind {
	case "no-data":
		return &NoDataError{Looked: f.Looked, LeftOut: f.LeftOut}
	case "no-source":
		return &NoSourceError{Root: f.Root, Unmapped: f.Unmapped}
	case "coverage":
		return &CoverageError{Message: f.Message}
	case "system":
		return errors.New(f.Message)
	}
	return &PythonError{Command: python.Command, Message: f.Message}
}

// read takes in what the script left at path; the error is the script's.
func (r *result) read(path string, python Python) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return &PythonError{Command: python.Command, Message: "it left no result"}
	}
	if err := json.Unmarshal(text, r); err != nil {
		return fmt.Errorf("reading the result: %w", err)
	}
	if r.Error != nil {
		return r.Error.err(python)
	}
	return nil
}
