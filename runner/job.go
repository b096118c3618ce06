package runner

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/runner/rcfile"
)

// The variables that switch coverage on in a container and say where its data go.
const (
	processStart  = "COVERAGE_PROCESS_START"
	processConfig = "COVERAGE_PROCESS_CONFIG"
	coverageFile  = "COVERAGE_FILE"
)

// Covifier makes a variant of an image for a platform ("" for the engine's own) and returns the name under
// which the engine has it.
type Covifier func(ctx context.Context, image, platform string) (variant string, err error)

// Options are what a run needs besides its command line.
type Options struct {
	Engine Engine
	// Dir is the project: data and configuration are looked for below it. It must be absolute.
	Dir string
	// Lookup gives the caller's environment; nil for an empty one.
	Lookup rcfile.Lookup
	// Covify is called when the image is not a variant; nil makes that an error.
	Covify Covifier
	// SELinux says that it is enforced, so that a mount needs a label of its own.
	SELinux bool
	// DataDir is where data go unless the command line says so; empty for DefaultDataDir. A session's are given here.
	DataDir string
	// Config is used instead of what Dir has unless the command line names a file; nil to look for it.
	Config *rcfile.Config
	// SaveTimeout is how long processes are waited for before the container is stopped; 0 for the default.
	SaveTimeout time.Duration
}

// Job is a container ready to be started: everything is decided, the data directory and its configuration
// are there.
type Job struct {
	Command []string          // the engine's whole command line
	Env     map[string]string // what covify sets in the container
	Variant string            // the image that runs
	DataDir string            // on this machine; empty when data go to a volume or elsewhere
	Words   []string          // for the user: what was changed or will not work
	Bind    *Mount            // what covify mounts to bring data home; nil when a mount of the user's does

	// Started, if set, is called with the container's ID as soon as there is one, beside Run.
	Started func(id string)

	saveTimeout time.Duration

	inv     Invocation
	engine  Engine
	image   Image
	config  *rcfile.Config    // the user's; nil when another is used
	userEnv map[string]string // COVERAGE_* given by -e and --env-file
}

// ErrNotVariant says that an image is not a variant and nobody could make one.
var ErrNotVariant = errors.New("not a covify variant")

// Prepare decides everything about a run and makes what it needs: the variant if there is none, the data
// directory, the configuration. Errors are *UsageError, *rcfile.Error, *DataDirError, or the engine's or
// the covifier's own.
func Prepare(ctx context.Context, inv Invocation, opts Options) (*Job, error) {
	if opts.Lookup == nil {
		opts.Lookup = func(string) (string, bool) { return "", false }
	}
	j := &Job{inv: inv, engine: opts.Engine, Env: map[string]string{}}
	j.saveTimeout = cmp.Or(inv.SaveTimeout, opts.SaveTimeout, SaveTimeout)
	j.userEnv = inv.coverageEnv(opts.Lookup)
	if err := j.findConfig(opts); err != nil {
		return nil, err
	}
	name, err := j.variant(ctx, opts)
	if err != nil {
		return nil, err
	}
	j.Variant = name
	mounts, err := j.mount(opts)
	if err != nil {
		return nil, err
	}
	if err := j.nameData(opts.Dir); err != nil {
		return nil, err
	}
	if err := j.configure(name); err != nil {
		return nil, err
	}
	j.command(name, mounts)
	j.warn()
	return j, nil
}

// findConfig reads the project's configuration first of all: a mistake in it is found at once.
func (j *Job) findConfig(opts Options) error {
	if _, theirs := j.userEnv[processStart]; theirs {
		return nil
	}
	if opts.Config != nil && j.inv.RCFile == "" {
		j.config = opts.Config
		return nil
	}
	place := rcfile.Place{Dir: opts.Dir, RCFile: j.inv.RCFile, Lookup: opts.Lookup}
	if place.RCFile == "" {
		place.RCFile, _ = opts.Lookup("COVERAGE_RCFILE")
	}
	var err error
	j.config, err = rcfile.Find(place)
	return err
}

// variant finds the image, covifying it if need be, and returns the name to run.
func (j *Job) variant(ctx context.Context, opts Options) (string, error) {
	name, platform := j.inv.Image, j.inv.Platform
	image, err := j.engine.Image(ctx, name, platform)
	if err != nil && !errors.Is(err, ErrNotThere) {
		return "", err
	}
	if j.image = image; image.Variant() {
		return name, nil
	}
	if opts.Covify == nil {
		return "", fmt.Errorf("image %q: %w", name, ErrNotVariant)
	}
	variant, err := opts.Covify(ctx, name, platform)
	if err != nil {
		return "", err
	}
	j.image, err = j.engine.Image(ctx, variant, platform)
	if errors.Is(err, ErrNotThere) {
		return "", fmt.Errorf("image %q was made, but %s does not have it", variant, j.engine.Name)
	}
	return variant, err
}

