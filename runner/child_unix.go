//go:build unix

package runner

import (
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals a container's run command is meant to get.
var passedOn = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// RunChild runs a command to its end and returns its exit code. In the foreground of a terminal it shares this
// process group: the terminal sends its signals to both, and job control works. Elsewhere it gets a group of its
// own, so that a signal to this group reaches it once, passed on from here.
func RunChild(command *exec.Cmd) (int, error) {
	return (&child{command: command, shared: inForeground()}).run()
}

// runAttached is RunChild for a container's run command: before is called with each signal that is to stop it, and the signal passed
// on when it returns; a further signal meanwhile is passed on at once. A command without a terminal of its own in the container gets
// a group of its own in the foreground too: the terminal's signals come here first. It gets a SIGTERM when this process is killed.
func runAttached(command *exec.Cmd, tty, interactive bool, before func(os.Signal)) (int, error) {
	runtime.LockOSThread() // the command gets the signal when the thread ends that started it
	defer runtime.UnlockOSThread()
	c := &child{command: command, before: before}
	if inForeground() {
		c.shared = tty || stopsBackground()
		c.terminal = !c.shared
	}
	if c.terminal && interactive {
		closeInput := c.readForIt()
		defer closeInput()
	}
	return c.run()
}

// child is a command that runs.
type child struct {
	command  *exec.Cmd
	shared   bool // its group is this process's
	terminal bool // it has a group of its own in the background of the terminal that this process is in the foreground of
	before   func(os.Signal)
}

func (c *child) run() (int, error) {
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: !c.shared}
	if c.before != nil {
		dieWithParent(c.command.SysProcAttr)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if c.terminal {
		signal.Notify(signals, unix.SIGTSTP)
	}
	if err := c.command.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- c.command.Wait() }()
	ready := make(chan os.Signal, 1) // the signal that may be passed on
	waiting := false
	for {
		select {
		case err := <-done:
			return exitCode(err)
		case sig := <-ready:
			waiting = false
			c.pass(sig)
		case sig := <-signals:
			switch {
			case sig == unix.SIGTSTP:
				c.suspend()
			case c.before == nil || waiting || sig == unix.SIGUSR1 || sig == unix.SIGUSR2:
				c.pass(sig)
			default:
				waiting = true
				go func() {
					c.before(sig)
					ready <- sig
				}()
			}
		}
	}
}

// pass sends a signal on, unless the terminal has sent it to the command too.
func (c *child) pass(sig os.Signal) {
	if !c.shared || !fromTerminal(sig) {
		_ = c.command.Process.Signal(sig) // it may just have ended
	}
}

// suspend does what the terminal's Ctrl-Z does to a group, for both groups.
func (c *child) suspend() {
	group := -c.command.Process.Pid
	_ = unix.Kill(group, unix.SIGTSTP)
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	_ = unix.Kill(group, unix.SIGCONT)
}

// readForIt has this process read the terminal for a command that may not, and returns what ends that.
func (c *child) readForIt() func() {
	input, ok := c.command.Stdin.(*os.File)
	if !ok {
		return func() {}
	}
	if _, err := unix.IoctlGetInt(int(input.Fd()), unix.TIOCGPGRP); err != nil {
		return func() {} // not the terminal
	}
	r, w, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	c.command.Stdin = r
	go func() {
		_, _ = io.Copy(w, input) // ends with either side
		w.Close()
	}()
	return func() { r.Close() }
}

// fromTerminal reports whether a terminal sends a signal to all of its foreground group.
func fromTerminal(sig os.Signal) bool {
	return sig == unix.SIGINT || sig == unix.SIGQUIT || sig == unix.SIGHUP
}

// inForeground reports whether this process is in the foreground of its controlling terminal.
func inForeground() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// stopsBackground reports whether the terminal stops those who write to it from the background (stty tostop).
func stopsBackground() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	return hasTostop(int(terminal.Fd()))
}

func signalCode(state *os.ProcessState) int {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 1
	}
	return 128 + int(status.Signal())
}
