// Package state keeps identities, credentials, members, settings in SQLite, and
// members also in PostgreSQL ([Postgres]).
//
// One database in one folder, the home, is shared by all processes that use
// it; what a call has reported as done survives a crash at any later moment.
// [Store] implements the storage interfaces that stand beside their users:
// vault.Secrets, identity.Histories, identity.PurposeKeys and
// identity.AttributeStore. Beside them it keeps the named vaults, the nodes
// that run in the background with what they restore, projects, and credentials.
//
// Secret keys lie as they are in the database, or in the files of further
// vaults; these belong to their owner alone. They never appear in an error. It is not the job of this package to
// work with keys (tunnel/vault) or to judge what it stores (tunnel/identity).
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// fileName is where the database lies within the home. The reference
// implementation has its own database at the same place.
const fileName = "database.sqlite3"

// secondFile is where the reference implementation keeps what is to survive a
// reset. Nothing is in ours; scripts copy both files, and look for both.
const secondFile = "application_database.sqlite3"

func touch(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return f.Close()
}

// The errors that callers test for with errors.Is.
var (
	// ErrNotFound means that there is nothing of that name.
	ErrNotFound = errors.New("state: not found")
	// ErrExists means that something of that name, or a file, exists already.
	ErrExists = errors.New("state: exists already")
	// ErrInUse means that something else needs what was to be deleted.
	ErrInUse = errors.New("state: in use")
	// ErrForeign means that the database was not made by this program. It has
	// not been touched.
	ErrForeign = errors.New("not a database of this program, left untouched")
	// ErrRunning means that another process runs the node.
	ErrRunning = errors.New("state: the node runs already")
	// ErrNewer means that a newer version of this program made the database.
	ErrNewer = errors.New("made by a newer version of this program, left untouched")
)

// Home returns the folder where state is kept: $OCKAM_HOME, or .ockam in the
// user's home.
func Home() (string, error) {
	if dir := os.Getenv("OCKAM_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("state: there is no place for the state: set OCKAM_HOME to a folder: %w", err)
	}
	return filepath.Join(dir, ".ockam"), nil
}

// A Store is an open home. It is safe for concurrent use, also by several
// processes; each waits up to ten seconds for the others' writes.
type Store struct {
	db     *sql.DB
	path   string
	unlock func() // lets others reset the home
}

// Open opens the home dir and its database. It makes both if they are missing,
// for the owner alone; the folder in which dir lies must exist. A database of
// an older version is migrated, after a copy of it has been put beside it. The
// error is ErrForeign or ErrNewer when the database is not ours to touch; it
// names the path and what to do.
func Open(ctx context.Context, dir string) (*Store, error) {
	return open(ctx, dir, migrations)
}

func open(ctx context.Context, dir string, migrations []string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	unlock, err := lockHome(dir, false)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(ctx, dir, migrations)
	if err == nil {
		err = touch(filepath.Join(dir, secondFile))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	s.unlock = unlock
	return s, nil
}

// openLocked opens a home that the caller has locked.
func openLocked(ctx context.Context, dir string, migrations []string) (*Store, error) {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(ctx, path, migrations); err != nil {
			return nil, explain(path, err)
		}
	}
	if err := checkOwner(ctx, path); err != nil {
		return nil, err
	}
	db, err := connect(path, url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"}, // who reads first and writes later must not find out then that another has written
		"_pragma": {
			"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
			"secure_delete(1)", "temp_store(MEMORY)",
		},
	})
	if err != nil {
		return nil, explain(path, err)
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	s := &Store{db: db, path: path, unlock: func() {}}
	if err := s.migrate(ctx, migrations); err != nil {
		_ = db.Close()
		return nil, explain(path, err)
	}
	return s, nil
}

// Close closes the database. Nothing is lost without it.
func (s *Store) Close() error {
	defer s.unlock()
	if err := s.db.Close(); err != nil {
		return explain(s.path, err)
	}
	return nil
}

// Path returns the path of the database.
func (s *Store) Path() string { return s.path }

// connect prepares connections to the file at path; none is made yet.
func connect(path string, options url.Values) (*sql.DB, error) {
	// A question mark or a percent sign in the path must not become options.
	return sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+options.Encode())
}

// update runs f in a transaction. What it has done is on the disk when update
// returns nil.
func (s *Store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return explain(s.path, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return explain(s.path, err)
	}
	if err := tx.Commit(); err != nil {
		return explain(s.path, err)
	}
	return nil
}

// querier is a database or a transaction in it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
