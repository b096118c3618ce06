package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ways to start a Python process.
const (
	hookNone  = "no hook"
	hookOff   = "covify, off"
	hookOn    = "covify, on"
	pipOff    = "pip install coverage, off"
	pipOn     = "pip install coverage, on"
	pipOnBare = "pip install coverage, on, without .pyc"
)

const (
	settings = "/opt/covify/coveragerc" // what covify's variants measure with
	dataDir  = "/app/coverage_data"
)

// way is an image and an environment to start Python in.
type way struct {
	name  string
	image string
	on    bool
}

// env is the same for every way but for what switches coverage on.
func (w way) env() []string {
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "COVERAGE_FILE=" + dataDir + "/.coverage"}
	if w.on {
		return append(env, "COVERAGE_PROCESS_START="+settings)
	}
	return append(env, "COVERAGE_PROCESS_START=")
}

// hookTables measure what the hook costs a process: in root filesystems as plain directories, and in containers. Official
// images have no compiled standard library, so the same is measured once more where root has compiled what is imported.
func hookTables(ctx context.Context, w *world) ([]*table, error) {
	ways, err := w.hookWays(ctx)
	if err != nil {
		return nil, err
	}
	roots, err := w.exportAll(ctx, ways)
	if err != nil {
		return nil, err
	}
	plain, err := inDirectories(ctx, w, roots, ways)
	if err != nil {
		return nil, err
	}
	ways = slices.DeleteFunc(ways, func(way way) bool { return way.name == pipOnBare })
	contained, err := inContainers(ctx, w, ways)
	if err != nil {
		return nil, err
	}
	if err := compileImported(ctx, roots, ways); err != nil {
		return nil, err
	}
	compiled, err := inDirectories(ctx, w, roots, ways)
	if err != nil {
		return nil, err
	}
	return []*table{
		hookTable("image as a plain directory", plain),
		hookTable("the same, standard library compiled", compiled),
		hookTable("in containers", contained),
	}, nil
}

func hookTable(where string, results []*result) *table {
	t := &table{Title: "The hook's cost per process, python -c pass: " + where, Milli: true, Results: results}
	t.more(hookOff, hookNone, 1)
	t.more(pipOff, hookNone, 0)
	t.more(hookOn, hookNone, 0)
	t.more(pipOn, hookNone, 0)
	t.atMost(hookOn, pipOn, 1)
	return t
}

// hookWays makes the images in the engine.
func (w *world) hookWays(ctx context.Context) ([]way, error) {
	b, err := w.image(ctx, slim)
	if err != nil {
		return nil, err
	}
	base := w.repository(w.opts.registry, b) + ":base"
	cache, err := w.folder("cache")
	if err != nil {
		return nil, err
	}
	covify := w.covify(cache, "docker-daemon:"+base)
	covify.Env = append(covify.Env, "DOCKER_HOST="+w.opts.docker29)
	if err := runAll(ctx, docker(w.opts.docker29, "pull", base), covify); err != nil {
		return nil, err
	}
	pip, bare := base+"-pip", base+"-pip-bare"
	if err := w.buildPip(ctx, base, pip, bare); err != nil {
		return nil, err
	}
	return []way{
		{hookNone, base, false}, {hookOff, base + "-cov", false}, {hookOn, base + "-cov", true},
		{pipOff, pip, false}, {pipOn, pip, true}, {pipOnBare, bare, true},
	}, nil
}

// byPip has what pip installs and nothing else, with the variant's settings; bare has it without .pyc.
const byPip = `ARG VARIANT
ARG BASE
FROM ${VARIANT} AS variant
FROM ${BASE} AS pip
COPY --from=variant /opt/covify/coveragerc /opt/covify/coveragerc
USER root
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca \
    pip install --no-cache-dir --root-user-action=ignore coverage && mkdir -p /app/coverage_data && chmod 0777 /app/coverage_data
ARG WHO
USER ${WHO}
FROM pip AS bare
USER root
RUN find / -xdev -path '*/coverage/*.pyc' -delete
ARG WHO
USER ${WHO}
`

func (w *world) buildPip(ctx context.Context, base, pip, bare string) error {
	d, err := w.dockerfile(ctx)
	if err != nil {
		return err
	}
	dir, err := w.folder("pip")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(byPip), 0o644); err != nil {
		return err
	}
	stage := func(target, tag string) command {
		args := append([]string{"build"}, d.flags(base, w.images[slim].user)...)
		return docker(w.opts.docker29, append(args, "--build-arg", "VARIANT="+base+"-cov", "--target", target, "-t", tag, dir)...)
	}
	return runAll(ctx, stage("pip", pip), stage("bare", bare))
}

// exportAll copies the root filesystems of all images out of the engine.
func (w *world) exportAll(ctx context.Context, ways []way) (map[string]string, error) {
	roots := map[string]string{}
	for _, way := range ways {
		if roots[way.image] != "" {
			continue
		}
		root, err := w.export(ctx, way.image, roots[ways[0].image])
		if err != nil {
			return nil, err
		}
		roots[way.image] = root
	}
	return roots, nil
}

