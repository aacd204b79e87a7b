package state_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// open opens a home and closes it when the test ends.
func open(t testing.TB, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func home(t testing.TB) string { return filepath.Join(t.TempDir(), "home") }

func createIdentity(t testing.TB, s *state.Store, name string) *state.Named {
	t.Helper()
	n, err := s.CreateIdentity(t.Context(), name, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFilesAreTheOwners(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createIdentity(t, s, "app")
	for name, want := range map[string]fs.FileMode{
		"": 0o700 | fs.ModeDir, "database.sqlite3": 0o600, "database.sqlite3-wal": 0o600, "database.sqlite3-shm": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%q: mode %v, want %v", name, info.Mode(), want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("%d files, %v: want nothing left over", len(entries), err)
	}
}

func TestLooseModeIsTightened(t *testing.T) {
	dir := home(t)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "database.sqlite3")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestIdentities(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	for _, name := range []string{"", "nobody"} {
		if _, err := s.Identity(ctx, name); !errors.Is(err, state.ErrNotFound) {
			t.Errorf("Identity(%q): %v, want ErrNotFound", name, err)
		}
	}
	if all, err := s.Identities(ctx); err != nil || len(all) != 0 {
		t.Errorf("Identities: %v, %v", all, err)
	}
	names := []string{"zoe", "app", "Ätna 1"}
	made := map[string]identity.Identifier{}
	for _, name := range names {
		made[name] = createIdentity(t, s, name).Identifier
	}
	if _, err := s.CreateIdentity(ctx, "app", identity.CreateOptions{}); !errors.Is(err, state.ErrExists) {
		t.Errorf("twice: %v, want ErrExists", err)
	}
	for _, name := range []string{"", " ", "a\nb", "app ", "\x00", "\xff"} {
		if _, err := s.CreateIdentity(ctx, name, identity.CreateOptions{}); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	if _, err := s.CreateIdentity(ctx, "x", identity.CreateOptions{KeyType: vault.X25519}); !errors.Is(err, vault.ErrKeyType) {
		t.Errorf("X25519: %v, want ErrKeyType", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	all, err := s.Identities(ctx)
	if err != nil || len(all) != len(names) {
		t.Fatalf("Identities: %v, %v", all, err)
	}
	for i, n := range all {
		if n.Name != names[i] || n.Identifier != made[n.Name] || n.Default != (i == 0) {
			t.Errorf("%d: got %+v", i, n)
		}
	}
	id, err := s.Identity(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if id.Identifier() != made["app"] {
		t.Errorf("app is %v", id.Identifier())
	}
	if n, err := s.Named(ctx, ""); err != nil || n.Name != "zoe" || !n.Default {
		t.Errorf("default: %+v, %v", n, err)
	}
	key, attestation, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := attestation.Verify(id.History, time.Now()); err != nil {
		t.Error(err)
	}
	again, err := s.Identity(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if k, _, err := again.ChannelKey(); err != nil || !k.Equal(key) {
		t.Errorf("the channel key has changed: %v", err)
	}
	if _, err := again.Vault.Agree(key.Handle(), key.Bytes); err != nil {
		t.Error(err)
	}
}

func TestRotateIdentity(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createIdentity(t, s, "app")
	before, err := s.Identity(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := before.ChannelKey(); err != nil {
		t.Fatal(err)
	}
	h, err := s.RotateIdentity(ctx, "", identity.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.History(h.Identifier()); err != nil || got.LatestHash() != h.LatestHash() {
		t.Errorf("stored: %v", err)
	}
	if _, err := s.Vault().PublicKey(before.History.LatestKey().Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("the former key: %v, want ErrUnknownKey", err)
	}
	if err := s.UpdateHistory(before.History); !errors.Is(err, identity.ErrOlderHistory) {
		t.Errorf("the former history: %v, want ErrOlderHistory", err)
	}
	after, err := s.Identity(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if _, a, err := after.ChannelKey(); err != nil || a.SubjectChange != h.LatestHash() {
		t.Errorf("channel key after the rotation: %v", err)
	}
	if _, err := s.RotateIdentity(ctx, "nobody", identity.RotateOptions{}); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("nobody: %v, want ErrNotFound", err)
	}
}

func TestSecrets(t *testing.T) {
	s := open(t, home(t))
	v := s.Vault()
	secret := bytes.Repeat([]byte{7}, 32)
	pub, err := v.Import(vault.P256, secret)
	if err != nil {
		t.Fatal(err)
	}
	kt, got, err := s.Get(pub.Handle())
	if err != nil || kt != vault.P256 || !bytes.Equal(got, secret) {
		t.Errorf("got %v, %v", kt, err)
	}
	if err := s.Put(pub.Handle(), vault.P256, secret); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := v.Delete(pub.Handle()); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Get(pub.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("deleted: %v, want ErrUnknownKey", err)
	}
	if err := s.Delete(pub.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("deleted twice: %v, want ErrUnknownKey", err)
	}
}

// TestDeletedSecretIsGone looks for a deleted key in the files.
func TestDeletedSecretIsGone(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	secret := []byte("a secret of thirty-two bytes yes")
	pub, err := s.Vault().Import(vault.Ed25519, secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(pub.Handle()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range files(t, dir) {
		if bytes.Contains([]byte(b), secret) {
			t.Errorf("%s still contains the key", name)
		}
	}
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	s, err := state.Open(t.Context(), home(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	_, err = s.Vault().Import(vault.Ed25519, secret)
	if err == nil {
		t.Fatal("a closed store stores")
	}
	for _, leak := range []string{"0123456789abcdef", hex.EncodeToString(secret), fmt.Sprintf("%d", secret)[1:40]} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, s), leak) {
			t.Errorf("%v", err)
		}
	}
}

func TestHistories(t *testing.T) {
	s := open(t, home(t))
	v := vault.NewMemory()
	one, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(h *identity.History) *identity.History {
		next, err := h.Rotate(v, identity.RotateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	two, fork := rotate(one), rotate(one)
	if _, err := s.History(one.Identifier()); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("unknown: %v", err)
	}
	for _, step := range []struct {
		name     string
		received *identity.History
		want     error
		stored   *identity.History
	}{
		{"unknown", one, nil, one},
		{"equal", one, nil, one},
		{"newer", two, nil, two},
		{"older", one, identity.ErrOlderHistory, two},
		{"conflict", fork, identity.ErrHistoryConflict, two},
	} {
		if err := s.UpdateHistory(step.received); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
		if got, err := s.History(one.Identifier()); err != nil || got.LatestHash() != step.stored.LatestHash() {
			t.Errorf("%s: stored %v, %v", step.name, got, err)
		}
	}
}

func TestPurposeKeys(t *testing.T) {
	s := open(t, home(t))
	id := identity.Identifier{1}
	for _, p := range []identity.Purpose{identity.PurposeChannel, identity.PurposeCredentials} {
		if _, err := s.PurposeKey(id, p); !errors.Is(err, identity.ErrNoPurposeKey) {
			t.Errorf("%v: %v, want ErrNoPurposeKey", p, err)
		}
		for _, want := range []string{"one", "two"} {
			if err := s.PutPurposeKey(id, p, []byte(want)); err != nil {
				t.Fatal(err)
			}
			if got, err := s.PurposeKey(id, p); err != nil || string(got) != want {
				t.Errorf("%v: got %q, %v, want %q", p, got, err, want)
			}
		}
	}
}

func TestAttributes(t *testing.T) {
	s := open(t, home(t))
	subject, authority := identity.Identifier{1}, identity.Identifier{2}
	now := time.Unix(1700000100, 0)
	entry := func(name string, expires identity.Timestamp) identity.AttributesEntry {
		return identity.AttributesEntry{
			Attributes: identity.Attributes{Schema: 1, Values: map[string]string{name: "\xff\x00"}},
			AddedAt:    identity.At(now), ExpiresAt: expires, AttestedBy: authority,
		}
	}
	stores := map[string]identity.AttributeStore{"store": s, "node a": s.Node("a"), "node b": s.Node("b")}
	for name, a := range stores {
		if _, ok, err := a.Attributes(subject, now); ok || err != nil {
			t.Errorf("%s: before: %v, %v", name, ok, err)
		}
		for _, e := range []identity.AttributesEntry{entry("first", 1<<64-1), entry("second of "+name, identity.At(now)+10)} {
			if err := a.PutAttributes(subject, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, a := range stores {
		want := entry("second of "+name, identity.At(now)+10)
		got, ok, err := a.Attributes(subject, now.Add(9*time.Second))
		if err != nil || !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, %v, %v, want %v", name, got, ok, err, want)
		}
		for _, at := range []time.Duration{10 * time.Second, 0} { // expired, then removed
			if _, ok, err := a.Attributes(subject, now.Add(at)); ok || err != nil {
				t.Errorf("%s: after its end: %v, %v", name, ok, err)
			}
		}
	}
	if err := s.PutAttributes(subject, entry("for ever", 1<<64-1)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.Attributes(subject, now.AddDate(1000, 0, 0)); !ok || err != nil {
		t.Errorf("for ever: %v, %v", ok, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := open(t, home(t))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				name := fmt.Sprintf("id-%d-%d", i, j)
				if _, err := s.CreateIdentity(t.Context(), name, identity.CreateOptions{}); err != nil {
					t.Error(err)
					continue
				}
				id, err := s.Identity(t.Context(), name)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, _, err := id.ChannelKey(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if all, err := s.Identities(t.Context()); err != nil || len(all) != 40 {
		t.Errorf("%d identities, %v", len(all), err)
	}
}

func TestHome(t *testing.T) {
	t.Setenv("OCKAM_HOME", "/somewhere/else")
	if got, err := state.Home(); err != nil || got != "/somewhere/else" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("OCKAM_HOME", "relative")
	if got, err := state.Home(); err != nil || !filepath.IsAbs(got) || filepath.Base(got) != "relative" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("OCKAM_HOME", "")
	t.Setenv("HOME", "/home/me")
	if got, err := state.Home(); err != nil || got != "/home/me/.ockam" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("HOME", "")
	if _, err := state.Home(); err == nil || !strings.Contains(err.Error(), "OCKAM_HOME") {
		t.Errorf("without any: %v", err)
	}
}

// files returns the content of all files in a folder.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil && !e.IsDir() {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}
