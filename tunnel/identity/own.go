package identity

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"ockam/tunnel/vault"
)

// PurposeKeyLifetime is how long a new purpose key is attested, if the
// identity key allows it: five years of 365 days.
const PurposeKeyLifetime = 5 * 365 * 24 * time.Hour

// renewal is how long before its end a purpose key is replaced, so that a peer
// whose clock is ahead does not refuse it.
const renewal = time.Hour

// An Identity is one of our own: its history, and the vault that holds its
// keys. The fields must be set before the first call and not be changed
// afterwards. It is safe for concurrent use and must not be copied.
type Identity struct {
	// History is the history of the identity.
	History *History
	// Vault holds the latest key of History, and the purpose keys.
	Vault vault.Vault
	// PurposeKeys stores the attestations of the purpose keys.
	PurposeKeys PurposeKeys
	// Now tells the time; nil is time.Now.
	Now func() time.Time

	mu     sync.Mutex
	cached [2]*Attestation // by purpose; verified but for the time
}

// Identifier returns the name of the identity.
func (id *Identity) Identifier() Identifier { return id.History.Identifier() }

// ChannelKey returns the static X25519 key for secure channels and its
// attestation. They are made and stored on first need, and replaced when the
// stored attestation is valid no more or not for long.
//
// A key that was replaced stays in the vault: another process may be using it.
func (id *Identity) ChannelKey() (vault.PublicKey, *Attestation, error) {
	return id.purposeKey(PurposeChannel, id.now().Add(renewal))
}

// CredentialKey returns the key that signs credentials and its attestation,
// which are made, stored and replaced as with [Identity.ChannelKey]. The key
// is of the type of the identity's latest key.
func (id *Identity) CredentialKey() (vault.PublicKey, *Attestation, error) {
	return id.purposeKey(PurposeCredentials, id.now().Add(renewal))
}

// IssueCredential states that the subject has the attributes, from now on for
// ttl, in whole seconds. The credential ends earlier if the key that signs it
// does: for a ttl of years, or when the identity key is near its end.
func (id *Identity) IssueCredential(subject *History, attrs Attributes, ttl time.Duration) (*Credential, error) {
	if ttl < time.Second {
		return nil, fmt.Errorf("identity: a credential that lives for %v", ttl)
	}
	now := id.now()
	key, attestation, err := id.purposeKey(PurposeCredentials, now.Add(min(max(ttl, renewal), PurposeKeyLifetime/2)))
	if err != nil {
		return nil, err
	}
	data := &CredentialData{
		Subject:       subject.Identifier(),
		SubjectChange: subject.LatestHash(),
		Attributes:    attrs,
		CreatedAt:     max(At(now), attestation.CreatedAt),
		ExpiresAt:     min(At(now).add(ttl), attestation.ExpiresAt),
	}
	c := &Credential{data: data.encode(), attestation: attestation}
	if c.signature, err = sign(id.Vault, key, c.data); err != nil {
		return nil, err
	}
	c.encoded = c.append(nil)
	return c, nil
}

func (id *Identity) now() time.Time {
	if id.Now != nil {
		return id.Now()
	}
	return time.Now()
}

// purposeKey returns a purpose key that is valid now and, if the identity key
// allows it, until then.
func (id *Identity) purposeKey(p Purpose, until time.Time) (vault.PublicKey, *Attestation, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	a := id.cached[p]
	if a == nil || !id.lasts(a, until) {
		var err error
		if a, err = id.loadLocked(p); err != nil {
			return vault.PublicKey{}, nil, err
		}
		if a == nil || !id.lasts(a, until) {
			if a, err = id.attestLocked(p); err != nil {
				return vault.PublicKey{}, nil, err
			}
		}
		id.cached[p] = a
	}
	return a.PublicKey, a, nil
}

// lasts reports whether a is valid now and until then, or as long as anything
// that the identity key could attest.
func (id *Identity) lasts(a *Attestation, until time.Time) bool {
	most := min(At(until), id.History.latest().ValidUntil)
	return a.verifyTime(id.now()) == nil && a.ExpiresAt >= most
}

// loadLocked returns the stored attestation, or nil when there is none that
// the identity's present key has signed, or no key to it.
func (id *Identity) loadLocked(p Purpose) (*Attestation, error) {
	b, err := id.PurposeKeys.PurposeKey(id.Identifier(), p)
	if errors.Is(err, ErrNoPurposeKey) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("identity: load purpose key: %w", err)
	}
	a, err := ParseAttestation(b)
	if err != nil || a.Purpose != p || a.Verify(id.History, id.now()) != nil {
		return nil, nil // of no use: it will be replaced
	}
	pub, err := id.Vault.PublicKey(a.PublicKey.Handle())
	if errors.Is(err, vault.ErrUnknownKey) || err == nil && !pub.Equal(a.PublicKey) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("identity: load purpose key: %w", err)
	}
	return a, nil
}

// attestLocked makes a new purpose key and stores its attestation.
func (id *Identity) attestLocked(p Purpose) (*Attestation, error) {
	latest := id.History.latest()
	now := At(id.now())
	if now > latest.ValidUntil {
		return nil, fmt.Errorf("%w at %v: the key of %v; it must be rotated", ErrExpired, latest.ValidUntil.Time(), id.Identifier())
	}
	if latest.ValidFrom > now+clockTolerance {
		return nil, fmt.Errorf("identity: the key of %v is valid only from %v", id.Identifier(), latest.ValidFrom.Time())
	}
	t := vault.X25519
	if p == PurposeCredentials {
		t = latest.PublicKey.Type
	}
	key, err := id.Vault.Generate(t)
	if err != nil {
		return nil, fmt.Errorf("identity: make purpose key: %w", err)
	}
	a := &Attestation{
		Subject:       id.Identifier(),
		SubjectChange: latest.Hash,
		Purpose:       p,
		PublicKey:     key,
		CreatedAt:     max(now, latest.ValidFrom),
		ExpiresAt:     min(now.add(PurposeKeyLifetime), latest.ValidUntil),
	}
	a.data = a.encode()
	if a.signature, err = sign(id.Vault, latest.PublicKey, a.data); err == nil {
		err = id.PurposeKeys.PutPurposeKey(a.Subject, p, a.Bytes())
	}
	if err != nil {
		_ = id.Vault.Delete(key.Handle())
		return nil, fmt.Errorf("identity: attest purpose key: %w", err)
	}
	return a, nil
}
