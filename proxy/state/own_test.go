package state_test

import (
	"errors"
	"strings"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

func defaultIdentity(t *testing.T, s *state.Store) string {
	t.Helper()
	n, err := s.Named(t.Context(), "")
	if errors.Is(err, state.ErrNotFound) {
		return ""
	} else if err != nil {
		t.Fatal(err)
	}
	return n.Name
}

func TestDefaultIdentity(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	wantItem(t, s.DeleteIdentity(ctx, ""), state.ErrNotFound, "identity", "")
	for _, name := range []string{"a", "b", "c"} {
		createIdentity(t, s, name)
	}
	for _, tt := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "a"},
		{func() error { return s.SetDefaultIdentity(ctx, "c") }, "c"},
		{func() error {
			wantItem(t, s.SetDefaultIdentity(ctx, "nope"), state.ErrNotFound, "identity", "nope")
			wantItem(t, s.SetDefaultIdentity(ctx, ""), state.ErrNotFound, "identity", "")
			return nil
		}, "c"},
		{func() error { return s.DeleteIdentity(ctx, "c") }, "a"},
		{func() error { return s.DeleteIdentity(ctx, "b") }, "a"},
		{func() error { return s.DeleteIdentity(ctx, "") }, ""},
		{func() error { createIdentity(t, s, "d"); return nil }, "d"},
	} {
		if err := tt.do(); err != nil {
			t.Error(err)
		}
		if got := defaultIdentity(t, s); got != tt.want {
			t.Errorf("the default is %q, want %q", got, tt.want)
		}
	}
	wantItem(t, s.DeleteIdentity(ctx, "a"), state.ErrNotFound, "identity", "a")
}

func TestDeleteIdentity(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createIdentity(t, s, "app")
	works(t, s, "app") // makes its purpose keys
	createNode(t, s, "n1")
	createNode(t, s, "n2")
	err := s.DeleteIdentity(ctx, "app")
	wantItem(t, err, state.ErrInUse, "identity", "app")
	for _, n := range []string{"n1", "n2"} {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%q does not name %s", err, n)
		}
		works(t, s, "app")
		if err := s.DeleteNode(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.Identity(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	channel, _, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIdentity(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	for _, k := range []vault.PublicKey{channel, id.History.LatestKey()} {
		if _, err := s.Vault().PublicKey(k.Handle()); !errors.Is(err, vault.ErrUnknownKey) {
			t.Errorf("the key %v is still there: %v", k, err)
		}
	}
	if _, err := s.PurposeKey(id.Identifier(), identity.PurposeChannel); !errors.Is(err, identity.ErrNoPurposeKey) {
		t.Error(err)
	}
	if _, err := s.History(id.Identifier()); err != nil {
		t.Errorf("its history: %v", err)
	}
	createIdentity(t, s, "app") // the name is free
}

func TestImportIdentity(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	keys := vault.NewMemory()
	first, err := identity.Create(keys, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Rotate(keys, identity.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ImportIdentity(ctx, "", " ", first); err == nil {
		t.Error("a bad name was accepted")
	}
	_, _, err = s.ImportIdentity(ctx, "nope", "imp", first)
	wantItem(t, err, state.ErrNotFound, "vault", "nope")
	if _, err := s.History(first.Identifier()); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("after a failure the history is there: %v", err)
	}

	check := func(name, wantRenamed string, h *identity.History, wantDefault bool) {
		t.Helper()
		n, renamed, err := s.ImportIdentity(ctx, "", name, h)
		if err != nil || n.Name != name || n.Identifier != h.Identifier() || n.Default != wantDefault || n.Vault != "default" || renamed != wantRenamed {
			t.Errorf("%+v, %q, %v", n, renamed, err)
		}
		if id, err := s.Identity(ctx, name); err != nil || id.History.Compare(h) != identity.Equal {
			t.Errorf("%v", err)
		}
	}
	check("imp", "", first, true)
	check("imp", "", first, true)     // changes nothing
	check("imp2", "imp", first, true) // renames, and keeps the default
	check("imp2", "", second, true)   // a newer history
	if _, _, err := s.ImportIdentity(ctx, "", "imp3", first); !errors.Is(err, identity.ErrOlderHistory) {
		t.Errorf("an older history: %v", err)
	}
	if all, err := s.Identities(ctx); err != nil || len(all) != 1 || all[0].Name != "imp2" {
		t.Errorf("%+v, %v", all, err)
	}
	id, err := s.Identity(ctx, "imp2")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := id.ChannelKey(); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("without its key: %v, want ErrUnknownKey", err)
	}

	app := createIdentity(t, s, "app")
	own, err := s.History(app.Identifier)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.ImportIdentity(ctx, "", "imp2", own)
	wantItem(t, err, state.ErrExists, "identity", "imp2")
	if _, err := s.CreateNode(ctx, state.Node{Name: "n", Identity: "app"}); err != nil {
		t.Fatal(err)
	}
	check("renamed", "app", own, false)
	works(t, s, "renamed")
	if n, err := s.NamedNode(ctx, "n"); err != nil || n.Identity != "renamed" {
		t.Errorf("the node has lost its identity: %+v, %v", n, err)
	}
	// A peer whose history is known gets a name like any other.
	peer, err := identity.Create(vault.NewMemory(), identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateHistory(peer); err != nil {
		t.Fatal(err)
	}
	check("peer", "", peer, false)
}