// mount settles where data go on this machine and returns the flags that mount it.
func (j *Job) mount(opts Options) ([]string, error) {
	target := j.image.dataDir()
	users := j.inv.mountOn(target)
	if users == nil {
		j.DataDir = absolute(opts.Dir, cmp.Or(j.inv.DataDir, opts.DataDir), DefaultDataDir)
		j.Bind = &Mount{Kind: "bind", Source: j.DataDir, Target: target}
		relabel := opts.SELinux && j.engine.Name != "nerdctl"
		return bindFlags(j.DataDir, target, relabel), openDataDir(j.DataDir)
	}
	if j.inv.DataDir != "" {
		return nil, usage("both --data-dir and a mount on %s are given", target)
	}
	if users.ReadOnly {
		return nil, usage("the mount on %s is read-only: no data could be written", target)
	}
	if users.Kind != "bind" {
		j.Words = append(j.Words, fmt.Sprintf("data stay in the %s that is mounted on %s", users.Kind, target))
		return nil, nil
	}
	j.DataDir = absolute(opts.Dir, users.Source, ".")
	if err := os.MkdirAll(j.DataDir, 0o777); err != nil {
		return nil, &DataDirError{Dir: j.DataDir, Err: err}
	}
	return nil, nil
}

func absolute(dir, path, otherwise string) string {
	if path == "" {
		path = otherwise
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// nameData says what data files are called, unless the user does: their name tells reports what image they are of, and where its
// files come from.
func (j *Job) nameData(dir string) error {
	if _, theirs := j.userEnv[coverageFile]; theirs {
		return nil
	}
	name := ".coverage"
	if origin := j.origin(dir); !origin.Empty() && j.DataDir != "" {
		var err error
		if name, err = writeOrigin(j.DataDir, origin); err != nil {
			return err
		}
	}
	j.Env[coverageFile] = j.image.dataDir() + "/" + name
	return nil
}

// configure writes the container's configuration and sets the variable that names it, unless the user has set that.
func (j *Job) configure(image string) error {
	target := j.image.dataDir()
	if j.config == nil {
		return nil
	}
	if j.DataDir == "" {
		j.Words = append(j.Words, "the image's default coverage settings are used: yours cannot be put into a volume")
		return nil
	}
	about, err := j.image.coverage()
	if err != nil {
		return fmt.Errorf("image %q: %w", image, err)
	}
	merged, words := j.config.ForContainer(about)
	j.Words = append(j.Words, words...)
	name, err := writeConfig(j.DataDir, image, merged.INI())
	if err != nil {
		return err
	}
	j.Env[processStart] = target + "/" + name
	return nil
}

func (j *Job) command(image string, mounts []string) {
	var without []string
	if image != j.inv.Image {
		without = []string{"pull"} // it was for the image that the variant is made of
	}
	words := append([]string{j.engine.Path, "run"}, j.inv.EngineFlags(without...)...)
	words = append(words, mounts...)
	for _, name := range []string{coverageFile, processStart} {
		if value, ours := j.Env[name]; ours {
			words = append(words, "-e", name+"="+value)
		}
	}
	j.Command = slices.Concat(words, []string{image}, j.inv.Command)
}

// Digest is that of the image that runs, as the engine names it.
func (j *Job) Digest() string { return j.image.ID }

func (j *Job) warn() {
	for _, name := range []string{coverageFile, processStart, processConfig} {
		if value, theirs := j.userEnv[name]; theirs {
			j.Words = append(j.Words, fmt.Sprintf("your %s=%s is used in the container, not covify's", name, value))
		}
	}
	if j.DataDir != "" && j.engine.Endpoint.Remote() {
		j.Words = append(j.Words, fmt.Sprintf("the engine at %s is on another machine: data go to %s there",
			j.engine.Endpoint.Address, j.DataDir))
	}
}

// coverageEnv returns the COVERAGE_* variables that -e and --env-file set; -e wins. A name alone takes the
// caller's value, and none if that is not set.
func (inv Invocation) coverageEnv(lookup rcfile.Lookup) map[string]string {
	found := map[string]string{}
	add := func(setting string) {
		name, value, given := strings.Cut(setting, "=")
		if !given {
			value, given = lookup(name)
		}
		if given && strings.HasPrefix(name, "COVERAGE_") {
			found[name] = value
		}
	}
	for _, path := range inv.EnvFiles {
		file, err := os.Open(path)
		if err != nil {
			continue // the engine says so
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			add(strings.TrimLeft(lines.Text(), " \t"))
		}
		file.Close()
	}
	for _, setting := range inv.Env {
		add(setting)
	}
	return found
}
