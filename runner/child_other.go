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

func signalCode(*os.ProcessState) int { return 1 }
