package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/covify/covify/hosthook"
	"github.com/covify/covify/wheel"
	"github.com/spf13/cobra"
)

const hostHelp = `covify host gives this machine's own interpreters the hook that a variant has: a process that is asked to by
COVERAGE_PROCESS_START measures itself, in every program and subprocess, and one that is not asked pays nothing.

The hook is two small files, covify.pth and covify.start, in the site directory of an interpreter or a venv; coverage itself
is kept in the user's data folder. An environment's own coverage goes first. A process started with python -S reads no
hook and cannot be measured.`

func newHostCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "host",
		Short: "The hook for this machine's own Python: inject, remove, status",
		Long:  hostHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errorf("covify host needs one of inject, remove and status\nSee '%s --help'.", c.CommandPath())}
		},
	}
	c.AddCommand(newHostInjectCmd(), newHostRemoveCmd(), newHostStatusCmd())
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(cobra.NoArgs)
	}
	return c
}

// hostFlags say which interpreters are meant.
type hostFlags struct {
	pythons []string
	venvs   []string
	all     bool
}

func (f *hostFlags) add(c *cobra.Command, unnamed string) {
	c.Flags().StringArrayVar(&f.pythons, "python", nil, "an interpreter, by its path or its name on PATH; "+unnamed)
	c.Flags().StringArrayVar(&f.venvs, "venv", nil, "a venv's folder")
	c.Flags().BoolVar(&f.all, "all", false, "every interpreter on PATH")
}

func (f *hostFlags) named() bool { return len(f.pythons)+len(f.venvs) > 0 }

// targets gives what the flags name, or with nothing named the active venv's or PATH's Python, none if there is none.
func (f *hostFlags) targets() ([]hosthook.Target, error) {
	var targets []hosthook.Target
	for _, python := range f.pythons {
		path, err := exec.LookPath(python)
		if _, there := os.Stat(python); err != nil && (there == nil || filepath.Base(python) != python) {
			path = python // what is wrong with it is told by who looks at it
		} else if err != nil {
			return nil, usageError{errorf("--python: %w", err)}
		}
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		targets = append(targets, hosthook.Target{Python: path})
	}
	for _, venv := range f.venvs {
		path, err := filepath.Abs(venv)
		if err != nil {
			return nil, err
		}
		targets = append(targets, hosthook.Target{Venv: path})
	}
	switch {
	case f.all:
		targets = append(targets, hosthook.OnPath(os.Getenv("PATH"))...)
	case !f.named():
		targets = append(targets, defaultPython()...)
	}
	return targets, nil
}

// defaultPython is the active venv, else the Python that a shell would start.
func defaultPython() []hosthook.Target {
	if venv := os.Getenv("VIRTUAL_ENV"); filepath.IsAbs(venv) {
		return []hosthook.Target{{Venv: venv}}
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil && filepath.IsAbs(path) {
			return []hosthook.Target{{Python: path}}
		}
	}
	return nil
}

// systemPlace is where root keeps what is for every user, whose own folders may be closed to the others.
var systemPlace = hosthook.Place{Data: "/var/lib/covify", State: "/var/lib/covify/host.json"}

// hostOptions gives the places of this user's hooks and of the system's.
func hostOptions() (hosthook.Options, error) {
	home, err := os.UserHomeDir()
	data, state := xdgFolder("XDG_DATA_HOME", home, ".local/share"), xdgFolder("XDG_STATE_HOME", home, ".local/state")
	opts := hosthook.Options{Place: systemPlace, UserBase: os.Getenv("PYTHONUSERBASE"), Environ: os.Environ()}
	if opts.UserBase == "" && home != "" {
		opts.UserBase = filepath.Join(home, ".local")
	}
	named := os.Getenv("XDG_DATA_HOME") != "" || os.Getenv("XDG_STATE_HOME") != ""
	if os.Geteuid() == 0 && !named {
		return opts, nil
	}
	if data == "" || state == "" {
		return opts, errorf("no place for the hooks' record: %w; XDG_DATA_HOME and XDG_STATE_HOME can name one", err)
	}
	opts.Place = hosthook.Place{Data: filepath.Join(data, "covify"), State: filepath.Join(state, "covify", "host.json")}
	opts.Others = []hosthook.Place{systemPlace}
	return opts, nil
}

