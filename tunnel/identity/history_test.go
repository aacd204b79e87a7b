package identity_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

func create(t testing.TB, v vault.Vault, opt identity.CreateOptions) *identity.History {
	t.Helper()
	h, err := identity.Create(v, opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func rotate(t testing.TB, v vault.Vault, h *identity.History, opt identity.RotateOptions) *identity.History {
	t.Helper()
	next, err := h.Rotate(v, opt)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestEveryBitCounts(t *testing.T) {
	f := loadIdentities(t)
	for _, name := range []string{"alice rotated: ", "P-256 rotated to Ed25519"} {
		full := f.history(t, name).Bytes()
		for i := range len(full) * 8 {
			b := bytes.Clone(full)
			b[i/8] ^= 1 << (i % 8)
			if h, err := identity.ParseHistory(b); err == nil && !bytes.Equal(h.Bytes(), full) {
				t.Errorf("%s: accepted with bit %d of byte %d flipped", name, i%8, i/8)
			}
		}
		for i := range full {
			if _, err := identity.ParseHistory(full[:i]); err == nil {
				t.Errorf("%s: accepted %d of %d bytes", name, i, len(full))
			}
		}
	}
}

func TestCreateDefaults(t *testing.T) {
	before := identity.At(time.Now())
	h := create(t, vault.NewMemory(), identity.CreateOptions{})
	c := h.Changes()[0]
	if c.PublicKey.Type != vault.Ed25519 || c.RevokePurposeKeys {
		t.Errorf("got %+v", c)
	}
	if c.ValidFrom < before || c.ValidFrom > identity.At(time.Now()) || c.ValidUntil-c.ValidFrom != 315360000 {
		t.Errorf("valid from %d until %d", c.ValidFrom, c.ValidUntil)
	}
	if len(h.Bytes()) != 128 {
		t.Errorf("an identity of %d bytes, want 128", len(h.Bytes()))
	}
	if p := create(t, vault.NewMemory(), identity.CreateOptions{KeyType: vault.P256}); len(p.Bytes()) != 161 {
		t.Errorf("a P-256 identity of %d bytes, want 161", len(p.Bytes()))
	}
}

func TestCreateRefuses(t *testing.T) {
	v := vault.NewMemory()
	if _, err := identity.Create(v, identity.CreateOptions{KeyType: vault.X25519}); !errors.Is(err, vault.ErrKeyType) {
		t.Errorf("with an X25519 key: %v, want ErrKeyType", err)
	}
	if _, err := identity.Create(v, identity.CreateOptions{From: clock, Until: clock.Add(-time.Second)}); err == nil {
		t.Error("until before from was accepted")
	}
}

// failing is a vault that cannot sign; it counts its keys.
type failing struct {
	*vault.Software
	keys int
}

func (v *failing) Generate(t vault.KeyType) (vault.PublicKey, error) {
	v.keys++
	return v.Software.Generate(t)
}

func (v *failing) Delete(h vault.Handle) error {
	v.keys--
	return v.Software.Delete(h)
}

func (v *failing) Sign(vault.Handle, []byte) ([]byte, error) { return nil, errors.New("no") }

func TestCreateLeavesNoKeyBehind(t *testing.T) {
	v := &failing{Software: vault.NewMemory()}
	if _, err := identity.Create(v, identity.CreateOptions{}); err == nil || v.keys != 0 {
		t.Errorf("got %v and %d keys", err, v.keys)
	}
}

func TestRotate(t *testing.T) {
	v := vault.NewMemory()
	at := func(s int) identity.CreateOptions {
		return identity.CreateOptions{From: clock.Add(time.Duration(s) * time.Second), Until: clock.Add(time.Hour)}
	}
	h := create(t, v, at(0))
	next := rotate(t, v, h, identity.RotateOptions{CreateOptions: at(0), RevokePurposeKeys: true})
	if next.Identifier() != h.Identifier() || next.LatestHash() == h.LatestHash() || next.LatestKey().Equal(h.LatestKey()) {
		t.Error("a rotation keeps the identifier and changes hash and key")
	}
	if len(h.Changes()) != 1 || len(next.Changes()) != 2 || !next.Changes()[1].RevokePurposeKeys {
		t.Errorf("got %+v", next.Changes())
	}
	if _, err := v.PublicKey(h.LatestKey().Handle()); err != nil {
		t.Errorf("the key before is gone: %v", err)
	}
	if _, err := h.Rotate(v, identity.RotateOptions{CreateOptions: at(-1)}); err == nil {
		t.Error("a smaller from was accepted")
	}
	late := identity.CreateOptions{From: clock.Add(2 * time.Hour), Until: clock.Add(3 * time.Hour)}
	if _, err := h.Rotate(v, identity.RotateOptions{CreateOptions: late}); err != nil {
		t.Errorf("a from after the old until: %v", err)
	}
	if _, err := h.Rotate(vault.NewMemory(), identity.RotateOptions{CreateOptions: at(0)}); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("without the present key: %v, want ErrUnknownKey", err)
	}
	// Two rotations of one history by mistake must not disturb each other.
	a, b := rotate(t, v, next, identity.RotateOptions{CreateOptions: at(1)}), rotate(t, v, next, identity.RotateOptions{CreateOptions: at(1)})
	for _, x := range []*identity.History{a, b} {
		if again, err := identity.ParseHistory(x.Bytes()); err != nil || again.LatestHash() != x.LatestHash() {
			t.Errorf("a rotated history does not verify: %v", err)
		}
	}
}

func TestCompareAndUpdate(t *testing.T) {
	v := vault.NewMemory()
	one := create(t, v, identity.CreateOptions{})
	two, fork := rotate(t, v, one, identity.RotateOptions{}), rotate(t, v, one, identity.RotateOptions{})
	three := rotate(t, v, two, identity.RotateOptions{})
	tests := []struct {
		name            string
		received, known *identity.History
		want            identity.Relation
		err             error
	}{
		{"same", two, two, identity.Equal, nil},
		{"longer", three, one, identity.Newer, nil},
		{"shorter", two, three, identity.Older, identity.ErrOlderHistory},
		{"forked", fork, two, identity.Conflict, identity.ErrHistoryConflict},
		{"forked earlier", fork, three, identity.Conflict, identity.ErrHistoryConflict},
		{"another identity", create(t, v, identity.CreateOptions{}), one, identity.Conflict, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.received.Compare(tt.known); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			s := identity.NewMemoryStore()
			if err := s.UpdateHistory(tt.known); err != nil {
				t.Fatal(err)
			}
			if err := s.UpdateHistory(tt.received); !errors.Is(err, tt.err) {
				t.Errorf("UpdateHistory: %v, want %v", err, tt.err)
			}
			want := tt.received
			if tt.err != nil {
				want = tt.known
			}
			if got, err := s.History(want.Identifier()); err != nil || got.LatestHash() != want.LatestHash() {
				t.Errorf("stored: %v, %v", got, err)
			}
		})
	}
	if _, err := identity.NewMemoryStore().History(one.Identifier()); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("unknown: %v, want ErrUnknownIdentity", err)
	}
}

