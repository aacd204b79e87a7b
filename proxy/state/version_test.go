package state_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// version1 makes a home with a database that the program of version 1 made:
// three identities, the second rotated, the first with purpose keys.
func version1(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "version-1.sqlite3"))
	if err != nil {
		t.Fatal(err)
	}
	dir := home(t)
	write(t, dir, string(b))
	return dir
}

func TestVersion1KeepsEverything(t *testing.T) {
	dir := version1(t)
	for range 2 { // the second time it is migrated already
		s := open(t, dir)
		ctx := t.Context()
		all, err := s.Identities(ctx)
		if err != nil || len(all) != 3 {
			t.Fatalf("%v, %v", all, err)
		}
		for i, want := range []struct{ name, id string }{
			{"zoe", "I6a7d2e42267c0f344a7f27fcaa578ed5b5add9088d6640cd2cb3b4b4981759de"},
			{"app", "Ib6b51b26fbc2524fc73eb3a1118ade059f38e00ddc88914b849aa8cf145d1d58"},
			{"p256", "If6341802b6c7d4887faede059cc05ce65e2bbec5897efc7acdd188ecb4f2da8e"},
		} {
			n := all[i]
			if n.Name != want.name || n.Identifier.String() != want.id || n.Default != (i == 0) || n.Vault != "default" {
				t.Errorf("got %+v, want %v", n, want)
			}
			id, err := s.Identity(ctx, want.name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := id.Vault.Sign(id.History.LatestKey().Handle(), nil); err != nil {
				t.Errorf("%s: %v", want.name, err)
			}
		}
		zoe, err := s.Identity(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		zoe.Now = func() time.Time { return time.Unix(1795600300, 0) }
		if k, _, err := zoe.ChannelKey(); err != nil || k.String() != "X25519: 517cf944f68e7f48e748d965f85840805b55f99f860bdb7858eecfb9900d124e" {
			t.Errorf("channel key: %v, %v", k, err)
		}
		app, err := s.Identity(ctx, "app")
		if err != nil || len(app.History.Changes()) != 2 {
			t.Errorf("app: %v, %v", app, err)
		}
		e, ok, err := s.Node("n1").Attributes(zoe.Identifier(), time.Now())
		if err != nil || !ok || e.AttestedBy != zoe.Identifier() {
			t.Errorf("attributes: %+v, %v, %v", e, ok, err)
		}
		vaults, err := s.Vaults(ctx)
		if err != nil || len(vaults) != 1 || vaults[0].Name != "default" || vaults[0].Path != "" || !vaults[0].Default {
			t.Errorf("vaults: %+v, %v", vaults, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// All that is new works on it.
	s := open(t, dir)
	createNode(t, s, "n")
	if err := s.DeleteIdentity(t.Context(), "p256"); err != nil {
		t.Error(err)
	}
	backup, err := os.ReadFile(filepath.Join(dir, "database.sqlite3.version-1.backup"))
	if err != nil || len(backup) == 0 {
		t.Errorf("the copy made before: %v", err)
	}
}

// TestVersion1Empty migrates a database of version 1 without identities: there
// the first vault is still to be made.
func TestVersion1Empty(t *testing.T) {
	dir := home(t)
	s, err := state.OpenWith(t.Context(), dir, state.Migrations[:1])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if all, err := s.Vaults(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if n := createIdentity(t, s, "app"); n.Vault != "default" || !n.Default {
		t.Errorf("%+v", n)
	}
}

func TestVersion1AtOnce(t *testing.T) {
	dir := version1(t)
	errs := make(chan error)
	for range 4 {
		go func() {
			s, err := state.Open(t.Context(), dir)
			if err == nil {
				_, err = s.Identity(t.Context(), "p256")
				err = errors.Join(err, s.Close())
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

// TestNewerIsRefused: the program of version 1 and the one of today refuse what
// a newer one made, and leave it alone.
func TestNewerIsRefused(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	if _, err := s.CreateIdentity(t.Context(), "app", identity.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if _, err := state.OpenWith(t.Context(), dir, state.Migrations[:1]); !errors.Is(err, state.ErrNewer) {
		t.Errorf("version 1: %v, want ErrNewer", err)
	}
	if !maps.Equal(before, files(t, dir)) {
		t.Error("the home was changed")
	}
	database(t, dir, "PRAGMA user_version = 99")
	if err := state.Reset(t.Context(), dir); !errors.Is(err, state.ErrNewer) {
		t.Errorf("Reset: %v, want ErrNewer", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "database.sqlite3")); err != nil {
		t.Error(err)
	}
}
