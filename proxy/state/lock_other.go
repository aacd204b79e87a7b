//go:build !unix

package state

// LockNode does nothing here: this system has no locks that end with the process.
func (s *Store) LockNode(string) (unlock func(), err error) { return func() {}, nil }

// lockFile does nothing here; the lock of the database has to suffice.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

// lockHome does nothing here.
func lockHome(string, bool) (unlock func(), err error) { return func() {}, nil }

// RemoveLock does nothing here.
func (s *Store) RemoveLock(string) {}
