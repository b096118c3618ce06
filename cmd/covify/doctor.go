package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/doctor"
	"github.com/covify/covify/imagepatch"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/wheel"
	"github.com/spf13/cobra"
)

const doctorHelp = `covify doctor checks what coverage hangs on, says what it saw, and gives the command that mends what is wrong. The checks are in
the order of causes: the first problem is the likeliest reason for an empty report.

IMAGE, as covify IMAGE takes it: whether it is covified and whole. CONTAINER, running or not, by name or ID: its variables, mounts,
user and command, what a Python in it finds, and what data it left. DIR: the data files in it, and where their paths lead; a checkout
also gets the checks of the current directory. Without any, the checkout in the current directory and this machine.
A bare name is the engine's container if it has one, else a directory here, else an image.

The exit code is 0 if there is no problem (warnings are none), else 1.`

type doctorFlags struct {
	json, fix bool
	engine    string
	rcfile    string
	image     imageFlags
}

func newDoctorCmd() *cobra.Command {
	f := &doctorFlags{image: imageFlags{dataDir: plan.DataDir}}
	c := &cobra.Command{
		Use:   "doctor [IMAGE | CONTAINER | DIR]",
		Short: "Tell why there is no coverage, and what mends it",
		Long:  doctorHelp,
		Example: `  covify doctor
  covify doctor app:1.0-cov
  covify doctor --fix app:1.0
  covify doctor web
  covify doctor .covify/data --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	flags := c.Flags()
	flags.BoolVar(&f.json, "json", false, "print the checks as JSON")
	flags.BoolVar(&f.fix, "fix", false, "run the mends that are covify's own commands, then check again")
	flags.StringVar(&f.engine, "engine", "", "docker, podman or nerdctl (default the first that answers)")
	flags.StringVar(&f.rcfile, "rcfile", "", "coverage's config file (default: the project's own)")
	flags.StringVar(&f.image.platform, "platform", "", "only this platform of an index, such as linux/arm64")
	f.image.access.add(c)
	f.image.wheels.add(c)
	return c
}

// examined is what doctor was asked about and what it found.
type examined struct {
	Kind   string         `json:"kind"` // checkout, image, container or directory
	Name   string         `json:"name"`
	Checks []doctor.Check `json:"checks"`

	after string // what to examine when the mends have been run
}

func (f *doctorFlags) run(c *cobra.Command, args []string) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	found, err := f.examine(c, name)
	if err != nil {
		return err
	}
	if fixes := doctor.Fixes(found.Checks); f.fix && len(fixes) > 0 {
		if err := f.mend(c, fixes); err != nil {
			return err
		}
		if found, err = f.examine(c, found.after); err != nil {
			return err
		}
	}
	if f.json {
		err = found.writeJSON(c.OutOrStdout())
	} else {
		found.write(c.OutOrStdout())
	}
	if n := doctor.Problems(found.Checks); err == nil && n > 0 {
		return errors.New(problemWords(n))
	}
	return err
}

func problemWords(n int) string {
	if n == 1 {
		return "1 problem found"
	}
	return fmt.Sprintf("%d problems found; the first is the likeliest cause", n)
}

// mend runs covify's own commands; what they say goes to stderr, since stdout is for the checks.
func (f *doctorFlags) mend(c *cobra.Command, fixes [][]string) error {
	for _, args := range fixes {
		fmt.Fprintf(c.ErrOrStderr(), "covify: running %s\n", runner.ShellLine(append([]string{"covify"}, args...)))
		if args[0] != "host" {
			args = append(slices.Clone(args), f.imageArgs()...)
		}
		root := newRootCmd()
		root.SetArgs(args)
		root.SetOut(c.ErrOrStderr())
		root.SetErr(c.ErrOrStderr())
		if err := root.ExecuteContext(c.Context()); err != nil {
			return err
		}
	}
	return nil
}

// imageArgs are the flags of doctor that covify IMAGE has too.
func (f *doctorFlags) imageArgs() []string {
	var args []string
	if f.image.platform != "" {
		args = append(args, "--platform", f.image.platform)
	}
	if f.image.wheels.bundle != "" {
		args = append(args, "--bundle", f.image.wheels.bundle)
	}
	if f.image.wheels.offline {
		args = append(args, "--offline")
	}
	if !f.image.access.tlsVerify {
		args = append(args, "--tls-verify=false")
	}
	return args
}

// examine tells what a name stands for, and has that checked.
func (f *doctorFlags) examine(c *cobra.Command, name string) (examined, error) {
	if name == "" || name == "." {
		return f.checkout(c, "")
	}
	folder, err := os.Stat(name)
	isDir := err == nil && folder.IsDir()
	if isDir && (name != filepath.Base(name) || name == "..") {
		return f.directory(c, name)
	}
	ref, err := imagepatch.ParseRef(name)
	if err == nil && ref.Transport != "" {
		return f.ofImage(c, name)
	}
	engine, engineErr := runner.FindEngine(c.Context(), f.engine, thisHost())
	if engineErr == nil {
		container, err := doctor.Find(c.Context(), engine, name)
		if err != nil {
			return examined{}, err
		}
		if container != nil {
			if isDir {
				fmt.Fprintf(c.ErrOrStderr(), "covify: %s is a container; ./%[1]s is the directory\n", name)
			}
			return f.container(c, engine, *container)
		}
	}
	if isDir {
		return f.directory(c, name)
	}
	if err != nil {
		return examined{}, err
	}
	found, err := f.ofImage(c, name)
	if err != nil && engineErr != nil {
		return found, errorf("no container, directory or image called %s could be found: %w; %w", name, engineErr, err)
	}
	return found, err
}

// checkout examines this machine and a checkout, "" for the current directory's.
func (f *doctorFlags) checkout(c *cobra.Command, root string) (examined, error) {
	name := root
	if root == "" {
		var err error
		if root, err = checkoutRoot(); err != nil {
			return examined{}, err
		}
	}
	hooks, err := hostOptions()
	if err != nil {
		return examined{}, err
	}
	rcfile := f.rcfile
	if rcfile == "" {
		rcfile = os.Getenv("COVERAGE_RCFILE")
	}
	m := doctor.Machine{Root: root, Host: thisHost(), Lookup: os.LookupEnv, RCFile: rcfile, Engine: f.engine, Python: f.python(c),
		Contents: imageContents(), Hooks: hooks, Targets: defaultPython()}
	return examined{Kind: "checkout", Name: root, Checks: m.Checks(c.Context()), after: name}, nil
}

// python finds the Python that reads data, when it is needed.
func (f *doctorFlags) python(c *cobra.Command) func(context.Context) (covdata.Python, error) {
	return func(ctx context.Context) (covdata.Python, error) {
		flags := pythonFlags{wheels: f.image.wheels}
		return flags.onHost(ctx, c.ErrOrStderr())
	}
}

// directory examines the data in a directory; one that looks like a checkout is examined as that.
func (f *doctorFlags) directory(c *cobra.Command, name string) (examined, error) {
	dir, err := filepath.Abs(name)
	if err != nil {
		return examined{}, err
	}
	if isCheckout(dir) {
		return f.checkout(c, dir)
	}
	root, err := checkoutRoot()
	if err != nil {
		return examined{}, err
	}
	data := doctor.Data{Dirs: []string{dir}, Root: root, Config: f.rcfile, Python: f.python(c), Contents: imageContents()}
	return examined{Kind: "directory", Name: dir, Checks: data.Checks(c.Context()), after: name}, nil
}

// isCheckout tells a project's directory from one that data come to, which has a .coveragerc too.
func isCheckout(dir string) bool {
	return slices.ContainsFunc([]string{".git", ".covify", "pyproject.toml", "setup.cfg", "setup.py", "tox.ini"},
		func(name string) bool { return isThere(filepath.Join(dir, name)) })
}

func (f *doctorFlags) container(c *cobra.Command, engine runner.Engine, container runner.Inspection) (examined, error) {
	root, err := checkoutRoot()
	if err != nil {
		return examined{}, err
	}
	patient := doctor.Container{Inspection: container, Engine: engine, Root: root, Python: f.python(c), Contents: imageContents()}
	patient.Image = func(ctx context.Context) ([]doctor.Check, error) {
		return f.imageChecks(ctx, c.ErrOrStderr(), "docker-daemon:"+container.Config.Image)
	}
	return examined{Kind: "container", Name: container.Name, Checks: patient.Checks(c.Context()), after: container.Name}, nil
}

func (f *doctorFlags) ofImage(c *cobra.Command, name string) (examined, error) {
	checks, err := f.imageChecks(c.Context(), c.ErrOrStderr(), name)
	found := examined{Kind: "image", Name: name, Checks: checks, after: name}
	if ref, parseErr := imagepatch.ParseRef(name); parseErr == nil && len(doctor.Fixes(checks)) > 0 {
		if variant, err := ref.Variant(); err == nil {
			found.after = variant.String()
		}
	}
	return found, err
}

func (f *doctorFlags) imageChecks(ctx context.Context, stderr io.Writer, name string) ([]doctor.Check, error) {
	flags := f.image
	flags.wheels.offline = true // an index may take its time
	src, opts, err := flags.resolve(ctx, stderr, name)
	if err != nil {
		return nil, err
	}
	sights, err := imagepatch.Look(ctx, src, *opts)
	if err != nil {
		return nil, err
	}
	image := doctor.Image{Name: name, Sights: sights, Version: covifyVersion(), Base: baseNow(ctx, src, sights, &opts.Access)}
	image.Fits = func(t wheel.Target) error {
		_, err := opts.Payloads(ctx, t)
		return err
	}
	return image.Checks(), nil
}

// baseNow asks for the image that a variant was made of, where the variant is.
func baseNow(ctx context.Context, src imagepatch.Ref, sights []imagepatch.Sight, access *imagepatch.Access) []string {
	if len(sights) == 0 || sights[0].Labels[plan.LabelBaseName] == "" {
		return nil
	}
	digests, err := imagepatch.Digests(ctx, imagepatch.Ref{Transport: src.Transport, Name: sights[0].Labels[plan.LabelBaseName]}, access)
	if err != nil {
		return nil
	}
	return digests
}

func (e examined) writeJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(e)
}

// write prints the checks for a person.
func (e examined) write(w io.Writer) {
	fmt.Fprintf(w, "%s %s\n", e.Kind, e.Name)
	for _, check := range e.Checks {
		fmt.Fprintf(w, "  %-8s %-15s %s\n", check.Outcome, check.Name, strings.ReplaceAll(check.Seen, "\n", "\n"+strings.Repeat(" ", 27)))
		if check.Mend != "" {
			fmt.Fprintf(w, "%27s%s\n", "", "> "+check.Mend)
		}
	}
}
