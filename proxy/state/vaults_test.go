package state_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

func createVault(t testing.TB, s *state.Store, name, path string) *state.NamedVault {
	t.Helper()
	v, err := s.CreateVault(t.Context(), name, path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// createIn makes an identity in the vault "v".
func createIn(t testing.TB, s *state.Store, name string) *state.Named {
	t.Helper()
	n, err := s.CreateIdentityIn(t.Context(), "v", name, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// works checks that an identity can use its key, and make others.
func works(t testing.TB, s *state.Store, name string) {
	t.Helper()
	id, err := s.Identity(t.Context(), name)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = id.Vault.Sign(id.History.LatestKey().Handle(), nil)
	_, _, err2 := id.ChannelKey()
	_, _, err3 := id.CredentialKey()
	if err := errors.Join(err, err2, err3); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestVaults(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	_, err := s.NamedVault(ctx, "")
	wantItem(t, err, state.ErrNotFound, "vault", "")
	_, err = s.VaultNamed(ctx, "v")
	wantItem(t, err, state.ErrNotFound, "vault", "v")
	if v := createVault(t, s, "", ""); v.Name != "default" || v.Path != "" || !v.Default {
		t.Errorf("the first: %+v", v)
	}
	if _, err := s.CreateVault(ctx, "", ""); err == nil {
		t.Error("a second one without a name")
	}
	v1 := createVault(t, s, "v1", "")
	if v1.Path != filepath.Join(dir, "vault-v1") || v1.Default {
		t.Errorf("v1: %+v", v1)
	}
	own := filepath.Join(t.TempDir(), "own")
	createVault(t, s, "v2", own)
	for _, p := range []string{v1.Path, own} {
		if info, err := os.Stat(p); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", p, info, err)
		}
	}
	_, err = s.CreateVault(ctx, "v1", "")
	wantItem(t, err, state.ErrExists, "vault", "v1")
	_, err = s.CreateVault(ctx, "v3", own)
	wantItem(t, err, state.ErrExists, "file", own)
	_, err = s.CreateVault(ctx, "v3", s.Path())
	wantItem(t, err, state.ErrExists, "file", s.Path())
	none := filepath.Join(dir, "no", "such")
	if _, err := s.CreateVault(ctx, "v3", none); err == nil || !strings.Contains(err.Error(), none[:len(none)-5]) {
		t.Errorf("a folder that is missing: %v", err)
	}
	for _, name := range []string{"a/b", "..", " ", "x\x00", strings.Repeat("x", 201)} {
		if _, err := s.CreateVault(ctx, name, ""); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	foreign := filepath.Join(dir, "vault-v4")
	if err := os.WriteFile(foreign, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateVault(ctx, "v4", "")
	wantItem(t, err, state.ErrExists, "file", foreign)
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	all, err := open(t, dir).Vaults(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []string{"default:", "v1:" + v1.Path, "v2:" + own} {
		if got := all[i].Name + ":" + all[i].Path; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFirstVaultInFile(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	path := filepath.Join(t.TempDir(), "v")
	if v := createVault(t, s, "v", path); !v.Default || v.Path != path {
		t.Errorf("%+v", v)
	}
	if n := createIdentity(t, s, "app"); n.Vault != "v" {
		t.Errorf("%+v", n)
	}
	works(t, s, "app")
	if v := createVault(t, s, "w", ""); v.Path == "" { // only the first one is in the database
		t.Errorf("%+v", v)
	}
}

func TestRelativePath(t *testing.T) {
	s := open(t, home(t))
	createVault(t, s, "default", "")
	folder := t.TempDir()
	t.Chdir(folder)
	if v := createVault(t, s, "v", "rel"); v.Path != filepath.Join(folder, "rel") {
		t.Errorf("%+v", v)
	}
	t.Chdir(t.TempDir())
	if err := s.DeleteVault(t.Context(), "v"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "rel")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestCopiedHome: a copy of a home finds its own vaults.
func TestCopiedHome(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createVault(t, s, "default", "")
	createVault(t, s, "v", "")
	createIn(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copied := home(t)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	works(t, open(t, copied), "app")
}

func TestIdentitiesOfVaults(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	createIdentity(t, s, "app")
	v := createVault(t, s, "v", "")
	if n := createIn(t, s, "filed"); n.Vault != "v" || n.Default {
		t.Errorf("%+v", n)
	}
	_, err := s.CreateIdentityIn(ctx, "nope", "x", identity.CreateOptions{})
	wantItem(t, err, state.ErrNotFound, "vault", "nope")
	works(t, s, "app")
	works(t, s, "filed")
	works(t, open(t, dir), "filed")
	id, err := s.Identity(ctx, "filed")
	if err != nil {
		t.Fatal(err)
	}
	key := id.History.LatestKey()
	if _, err := s.Vault().PublicKey(key.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("the key is in the database as well: %v", err)
	}
	if _, err := s.RotateIdentity(ctx, "filed", identity.RotateOptions{}); err != nil {
		t.Fatal(err)
	}
	works(t, s, "filed")
	keys, err := s.VaultNamed(ctx, "v")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.PublicKey(key.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("the key before the rotation: %v", err)
	}

	err = s.DeleteVault(ctx, "v")
	wantItem(t, err, state.ErrInUse, "vault", "v")
	if !strings.Contains(err.Error(), `identity "filed"`) {
		t.Errorf("%q does not name the identity", err)
	}
	wantItem(t, s.DeleteVault(ctx, ""), state.ErrInUse, "vault", "default")
	if err := s.DeleteIdentity(ctx, "filed"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(v.Path)
	if err != nil || strings.Count(string(b), "\n") != 3 {
		t.Errorf("keys are left: %d lines, %v", strings.Count(string(b), "\n"), err)
	}
	if err := s.DeleteVault(ctx, "v"); err != nil {
		t.Fatal(err)
	}
	wantItem(t, s.DeleteVault(ctx, "v"), state.ErrNotFound, "vault", "v")
	if _, err := os.Stat(v.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, _, err := keys.Secrets.Get(key.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("a vault that was deleted: %v", err)
	}
}

func TestDefaultVault(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c"} {
		createVault(t, s, name, "")
	}
	for _, tt := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "a"},
		{func() error { return s.SetDefaultVault(ctx, "b") }, "b"},
		{func() error {
			wantItem(t, s.SetDefaultVault(ctx, "nope"), state.ErrNotFound, "vault", "nope")
			return nil
		}, "b"},
		{func() error { return s.DeleteVault(ctx, "") }, "a"},
		{func() error { return s.DeleteVault(ctx, "a") }, "c"},
	} {
		if err := tt.do(); err != nil {
			t.Error(err)
		}
		if v, err := s.NamedVault(ctx, ""); err != nil || v.Name != tt.want {
			t.Errorf("the default is %+v, %v, want %s", v, err, tt.want)
		}
	}
	if n := createIdentity(t, s, "app"); n.Vault != "c" {
		t.Errorf("%+v", n)
	}
}

func TestMoveVault(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	createIdentity(t, s, "app")
	v := createVault(t, s, "v", "")
	w := createVault(t, s, "w", "")
	createIn(t, s, "filed")
	id, err := s.Identity(ctx, "filed") // taken out before the move
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	_, err = s.MoveVault(ctx, "nope", filepath.Join(dir, "x"))
	wantItem(t, err, state.ErrNotFound, "vault", "nope")
	for _, p := range []string{mine, w.Path, v.Path, s.Path()} {
		_, err = s.MoveVault(ctx, "v", p)
		wantItem(t, err, state.ErrExists, "file", p)
	}
	if _, err := s.MoveVault(ctx, "default", filepath.Join(dir, "x")); err == nil || !strings.Contains(err.Error(), "cannot be moved") {
		t.Errorf("the one in the database: %v", err)
	}
	if _, err := s.MoveVault(ctx, "v", filepath.Join(dir, "no", "such")); err == nil {
		t.Error("into a folder that is missing")
	}
	after := files(t, dir)
	for _, name := range []string{"mine", "vault-v", "vault-w"} {
		if before[name] != after[name] {
			t.Errorf("%s was changed", name)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}

	moved := filepath.Join(t.TempDir(), "moved")
	if got, err := s.MoveVault(ctx, "v", moved); err != nil || got.Path != moved {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := os.Stat(v.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if info, err := os.Stat(moved); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	works(t, s, "filed")
	if _, err := id.Vault.Sign(id.History.LatestKey().Handle(), nil); err != nil {
		t.Errorf("an identity taken out before: %v", err)
	}

	// A move that a crash ended has left its copy: the next one takes it.
	b, err := os.ReadFile(moved)
	if err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "back")
	if err := os.WriteFile(back, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MoveVault(ctx, "v", back); err != nil {
		t.Error(err)
	}
	works(t, s, "filed")
}

func TestDamagedVault(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	createVault(t, s, "default", "")
	v := createVault(t, s, "v", "")
	createIn(t, s, "filed")
	works(t, s, "filed")
	good, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(ctx, "filed")
	if err != nil {
		t.Fatal(err)
	}
	sign := func() error {
		_, err := id.Vault.Sign(id.History.LatestKey().Handle(), nil)
		return err
	}
	for n := range good {
		if err := os.WriteFile(v.Path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sign(); err == nil || !strings.Contains(err.Error(), v.Path) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for _, old := range []string{"ockam", " 1\n", "EdDSA", "end\n"} {
		if err := os.WriteFile(v.Path, []byte(strings.Replace(string(good), old, "x", 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := sign(); err == nil || !strings.Contains(err.Error(), v.Path) {
			t.Errorf("without %q: %v", old, err)
		}
		if _, err := s.CreateIdentityIn(ctx, "v", "x", identity.CreateOptions{}); err == nil {
			t.Errorf("without %q: an identity was created", old)
		}
	}
	if err := os.Remove(v.Path); err != nil {
		t.Fatal(err)
	}
	if err := sign(); err == nil || !strings.Contains(err.Error(), v.Path) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(v.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file came back: %v", err)
	}
	// Even so everything can be deleted.
	if err := errors.Join(s.DeleteIdentity(ctx, "filed"), s.DeleteVault(ctx, "v")); err != nil {
		t.Error(err)
	}
	// But nothing that is no vault.
	v = createVault(t, s, "v", "")
	if err := os.WriteFile(v.Path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteVault(ctx, "v"); err == nil || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("somebody else's file: %v", err)
	}
	if b, err := os.ReadFile(v.Path); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := s.NamedVault(ctx, "v"); err != nil {
		t.Error(err)
	}
}

// TestVaultAtOnce: several stores put keys into one file, and move it about.
func TestVaultAtOnce(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createVault(t, s, "default", "")
	createVault(t, s, "v", "")
	createIn(t, s, "used")
	const stores, each = 3, 8
	var wait sync.WaitGroup
	for i := range stores {
		s := open(t, dir)
		wait.Go(func() {
			for j := range each {
				createIn(t, s, fmt.Sprintf("i-%d-%d", i, j))
			}
		})
	}
	wait.Go(func() {
		for j := range each {
			if _, err := s.MoveVault(t.Context(), "v", filepath.Join(dir, fmt.Sprintf("moved-%d", j))); err != nil {
				t.Error(err)
			}
		}
	})
	user := open(t, dir)
	wait.Go(func() {
		for range 10 * each {
			works(t, user, "used")
		}
	})
	wait.Wait()
	all, err := s.Identities(t.Context())
	if err != nil || len(all) != stores*each+1 {
		t.Errorf("%d identities, %v", len(all), err)
	}
	whole(t, s)
	if left, err := filepath.Glob(filepath.Join(dir, "moved-*")); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestVaultFileHoldsNoPlainErrors(t *testing.T) {
	s := open(t, home(t))
	createVault(t, s, "default", "")
	v := createVault(t, s, "v", "")
	createIn(t, s, "filed")
	b, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Fields(strings.Split(string(b), "\n")[2])[2]
	if err := os.WriteFile(v.Path, []byte(strings.Replace(string(b), "end", secret, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := s.VaultNamed(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Generate(vault.Ed25519); err == nil || strings.Contains(err.Error(), secret) {
		t.Error("no error, or one that holds the secret")
	}
	if text := fmt.Sprintf("%+v %#v", keys, v); strings.Contains(text, secret) {
		t.Error("printing the vault prints the secret")
	}
}
