package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

const (
	plainCold   = "docker build, cold"
	covifyBuild = "docker build through covify, cold"
	plainCached = "docker build, all cached"
	coverCached = "docker build through covify, all cached"
	clientCold  = "covify build, cold"
	clientAgain = "covify build, all cached"
)

// buildTables measure what covify adds to the build of a Dockerfile, that of the slim test image, in Docker 29. Cold is with an empty
// build cache: neither the Dockerfile's steps nor covify's, nor the frontend image, are there.
func buildTables(ctx context.Context, w *world) ([]*table, error) {
	j, err := newBuildJobs(ctx, w)
	if err != nil {
		return nil, err
	}
	slow, fast := w.opts.runs(7, 3), w.opts.runs(15, 5)
	t := &table{Title: "Building a Dockerfile, Docker 29: testimages/slim"}
	for _, group := range [][]trial{
		{{plainCold, slow, false, true, j.cold(j.plain)}, {covifyBuild, slow, false, true, j.cold(j.through)}, {clientCold, slow, false, true, j.cold(j.client)}},
		{{plainCached, fast, false, true, j.cached(j.plain)}, {coverCached, fast, false, true, j.cached(j.through)}, {clientAgain, fast, false, true, j.cached(j.client)}},
	} {
		results, err := compare(ctx, w, nil, group...)
		if err != nil {
			return nil, err
		}
		t.Results = append(t.Results, results...)
	}
	t.more(covifyBuild, plainCold, 1.5)
	t.more(clientCold, plainCold, 1.5)
	t.more(coverCached, plainCached, 0.5)
	t.more(clientAgain, plainCached, 0.5)
	return []*table{t}, nil
}

// buildJobs are command lines that build the same Dockerfile.
type buildJobs struct {
	*world
	plain, through, client command
}

func newBuildJobs(ctx context.Context, w *world) (*buildJobs, error) {
	frontend, err := w.frontendImage(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := w.folder("build")
	if err != nil {
		return nil, err
	}
	source := filepath.Join("testimages", "slim")
	list := command{Args: []string{"testimages/build", "--flags", dir, filepath.Join(source, "Dockerfile")}, Env: []string{"DOCKER_HOST=" + w.opts.docker29}}
	said, err := list.run(ctx)
	if err != nil {
		return nil, err
	}
	flags := strings.Split(said, "\n")
	build := func(tag string, more ...string) command {
		return docker(w.opts.docker29, append(append(append([]string{"build", "--provenance=false", "-t", tag}, flags...), more...), source)...)
	}
	client := w.covify(dir, append(append([]string{"build", "-t", "bench:client"}, flags...), source)...)
	client.Env = append(client.Env, "DOCKER_HOST="+w.opts.docker29, "BUILDKIT_HOST=")
	return &buildJobs{w, build("bench:plain"), build("bench:through", "--build-arg", "BUILDKIT_SYNTAX="+frontend), client}, nil
}

// cold empties the build cache before the build.
func (j *buildJobs) cold(c command) func(context.Context, string) ([]command, error) {
	return func(ctx context.Context, _ string) ([]command, error) {
		return []command{c}, runAll(ctx, docker(j.opts.docker29, "image", "rm", "-f", "bench:plain", "bench:through", "bench:client"),
			docker(j.opts.docker29, "builder", "prune", "-af"))
	}
}

// cached has built before.
func (j *buildJobs) cached(c command) func(context.Context, string) ([]command, error) {
	return func(ctx context.Context, _ string) ([]command, error) { return []command{c}, runAll(ctx, c) }
}

// frontendImage builds the frontend image from docker-bake.hcl and pushes it.
func (w *world) frontendImage(ctx context.Context) (string, error) {
	programs, err := w.folder("programs")
	if err != nil {
		return "", err
	}
	image := w.opts.registry + "/covify"
	w.say("building the frontend image")
	bake := docker(w.opts.docker29, "buildx", "bake", "-f", "docker-bake.hcl", "--allow", "fs.read="+programs,
		"--set", "frontend.contexts.programs="+programs, "--set", "frontend.platform=linux/amd64",
		"--set", "frontend.tags="+image, "--set", "frontend.output=type=image,push=true", "frontend")
	if err := runAll(ctx, command{Args: []string{"hack/programs", filepath.Join(programs, "out"), "linux/amd64", "covify-frontend"}, Env: os.Environ()}, bake); err != nil {
		return "", err
	}
	return image, nil
}
