package runner

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has a command get a SIGTERM when the thread that starts it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

func hasTostop(terminal int) bool {
	settings, err := unix.IoctlGetTermios(terminal, unix.TCGETS)
	return err == nil && settings.Lflag&unix.TOSTOP != 0
}
