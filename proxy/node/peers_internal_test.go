package node

import (
	"errors"
	"testing"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// rotated makes an identity, and returns its history before and after a rotation.
func rotated(t *testing.T) (before, after *identity.History) {
	t.Helper()
	v := vault.NewMemory()
	before, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after, err = before.Rotate(v, identity.RotateOptions{}); err != nil {
		t.Fatal(err)
	}
	return before, after
}

func TestPeers(t *testing.T) {
	before, after := rotated(t)
	id := after.Identifier()
	for _, tt := range []struct {
		name   string
		named  bool
		update func(*peers) error // by which after becomes known
		stored bool
	}{
		{"stranger", false, func(p *peers) error { return p.UpdateHistory(after) }, false},
		{"named", true, func(p *peers) error { return p.UpdateHistory(after) }, true},
		{"chosen", false, func(p *peers) error { return p.all().UpdateHistory(after) }, true},
		{"kept", false, func(p *peers) error { return errors.Join(p.UpdateHistory(after), p.keep(id)) }, true},
		{"stored before", false, func(p *peers) error {
			return errors.Join(p.stored.UpdateHistory(before), p.UpdateHistory(after))
		}, true},
		{"credential", false, func(p *peers) error {
			k := keptAttributes{identity.NewMemoryStore(), p}
			return errors.Join(p.UpdateHistory(after), k.PutAttributes(id, identity.AttributesEntry{}))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored := identity.NewMemoryStore()
			p := newPeers(stored, func(identity.Identifier) bool { return tt.named })
			if err := tt.update(p); err != nil {
				t.Fatal(err)
			}
			if h, err := p.History(id); err != nil || h.Compare(after) != identity.Equal {
				t.Errorf("History: %v, %v", h, err)
			}
			if err := p.UpdateHistory(before); !errors.Is(err, identity.ErrOlderHistory) {
				t.Errorf("an older history: %v, want that it is refused", err)
			}
			if err := p.UpdateHistory(after); err != nil {
				t.Errorf("the same again: %v", err)
			}
			if _, err := stored.History(id); (err == nil) != tt.stored {
				t.Errorf("stored: %v, want %t", err, tt.stored)
			}
			if n := len(p.strangers); tt.stored && n != 0 {
				t.Errorf("%d strangers, want none", n)
			}
			// After a restart.
			p = newPeers(stored, func(identity.Identifier) bool { return false })
			if err := p.UpdateHistory(before); errors.Is(err, identity.ErrOlderHistory) != tt.stored {
				t.Errorf("an older history after a restart: %v", err)
			}
		})
	}
}

// TestPeersElsewhere: another process stores what is newer or older than what was
// seen here.
func TestPeersElsewhere(t *testing.T) {
	before, after := rotated(t)
	stored := identity.NewMemoryStore()
	p := newPeers(stored, func(identity.Identifier) bool { return false })
	if err := errors.Join(p.UpdateHistory(after), stored.UpdateHistory(before)); err != nil {
		t.Fatal(err)
	}
	if h, err := p.History(after.Identifier()); err != nil || h.Compare(after) != identity.Equal {
		t.Errorf("%v, %v, want the newer one", h, err)
	}
	if err := p.UpdateHistory(before); !errors.Is(err, identity.ErrOlderHistory) {
		t.Errorf("the older one: %v", err)
	}
	if err := p.UpdateHistory(after); err != nil {
		t.Fatal(err)
	}
	if h, err := stored.History(after.Identifier()); err != nil || h.Compare(after) != identity.Equal {
		t.Errorf("stored is %v, %v, want the newer one", h, err)
	}
}

// TestPeersForget: who has a channel is remembered whoever else comes, and others
// only until there are too many.
func TestPeersForget(t *testing.T) {
	const most = 8
	stored := identity.NewMemoryStore()
	p := newPeers(stored, func(identity.Identifier) bool { return false })
	p.most = most
	come := func() identity.Identifier {
		h, err := identity.Create(vault.NewMemory(), identity.CreateOptions{})
		if err == nil {
			err = p.UpdateHistory(h)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h.Identifier()
	}
	first := come()
	p.hold(first)
	p.hold(first)
	second := come()
	for range 10 * most {
		come()
	}
	if n := len(p.strangers); n != most+1 {
		t.Errorf("%d strangers, want %d", n, most+1)
	}
	if _, err := p.History(second); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("the second: %v, want that it is forgotten", err)
	}
	k := keptAttributes{identity.NewMemoryStore(), p}
	if err := k.PutAttributes(second, identity.AttributesEntry{}); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("attributes without a history: %v", err)
	}
	p.release(first)
	for range most {
		come()
	}
	if _, err := p.History(first); err != nil {
		t.Errorf("the first, with one channel left: %v", err)
	}
	p.release(first)
	for range most {
		come()
	}
	if _, err := p.History(first); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("the first: %v, want that it is forgotten", err)
	}
	if p.leaving.Len() != most || p.size > most*256 {
		t.Errorf("%d strangers of %d bytes, want %d", p.leaving.Len(), p.size, most)
	}
}