// xdgFolder is a folder of the XDG base directory specification, which has relative ones ignored; "" if there is none.
func xdgFolder(key, home, fallback string) string {
	if dir := os.Getenv(key); filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, fallback)
}

func newHostInjectCmd() *cobra.Command {
	var (
		f        hostFlags
		wheels   wheelFlags
		coverage string
		user     bool
	)
	c := &cobra.Command{
		Use:   "inject",
		Short: "Put the hook into an interpreter's or a venv's site directory",
		Long: `Put the hook into the site directory of every interpreter and venv named; without names, of the active venv, else of python3.
Where it is already, nothing changes. stdout has the site directories.

A venv of one's own, and pyenv's and uv's Pythons, need no sudo. A system's Python does; instead of it, --user uses the user's
own site directory, which no venv reads, nor python -s or -I. Debian's EXTERNALLY-MANAGED is about installing packages and
stands in nobody's way here.`,
		Example: "  covify host inject\n  covify host inject --venv .venv --venv tests/.venv\n  sudo covify host inject --python /usr/bin/python3",
		RunE: func(c *cobra.Command, _ []string) error {
			source, err := wheels.source(says(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			payload := func(ctx context.Context, t wheel.Target) (*wheel.Payload, error) {
				return source.Payload(ctx, t, coverage)
			}
			return runHostInject(c, &f, user, payload)
		},
	}
	f.add(c, "default the active venv, else python3")
	wheels.add(c)
	c.Flags().BoolVar(&user, "user", false, "use the user's own site directory instead of the interpreter's")
	c.Flags().StringVar(&coverage, "coverage", "", "release of coverage (default the newest that fits)")
	return c
}

func says(stderr io.Writer) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(stderr, "covify: "+format+"\n", args...) }
}

func runHostInject(c *cobra.Command, f *hostFlags, user bool, payload func(context.Context, wheel.Target) (*wheel.Payload, error)) error {
	opts, err := hostOptions()
	if err != nil {
		return err
	}
	opts.Payload = payload
	targets, err := f.targets()
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return codeError{errorf("no Python on PATH, and no active venv: name one with --python or --venv"), exitNothing}
	}
	for i := range targets {
		targets[i].User = user
	}
	done, err := hosthook.Inject(c.Context(), targets, opts)
	say := says(c.ErrOrStderr())
	for _, i := range done {
		describeInjection(say, i)
		fmt.Fprintln(c.OutOrStdout(), i.Environment)
	}
	if f.all && !f.named() && len(done) > 0 && err != nil {
		say("left alone: %v", err) // what is on PATH is not all for us
		return nil
	}
	return hostError(err, f.named())
}

func describeInjection(say func(string, ...any), i hosthook.Injection) {
	if !i.Changed {
		say("%s: has the hook already", i.Environment)
		return
	}
	say("%s: coverage %s for %s", i.Environment, i.Coverage, i.Command)
	if i.Own != "" {
		say("  its own coverage %s goes first", i.Own)
	}
	if i.Warning != "" {
		say("  but it will not be measured: %s", i.Warning)
	}
}

// hostError gives err its exit code: what is no interpreter was wrongly named, or there is none to be had.
func hostError(err error, named bool) error {
	var target *hosthook.TargetError
	switch {
	case err == nil || !errors.As(err, &target):
		return err
	case named:
		return usageError{err}
	}
	return codeError{err, exitNothing}
}

func newHostRemoveCmd() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use:   "remove",
		Short: "Take the hook out again",
		Long: `Take the hook out of every interpreter and venv named; without names, out of all that this user gave one. The trees are then as they
were, the site directory's time included if nobody else has changed it since. What a crash, a deleted venv or an upgraded
Python has left is cleaned up as well. stdout has the site directories.`,
		Example: "  covify host remove\n  covify host remove --venv .venv",
		RunE:    func(c *cobra.Command, _ []string) error { return runHostRemove(c, &f) },
	}
	f.add(c, "default all that have the hook")
	return c
}

