package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/covify/covify/runner"
	"github.com/spf13/cobra"
)

const dumpHelp = `covify dump has the Python processes of running containers write what they measured so far. They go on, and go on measuring.
Without CONTAINER it is every running container of an image that covify made.

With --reset the processes then measure from nothing, and what ran until now stays in files of its own: start-up and tests can be
told apart without a restart.

The exit code is 1 if a process did not write, or a named container has no measured process.`

func newDumpCmd() *cobra.Command {
	f := &dumpFlags{}
	c := &cobra.Command{
		Use:   "dump [CONTAINER...]",
		Short: "Have running containers write what they measured so far",
		Long:  dumpHelp,
		Example: `  covify dump
  covify dump --reset --output startup app    # then the tests, then: covify report --data-dir startup; covify report`,
		RunE: f.run,
	}
	flags := c.Flags()
	flags.BoolVar(&f.reset, "reset", false, "measure from nothing afterwards")
	flags.StringVarP(&f.output, "output", "o", "", "bring the data files to `DIR`; with --reset they are moved there")
	flags.DurationVar(&f.timeout, "timeout", runner.SaveTimeout, "how long the processes of a container are waited for")
	flags.StringVar(&f.engine, "engine", "", "docker, podman or nerdctl (default the first that answers)")
	flags.BoolVar(&f.json, "json", false, "print what was written as JSON")
	return c
}

type dumpFlags struct {
	reset, json    bool
	output, engine string
	timeout        time.Duration
}

// dumped is what became of one container.
type dumped struct {
	Container string                `json:"container"`
	ID        string                `json:"id,omitempty"`
	Image     string                `json:"image,omitempty"`
	Processes []runner.SavedProcess `json:"processes"`
	DataDir   string                `json:"data_dir,omitempty"` // on this machine; none if they are elsewhere
	Files     []string              `json:"files,omitempty"`    // brought to --output
	Error     string                `json:"error,omitempty"`

	err error
}

func (f *dumpFlags) run(c *cobra.Command, args []string) error {
	if f.timeout <= 0 {
		return usageError{errorf("--timeout takes more than %v", f.timeout)}
	}
	engine, err := runner.FindEngine(c.Context(), f.engine, thisHost())
	if err != nil {
		return err
	}
	names := args
	if len(names) == 0 {
		if names, err = engine.Variants(c.Context()); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "covify: no container of an image that covify made is running")
	}
	all := f.dump(c, engine, names)
	for _, d := range all {
		d.say(c.ErrOrStderr(), f.output, len(args) > 0)
	}
	if f.json {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(all); err != nil {
			return err
		}
	}
	return verdictOf(all, len(args) > 0)
}

// dump asks the containers all at once.
func (f *dumpFlags) dump(c *cobra.Command, engine runner.Engine, names []string) []*dumped {
	all := make([]*dumped, len(names))
	done := make(chan bool)
	for i, name := range names {
		go func() {
			all[i] = f.one(c, engine, name)
			done <- true
		}()
	}
	for range names {
		<-done
	}
	return all
}

func (f *dumpFlags) one(c *cobra.Command, engine runner.Engine, name string) *dumped {
	d := &dumped{Container: name, Processes: []runner.SavedProcess{}}
	container, err := engine.Container(c.Context(), name)
	if err == nil {
		d.Container, d.ID, d.Image = cmp.Or(container.Name, name), container.ID, container.Image
		if !engine.Endpoint.Remote() {
			d.DataDir = container.DataDir()
		}
		d.Processes, err = engine.Save(c.Context(), name, runner.SaveOptions{Timeout: f.timeout, Reset: f.reset})
	}
	if err == nil && f.output != "" && len(d.Processes) > 0 {
		d.Files, err = engine.Fetch(c.Context(), container, f.output, d.Processes, f.reset)
	}
	if err != nil {
		d.err, d.Error = err, err.Error()
	}
	return d
}

// saved is how many processes wrote.
func (d *dumped) saved() int {
	n := 0
	for _, p := range d.Processes {
		if p.Error == "" {
			n++
		}
	}
	return n
}

func (d *dumped) say(w io.Writer, output string, named bool) {
	for _, p := range d.Processes {
		if p.Error != "" {
			fmt.Fprintf(w, "covify: %s: process %d (%s): %s\n", d.Container, p.PID, p.Command, p.Error)
		}
	}
	if d.err != nil || (named && len(d.Processes) == 0) {
		return // the error says it
	}
	place := ""
	switch {
	case len(d.Files) > 0:
		place = fmt.Sprintf(", %s in %s", plural(len(d.Files), "data file", "data files"), shortened(output))
	case d.DataDir != "":
		place = "; the data are in " + shortened(d.DataDir)
	default:
		place = "; the data are not on this machine: --output brings them"
	}
	fmt.Fprintf(w, "covify: %s: %s saved%s\n", d.Container, plural(d.saved(), "process", "processes"), place)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// silentError says that nothing in a named container could be told to save.
type silentError struct{ container string }

func (e *silentError) Error() string {
	return fmt.Sprintf("container %q: no measured Python process runs in it", e.container)
}

func (e *silentError) Hint() string {
	return "covify run says why it starts none; -S, an emptied environment and a SIGURG handler of the program's own leave a process out"
}

// missingError says that there is no container of a name.
type missingError struct {
	container string
	error
}

func (e *missingError) Error() string { return fmt.Sprintf("container %q: %v", e.container, e.error) }

func (e *missingError) Unwrap() error { return e.error }

func (e *missingError) Hint() string {
	return "without a name covify dump asks every running container of an image that covify made; --engine names another engine"
}

func verdictOf(all []*dumped, named bool) error {
	var failed []error
	for _, d := range all {
		switch {
		case errors.Is(d.err, runner.ErrNotThere) && named:
			failed = append(failed, &missingError{d.Container, d.err})
		case errors.Is(d.err, runner.ErrNotThere):
			// It ended and was removed meanwhile.
		case d.err != nil:
			failed = append(failed, d.err)
		case d.saved() < len(d.Processes):
			failed = append(failed, errorf("container %q: %d of %s did not save", d.Container, len(d.Processes)-d.saved(),
				plural(len(d.Processes), "process", "processes")))
		case len(d.Processes) == 0 && named:
			failed = append(failed, &silentError{d.Container})
		}
	}
	return errors.Join(failed...)
}
