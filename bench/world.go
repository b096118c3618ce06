package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// world is what all tables measure in: a registry with its counting proxy, engines, images, and a directory for the rest.
type world struct {
	opts   *options
	proxy  *proxy
	dir    string
	log    io.Writer
	images map[string]*baseImage
	serial atomic.Int64
	rival  *dockerfile // made when first needed
}

func newWorld(opts *options, log io.Writer) (*world, error) {
	covify, err := filepath.Abs(opts.covify)
	if err != nil {
		return nil, err
	}
	opts.covify = covify
	if _, err := os.Stat(covify); err != nil {
		return nil, fmt.Errorf("--covify: %w", err)
	}
	dir, err := os.MkdirTemp(opts.work, "bench-")
	if err != nil {
		return nil, err
	}
	p, err := newProxy(opts.registry)
	if err != nil {
		return nil, err
	}
	return &world{opts: opts, proxy: p, dir: dir, log: log, images: map[string]*baseImage{}}, nil
}

// Close ends the proxy and removes the directory.
func (w *world) Close() {
	w.proxy.Close()
	os.RemoveAll(w.dir)
}

// say tells on stderr what goes on.
func (w *world) say(format string, args ...any) { fmt.Fprintf(w.log, "bench: "+format+"\n", args...) }

// unique is a name that was not there before.
func (w *world) unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, w.serial.Add(1)) }

// folder makes an empty directory.
func (w *world) folder(prefix string) (string, error) {
	path := filepath.Join(w.dir, w.unique(prefix))
	return path, os.Mkdir(path, 0o755)
}

// repeat is the command line that makes a table again.
func (w *world) repeat(name string) string {
	words := []string{"bench/run"}
	if w.opts.quick {
		words = append(words, "--quick")
	}
	if w.opts.sizeMB != w.opts.runs(1000, 200) {
		words = append(words, fmt.Sprintf("--size %d", w.opts.sizeMB))
	}
	return strings.Join(append(words, name), " ")
}

// covify is a command line of covify's with a cache folder of its own.
func (w *world) covify(cache string, args ...string) command {
	return command{Args: append([]string{w.opts.covify}, args...), Env: []string{"COVIFY_CACHE_DIR=" + cache}}
}

// docker is a command line for the engine at address.
func docker(address string, args ...string) command {
	return command{Args: append([]string{"docker"}, args...), Env: []string{"DOCKER_HOST=" + address}}
}

// run runs a command without measuring it and returns its stdout.
func (c command) run(ctx context.Context) (string, error) {
	var stdout, stderr strings.Builder
	x := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	x.Env, x.Dir = append(os.Environ(), c.Env...), c.Dir
	x.Stdout, x.Stderr = &stdout, &stderr
	if err := x.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", c, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String()), nil
}

// runAll runs commands one after the other without measuring them.
func runAll(ctx context.Context, commands ...command) error {
	for _, c := range commands {
		if _, err := c.run(ctx); err != nil {
			return err
		}
	}
	return nil
}
