//go:build unix && !linux

package state

import (
	"errors"
	"syscall"
)

// processStart reports whether there is such a process; when it started is not
// known here.
func processStart(pid int) (start string, ok bool) {
	err := syscall.Kill(pid, 0)
	return "", err == nil || errors.Is(err, syscall.EPERM)
}
