package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

const jobDownload = "download-job"

// downloadJob reads and decompresses all layers of an image and does nothing else: the least that finding Python in an
// unknown image can cost.
func downloadJob(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(jobDownload, flag.ContinueOnError)
	workers := flags.Int("workers", 4, "layers at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	img, err := remoteImage(ctx, flags.Arg(0))
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(*workers)
	for _, l := range layers {
		g.Go(func() error { return discard(l) })
	}
	return g.Wait()
}

func discard(l v1.Layer) error {
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}

// byHand is a Dockerfile that does what covify does, the way guides tell it. ROUND makes the RUN step unknown to the cache.
const byHand = `ARG BASE
FROM ${BASE}
USER root
ARG ROUND
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    pip install --no-cache-dir --root-user-action=ignore coverage \
 && echo 'import coverage; coverage.process_startup()' > "$(python3 -c 'import site; print(site.getsitepackages()[0])')/coverage.pth" \
 && mkdir -p /app/coverage_data && chmod 0777 /app/coverage_data
ARG WHO
USER ${WHO}
`

// dockerfile is the folder with byHand and what pip needs to know of this machine.
type dockerfile struct {
	dir string
	ca  string
}

func (w *world) dockerfile(ctx context.Context) (*dockerfile, error) {
	if w.rival != nil {
		return w.rival, nil
	}
	dir, err := w.folder("dockerfile")
	if err != nil {
		return nil, err
	}
	d := &dockerfile{dir: dir, ca: pipSetting(ctx, "cert")}
	conf := "[global]\n"
	for _, name := range []string{"index-url", "extra-index-url", "trusted-host"} {
		if value := pipSetting(ctx, name); value != "" {
			conf += name + " = " + value + "\n"
		}
	}
	if d.ca != "" {
		conf += "cert = /run/secrets/ca\n"
	} else {
		d.ca = os.DevNull
	}
	w.rival = d
	return d, errors.Join(os.WriteFile(filepath.Join(dir, "pip.conf"), []byte(conf), 0o600),
		os.Mkdir(filepath.Join(dir, "context"), 0o755),
		os.WriteFile(filepath.Join(dir, "context", "Dockerfile"), []byte(byHand), 0o644))
}

// pipSetting is a setting of the host's pip from its environment or its files, "" if it has none.
func pipSetting(ctx context.Context, name string) string {
	if value := os.Getenv("PIP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))); value != "" {
		return value
	}
	for _, section := range []string{"install", "global"} {
		out, err := exec.CommandContext(ctx, "python3", "-m", "pip", "config", "get", section+"."+name).Output()
		if err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	return ""
}

// build is the docker build of byHand on base, with a RUN step that the cache knows by its round.
func (w *world) build(ctx context.Context, engine, base, user, round, tag string) (command, error) {
	d, err := w.dockerfile(ctx)
	if err != nil {
		return command{}, err
	}
	args := append([]string{"build"}, d.flags(base, user)...)
	return docker(engine, append(args, "--build-arg", "ROUND="+round, "-t", tag, filepath.Join(d.dir, "context"))...), nil
}

// flags let a build on base run pip, and end with the base's user.
func (d *dockerfile) flags(base, user string) []string {
	if user == "" {
		user = "root"
	}
	return []string{"--progress=plain", "--network=host",
		"--secret", "id=pip,src=" + filepath.Join(d.dir, "pip.conf"), "--secret", "id=ca,src=" + d.ca,
		"--build-arg", "BASE=" + base, "--build-arg", "WHO=" + user}
}

// buildAndPush is build and then docker push.
func (w *world) buildAndPush(ctx context.Context, registry string, b *baseImage, round string) ([]command, error) {
	tag := w.repository(registry, b) + ":by-hand"
	build, err := w.build(ctx, w.opts.docker29, w.repository(registry, b)+":base", b.user, round, tag)
	return []command{build, docker(w.opts.docker29, "push", tag)}, err
}

// forget removes every image and all build cache from an engine.
func forget(ctx context.Context, engine string) error {
	ids, err := docker(engine, "images", "-aq").run(ctx)
	if err != nil {
		return err
	}
	var commands []command
	if ids != "" {
		commands = append(commands, docker(engine, append([]string{"image", "rm", "-f"}, uniqueLines(ids)...)...))
	}
	return runAll(ctx, append(commands, docker(engine, "builder", "prune", "-af"))...)
}

func uniqueLines(text string) []string {
	var lines []string
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !seen[line] {
			lines = append(lines, line)
		}
		seen[line] = true
	}
	return lines
}

// saveLayers writes the layers that covify appended to b as files, for those who append them without looking.
func (w *world) saveLayers(ctx context.Context, b *baseImage, variant string) ([]string, error) {
	img, err := remoteImage(ctx, variant)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) <= len(b.layers) {
		return nil, fmt.Errorf("%s has no layers of its own", variant)
	}
	dir, err := w.folder("layers")
	if err != nil {
		return nil, err
	}
	var paths []string
	for i, l := range layers[len(b.layers):] {
		path := filepath.Join(dir, fmt.Sprintf("%d.tar.gz", i))
		if err := saveLayer(l, path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func saveLayer(l v1.Layer, path string) error {
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
