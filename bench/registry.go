package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Names of trials, which checks speak of.
const (
	covifyCold   = "covify, cold"
	covifyKnown  = "covify, layers known"
	covifyRepeat = "covify, repeat"
	downloadOnly = "download and decompress only"
	dockerCold   = "docker build + push, cold"
	dockerWarm   = "docker build + push, warm"
	dockerRepeat = "docker build + push, repeat"
	craneCold    = "crane append, cold"
	craneRepeat  = "crane append, repeat"
)

// registryTables measure covify docker://IMAGE, once for each image.
func registryTables(ctx context.Context, w *world) ([]*table, error) {
	var tables []*table
	for _, name := range w.imageNames() {
		b, err := w.image(ctx, name)
		if err != nil {
			return nil, err
		}
		t, err := registryTable(ctx, w, b)
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func registryTable(ctx context.Context, w *world, b *baseImage) (*table, error) {
	j := &registryJobs{world: w, base: b, once: map[string]bool{}, caches: map[string]string{}}
	slow, fast := w.opts.runs(3, 1), w.opts.runs(9, 5)
	skip := w.opts.quick
	groups := [][]trial{
		{{covifyCold, slow, true, false, j.covifyCold}, {downloadOnly, slow, true, false, j.download}, {dockerCold, slow, false, skip, j.dockerCold}},
		{{covifyKnown, slow, true, false, j.covifyKnown}, {dockerWarm, slow, false, skip, j.dockerWarm}},
		{{covifyRepeat, fast, true, false, j.covifyRepeat}, {craneRepeat, fast, true, false, j.craneRepeat}, {craneCold, slow, true, false, j.craneCold}},
		{{dockerRepeat, slow, false, skip, j.dockerRepeat}},
	}
	t := &table{Title: fmt.Sprintf("An image in a registry: %s", b.title)}
	for _, g := range groups {
		results, err := compare(ctx, w, w.proxy, g...)
		if err != nil {
			return nil, err
		}
		t.Results = append(t.Results, results...)
	}
	registryChecks(t, b)
	return t, nil
}

func registryChecks(t *table, b *baseImage) {
	repeat, known, cold := t.find(covifyRepeat), t.find(covifyKnown), t.find(covifyCold)
	t.atLeast(dockerCold, covifyCold, 3)
	t.atLeast(dockerWarm, covifyKnown, 0)
	t.atLeast(dockerWarm, covifyRepeat, 30)
	t.atLeast(dockerRepeat, covifyRepeat, 0)
	t.atMost(covifyRepeat, craneRepeat, 2)
	if b.name == padded {
		t.atMost(covifyCold, downloadOnly, 1.3)
	} else {
		t.atMost(covifyCold, downloadOnly, 0)
	}
	t.Checks = append(t.Checks,
		check{What: "requests of " + covifyRepeat, Got: float64(repeat.Traffic.Requests), Limit: 8},
		check{What: "base bytes of " + covifyRepeat, Got: float64(repeat.Traffic.Base), Unit: "B"},
		check{What: "base bytes of " + covifyKnown, Got: float64(known.Traffic.Base), Unit: "B"},
		check{What: "peak memory of " + covifyCold, Got: float64(cold.Peak), Unit: "B", Limit: 150e6})
}

// registryJobs make ready what each trial of one image needs.
type registryJobs struct {
	*world
	base   *baseImage
	once   map[string]bool   // what was done that has to be done once
	caches map[string]string // covify's cache folders that live on, by registry
	layers []string          // files of covify's layers
}

// first runs commands unless that was done before under this key.
func (j *registryJobs) first(ctx context.Context, key string, commands ...command) error {
	if j.once[key] {
		return nil
	}
	j.once[key] = true
	return runAll(ctx, commands...)
}

func (j *registryJobs) cache(registry string) (dir string, err error) {
	if dir = j.caches[registry]; dir == "" {
		dir, err = j.folder("cache")
		j.caches[registry] = dir
	}
	return dir, err
}

func (j *registryJobs) baseRef(registry string) string {
	return j.repository(registry, j.base) + ":base"
}

// covifyCold has neither a cache nor any of the variant in the repository.
func (j *registryJobs) covifyCold(ctx context.Context, registry string) ([]command, error) {
	ref, err := j.fresh(ctx, j.base)
	if err != nil {
		return nil, err
	}
	cache, err := j.folder("cache")
	return []command{j.covify(cache, "docker://"+registry+"/"+ref)}, err
}

// covifyKnown has met all the layers, but never this image.
func (j *registryJobs) covifyKnown(ctx context.Context, registry string) ([]command, error) {
	cache, err := j.cache(registry)
	if err != nil {
		return nil, err
	}
	if err := j.first(ctx, "covify "+registry, j.covify(cache, "docker://"+j.baseRef(registry))); err != nil {
		return nil, err
	}
	tag, err := j.rebuilt(ctx, registry, j.base)
	return []command{j.covify(cache, "docker://"+j.repository(registry, j.base)+":"+tag)}, err
}

// covifyRepeat does again what was done just before.
func (j *registryJobs) covifyRepeat(ctx context.Context, registry string) ([]command, error) {
	cache, err := j.cache(registry)
	again := j.covify(cache, "docker://"+j.baseRef(registry))
	if err == nil {
		err = j.first(ctx, "covify "+registry, again)
	}
	return []command{again}, err
}

func (j *registryJobs) download(_ context.Context, registry string) ([]command, error) {
	self, err := os.Executable()
	return []command{{Args: []string{self, jobDownload, "--workers", "4", j.baseRef(registry)}}}, err
}

// craneCold appends to an image in a repository with nothing else.
func (j *registryJobs) craneCold(ctx context.Context, registry string) ([]command, error) {
	ref, err := j.fresh(ctx, j.base)
	if err != nil {
		return nil, err
	}
	return j.crane(ctx, registry+"/"+ref)
}

func (j *registryJobs) craneRepeat(ctx context.Context, registry string) ([]command, error) {
	commands, err := j.crane(ctx, j.baseRef(registry))
	if err == nil {
		err = j.first(ctx, "crane "+registry, commands...)
	}
	return commands, err
}

// crane appends covify's own layers.
func (j *registryJobs) crane(ctx context.Context, ref string) ([]command, error) {
	if j.layers == nil {
		commands, err := j.covifyRepeat(ctx, j.opts.registry)
		if err != nil {
			return nil, err
		}
		if err := runAll(ctx, commands...); err != nil {
			return nil, err
		}
		if j.layers, err = j.saveLayers(ctx, j.base, j.baseRef(j.opts.registry)+"-cov"); err != nil {
			return nil, err
		}
	}
	args := []string{"crane", "append", "-b", ref, "-t", strings.TrimSuffix(ref, ":base") + ":crane"}
	for _, file := range j.layers {
		args = append(args, "-f", file)
	}
	return []command{{Args: args}}, nil
}

// dockerCold has an engine that knows nothing of the base.
func (j *registryJobs) dockerCold(ctx context.Context, registry string) ([]command, error) {
	if err := forget(ctx, j.opts.docker29); err != nil {
		return nil, err
	}
	return j.buildAndPush(ctx, registry, j.base, j.unique("round"))
}

// dockerWarm has the base in the engine and a RUN step that is new.
func (j *registryJobs) dockerWarm(ctx context.Context, registry string) ([]command, error) {
	if _, err := docker(j.opts.docker29, "pull", j.baseRef(registry)).run(ctx); err != nil {
		return nil, err
	}
	return j.buildAndPush(ctx, registry, j.base, j.unique("round"))
}

// dockerRepeat has everything in the build cache and in the registry.
func (j *registryJobs) dockerRepeat(ctx context.Context, registry string) ([]command, error) {
	commands, err := j.buildAndPush(ctx, registry, j.base, "same")
	if err == nil {
		err = j.first(ctx, "docker "+registry, commands...)
	}
	return commands, err
}
