package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	buildWarm   = "docker build, warm"
	buildRepeat = "docker build, repeat"
	copyCold    = "docker build, FROM and COPY of the same files"
)

// localTables measure covify docker-daemon:IMAGE, once for each engine and image; the padded one in the newer engine only.
func localTables(ctx context.Context, w *world) ([]*table, error) {
	var tables []*table
	for _, engine := range []struct{ name, address string }{{"Docker 29, containerd store", w.opts.docker29}, {"Docker 20.10, classic store", w.opts.docker20}} {
		for _, name := range w.imageNames() {
			if engine.address == "" || (name == padded && (w.opts.quick || engine.address != w.opts.docker29)) {
				continue
			}
			t, err := localTable(ctx, w, engine.address, engine.name, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", engine.name, err)
			}
			tables = append(tables, t)
		}
	}
	return tables, nil
}

func localTable(ctx context.Context, w *world, address, engine, image string) (*table, error) {
	b, err := w.image(ctx, image)
	if err != nil {
		return nil, err
	}
	j, err := newLocalJobs(ctx, w, address, b)
	if err != nil {
		return nil, err
	}
	slow, fast := w.opts.runs(3, 1), w.opts.runs(9, 3)
	groups := [][]trial{
		{{covifyCold, slow, true, true, j.covifyCold}, {copyCold, slow, false, true, j.copyCold}, {covifyKnown, slow, true, true, j.covifyKnown}, {buildWarm, slow, false, true, j.buildWarm}},
		{{covifyRepeat, fast, true, true, j.covifyRepeat}, {buildRepeat, fast, false, true, j.buildRepeat}},
	}
	t := &table{Title: fmt.Sprintf("An image in a local engine, %s: %s", engine, b.title)}
	for _, g := range groups {
		results, err := compare(ctx, w, nil, g...)
		if err != nil {
			return nil, err
		}
		t.Results = append(t.Results, results...)
	}
	t.atMost(covifyCold, copyCold, 2)
	t.seconds(covifyCold, 1)
	t.atLeast(buildWarm, covifyCold, 0)
	t.atLeast(buildWarm, covifyKnown, 0)
	t.atLeast(buildWarm, covifyRepeat, 30)
	t.atLeast(buildRepeat, covifyRepeat, 0)
	return t, nil
}

// localJobs make ready what each trial of one image in one engine needs.
type localJobs struct {
	*world
	engine string // address
	base   string // image in the engine
	user   string
	cache  string // of the last cold run, which the others go on with
	files  string // folder that holds a Dockerfile and covify's files
}

func newLocalJobs(ctx context.Context, w *world, engine string, b *baseImage) (*localJobs, error) {
	j := &localJobs{world: w, engine: engine, base: w.repository(w.opts.registry, b) + ":base", user: b.user}
	_, err := docker(engine, "pull", j.base).run(ctx)
	return j, err
}

func (j *localJobs) covify() []command {
	c := j.world.covify(j.cache, "docker-daemon:"+j.base)
	c.Env = append(c.Env, "DOCKER_HOST="+j.engine)
	return []command{c}
}

// withoutCache empties the engine's build cache.
func (j *localJobs) withoutCache(ctx context.Context) error {
	return runAll(ctx, docker(j.engine, "builder", "prune", "-af"))
}

// copyCold builds an image with the files of covify's payload, from a folder.
func (j *localJobs) copyCold(ctx context.Context, _ string) ([]command, error) {
	if j.files == "" {
		if err := j.copyFiles(ctx); err != nil {
			return nil, err
		}
	}
	build := docker(j.engine, "build", "-q", "-t", j.base+"-copied", j.files)
	build.Env = append(build.Env, "DOCKER_BUILDKIT=1")
	return []command{build}, errors.Join(runAll(ctx, docker(j.engine, "image", "rm", "-f", j.base+"-copied")), j.withoutCache(ctx))
}

// copyFiles takes the payload from the variant, which is there after the first covify.
func (j *localJobs) copyFiles(ctx context.Context) (err error) {
	if j.files, err = j.folder("files"); err != nil {
		return err
	}
	container, err := docker(j.engine, "create", j.base+"-cov").run(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		runAll(ctx, docker(j.engine, "cp", container+":/opt/covify", filepath.Join(j.files, "covify")), docker(j.engine, "rm", container)),
		os.WriteFile(filepath.Join(j.files, "Dockerfile"), []byte("FROM "+j.base+"\nCOPY covify /opt/covify\n"), 0o644))
}

// withoutVariant removes the variant from the engine.
func (j *localJobs) withoutVariant(ctx context.Context) error {
	_, err := docker(j.engine, "image", "rm", "-f", j.base+"-cov").run(ctx)
	return err
}

func (j *localJobs) covifyCold(ctx context.Context, _ string) (_ []command, err error) {
	if j.cache, err = j.folder("cache"); err != nil {
		return nil, err
	}
	return j.covify(), errors.Join(j.withoutVariant(ctx), j.withoutCache(ctx))
}

// covifyKnown comes after covifyCold, and finds its variant gone.
func (j *localJobs) covifyKnown(ctx context.Context, _ string) ([]command, error) {
	return j.covify(), j.withoutVariant(ctx)
}

func (j *localJobs) covifyRepeat(ctx context.Context, _ string) ([]command, error) {
	return j.covify(), runAll(ctx, j.covify()...)
}

func (j *localJobs) buildWarm(ctx context.Context, _ string) ([]command, error) {
	c, err := j.build(ctx, j.engine, j.base, j.user, j.unique("round"), j.base+"-by-hand")
	return []command{c}, err
}

func (j *localJobs) buildRepeat(ctx context.Context, _ string) ([]command, error) {
	c, err := j.build(ctx, j.engine, j.base, j.user, "same", j.base+"-by-hand")
	if err == nil {
		err = runAll(ctx, c)
	}
	return []command{c}, err
}