// TestHostileSizes gives counts, lengths and depths that are not there.
func TestHostileSizes(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	with := func(head ...byte) []byte { return append(head, huge...) }
	history := loadIdentities(t).history(t, "alice").Bytes()
	inputs := map[string][]byte{
		"array of 2^64-1 changes":           with(0x9b),
		"change with data of 2^64-1 bytes":  append([]byte{0x81, 0x82}, with(0x5b)...),
		"map of 2^64-1 attributes":          append([]byte{0x82, 0x01}, with(0xbb)...),
		"2^64-1 credentials":                append(append([]byte{0x82}, history...), with(0x9b)...),
		"deep nesting":                      append([]byte{0x83}, bytes.Repeat([]byte{0x81}, 1<<20)...),
		"deep nesting to be skipped":        append(append([]byte{0x81, 0x84}, history[2:128]...), bytes.Repeat([]byte{0x9f}, 1<<20)...),
		"deep tags to be skipped":           append(append([]byte{0x81, 0x84}, history[2:128]...), bytes.Repeat([]byte{0xc1}, 1<<20)...),
		"only breaks":                       bytes.Repeat([]byte{0xff}, 1<<16),
		"reserved length code":              {0x9c},
		"a million nulls for changes":       append([]byte{0x9a, 0, 0x10, 0, 0}, bytes.Repeat([]byte{0xf6}, 1<<20)...),
		"a million nulls in place of more":  append([]byte{0x9f}, bytes.Repeat([]byte{0xf6}, 1<<20)...),
		"two thousand nulls as credentials": append(append([]byte{0x82}, history...), append([]byte{0x9f}, bytes.Repeat([]byte{0xf6}, 2000)...)...),
	}
	for name, b := range inputs {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := identity.ParseHistory(b); err == nil {
				t.Error("accepted as history")
			}
			if _, err := identity.ParseAttributes(b); err == nil {
				t.Error("accepted as attributes")
			}
			if _, err := identity.ParseProof(b); err == nil {
				t.Error("accepted as proof")
			}
			if _, _, err := identity.ParseRefresh(b); err == nil {
				t.Error("accepted as refresh")
			}
			runtime.ReadMemStats(&after)
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<17+4*len(b)); got > most {
				t.Errorf("%d bytes allocated for an input of %d", got, len(b))
			}
		})
	}
}

func TestTimestamp(t *testing.T) {
	for _, tt := range []struct {
		t    time.Time
		want identity.Timestamp
	}{
		{time.Unix(-5, 0), 0},
		{time.Time{}, 0},
		{time.Unix(7, 999999999), 7},
	} {
		if got := identity.At(tt.t); got != tt.want {
			t.Errorf("At(%v) = %d, want %d", tt.t, got, tt.want)
		}
	}
	far := identity.Timestamp(1<<64 - 1).Time()
	if far.Before(clock) || !far.After(clock.AddDate(100000, 0, 0)) {
		t.Errorf("the end of time is %v", far)
	}
	if got := fmt.Sprint(identity.Timestamp(0).Time()); got != "1970-01-01 00:00:00 +0000 UTC" {
		t.Error(got)
	}
}
