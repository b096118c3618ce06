package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/compose"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/runner/rcfile"
	"github.com/covify/covify/session"
	"github.com/covify/covify/wheel"
)

// service is one of a project's that the command starts.
type service struct {
	name  string
	image string         // the user's
	first string         // what its first container is called
	job   *runner.Job    // nil if it is not measured
	why   error          // why it is not
	entry *session.Entry // its record; nil without a session
}

// start runs a command that makes containers, with the Python services among them measured.
func (p *composer) start(ctx context.Context) error {
	project, err := p.project(ctx)
	if err != nil {
		return err
	}
	if err := p.bringImages(ctx, project); err != nil {
		return err
	}
	before := p.containers(ctx)
	services, err := p.services(ctx, project, before)
	if err == nil {
		err = p.override(project.Name, services)
	}
	if err != nil {
		return errors.Join(err, p.refuse(services, err))
	}
	words := p.words(p.line.Command.Words("build", "pull")...)
	if p.line.Print != "" {
		return errors.Join(p.print(words, dataDirs(services)), p.printed(services))
	}
	return p.runStarted(ctx, words, services, before)
}

// runStarted runs the command and notes what became of the services. It can end containers too, when it makes them anew.
func (p *composer) runStarted(ctx context.Context, words []string, services []*service, before containers) error {
	running, began := p.running(before), time.Now()
	if p.line.Command.Name != "run" {
		p.save(ctx, running)
	}
	codes := p.awaitCodes(running)
	defer codes.stop()
	failed := p.run(words)
	after := p.containers(context.WithoutCancel(ctx))
	if p.member == nil {
		return p.summarize(services, after, began, failed)
	}
	failed = p.started(services, before, after, failed)
	return errors.Join(failed, p.ended(before, after, running, codes))
}

func dataDirs(services []*service) map[string]string {
	dirs := map[string]string{}
	for _, s := range services {
		if s.job != nil {
			dirs[s.name] = s.job.DataDir
		}
	}
	return dirs
}

// bringImages has compose build and pull what is not there, as it would itself: variants are made of what is there.
func (p *composer) bringImages(ctx context.Context, project compose.Project) error {
	command := p.line.Command
	var build, pull []string
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		s := project.Services[name]
		_, err := p.engine.Image(ctx, project.ImageName(name, p.line.Compatibility), s.Platform)
		missing := errors.Is(err, runner.ErrNotThere)
		if err != nil && !missing {
			return err
		}
		policy := cmp.Or(command.Value("pull"), s.PullPolicy)
		switch {
		case s.Built() && !command.Has("no-build") && (missing || command.Has("build") || policy == "build"):
			build = append(build, name)
		case missing && s.Built():
			return errorf("service %s: its image is not there, and --no-build is given", name)
		case missing && policy == "never":
			return errorf("service %s: image %q is not there, and it is not to be pulled", name, s.Image)
		case !s.Built() && (missing || policy == "always"):
			pull = append(pull, name)
		}
	}
	if len(pull) > 0 {
		words := append(quietly("pull", command.Has("quiet-pull")), pull...)
		if err := p.tell(ctx, words...); err != nil {
			return err
		}
	}
	if len(build) == 0 {
		return nil
	}
	words := quietly("build", command.Has("quiet-build"))
	if command.Value("pull") == "always" {
		words = append(words, "--pull")
	}
	return p.tell(ctx, append(words, build...)...)
}

func quietly(command string, quiet bool) []string {
	if quiet {
		return []string{command, "--quiet"}
	}
	return []string{command}
}

// services makes each service's variant, data directory and settings ready.
func (p *composer) services(ctx context.Context, project compose.Project, before containers) ([]*service, error) {
	opts, err := p.options()
	if err != nil {
		return nil, err
	}
	var all []*service
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		s := &service{name: name, image: project.ImageName(name, p.line.Compatibility), first: project.ContainerName(name, p.line.Compatibility)}
		all = append(all, s)
		if err := p.enterService(s, before); err != nil {
			return all, err
		}
		if err := p.prepare(ctx, s, project.Services[name], opts); err != nil {
			return all, errorf("service %s: %w", name, err)
		}
	}
	if !slices.ContainsFunc(all, func(s *service) bool { return s.job != nil }) {
		fmt.Fprintln(p.err, "covify: none of the services is measured")
	}
	return all, nil
}

