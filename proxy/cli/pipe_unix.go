//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// nobodyReads reports whether f is a pipe that nobody can read from any more.
func nobodyReads(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		all := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(all, 0)
		gone = err == nil && n > 0 && all[0].Revents&unix.POLLERR != 0
	})
	return err == nil && gone
}
