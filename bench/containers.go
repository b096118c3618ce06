package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const (
	runCovify = "covify run"
	runByHand = "docker run, the same by hand"
)

// program is measured in the container: short, and with a line to measure.
const program = `print("done")
`

// runTables measure what covify run of a variant adds to docker run.
func runTables(ctx context.Context, w *world) ([]*table, error) {
	b, err := w.image(ctx, slim)
	if err != nil {
		return nil, err
	}
	j, err := newRunJobs(ctx, w, w.repository(w.opts.registry, b)+":base")
	if err != nil {
		return nil, err
	}
	runs := w.opts.runs(21, 7)
	t := &table{Title: "Running a variant, Docker 29: " + b.title}
	t.Results, err = compare(ctx, w, nil, trial{runCovify, runs, true, true, j.covify}, trial{runByHand, runs, false, true, j.byHand})
	if err != nil {
		return nil, err
	}
	t.more(runCovify, runByHand, 0.1)
	return []*table{t}, nil
}

// runJobs are a variant, a project and the command lines that run the one from the other.
type runJobs struct {
	*world
	dir  string
	args []string // of covify run
	hand command
}

func newRunJobs(ctx context.Context, w *world, base string) (*runJobs, error) {
	dir, err := w.folder("project")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "done.py"), []byte(program), 0o644); err != nil {
		return nil, err
	}
	j := &runJobs{world: w, dir: dir}
	j.args = []string{"--rm", "--network=none", "-v", filepath.Join(dir, "done.py") + ":/srv/done.py:ro", base + "-cov", "/srv/done.py"}
	make := w.covify(dir, "docker-daemon:"+base)
	make.Env = append(make.Env, "DOCKER_HOST="+w.opts.docker29)
	if err := runAll(ctx, docker(w.opts.docker29, "pull", base), make); err != nil {
		return nil, err
	}
	return j, j.copyByHand(ctx)
}

// copyByHand takes the engine's command line from covify, so that both do the same.
func (j *runJobs) copyByHand(ctx context.Context) error {
	out, err := j.command("--print=json").run(ctx)
	if err != nil {
		return err
	}
	var job struct {
		Command []string
		Env     map[string]string
	}
	if err := json.Unmarshal([]byte(out), &job); err != nil {
		return err
	}
	if len(job.Command) == 0 {
		return fmt.Errorf("covify run --print=json has no command: %s", out)
	}
	j.hand = command{Args: job.Command}
	for name, value := range job.Env {
		j.hand.Env = append(j.hand.Env, name+"="+value)
	}
	return nil
}

func (j *runJobs) command(flags ...string) command {
	c := j.world.covify(j.dir, append(append([]string{"run"}, flags...), j.args...)...)
	c.Env, c.Dir = append(c.Env, "DOCKER_HOST="+j.opts.docker29), j.dir
	return c
}

func (j *runJobs) covify(context.Context, string) ([]command, error) {
	return []command{j.command()}, j.clean()
}

func (j *runJobs) byHand(context.Context, string) ([]command, error) {
	return []command{j.hand}, j.clean()
}

// clean removes the data of the run before, so that there is never more to look through.
func (j *runJobs) clean() error {
	files, err := filepath.Glob(filepath.Join(j.dir, ".covify", "data", ".coverage.*"))
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return err
}
