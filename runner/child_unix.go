//go:build unix

package runner

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals a container's run command is meant to get.
var passedOn = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// RunChild runs a command to its end and returns its exit code. In the foreground of a terminal it shares this
// process group: the terminal sends its signals to both, and job control works. Elsewhere it gets a group of its
// own, so that a signal to this group reaches it once, passed on from here.
func RunChild(command *exec.Cmd) (int, error) {
	shared := inForeground()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: !shared}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := command.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	for {
		select {
		case err := <-done:
			return exitCode(err)
		case sig := <-signals:
			if !shared || !fromTerminal(sig) {
				_ = command.Process.Signal(sig) // it may just have ended
			}
		}
	}
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

func signalCode(state *os.ProcessState) int {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 1
	}
	return 128 + int(status.Signal())
}