// compileImported starts Python once as root, which writes the .pyc of what it imports, in every way.
func compileImported(ctx context.Context, roots map[string]string, ways []way) error {
	for _, way := range ways {
		if _, err := startPython(ctx, roots[way.image], way, 0); err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
	}
	return nil
}

// inDirectories starts Python in root filesystems that were copied out of the images, in turns.
func inDirectories(ctx context.Context, w *world, roots map[string]string, ways []way) ([]*result, error) {
	results := make([]*result, len(ways))
	for i, way := range ways {
		results[i] = &result{Name: way.name}
	}
	runs := w.opts.runs(80, 25)
	w.say("%d processes each of %d ways", runs, len(ways))
	for round := range runs + 3 {
		for i, way := range ways {
			took, err := startPython(ctx, roots[way.image], way, 1000)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			if round >= 3 { // the first ones read from the disk
				results[i].Seconds = append(results[i].Seconds, took.Seconds())
			}
		}
	}
	return results, nil
}

// export unpacks an image's root filesystem into a directory. What is in the root of its base, if that is given, is linked
// from there.
func (w *world) export(ctx context.Context, image, base string) (string, error) {
	id, err := docker(w.opts.docker29, "create", image).run(ctx)
	if err != nil {
		return "", err
	}
	root, err := w.folder("root")
	if err != nil {
		return "", err
	}
	archive := root + ".tar"
	defer os.Remove(archive)
	if base != "" {
		err = runAll(ctx, command{Args: []string{"cp", "-al", base + "/.", root}}, command{Args: []string{"rm", "-rf", root + dataDir}})
	}
	err = errors.Join(err, runAll(ctx, docker(w.opts.docker29, "export", "-o", archive, id), docker(w.opts.docker29, "rm", id),
		command{Args: []string{"tar", "-xf", archive, "--skip-old-files", "-C", root}}))
	if err != nil {
		return "", err
	}
	data := filepath.Join(root, dataDir)
	return root, errors.Join(os.MkdirAll(data, 0o777), os.Chmod(data, 0o777), addDevices(filepath.Join(root, "dev")))
}

// addDevices makes the devices that Python cannot do without.
func addDevices(dir string) error {
	for name, number := range map[string]uint64{"null": unix.Mkdev(1, 3), "urandom": unix.Mkdev(1, 9)} {
		path := filepath.Join(dir, name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(number)); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("making the device %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// startPython runs a process to its end in a root filesystem and removes its data. That coverage
// left data is checked: a process that could not be measured would seem cheap.
func startPython(ctx context.Context, root string, way way, user uint32) (time.Duration, error) {
	var said strings.Builder
	c := exec.CommandContext(ctx, "/usr/local/bin/python3", "-c", "pass")
	c.Env = append(way.env(), "LD_ORIGIN_PATH=/usr/local/bin") // without /proc a program does not know where it is
	c.Dir, c.Stdout, c.Stderr = "/app", &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
	start := time.Now()
	err := c.Run()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, &said)
	}
	left, err := filepath.Glob(filepath.Join(root, dataDir, ".coverage*"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	if err == nil && (said.Len() > 0 || (len(left) > 0) != way.on) {
		err = fmt.Errorf("%d data files and these words: %s", len(left), &said)
	}
	return took, err
}

// loop prints the nanoseconds that a number of processes take together, and the number of data files.
const loop = `start=$(date +%%s%%N); i=0
while [ $i -lt %d ]; do python3 -c pass; i=$((i+1)); done
echo $(( $(date +%%s%%N) - start )); ls -A ` + dataDir + ` 2>/dev/null | grep -c '^[.]coverage'; true`

// inContainers starts a loop of Python processes in a container for each way, in turns. A run is a loop's mean.
func inContainers(ctx context.Context, w *world, ways []way) ([]*result, error) {
	results := make([]*result, len(ways))
	for i, way := range ways {
		results[i] = &result{Name: way.name}
	}
	runs, processes := w.opts.runs(7, 3), w.opts.runs(12, 6)
	w.say("%d loops of %d processes in a container each of %d ways", runs, processes, len(ways))
	for range runs {
		for i, way := range ways {
			args := []string{"run", "--rm", "--network=none", "--entrypoint", "sh"}
			for _, e := range way.env() {
				args = append(args, "-e", e)
			}
			out, err := docker(w.opts.docker29, append(args, way.image, "-c", fmt.Sprintf(loop, processes))...).run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			seconds, err := perProcess(out, processes, way.on)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			results[i].Seconds = append(results[i].Seconds, seconds)
		}
	}
	return results, nil
}

// perProcess reads what loop printed and returns the seconds of one process.
func perProcess(out string, processes int, on bool) (float64, error) {
	words := strings.Fields(out)
	want := "0"
	if on {
		want = strconv.Itoa(processes)
	}
	if len(words) != 2 || !slices.Contains(words[1:], want) {
		return 0, fmt.Errorf("the loop printed %q, not a time and %s data files", out, want)
	}
	ns, err := strconv.ParseInt(words[0], 10, 64)
	return float64(ns) / 1e9 / float64(processes), err
}
