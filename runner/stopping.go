package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a container has to end after a SIGTERM, as with docker stop, before it is killed.
const stopGrace = 10 * time.Second

// attached is a container while its run command runs.
type attached struct {
	engine  Engine
	timeout time.Duration
	grace   time.Duration
	cidFile string
	own     string // the folder of cidFile; "" if the user named it
	over    context.Context
	end     context.CancelFunc

	mu        sync.Mutex
	words     []string // for the user, about processes that did not save
	timer     *time.Timer
	signalled bool
}

// attach makes ready to know the container's ID.
func (j *Job) attach(ctx context.Context) (*attached, error) {
	a := &attached{engine: j.engine, timeout: j.saveTimeout, grace: j.inv.stopTimeout(), cidFile: j.inv.CIDFile}
	if a.cidFile == "" {
		dir, err := os.MkdirTemp("", "covify-run-")
		if err != nil {
			return nil, err
		}
		a.own, a.cidFile = dir, filepath.Join(dir, "cid")
	}
	a.over, a.end = context.WithCancel(context.WithoutCancel(ctx))
	return a, nil
}

// command is the job's, with what tells the container's ID.
func (a *attached) command(words []string) []string {
	if a.own == "" {
		return words
	}
	return slices.Concat(words[:2], []string{"--cidfile", a.cidFile}, words[2:])
}

// id is the container's; "" as long as there is none.
func (a *attached) id() string {
	text, _ := os.ReadFile(a.cidFile)
	return strings.TrimSpace(string(text))
}

// announce calls started with the container's ID as soon as there is one.
func (a *attached) announce(started func(string)) {
	for a.over.Err() == nil {
		if id := a.id(); id != "" {
			started(id)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stopping has the container's processes save before a signal is passed on that may end them. One that does not end by a SIGTERM, as
// a shell that is its first process, is stopped as docker stop would.
func (a *attached) stopping(sig os.Signal) {
	a.save(sig.String())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signalled = true
	if sig == syscall.SIGTERM && a.timer == nil && a.grace >= 0 {
		a.timer = time.AfterFunc(a.grace, a.kill)
	}
}

func (a *attached) kill() {
	id := a.id()
	if id == "" || a.over.Err() != nil {
		return
	}
	a.save("the end")
	_ = exec.CommandContext(a.over, a.engine.Path, "kill", id).Run() // it may just have ended
	a.say(fmt.Sprintf("the container had not ended %v after SIGTERM and was killed", a.grace))
}

func (a *attached) save(before string) {
	id := a.id()
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(a.over, a.timeout+time.Second)
	defer cancel()
	saved, err := a.engine.Save(ctx, id, SaveOptions{Timeout: a.timeout})
	ended := new(NotRunningError)
	if err != nil && !errors.Is(err, ErrNotThere) && !errors.As(err, &ended) && a.over.Err() == nil {
		a.say(fmt.Sprintf("saving before %s failed: %v", before, err))
	}
	for _, process := range saved {
		if process.Error != "" {
			a.say(fmt.Sprintf("process %d (%s) did not save before %s: %s", process.PID, process.Command, before, process.Error))
		}
	}
}

// runsOn reports whether the container goes on after its run command, as when an impatient user ended that one.
func (a *attached) runsOn(ctx context.Context) bool {
	a.mu.Lock()
	signalled, id := a.signalled, a.id()
	a.mu.Unlock()
	if !signalled || id == "" {
		return false
	}
	c, err := a.engine.Container(context.WithoutCancel(ctx), id)
	if err != nil || !c.Running {
		return false
	}
	a.say(fmt.Sprintf("the container %s runs on", c.Name))
	return true
}

func (a *attached) say(words string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.words, words) {
		a.words = append(a.words, words)
	}
}

// close ends what goes on beside the run command and returns the words.
func (a *attached) close() []string {
	a.end()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.own != "" {
		_ = os.RemoveAll(a.own) // a temporary folder
	}
	return a.words
}
