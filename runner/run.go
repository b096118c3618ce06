// Package runner runs a variant with the mounts and variables it needs, through the engine's own run command, and
// sees what data it leaves.
package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

// Stdio is what a container's run command inherits. Files are passed on as they are: a terminal stays one.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Result is how a run ended.
type Result struct {
	ExitCode  int
	Detached  bool     // the container runs on: data come when it ends
	DataFiles []string // names of those that appeared or changed in the data directory
	Notes     []string // lines of the hook about processes it could not measure, and about those that did not save
	Container string   // its ID
	NoData    *NoDataError
}

// notStarted is the exit code of a run command that made no container.
const notStarted = 125

// Run starts the container and waits for its end, passing signals on. The error is about the run command itself
// or the data directory; a container that failed, or left no data, is in the Result.
func (j *Job) Run(ctx context.Context, stdio Stdio) (Result, error) {
	before, err := j.look()
	if err != nil {
		return Result{}, err
	}
	running, err := j.attach(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("running %s: %w", j.engine.Name, err)
	}
	defer running.close()
	if j.Started != nil {
		go running.announce(j.Started)
	}
	words := running.command(j.Command)
	command := exec.Command(words[0], words[1:]...)
	command.Stdin, command.Stdout, command.Stderr = stdio.In, stdio.Out, stdio.Err
	result := Result{}
	if result.ExitCode, err = runAttached(command, j.inv.TTY, j.inv.Interactive, running.stopping); err != nil {
		return result, fmt.Errorf("running %s: %w", j.engine.Name, err)
	}
	if result.ExitCode != notStarted {
		result.Container = running.id()
	}
	result.Detached = result.ExitCode == 0 && j.inv.Detach || running.runsOn(ctx)
	saving := running.close()
	after, err := j.look()
	if err != nil {
		return result, err
	}
	var notes []string
	result.DataFiles, notes = after.since(before)
	slices.Sort(result.DataFiles)
	result.Notes = append(readNotes(j.DataDir, notes), saving...)
	if j.DataDir != "" && !result.Detached {
		result.NoData = j.noData(ctx, result)
	}
	return result, nil
}

func (j *Job) look() (contents, error) {
	if j.DataDir == "" {
		return nil, nil
	}
	return look(j.DataDir)
}

// exitCode is a finished command's exit code as a shell gives it: 128 and the signal for one that was killed.
func exitCode(err error) (int, error) {
	exit := new(exec.ExitError)
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &exit):
		return 0, err
	case exit.Exited():
		return exit.ExitCode(), nil
	}
	return signalCode(exit.ProcessState), nil
}

// SELinuxEnforcing reports whether this machine's kernel enforces SELinux.
func SELinuxEnforcing() bool {
	state, err := os.ReadFile("/sys/fs/selinux/enforce")
	return err == nil && len(state) > 0 && state[0] == '1'
}
