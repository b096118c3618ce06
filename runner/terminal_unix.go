//go:build unix && !linux

package runner

import "syscall"

// dieWithParent is Linux's only.
func dieWithParent(*syscall.SysProcAttr) {}

func hasTostop(int) bool { return false }
