//go:build unix

package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// LockNode makes sure that no other process runs the node of that name on this
// home, until unlock is called or the process ends, in whatever way. The error
// is a HeldError if one does.
func (s *Store) LockNode(name string) (unlock func(), err error) {
	dir := filepath.Join(s.home(), locksFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explain(dir, err)
	}
	path := s.lockPath(name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, running(name, f)
		}
		return nil, fmt.Errorf("state: lock %s: %w", path, err)
	}
	if locked, err := f.Stat(); err == nil {
		if now, err := os.Stat(path); err != nil || !os.SameFile(locked, now) { // the home was reset meanwhile
			_ = f.Close()
			return s.LockNode(name)
		}
	}
	// The number is for people: it is the lock that counts.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return func() { _ = f.Close() }, nil
}

func (s *Store) lockPath(name string) string {
	return filepath.Join(s.home(), locksFolder, strings.ReplaceAll(name, string(filepath.Separator), "_"))
}

// RemoveLock removes the file of the lock of a node that is not there any more,
// unless somebody has the lock.
func (s *Store) RemoveLock(name string) {
	if _, err := os.Stat(s.lockPath(name)); err != nil {
		return
	}
	if unlock, err := s.LockNode(name); err == nil {
		_ = os.Remove(s.lockPath(name))
		unlock()
	}
}

func running(name string, f *os.File) error {
	held := &HeldError{Name: name}
	if _, err := fmt.Fscan(f, &held.PID); err != nil {
		held.PID = 0
	}
	return held
}

// lockFile locks a file that is replaced when it is changed, against others
// who call lockFile. It waits for them.
func lockFile(path string) (unlock func(), err error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		for {
			if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
				break
			}
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("state: lock %s: %w", path, err)
		}
		locked, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(locked, now) {
			return func() { _ = f.Close() }, nil
		}
		_ = f.Close() // replaced, or removed, while we waited
	}
}

// lockHome locks a home: together with others, or to reset it, alone; then the
// error is ErrInUse if others have it open. It is the folder itself that is
// locked, so that nothing is left. An open database must not be removed: its
// journal would be taken for that of the next one.
func lockHome(dir string, alone bool) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, explain(dir, err)
	}
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX | syscall.LOCK_NB
	}
	for {
		switch err := syscall.Flock(int(f.Fd()), how); {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			_ = f.Close()
			return nil, inUse(filepath.Join(dir, fileName), nil)
		default: // or a file system that cannot lock: nothing to be done about that
			return func() { _ = f.Close() }, nil
		}
	}
}
