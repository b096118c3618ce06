//go:build !unix

package runner

import (
	"os"
	"os/exec"
	"os/signal"
)

// RunChild runs a command to its end and returns its exit code. The console sends its interrupts to both.
func RunChild(command *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	return exitCode(command.Run())
}

// runAttached is RunChild: the console's interrupts reach the command first.
func runAttached(command *exec.Cmd, _, _ bool, _ func(os.Signal)) (int, error) {
	return RunChild(command)
}

func signalCode(*os.ProcessState) int { return 1 }
