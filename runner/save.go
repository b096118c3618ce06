package runner

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// SaveTimeout is how long processes are waited for that were told to save.
const SaveTimeout = 2 * time.Second

// engineGrace is what the engine may take on top of that.
const engineGrace = 3 * time.Second

//go:embed saving.py
var saving string

// SaveOptions say how the processes of a container save.
type SaveOptions struct {
	Timeout time.Duration // for all of them together; 0 for SaveTimeout
	Reset   bool          // measure from nothing afterwards; what ran until now stays in files of its own
}

// SavedProcess is a measured process of a container that was told to save.
type SavedProcess struct {
	PID     int    `json:"pid"` // in the container
	Command string `json:"command"`
	File    string `json:"file,omitempty"`  // its data file in the container; none if it has measured nothing yet
	Error   string `json:"error,omitempty"` // why it did not save; "" if it did
}

// Failure says that the process did not save; "" if it did.
func (p SavedProcess) Failure() string {
	if p.Error == "" {
		return ""
	}
	return fmt.Sprintf("process %d (%s) did not save: %s", p.PID, p.Command, p.Error)
}

// NotVariantError says that a container's image was not made by covify.
type NotVariantError struct{ Container, Image string }

func (e *NotVariantError) Error() string {
	return fmt.Sprintf("container %q: its image %q is no variant: nothing in it is measured", e.Container, e.Image)
}

// Hint says what the user can do about it.
func (e *NotVariantError) Hint() string { return "start it with covify run instead" }

// NotRunningError says that a container has ended.
type NotRunningError struct{ Container string }

func (e *NotRunningError) Error() string {
	return fmt.Sprintf("container %q is not running", e.Container)
}

// Hint says what the user can do about it.
func (e *NotRunningError) Hint() string {
	return "its processes saved when they ended: covify report shows what they left"
}

// Save has every measured process of a running container, by its name or ID, write what it measured, and go on. A container
// without such processes gives none. The error is about asking: ErrNotThere if there is no such container, *NotVariantError,
// *NotRunningError, or the engine's own.
func (e Engine) Save(ctx context.Context, container string, opts SaveOptions) ([]SavedProcess, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = SaveTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout+engineGrace)
	defer cancel()
	c, err := e.Container(ctx, container)
	if err != nil {
		return nil, err
	}
	return e.save(ctx, c, opts)
}

func (e Engine) save(ctx context.Context, c Container, opts SaveOptions) ([]SavedProcess, error) {
	switch {
	case !c.Variant():
		return nil, &NotVariantError{c.Name, c.Image}
	case !c.Running:
		return nil, &NotRunningError{c.Name}
	}
	pythons, err := c.pythons()
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", c.Name, err)
	}
	job := savingJob{Timeout: opts.Timeout.Seconds(), Data: c.dataDir(), Pythons: pythons}
	if opts.Reset {
		job.Reset = rand.Text()
	}
	answer, err := e.ask(ctx, c, job)
	if err != nil || len(answer.Refused) == 0 {
		return answer.Processes, err
	}
	// Of another user than the container's.
	job.Only = answer.Refused
	more, err := e.ask(ctx, c, job, "-u", "0")
	for _, pid := range more.Refused {
		answer.Processes = append(answer.Processes, SavedProcess{PID: pid, Error: "not even root may signal it"})
	}
	return slices.Concat(answer.Processes, more.Processes), err
}

// savingJob and savingAnswer are what saving.py reads and prints.
type savingJob struct {
	Timeout float64  `json:"timeout"`
	Reset   string   `json:"reset"`
	Data    string   `json:"data"`
	Pythons []string `json:"pythons"`
	Only    []int    `json:"only"`
}

type savingAnswer struct {
	Processes []SavedProcess `json:"processes"`
	Refused   []int          `json:"refused"`
}

// script is the command that runs a script in a container, with a job as its argument and one of the image's interpreters: the hook
// does not run with -S. The flags are of the engine's exec.
func (e Engine) script(ctx context.Context, c Container, python, script string, job any, flags ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	args := slices.Concat([]string{"exec"}, flags, []string{c.ID, python, "-E", "-s", "-S", "-c", script, string(text)})
	return exec.CommandContext(ctx, e.Path, args...), nil
}

// ask runs saving.py in a container.
func (e Engine) ask(ctx context.Context, c Container, job savingJob, flags ...string) (savingAnswer, error) {
	command, err := e.script(ctx, c, job.Pythons[0], saving, job, flags...)
	if err != nil {
		return savingAnswer{}, err
	}
	command.WaitDelay = time.Second
	out, err := command.Output()
	if err != nil {
		return savingAnswer{}, e.notAsked(ctx, c, err)
	}
	var answer savingAnswer
	if err := json.Unmarshal(out, &answer); err != nil {
		return savingAnswer{}, fmt.Errorf("asking the processes of container %q to save: it answers %q: %w", c.Name, out, err)
	}
	return answer, nil
}

// notAsked tells why a container's processes could not be asked: most likely it has just ended. The engine's exit code is none of ours.
func (e Engine) notAsked(ctx context.Context, c Container, err error) error {
	if ctx.Err() != nil {
		err = errors.New("no answer in time")
	} else if now, gone := e.Container(ctx, c.ID); errors.Is(gone, ErrNotThere) || (gone == nil && !now.Running) {
		return &NotRunningError{c.Name}
	}
	return fmt.Errorf("asking the processes of container %q to save: %s", c.Name, withStderr(err).Error())
}
