package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/plan"
	"github.com/covify/covify/runner"
	"github.com/covify/covify/runner/rcfile"
	"github.com/covify/covify/session"
	"github.com/covify/covify/wheel"
	"github.com/spf13/cobra"
)

// joined is the session that this process runs in; nil if there is none.
func joined(stderr io.Writer) (*session.Member, error) {
	dir := os.Getenv(session.Variable)
	if dir == "" {
		return nil, nil
	}
	member, err := session.Join(dir)
	if errors.Is(err, session.ErrOver) {
		fmt.Fprintf(stderr, "covify: the session of %s=%s is over; going on without\n", session.Variable, dir)
		return nil, nil
	}
	if err != nil {
		return nil, errorf("joining the session of %s=%s: %w", session.Variable, dir, err)
	}
	return member, nil
}

// cleanUp ends sessions of the checkout whose covify was killed, and says so.
func cleanUp(stderr io.Writer, root string) {
	for _, left := range session.CleanUp(root) {
		fmt.Fprintf(stderr, "covify: %s: cleaned up; the %d data files that it left stay in %s until the next session\n",
			left, left.Data, shortened(session.Base(root)))
	}
}

// cleanUpBefore has every command that may work in a checkout clean up there; covify test does so as it begins its own session.
func cleanUpBefore(c *cobra.Command, _ []string) {
	name := c.Name()
	if c.Hidden || name == "test" || name == "help" || (c.HasParent() && c.Parent().Name() == "completion") {
		return
	}
	if root, err := checkoutRoot(); err == nil {
		cleanUp(c.ErrOrStderr(), root)
	}
}

// lastSession is the combined data of the checkout's last covify test; "" if a covify run or combine came after it.
func lastSession(root string) string {
	output, ended := session.Last(root)
	for _, path := range []string{lastRunFile(root), filepath.Join(root, covdata.DefaultOutput)} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(ended) {
			return ""
		}
	}
	return output
}

// container is covify run's part in a session; without an entry there is no session.
type container struct {
	entry *session.Entry
	root  string // the session's
	mu    sync.Mutex
}

// enter opens a record of the session for the container that an invocation is for.
func enter(member *session.Member, inv runner.Invocation) (*container, error) {
	if member == nil {
		return &container{}, nil
	}
	entry, err := member.NewEntry(inv.Image)
	if err != nil {
		return nil, err
	}
	entry.Name, entry.Command = inv.Name, inv.Command
	return &container{entry: entry, root: member.Root}, nil
}

// options has the container leave its data in the session, measured as the session's project wants it.
func (r *container) options(member *session.Member, opts *runner.Options) error {
	if r.entry == nil {
		return nil
	}
	config, err := rcfile.Find(rcfile.Place{Dir: member.Root, RCFile: member.RCFile, Lookup: os.LookupEnv})
	if err != nil {
		return err
	}
	r.entry.Engine = opts.Engine.Name
	opts.DataDir, opts.Config, opts.SaveTimeout = r.entry.DataDir, member.Settings(config, r.entry.Record), member.SaveTimeout
	return nil
}

func (r *container) inSession() bool { return r.entry != nil }

// ready notes what will run.
func (r *container) ready(job *runner.Job) error {
	if r.entry == nil {
		return nil
	}
	lastRun{r.entry.Engine, job.Variant}.write(r.root)
	r.entry.Variant, r.entry.Digest, r.entry.DataDir = job.Variant, job.Digest(), job.DataDir
	return r.entry.Write()
}

// started notes the container's ID, beside its run.
func (r *container) started(id string) {
	if r.entry == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry.Container = id
	_ = r.entry.Write() // its end is written too
}

// printed notes that the container is for others to start.
func (r *container) printed() error {
	if r.entry == nil {
		return nil
	}
	r.entry.Ending = session.Printed
	return r.entry.Write()
}

// failed notes that the container was not started, and returns why.
func (r *container) failed(err error) error {
	if r.entry == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry.Ending, r.entry.Ended = session.NotStarted, time.Now()
	r.entry.Reason, r.entry.NotPython = whyUnmeasured(err)
	return errors.Join(err, r.entry.Write())
}

// whyUnmeasured is the reason for the ledger's line, which names the image already, and whether it is that there is no Python.
func whyUnmeasured(err error) (reason string, notPython bool) {
	nothing, noFit := new(plan.NothingError), new(wheel.NoFitError)
	if errors.As(err, &nothing) && !errors.As(err, &noFit) {
		return nothing.Error(), true
	}
	return err.Error(), false
}

// ended notes how the container ended and what it left. The session judges that, so the exit code is the container's.
func (r *container) ended(result runner.Result) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry
	e.Container = cmp.Or(result.Container, e.Container)
	e.Ending, e.Ended, e.ExitCode = session.Exited, time.Now(), result.ExitCode
	if result.Detached {
		e.Ending = session.Detached
	}
	e.DataFiles, e.Notes = result.DataFiles, result.Notes
	if result.NoData != nil {
		e.Reason, e.NotPython = result.NoData.Reason, result.NoData.NotPython
	}
	if e.DataDir == "" {
		e.Reason = "its data stay in a volume or in the container"
	}
	if err := e.Write(); err != nil {
		return err
	}
	if result.ExitCode != 0 {
		return codeError{errors.New(""), result.ExitCode}
	}
	return nil
}

// newSessionCoverageCmd is for the start-up module of a session: it prints the folder that has coverage for an interpreter.
func newSessionCoverageCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "session-coverage VERSION SUFFIX",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := sessionCoverage(c.Context(), args[0], args[1], c.ErrOrStderr())
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), dir)
			return nil
		},
	}
}

func sessionCoverage(ctx context.Context, version, suffix string, stderr io.Writer) (string, error) {
	target, err := session.TargetOf(version, suffix)
	if err != nil {
		return "", err
	}
	wheels := wheelFlags{bundle: os.Getenv("COVIFY_BUNDLE")}
	return coverageFor(ctx, wheels, target, stderr)
}

// sessionRoot is the checkout that a session is of: the current directory, as for coverage itself.
func sessionRoot() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", errorf("finding the current directory: %w", err)
	}
	return filepath.EvalSymlinks(here)
}
