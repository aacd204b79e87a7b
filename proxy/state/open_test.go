package state_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// database runs statements on the database in a folder, made by others.
func database(t *testing.T, dir string, statements ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "database.sqlite3"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "database.sqlite3"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestForeignDatabase(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, dir string)
		want string
	}{
		{"reference implementation", func(t *testing.T, dir string) {
			database(t, dir, "PRAGMA journal_mode = WAL", "CREATE TABLE _sqlx_migrations (version BIGINT)", "CREATE TABLE identity (identifier TEXT)")
		}, "reference implementation"},
		{"another program", func(t *testing.T, dir string) {
			database(t, dir, "CREATE TABLE t (a)", "PRAGMA application_id = 7", "PRAGMA user_version = 1")
		}, "another program"},
		{"another program, in rollback mode, same tables", func(t *testing.T, dir string) {
			database(t, dir, state.Migrations[0])
		}, "another program"},
		{"garbage", func(t *testing.T, dir string) { write(t, dir, strings.Repeat("garbage ", 4096)) }, "not a SQLite database"},
		{"short garbage", func(t *testing.T, dir string) { write(t, dir, "x") }, "not a SQLite database"},
		{"header only", func(t *testing.T, dir string) { write(t, dir, "SQLite format 3\x00") }, "not a SQLite database"},
		{"empty file", func(t *testing.T, dir string) { write(t, dir, "") }, "empty"},
		{"a folder", func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "database.sqlite3"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "no file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := home(t)
			tt.make(t, dir)
			before := files(t, dir)
			_, err := state.Open(t.Context(), dir)
			if !errors.Is(err, state.ErrForeign) {
				t.Fatalf("got %v, want ErrForeign", err)
			}
			for _, want := range []string{tt.want, filepath.Join(dir, "database.sqlite3"), "OCKAM_HOME"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if after := files(t, dir); !maps.Equal(before, after) {
				t.Errorf("the folder was changed: %d files before, %d after", len(before), len(after))
			}
		})
	}
}

// TestForeignDatabaseInUse opens a home in which another program, with its own
// journal, is at work.
func TestForeignDatabaseInUse(t *testing.T) {
	dir := home(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "database.sqlite3")+"?_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := db.Exec("CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if _, err := state.Open(t.Context(), dir); !errors.Is(err, state.ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
	if !maps.Equal(before, files(t, dir)) {
		t.Error("the folder was changed")
	}
}

func TestNewerDatabase(t *testing.T) {
	dir := home(t)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	database(t, dir, "PRAGMA user_version = 99")
	before := files(t, dir)
	_, err := state.Open(t.Context(), dir)
	if !errors.Is(err, state.ErrNewer) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "99") {
		t.Errorf("got %v, want ErrNewer with path and version", err)
	}
	if after := files(t, dir); after["database.sqlite3"] != before["database.sqlite3"] {
		t.Error("the database was changed")
	}
}

func TestMigration(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	made := createIdentity(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	newer := append(append([]string{}, state.Migrations...),
		"ALTER TABLE identity ADD COLUMN note TEXT", "UPDATE identity SET note = 'migrated'")
	old := len(state.Migrations)

	broken := append(append([]string{}, newer...), "UPDATE nothing SET note = 1")
	if _, err := state.OpenWith(t.Context(), dir, broken); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d", old+3)) {
		t.Errorf("a broken migration: %v", err)
	}
	s = open(t, dir) // still the old version, unharmed
	if _, err := s.Identity(t.Context(), "app"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := state.OpenWith(t.Context(), dir, newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Identity(t.Context(), "app"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(t.Context(), dir); !errors.Is(err, state.ErrNewer) {
		t.Errorf("with the old program: %v, want ErrNewer", err)
	}

	backup := filepath.Join(dir, fmt.Sprintf("database.sqlite3.version-%d.backup", old))
	info, err := os.Stat(backup)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the copy has mode %v", info.Mode())
	}
	restored := home(t)
	if err := os.Mkdir(restored, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, filepath.Join(restored, "database.sqlite3")); err != nil {
		t.Fatal(err)
	}
	if n, err := open(t, restored).Named(t.Context(), "app"); err != nil || n.Identifier != made.Identifier {
		t.Errorf("the copy of the database: %v, %v", n, err)
	}
	if left := files(t, dir); len(left) != 2 {
		t.Errorf("left over: %d files", len(left))
	}
}

// TestMigrationAtOnce: several openers of an old home, one migrates.
func TestMigrationAtOnce(t *testing.T) {
	dir := home(t)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	newer := append(append([]string{}, state.Migrations...), "CREATE TABLE once (a)")
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := state.OpenWith(t.Context(), dir, newer)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	parent := t.TempDir()
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, dir, want string }{
		{"the home is a file", file, "is not a folder"},
		{"the parent is a file", filepath.Join(file, "home"), "within a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := state.Open(t.Context(), tt.dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.dir) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
	if s, err := state.Open(t.Context(), filepath.Join(parent, "a", "b")); err != nil {
		t.Errorf("a home in a folder that does not exist yet: %v", err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := state.Open(ctx, filepath.Join(parent, "home")); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"with space", "q?mode=memory", "p%41#x", "ünï", "a'b\"c", "a;b&c=d"} {
		dir := filepath.Join(t.TempDir(), name)
		createIdentity(t, open(t, dir), "app")
		if _, err := os.Stat(filepath.Join(dir, "database.sqlite3")); err != nil {
			t.Error(err)
		}
		if _, err := open(t, dir).Identity(t.Context(), "app"); err != nil {
			t.Error(err)
		}
	}
}

func TestFullDatabase(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	made := createIdentity(t, s, "app")
	if err := s.LimitPages("1"); err != nil { // SQLite takes the present size
		t.Fatal(err)
	}
	fillUp(t, s, dir)
	if n, err := s.Named(t.Context(), "app"); err != nil || n.Identifier != made.Identifier {
		t.Errorf("what was there before: %v, %v", n, err)
	}
}

// fillUp creates identities until there is no room, and checks that the error
// says so and that all that was reported as done is there.
func fillUp(t *testing.T, s *state.Store, dir string) {
	t.Helper()
	done := []string{}
	for i := range 100000 {
		name := fmt.Sprintf("more-%d", i)
		_, err := s.CreateIdentity(t.Context(), name, identity.CreateOptions{})
		if err == nil {
			done = append(done, name)
			continue
		}
		for _, want := range []string{"no room", dir} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if _, err := s.Identity(t.Context(), name); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("the one that failed: %v, want ErrNotFound", err)
		}
		break
	}
	t.Logf("full after %d identities", len(done))
	for _, name := range done {
		if _, err := s.Identity(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
