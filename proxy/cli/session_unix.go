//go:build unix

package cli

import "syscall"

// ownSession takes a process out of the terminal's session, so that it lives
// on when the terminal is closed.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