// options are what all services' runs have in common.
func (p *composer) options() (runner.Options, error) {
	opts := runner.Options{Engine: p.engine, Dir: p.dir, Lookup: os.LookupEnv, SELinux: runner.SELinuxEnforcing(),
		Covify: p.variants()}
	place := rcfile.Place{Dir: p.dir, RCFile: cmp.Or(p.line.RCFile, os.Getenv("COVERAGE_RCFILE")), Lookup: os.LookupEnv}
	if p.member != nil {
		place.Dir, place.RCFile = p.member.Root, cmp.Or(p.line.RCFile, p.member.RCFile)
	}
	config, err := rcfile.Find(place)
	opts.Config = config
	return opts, err
}

// variants makes variants of images, of one that several services share once.
func (p *composer) variants() runner.Covifier {
	type outcome struct {
		variant string
		err     error
	}
	known := map[[2]string]outcome{}
	var said bytes.Buffer
	covify := covifier(&said, p.engine, "")
	return func(ctx context.Context, image, platform string) (string, error) {
		key := [2]string{image, platform}
		done, found := known[key]
		if found {
			return done.variant, done.err
		}
		said.Reset()
		done.variant, done.err = covify(ctx, image, platform)
		known[key] = done
		fmt.Fprint(p.err, strings.ReplaceAll(said.String(), "covify: ", "covify: "+image+": "))
		return done.variant, done.err
	}
}

func (p *composer) prepare(ctx context.Context, s *service, facts compose.Service, opts runner.Options) error {
	inv := p.invocation(s, facts)
	opts.DataDir = filepath.Join(cmp.Or(p.line.DataDir, runner.DefaultDataDir), s.name)
	if s.entry != nil {
		opts.DataDir, opts.Config = s.entry.DataDir, p.member.Settings(opts.Config, s.entry.Record)
	} else if err := p.makeDataDir(); err != nil {
		return err
	}
	job, err := runner.Prepare(ctx, inv, opts)
	nothing, noFit := new(plan.NothingError), new(wheel.NoFitError)
	switch {
	case errors.As(err, &noFit):
		fmt.Fprintf(p.err, "covify: %s runs unmeasured: %v\n", s.name, err)
		s.why = err
		return nil
	case errors.As(err, &nothing):
		s.why = err
		return nil
	case err != nil:
		return err
	}
	s.job = job
	for _, words := range job.Words {
		fmt.Fprintf(p.err, "covify: %s: %s\n", s.name, words)
	}
	last := lastRun{p.engine.Name, job.Variant}
	if p.member != nil {
		last.write(p.member.Root)
	} else {
		last.remember(filepath.Join(p.dir, runner.DefaultDataDir))
	}
	return nil
}

// makeDataDir makes the folder of the services' folders; it is covify run's too, whose containers write there as any user.
func (p *composer) makeDataDir() error {
	if p.line.DataDir != "" {
		return nil
	}
	dir := filepath.Join(p.dir, runner.DefaultDataDir)
	err := makeOwnFolder(dir)
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		return &runner.DataDirError{Dir: dir, Err: err}
	}
	return nil
}

// invocation is the run of a service's container, with what the flags of compose run say about it.
func (p *composer) invocation(s *service, facts compose.Service) runner.Invocation {
	inv := facts.Invocation(s.image)
	if p.member != nil {
		// A session's settings are for this machine: a service that takes them from the environment means covify's.
		inv.Env = slices.DeleteFunc(inv.Env, func(setting string) bool {
			name, value, _ := strings.Cut(setting, "=")
			return value == os.Getenv(name)
		})
	}
	command := p.line.Command
	if command.Name != "run" || !slices.Contains(command.Services, s.name) {
		return inv
	}
	return compose.WithRunFlags(inv, command)
}

// override writes the file that has compose start what was made ready, after the project's own files.
func (p *composer) override(project string, services []*service) error {
	measured := map[string]compose.Measured{}
	for _, s := range services {
		if s.job == nil {
			continue
		}
		m := compose.Measured{Variant: s.job.Variant, Env: s.job.Env, Relabel: runner.SELinuxEnforcing()}
		if s.job.Bind != nil {
			m.Source, m.Target = s.job.Bind.Source, s.job.Bind.Target
		}
		measured[s.name] = m
	}
	if len(measured) == 0 {
		return nil
	}
	text, err := compose.Override(measured)
	if err != nil {
		return err
	}
	path, err := p.keep(project, text)
	p.files = append(p.files, path)
	return err
}
