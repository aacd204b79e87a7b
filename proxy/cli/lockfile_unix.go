//go:build unix

package cli

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits until no other process has a lock on f. The lock ends with
// unlockFile, and when f is closed.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
