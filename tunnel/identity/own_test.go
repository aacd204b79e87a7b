package identity_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// own makes an identity that lives in memory; clock is what it believes.
func own(t testing.TB, opt identity.CreateOptions) (id *identity.Identity, now *time.Time) {
	t.Helper()
	v := vault.NewMemory()
	now = new(time.Time)
	*now = clock
	if opt.From.IsZero() {
		opt.From = clock
	}
	id = &identity.Identity{History: create(t, v, opt), Vault: v, PurposeKeys: identity.NewMemoryStore()}
	id.Now = func() time.Time { return *now }
	return id, now
}

// TestRebuildPurposeKeys makes recorded attestations and credentials again
// from the secrets: the same bytes, attribute order included.
func TestRebuildPurposeKeys(t *testing.T) {
	ids := loadIdentities(t)
	f := loadPurposeKeys(t)
	credentials := map[string]string{}
	for _, c := range f.Credentials {
		credentials[c.Name] = c.Value.Encoded
	}
	hex32 := func(s string) []byte {
		return unhex(t, s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s+s)
	}
	seq := func(from byte) []byte {
		b := make([]byte, 32)
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	v := &nextKey{Software: vault.NewMemory()}
	for _, i := range ids.Identities {
		for _, k := range i.Keys {
			kt, err := vault.ParseKeyType(k.Type)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Import(kt, unhex(t, k.Secret)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		history, attestation string
		secret               []byte
		credentials          bool
	}{
		{"alice: ", "alice, SecureChannel", seq(0), false},
		{"bob", "bob, SecureChannel", seq(1), false},
		{"authority", "authority, Credentials", hex32("44"), true},
		{"alice rotated: ", "alice after the first rotation (Ed25519), Credentials", hex32("45"), true},
		{"alice rotated twice", "alice after the second rotation (P-256), Credentials", hex32("46"), true},
	} {
		t.Run(tt.attestation, func(t *testing.T) {
			i := slices.IndexFunc(f.Attestations, func(a struct {
				Name  string
				Value attestationVector
			},
			) bool {
				return len(a.Name) >= len(tt.attestation) && a.Name[:len(tt.attestation)] == tt.attestation
			})
			want := f.Attestations[i].Value
			v.secrets = [][]byte{tt.secret}
			id := &identity.Identity{History: ids.history(t, tt.history), Vault: v, PurposeKeys: identity.NewMemoryStore()}
			id.Now = func() time.Time { return identity.Timestamp(want.CreatedAt).Time() }
			get := id.ChannelKey
			if tt.credentials {
				get = id.CredentialKey
			}
			_, a, err := get()
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Bytes(); string(got) != string(unhex(t, want.Attestation)) {
				t.Errorf("\n got %x\nwant %s", got, want.Attestation)
			}
			if tt.history != "authority" {
				return
			}
			attrs := identity.Attributes{Schema: 1, Values: map[string]string{
				"ockam-relay": "*", "role": "member", "trust_context_id": "project1",
			}}
			c, err := id.IssueCredential(ids.history(t, "alice: "), attrs, 2592000*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if want := credentials["for alice by authority"]; c.Text() != want {
				t.Errorf("credential\n got %s\nwant %s", c.Text(), want)
			}
		})
	}
}

func TestChannelKeyIsKept(t *testing.T) {
	id, now := own(t, identity.CreateOptions{})
	key, a, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(id.History, *now); err != nil {
		t.Error(err)
	}
	if key.Type != vault.X25519 || !key.Equal(a.PublicKey) || a.Purpose != identity.PurposeChannel || a.ExpiresAt-a.CreatedAt != 157680000 {
		t.Errorf("got %v, %+v", key, a)
	}
	reopened := &identity.Identity{History: id.History, Vault: id.Vault, PurposeKeys: id.PurposeKeys, Now: id.Now}
	for _, x := range []*identity.Identity{id, reopened} {
		if again, _, err := x.ChannelKey(); err != nil || !again.Equal(key) {
			t.Errorf("second call: %v, %v, want %v", again, err, key)
		}
	}
}

func TestPurposeKeyIsReplaced(t *testing.T) {
	other, _ := own(t, identity.CreateOptions{})
	_, foreign, err := other.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		spoil func(id *identity.Identity, now *time.Time, key vault.PublicKey) error
	}{
		{"expired", func(_ *identity.Identity, now *time.Time, _ vault.PublicKey) error {
			*now = now.Add(identity.PurposeKeyLifetime + time.Second)
			return nil
		}},
		{"expires within the hour", func(_ *identity.Identity, now *time.Time, _ vault.PublicKey) error {
			*now = now.Add(identity.PurposeKeyLifetime - time.Minute)
			return nil
		}},
		{"from the future", func(_ *identity.Identity, now *time.Time, _ vault.PublicKey) error {
			*now = now.Add(-61 * time.Second)
			return nil
		}},
		{"rotated", func(id *identity.Identity, _ *time.Time, _ vault.PublicKey) (err error) {
			id.History, err = id.History.Rotate(id.Vault, identity.RotateOptions{CreateOptions: identity.CreateOptions{From: clock}})
			return err
		}},
		{"key lost", func(id *identity.Identity, _ *time.Time, key vault.PublicKey) error {
			return id.Vault.Delete(key.Handle())
		}},
		{"attestation garbled", func(id *identity.Identity, _ *time.Time, _ vault.PublicKey) error {
			return id.PurposeKeys.PutPurposeKey(id.Identifier(), identity.PurposeChannel, []byte{1})
		}},
		{"attestation of another identity", func(id *identity.Identity, _ *time.Time, _ vault.PublicKey) error {
			return id.PurposeKeys.PutPurposeKey(id.Identifier(), identity.PurposeChannel, foreign.Bytes())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id, now := own(t, identity.CreateOptions{From: clock.Add(-time.Hour)})
			key, _, err := id.ChannelKey()
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(id, now, key); err != nil {
				t.Fatal(err)
			}
			id = &identity.Identity{History: id.History, Vault: id.Vault, PurposeKeys: id.PurposeKeys, Now: id.Now}
			next, a, err := id.ChannelKey()
			if err != nil {
				t.Fatal(err)
			}
			if next.Equal(key) {
				t.Error("the key was not replaced")
			}
			if err := a.Verify(id.History, *now); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCachedKeyIsReplaced: also without a restart.
func TestCachedKeyIsReplaced(t *testing.T) {
	id, now := own(t, identity.CreateOptions{})
	key, _, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(identity.PurposeKeyLifetime)
	if next, _, err := id.ChannelKey(); err != nil || next.Equal(key) {
		t.Errorf("at the end of its time: %v, %v", next, err)
	}
}

func TestPurposeKeyAtTheEndOfTheIdentity(t *testing.T) {
	id, now := own(t, identity.CreateOptions{From: clock, Until: clock.Add(10 * time.Minute)})
	key, a, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	if want := identity.At(clock.Add(10 * time.Minute)); a.ExpiresAt != want {
		t.Errorf("expires at %d, want %d", a.ExpiresAt, want)
	}
	*now = now.Add(10 * time.Minute)
	if again, _, err := id.ChannelKey(); err != nil || !again.Equal(key) {
		t.Errorf("in the last second: %v, %v", again, err)
	}
	*now = now.Add(time.Second)
	if _, _, err := id.ChannelKey(); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("after the end: %v, want ErrExpired", err)
	}
	early, _ := own(t, identity.CreateOptions{From: clock.Add(time.Hour)})
	if _, _, err := early.ChannelKey(); err == nil {
		t.Error("before the beginning: no error")
	}
}

func TestChannelKeyConcurrently(t *testing.T) {
	id, _ := own(t, identity.CreateOptions{})
	var wg sync.WaitGroup
	keys := make([]vault.PublicKey, 16)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], _, err = id.ChannelKey(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !k.Equal(keys[0]) {
			t.Error("two callers got different keys")
		}
	}
}

func TestAttestationTimes(t *testing.T) {
	id, now := own(t, identity.CreateOptions{From: clock.Add(-time.Hour)})
	_, a, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"60 s before it is made", now.Add(-60 * time.Second), true},
		{"61 s before it is made", now.Add(-61 * time.Second), false},
		{"when it expires", a.ExpiresAt.Time(), true},
		{"a second later", a.ExpiresAt.Time().Add(time.Second), false},
	} {
		if err := a.Verify(id.History, tt.now); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
	if err := a.Verify(id.History, a.ExpiresAt.Time().Add(time.Second)); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("expired: %v, want ErrExpired", err)
	}
}

func TestIssueAndVerifyCredential(t *testing.T) {
	issuer, now := own(t, identity.CreateOptions{From: clock.Add(-time.Hour), KeyType: vault.P256})
	member, _ := own(t, identity.CreateOptions{})
	other, _ := own(t, identity.CreateOptions{})
	store := identity.NewMemoryStore()
	for _, h := range []*identity.History{issuer.History, other.History} {
		if err := store.UpdateHistory(h); err != nil {
			t.Fatal(err)
		}
	}
	attrs := identity.Attributes{Schema: 1, Values: map[string]string{"role": "member", "\xff": "\x00"}}
	c, err := issuer.IssueCredential(member.History, attrs, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	subject, stranger := member.Identifier(), other.Identifier()
	good := identity.VerifyOptions{
		Histories: store, Authorities: []identity.Identifier{issuer.Identifier()}, Subject: &subject, Now: *now,
	}
	data, err := c.Verify(good)
	if err != nil {
		t.Fatal(err)
	}
	if data.SubjectChange != member.History.LatestHash() || data.ExpiresAt-data.CreatedAt != 3600 || data.Attributes.String() != attrs.String() {
		t.Errorf("got %+v", data)
	}
	for _, tt := range []struct {
		name string
		opt  func(o *identity.VerifyOptions)
		ok   bool
		want error // nil: any, if not ok
	}{
		{"any subject", func(o *identity.VerifyOptions) { o.Subject = nil }, true, nil},
		{"another subject", func(o *identity.VerifyOptions) { o.Subject = &stranger }, false, nil},
		{"no authority", func(o *identity.VerifyOptions) { o.Authorities = nil }, false, identity.ErrUnknownAuthority},
		{"another authority", func(o *identity.VerifyOptions) { o.Authorities = []identity.Identifier{stranger} }, false, identity.ErrUnknownAuthority},
		{"unknown history", func(o *identity.VerifyOptions) { o.Histories = identity.NewMemoryStore() }, false, identity.ErrUnknownIdentity},
		{"in its last second", func(o *identity.VerifyOptions) { o.Now = now.Add(time.Hour) }, true, nil},
		{"expired", func(o *identity.VerifyOptions) { o.Now = now.Add(time.Hour + time.Second) }, false, identity.ErrExpired},
		{"60 s ahead", func(o *identity.VerifyOptions) { o.Now = now.Add(-60 * time.Second) }, true, nil},
		{"61 s ahead", func(o *identity.VerifyOptions) { o.Now = now.Add(-61 * time.Second) }, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opt := good
			tt.opt(&opt)
			_, err := c.Verify(opt)
			if (err == nil) != tt.ok || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want ok %v, %v", err, tt.ok, tt.want)
			}
		})
	}

	rotated, err := issuer.History.Rotate(issuer.Vault, identity.RotateOptions{CreateOptions: identity.CreateOptions{From: clock}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.UpdateHistory(rotated); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(good); err == nil {
		t.Error("verifies after the issuer's rotation")
	}
	if _, err := issuer.IssueCredential(member.History, attrs, 0); err == nil {
		t.Error("a credential without a lifetime was issued")
	}
}

func TestCredentialEveryBitCounts(t *testing.T) {
	issuer, now := own(t, identity.CreateOptions{})
	store := identity.NewMemoryStore()
	if err := store.UpdateHistory(issuer.History); err != nil {
		t.Fatal(err)
	}
	c, err := issuer.IssueCredential(issuer.History, identity.Attributes{Values: map[string]string{"a": "b"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	opt := identity.VerifyOptions{Histories: store, Authorities: []identity.Identifier{issuer.Identifier()}, Now: *now}
	full := c.Bytes()
	for i := range len(full) * 8 {
		b := c.Bytes()
		b[i/8] ^= 1 << (i % 8)
		changed, err := identity.ParseCredential(b)
		if err == nil {
			_, err = changed.Verify(opt)
		}
		if err == nil && string(changed.Bytes()) != string(full) {
			t.Errorf("accepted with bit %d of byte %d flipped", i%8, i/8)
		}
	}
	for i := range full {
		if _, err := identity.ParseCredential(full[:i]); err == nil {
			t.Errorf("accepted %d of %d bytes", i, len(full))
		}
	}
}

func TestCredentialOutlivesNoKey(t *testing.T) {
	issuer, now := own(t, identity.CreateOptions{Until: clock.Add(identity.PurposeKeyLifetime + 24*time.Hour)})
	first, _, err := issuer.CredentialKey()
	if err != nil {
		t.Fatal(err)
	}
	*now = now.Add(identity.PurposeKeyLifetime - 2*time.Hour) // the key lasts, the credential would not
	c, err := issuer.IssueCredential(issuer.History, identity.Attributes{}, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if c.Attestation().PublicKey.Equal(first) || data.ExpiresAt != identity.At(now.Add(24*time.Hour)) {
		t.Errorf("expires %v, signed by the old key: %v", data.ExpiresAt.Time(), c.Attestation().PublicKey.Equal(first))
	}
	for range 2 { // a lifetime that no key can have makes no new key each time
		again, err := issuer.IssueCredential(issuer.History, identity.Attributes{}, 20*identity.PurposeKeyLifetime)
		if err != nil {
			t.Fatal(err)
		}
		data, err := again.Data()
		if err != nil {
			t.Fatal(err)
		}
		if !again.Attestation().PublicKey.Equal(c.Attestation().PublicKey) || data.ExpiresAt != c.Attestation().ExpiresAt {
			t.Error("another key, or a credential that outlives it")
		}
	}
}

func TestProofWithBadCredential(t *testing.T) {
	id, _ := own(t, identity.CreateOptions{})
	_, a, err := id.ChannelKey()
	if err != nil {
		t.Fatal(err)
	}
	c, err := id.IssueCredential(id.History, identity.Attributes{}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p := &identity.Proof{History: id.History, Attestation: a, Credentials: []*identity.Credential{c}}
	good := p.Bytes()
	n := len(good) - len(c.Bytes())
	bad := append(append(append([]byte{}, good[:n-1]...), 0x82, 0x83, 0x01, 0x61, 'x', 0xa0), c.Bytes()...)
	got, err := identity.ParseProof(bad)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Credentials) != 2 || string(got.Bytes()) != string(bad) {
		t.Fatalf("%d credentials", len(got.Credentials))
	}
	opt := identity.VerifyOptions{Histories: identity.NewMemoryStore(), Authorities: []identity.Identifier{id.Identifier()}, Now: clock}
	if err := opt.Histories.UpdateHistory(id.History); err != nil {
		t.Fatal(err)
	}
	if _, err := got.Credentials[0].Verify(opt); err == nil || got.Credentials[0].Attestation() != nil {
		t.Error("the malformed credential is accepted")
	}
	if _, err := got.Credentials[0].Data(); err == nil {
		t.Error("the malformed credential has data")
	}
	if _, err := got.Credentials[1].Verify(opt); err != nil {
		t.Errorf("the good credential: %v", err)
	}
}

func TestMemoryStore(t *testing.T) {
	s := identity.NewMemoryStore()
	id, _ := own(t, identity.CreateOptions{})
	if _, err := s.PurposeKey(id.Identifier(), identity.PurposeChannel); !errors.Is(err, identity.ErrNoPurposeKey) {
		t.Errorf("got %v, want ErrNoPurposeKey", err)
	}
	testAttributes(t, s, id.Identifier())
}

// testAttributes checks an attribute store, which has no entry for subject.
func testAttributes(t *testing.T, s identity.AttributeStore, subject identity.Identifier) {
	t.Helper()
	if _, ok, err := s.Attributes(subject, clock); ok || err != nil {
		t.Errorf("before: %v, %v", ok, err)
	}
	entry := func(name string) identity.AttributesEntry {
		return identity.AttributesEntry{
			Attributes: identity.Attributes{Schema: 1, Values: map[string]string{name: "x"}},
			AddedAt:    identity.At(clock), ExpiresAt: identity.At(clock) + 10,
		}
	}
	for _, name := range []string{"first", "second"} {
		if err := s.PutAttributes(subject, entry(name)); err != nil {
			t.Fatal(err)
		}
	}
	e, ok, err := s.Attributes(subject, clock.Add(9*time.Second))
	if err != nil || !ok || len(e.Attributes.Values) != 1 || e.Attributes.Values["second"] != "x" {
		t.Errorf("got %+v, %v, %v: the second entry replaces the first", e, ok, err)
	}
	if _, ok, err := s.Attributes(subject, clock.Add(10*time.Second)); ok || err != nil {
		t.Errorf("expired: %v, %v", ok, err)
	}
	if _, ok, err := s.Attributes(subject, clock); ok || err != nil {
		t.Errorf("removed: %v, %v", ok, err)
	}
}
