package state

import "os"

// A Process is a process of this machine, told from all others before and
// after it, which may have the same number.
type Process struct {
	// PID is its number; 0 is no process.
	PID int
	// Start says when it started, as the system tells it: only good for
	// comparing. Empty where the system does not tell.
	Start string
}

// Self returns this process.
func Self() Process { return FindProcess(os.Getpid()) }

// FindProcess returns the process that has the number now, the zero Process if
// none does. A zombie, which has ended and is not collected, is none.
func FindProcess(pid int) Process {
	if pid <= 0 {
		return Process{}
	}
	start, ok := processStart(pid)
	if !ok {
		return Process{}
	}
	return Process{PID: pid, Start: start}
}

// Running reports whether the process has not ended.
func (p Process) Running() bool {
	return p.PID > 0 && FindProcess(p.PID) == p
}
