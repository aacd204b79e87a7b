package identity

import (
	"crypto/sha256"
	"fmt"
	"time"

	"ockam/tunnel/vault"
)

// Purpose says what a purpose key is for.
type Purpose uint8

// The purposes, numbered as the protocol numbers them.
const (
	// PurposeChannel is the static X25519 key of secure channels.
	PurposeChannel Purpose = iota
	// PurposeCredentials is the key that signs credentials.
	PurposeCredentials
)

// String returns "channel" or "credentials".
func (p Purpose) String() string {
	switch p {
	case PurposeChannel:
		return "channel"
	case PurposeCredentials:
		return "credentials"
	default:
		return fmt.Sprintf("Purpose(%d)", uint8(p))
	}
}

// clockTolerance is how far ahead the clock of a signer may be.
const clockTolerance Timestamp = 60

// An Attestation is the statement of an identity that a key is its own, for
// one purpose and for a time. Its fields are those of the signed data: they
// must not be changed.
type Attestation struct {
	// Subject is the identity that speaks.
	Subject Identifier
	// SubjectChange is the change whose key has signed; it must be the latest.
	SubjectChange ChangeHash
	// Purpose says what PublicKey is for.
	Purpose Purpose
	// PublicKey is the key attested.
	PublicKey vault.PublicKey
	// CreatedAt and ExpiresAt bound the use of the key, both included.
	CreatedAt, ExpiresAt Timestamp

	data      []byte // as received, signed
	signature signature
}

// ParseAttestation decodes an attestation. It does not verify it. Bytes after
// it are ignored; b is not kept.
func ParseAttestation(b []byte) (*Attestation, error) {
	a, err := (&decoder{b}).attestation()
	if err != nil {
		return nil, err
	}
	if err := a.decode(); err != nil {
		return nil, err
	}
	return a, nil
}

// attestation reads the outer form only.
func (d *decoder) attestation() (*Attestation, error) {
	a := &Attestation{}
	err := d.record(2,
		func() error { return d.blob(&a.data) },
		func() error { return d.signature(&a.signature) })
	return a, err
}

// decode reads the signed data.
func (a *Attestation) decode() error {
	d, err := versioned(a.data, attestationData)
	if err != nil {
		return err
	}
	return d.record(5,
		func() error { return d.fixed(a.Subject[:]) },
		func() error { return d.fixed(a.SubjectChange[:]) },
		func() error { return d.choice(func(variant uint64) error { return a.decodeKey(d, variant) }) },
		func() error { return d.timestamp(&a.CreatedAt) },
		func() error { return d.timestamp(&a.ExpiresAt) })
}

func (a *Attestation) decodeKey(d *decoder, variant uint64) error {
	switch Purpose(min(variant, 255)) {
	case PurposeChannel:
		a.PublicKey = vault.PublicKey{Type: vault.X25519, Bytes: make([]byte, vault.X25519.PublicSize())}
		return d.record(1, func() error { return d.fixed(a.PublicKey.Bytes) })
	case PurposeCredentials:
		a.Purpose = PurposeCredentials
		return d.record(1, func() error { return d.signingKey(&a.PublicKey) })
	default:
		return fmt.Errorf("%w %d", errUnknownVariant, variant)
	}
}

func (a *Attestation) encode() []byte {
	b := appendHead(nil, majorArray, 5)
	b = appendBytes(b, a.Subject[:])
	b = appendBytes(b, a.SubjectChange[:])
	b = appendVariant(b, uint64(a.Purpose))
	if a.Purpose == PurposeChannel {
		b = appendBytes(b, a.PublicKey.Bytes)
	} else {
		b = appendSigningKey(b, a.PublicKey)
	}
	b = appendTimestamp(b, a.CreatedAt)
	b = appendTimestamp(b, a.ExpiresAt)
	return encodeVersioned(attestationData, b)
}

func (a *Attestation) append(b []byte) []byte {
	b = appendHead(b, majorArray, 2)
	b = appendBytes(b, a.data)
	return a.signature.append(b)
}

// Bytes returns the encoded attestation.
func (a *Attestation) Bytes() []byte { return a.append(nil) }

// Verify checks that the identity of history has attested the key, that its
// latest change allows it, and that the attestation is in force at now (Ockam
// protocol, identities, purpose keys). history must be the latest one known of
// the identity expected; an attestation by an earlier key is refused. The
// error is ErrExpired when only time has made the attestation invalid.
func (a *Attestation) Verify(history *History, now time.Time) error {
	if err := a.verifyBinding(history); err != nil {
		return err
	}
	if err := a.signature.verify(history.LatestKey(), sha256.Sum256(a.data)); err != nil {
		return fmt.Errorf("identity: attestation by %v: %w", a.Subject, err)
	}
	return a.verifyTime(now)
}

func (a *Attestation) verifyBinding(history *History) error {
	latest := history.latest()
	switch {
	case a.Subject != history.Identifier():
		return fmt.Errorf("identity: attestation is by %v, not by %v", a.Subject, history.Identifier())
	case a.SubjectChange != latest.Hash:
		return fmt.Errorf("identity: attestation by %v is not bound to the latest change", a.Subject)
	case a.ExpiresAt > latest.ValidUntil || a.CreatedAt < latest.ValidFrom:
		return fmt.Errorf("identity: attestation by %v reaches beyond the time of the key that signed it", a.Subject)
	}
	return nil
}

func (a *Attestation) verifyTime(now time.Time) error {
	if err := verifyTime(a.CreatedAt, a.ExpiresAt, now); err != nil {
		return fmt.Errorf("identity: attestation by %v: %w", a.Subject, err)
	}
	return nil
}

// verifyTime checks the window of an attestation or a credential.
func verifyTime(created, expires Timestamp, now time.Time) error {
	switch t := At(now); {
	case created > t+clockTolerance:
		return fmt.Errorf("made in the future, at %v: %v ahead of the clock here", created.Time(), created.Time().Sub(t.Time()))
	case expires < t:
		return fmt.Errorf("%w at %v", ErrExpired, expires.Time())
	}
	return nil
}
