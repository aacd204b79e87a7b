package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ockam/proxy/state"
)

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantFiles checks what is in a folder.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for name := range files(t, dir) {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s holds %v, want %v", dir, got, want)
	}
}

func TestReset(t *testing.T) {
	dir := version1(t)
	ctx := t.Context()
	outside := t.TempDir()
	for range 2 { // it is repeatable
		s := open(t, dir)
		createNode(t, s, "n")
		if _, err := s.CreateVault(ctx, "", ""); err == nil {
			t.Error("no vault was there")
		}
		createVault(t, s, "v", "")
		createIn(t, s, "filed")
		createVault(t, s, "w", filepath.Join(outside, "w"))
		unlock, err := s.LockNode("n")
		if err != nil {
			t.Fatal(err)
		}
		unlock()
		for _, p := range []string{
			"nodes/n/stdout.log", "commands/node list/stdout.log", "database.sqlite3.new-1", ".new-vault-v",
			"application_database.sqlite3", "vault-unrelated", "unrelated/file",
		} {
			put(t, filepath.Join(dir, p))
		}
		put(t, filepath.Join(outside, "unrelated"))

		before := files(t, dir)
		if err := state.Reset(ctx, dir); !errors.Is(err, state.ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Errorf("with a store open: %v, want ErrInUse", err)
		}
		if len(before) != len(files(t, dir)) {
			t.Error("the home was changed")
		}
		works(t, s, "filed")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := state.Reset(ctx, dir); err != nil {
				t.Fatal(err)
			}
			wantFiles(t, dir, "application_database.sqlite3", "unrelated", "vault-unrelated")
			wantFiles(t, outside, "unrelated")
		}
		s = open(t, dir)
		if all, err := s.Identities(ctx); err != nil || len(all) != 0 {
			t.Errorf("%v, %v", all, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Reset(ctx, filepath.Join(dir, "none")); err != nil {
		t.Errorf("a missing home: %v", err)
	}
}

func TestResetWhileLocked(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createNode(t, s, "n")
	unlock, err := s.LockNode("other") // as `ockam run` does, which is not recorded
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := state.Reset(t.Context(), dir); !errors.Is(err, state.ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	unlock()
	if err := state.Reset(t.Context(), dir); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, "application_database.sqlite3")
}

func TestResetForeign(t *testing.T) {
	dir := home(t)
	database(t, dir, "CREATE TABLE _sqlx_migrations (version BIGINT)")
	put(t, filepath.Join(dir, "nodes", "n", "log"))
	if err := state.Reset(t.Context(), dir); !errors.Is(err, state.ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
	wantFiles(t, dir, "database.sqlite3", "nodes")
}

func TestResetDamaged(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createVault(t, s, "default", "")
	createVault(t, s, "v", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "database.sqlite3")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 100; i < len(b); i++ { // all but the header
		b[i] = 0xa5
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "vault-unrelated"))
	if err := state.Reset(t.Context(), dir); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, "application_database.sqlite3", "vault-unrelated")
}

// TestResetAtOnce: processes open and use a home while it is reset over and
// over. Each sees a whole home, old or new.
func TestResetAtOnce(t *testing.T) {
	dir := home(t)
	done := make(chan error)
	for range 2 {
		go func() {
			for range 25 {
				s, err := state.Open(t.Context(), dir)
				if err == nil {
					_, err = s.Vaults(t.Context())
					err = errors.Join(err, s.Close())
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	resets := 0
	for running := 2; running > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running--
		default:
			if err := state.Reset(t.Context(), dir); err == nil {
				resets++
			} else if !errors.Is(err, state.ErrInUse) {
				t.Errorf("reset: %v", err)
			}
		}
	}
	t.Logf("%d resets", resets)
}