func runHostRemove(c *cobra.Command, f *hostFlags) error {
	opts, err := hostOptions()
	if err != nil {
		return err
	}
	targets, err := f.targets()
	if err != nil {
		return err
	}
	var removed []hosthook.Hook
	if !f.named() {
		removed, err = hosthook.Remove(c.Context(), nil, opts)
	}
	if err == nil && len(targets) > 0 {
		more, strayErr := hosthook.Remove(c.Context(), targets, opts)
		removed = append(removed, more...)
		err = notNamed(strayErr, f.named(), says(c.ErrOrStderr()))
	}
	for _, h := range removed {
		fmt.Fprintln(c.OutOrStdout(), h.Environment)
	}
	if len(removed) == 0 && err == nil {
		says(c.ErrOrStderr())("there was no hook")
	}
	return hostError(err, f.named())
}

// notNamed passes over what is wrong with interpreters that nobody named: a file on PATH need not be one, and a hook may be root's.
func notNamed(err error, named bool, say func(string, ...any)) error {
	var (
		target *hosthook.TargetError
		write  *hosthook.WriteError
	)
	switch {
	case named:
		return err
	case errors.As(err, &write):
		say("left alone: %v", err)
		return nil
	case errors.As(err, &target):
		return nil
	}
	return err
}

func newHostStatusCmd() *cobra.Command {
	var (
		f      hostFlags
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell which interpreters have the hook, and whether it works",
		Long: `List every hook on record, and the interpreters and venvs named; without names, those on PATH and the active venv. Each is one of

  none        no hook
  active      whole, and the interpreter takes it up
  inactive    whole, but the interpreter does not take it up
  incomplete  an injection was interrupted, or files are missing
  damaged     files were changed
  gone        the venv or interpreter is gone, or another version now
  stray       a hook that is on no record

covify host inject mends incomplete, damaged and stray ones; covify host remove cleans up all.`,
		Example: "  covify host status\n  covify host status --json --venv .venv",
		RunE:    func(c *cobra.Command, _ []string) error { return runHostStatus(c, &f, asJSON) },
	}
	f.add(c, "default all on PATH")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func runHostStatus(c *cobra.Command, f *hostFlags, asJSON bool) error {
	opts, err := hostOptions()
	if err != nil {
		return err
	}
	targets, err := f.targets()
	if err != nil {
		return err
	}
	if !f.named() && !f.all {
		targets = append(targets, hosthook.OnPath(os.Getenv("PATH"))...)
	}
	report, err := hosthook.Look(c.Context(), targets, opts)
	err = notNamed(err, f.named(), says(c.ErrOrStderr()))
	if asJSON {
		out := json.NewEncoder(c.OutOrStdout())
		out.SetIndent("", "  ")
		return errors.Join(hostError(err, f.named()), out.Encode(report))
	}
	printHooks(c.OutOrStdout(), report)
	return hostError(err, f.named())
}

func printHooks(w io.Writer, r *hosthook.Report) {
	for _, s := range r.Hooks {
		fmt.Fprintf(w, "%-10s  %s\n            Python %s, %s\n", s.State, s.Environment, s.Python, s.Command)
		if s.Payload != "" {
			fmt.Fprintf(w, "            coverage %s in %s\n", s.Coverage, s.Payload)
		}
		if s.Own != "" {
			fmt.Fprintf(w, "            its own coverage %s goes first\n", s.Own)
		}
		for _, problem := range s.Problems {
			fmt.Fprintf(w, "            %s\n", problem)
		}
	}
	for _, dir := range r.Leftovers {
		fmt.Fprintf(w, "unused      %s\n", dir)
	}
	if len(r.Hooks)+len(r.Leftovers) == 0 {
		fmt.Fprintln(w, "no Python found, and none on record")
	}
}
