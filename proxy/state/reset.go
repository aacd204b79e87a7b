package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// locksFolder lies in the home. A file in it is locked as long as a node runs.
const locksFolder = "locks"

// The folders of a home that are not the store's, but go with it.
var logFolders = []string{"nodes", "commands"}

// Reset removes the database of the home dir with all identities, nodes,
// vaults (their files too, wherever they are) and copies of it, and the
// folders of logs and locks. Every other file stays. The database goes last: a
// reset that was interrupted is completed by the next one. A missing home is
// no error.
//
// Nothing is removed when the error is ErrRunning (a node runs), ErrInUse
// (another process, or this one, has the database open), ErrForeign or
// ErrNewer.
func Reset(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	unlock, err := lockAllNodes(dir) // first, because its error says more
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(dir, fileName)
	unlockHome, err := lockHome(dir, true)
	if err != nil {
		return err
	}
	defer unlockHome()
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return removeFromHome(dir)
	}
	if err := checkOwner(ctx, path); err != nil {
		return err
	}
	s, err := openLocked(ctx, dir, migrations) // brings it to the version that we can read
	switch {
	case err == nil:
		err = s.Close()
	case isNoDatabase(err):
		return resetDamaged(dir, path)
	}
	if err != nil {
		return err
	}
	return resetExclusively(ctx, path)
}

// resetExclusively resets a home while nobody else can use its database.
func resetExclusively(ctx context.Context, path string) error {
	db, err := connect(path, url.Values{
		"mode":    {"rw"},
		"_txlock": {"exclusive"},
		// Leaving the mode in which the database lies in several files takes
		// that nobody else has it open, also where homes cannot be locked.
		"_pragma": {"busy_timeout(2000)", "journal_mode(DELETE)"},
	})
	if err != nil {
		return explain(path, err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return inUse(path, err)
	}
	defer func() { _ = tx.Rollback() }()
	var mode string
	if err := tx.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return inUse(path, err)
	} else if mode != "delete" {
		return inUse(path, nil)
	}
	s := &Store{db: db, path: path}
	vaults, err := s.checkReset(ctx, tx)
	if err != nil {
		return s.explain(err)
	}
	for i := range vaults {
		err := removeVaultFile(&vaults[i])
		if err != nil && !errors.Is(err, errVaultFile) { // what is none any more is somebody else's
			return err
		}
	}
	if err := removeFromHome(s.home()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return explain(path, err)
	}
	return syncFolder(s.home())
}

// checkReset returns the vaults, unless nodes run.
func (s *Store) checkReset(ctx context.Context, tx *sql.Tx) ([]NamedVault, error) {
	all, err := nodes(ctx, tx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if n := &all[i]; n.Process != Self() && n.Running() {
			return nil, nodeRuns(n)
		}
	}
	return s.vaults(ctx, tx)
}

func inUse(path string, err error) error {
	if err != nil && !isBusy(err) {
		return explain(path, err)
	}
	return &ItemError{
		Err: ErrInUse, Kind: "file", Name: path, Users: []string{"another process"},
		Advice: "end the ockam commands that run on this home, then try again",
	}
}

// resetDamaged resets a home whose database, though ours, cannot be read. The
// files of vaults outside of the home are not known then.
func resetDamaged(dir, path string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return explain(dir, err)
	}
	for _, e := range entries {
		v := &NamedVault{Name: strings.TrimPrefix(e.Name(), vaultPrefix), Path: filepath.Join(dir, e.Name())}
		if !strings.HasPrefix(e.Name(), vaultPrefix) || !e.Type().IsRegular() {
			continue
		}
		if err := removeVaultFile(v); err != nil && !errors.Is(err, errVaultFile) {
			return err
		}
	}
	if err := removeFromHome(dir); err != nil {
		return err
	}
	for _, p := range []string{path + "-wal", path + "-shm", path + "-journal", path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explain(p, err)
		}
	}
	return syncFolder(dir)
}

// removeFromHome removes what is beside the database.
func removeFromHome(dir string) error {
	for _, name := range append([]string{locksFolder}, logFolders...) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return explain(dir, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return explain(dir, err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !isLeftOver(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return explain(dir, err)
		}
	}
	return nil
}

// isLeftOver says whether a file of the home is a copy of the database made
// before a migration, or what a crash has left.
func isLeftOver(name string) bool {
	return strings.HasPrefix(name, fileName+".version-") || strings.HasPrefix(name, fileName+".new-") ||
		strings.HasPrefix(name, ".new-"+vaultPrefix)
}

// lockAllNodes takes the locks of all nodes that ever ran on a home. The error
// is ErrRunning if one runs now.
func lockAllNodes(dir string) (unlock func(), err error) {
	var all []func()
	unlock = func() {
		for _, u := range all {
			u()
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, locksFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, explain(dir, err)
	}
	s := &Store{path: filepath.Join(dir, fileName)}
	for _, e := range entries {
		u, err := s.LockNode(e.Name())
		if err != nil {
			unlock()
			return nil, err
		}
		all = append(all, u)
	}
	return unlock, nil
}
