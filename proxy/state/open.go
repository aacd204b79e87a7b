package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// headerSize is the length in bytes of the header of a SQLite database.
const headerSize = 100

const notSQLite = "it is not a SQLite database"

// makeFolder makes the home, and the folders above it: scripts name homes in
// folders that do not exist yet.
func makeFolder(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("state: %s is not a folder, or within a file: set OCKAM_HOME to a folder", dir)
	} else if err != nil {
		return explain(dir, err)
	}
	return nil
}

// create makes the database under another name and then gives it its own. So
// there never is a file at path that lacks the mark in its header, whatever
// crashes when; of two processes that do this at once, one wins.
func create(ctx context.Context, path string, migrations []string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, fileName+".new-") // mode 0600, as the files that SQLite puts beside it will have
	if err != nil {
		return err
	}
	name := f.Name()
	defer func() { _ = os.Remove(name) }()
	if err := f.Close(); err != nil {
		return err
	}
	if err := fill(ctx, name, migrations); err != nil {
		return err
	}
	if err := os.Link(name, path); errors.Is(err, os.ErrExist) {
		return nil // somebody else was faster
	} else if err != nil { // a file system without links
		if err := os.Rename(name, path); err != nil {
			return err
		}
	}
	return syncFolder(dir)
}

func fill(ctx context.Context, path string, migrations []string) (err error) {
	db, err := connect(path, url.Values{"mode": {"rw"}, "_pragma": {"synchronous(FULL)"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := apply(ctx, tx, migrations, 0); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// apply brings the schema from the version given to the latest.
func apply(ctx context.Context, tx *sql.Tx, migrations []string, version int) error {
	for i, statements := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, statements); err != nil {
			return fmt.Errorf("migration to version %d: %w", version+i+1, err)
		}
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
	return err
}

// checkOwner looks whether the database is ours without writing anything, not
// even the files that SQLite puts beside a database which it opens. It does
// that through SQLite: closing a file of one's own opening would end the locks
// that this process may hold on the database.
func checkOwner(ctx context.Context, path string) error {
	err := checkOwnerOnce(ctx, path)
	for range ownerTries {
		if !errors.Is(err, errNotSQLite) || !sleep(ctx, ownerPause) {
			break
		}
		err = checkOwnerOnce(ctx, path)
	}
	return err
}

// A database that is read without locks may look damaged while another process
// moves what it has written into it: it is looked at again, ownerTries times.
const (
	ownerTries = 10
	ownerPause = 20 * time.Millisecond
)

// errNotSQLite tells the error of foreign for notSQLite from others.
var errNotSQLite = errors.New(notSQLite)

// sleep waits for d, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func checkOwnerOnce(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err != nil {
		return explain(path, err)
	} else if !info.Mode().IsRegular() || info.Size() == 0 {
		return foreign(path, "it is empty or no file")
	} else if info.Size() < headerSize { // SQLite would take it for an empty database
		return foreign(path, notSQLite)
	}
	db, err := connect(path, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	if err != nil {
		return explain(path, err)
	}
	defer func() { _ = db.Close() }()
	var id, reference int
	err = db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id)
	switch {
	case err == nil && id == applicationID:
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(path, 0o600); err != nil {
				return fmt.Errorf("state: others may read the secret keys in %s: run chmod 600 on it: %w", path, err)
			}
		}
		return nil
	case err != nil && (ctx.Err() != nil || !isNoDatabase(err)):
		return explain(path, err)
	case err != nil:
		return passing{foreign(path, notSQLite)}
	}
	const query = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'"
	if err := db.QueryRowContext(ctx, query).Scan(&reference); err == nil && reference > 0 {
		return foreign(path, "it belongs to the reference implementation of Ockam")
	}
	return foreign(path, "it belongs to another program")
}

// passing is the error of a database that is none, perhaps only at the moment.
type passing struct{ error }

func (p passing) Unwrap() []error { return []error{p.error, errNotSQLite} }

func foreign(path, why string) error {
	return fmt.Errorf("state: %s: %w: %s: set OCKAM_HOME to another folder, or move the file away", path, ErrForeign, why)
}

// migrate brings the database to the latest version, in one transaction that
// keeps other processes out. It also finds out whether we may write.
func (s *Store) migrate(ctx context.Context, migrations []string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == len(migrations):
		return nil
	case version > len(migrations) || version < 0:
		return fmt.Errorf("state: %s: %w (version %d, known is %d): use that version, or set OCKAM_HOME to another folder",
			s.path, ErrNewer, version, len(migrations))
	}
	if err := s.backup(ctx, version); err != nil {
		return fmt.Errorf("copy the database before it is migrated: %w", err)
	}
	if err := apply(ctx, tx, migrations, version); err != nil {
		return err
	}
	return tx.Commit()
}

// backup copies the database, as it is before any open transaction, to a file
// beside it that is named after its version. The caller holds the write lock.
func (s *Store) backup(ctx context.Context, version int) error {
	name := fmt.Sprintf("%s.version-%d.backup", s.path, version)
	unfinished := name + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", unfinished); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // the file that SQLite has written; it does not sync a copy
		return err
	}
	if err := os.Rename(unfinished, name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes new names in a folder last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, os.ErrInvalid) {
		return err
	}
	return nil
}
