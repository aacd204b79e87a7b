package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Credential is the signed statement of an issuer about a subject, together
// with the issuer's attestation of the key that signed it. It does not change
// and is safe for concurrent use.
type Credential struct {
	encoded     []byte
	data        []byte // as received, signed
	signature   signature
	attestation *Attestation
	err         error // why it cannot be used, when it came as part of something else
}

// CredentialData is what a credential says.
type CredentialData struct {
	// Issuer is the identity that says it.
	Issuer Identifier
	// Subject is the identity about which it is said; zero if absent.
	Subject Identifier
	// SubjectChange is the subject's latest change when the credential was
	// made; zero if absent. Nothing evaluates it.
	SubjectChange ChangeHash
	// Attributes is what is said.
	Attributes Attributes
	// CreatedAt and ExpiresAt bound its validity, both included.
	CreatedAt, ExpiresAt Timestamp
}

// Entry returns what is to be stored about the subject once the credential has
// been verified at now.
func (data *CredentialData) Entry(now time.Time) AttributesEntry {
	return AttributesEntry{
		Attributes: data.Attributes,
		AddedAt:    At(now),
		ExpiresAt:  data.ExpiresAt,
		AttestedBy: data.Issuer,
	}
}

// ParseCredential decodes a credential and what is signed in it. It does not
// verify it. Bytes after it are ignored; b is not kept.
func ParseCredential(b []byte) (*Credential, error) {
	d := &decoder{b}
	item, err := d.item()
	if err != nil {
		return nil, err
	}
	c := parseCredentialItem(item)
	if _, err := c.Data(); err != nil {
		return nil, err
	}
	return c, nil
}

// ParseCredentialText reads the text form: hexadecimal digits of either case
// and nothing else.
func ParseCredentialText(s string) (*Credential, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("identity: a credential in text is hexadecimal digits only")
	}
	return ParseCredential(b)
}

// parseCredentialItem reads the outer form of a credential, and the
// attestation. What is wrong with them is kept for those who use it: one bad
// credential must not spoil the message around it.
func parseCredentialItem(item []byte) *Credential {
	c := &Credential{encoded: bytes.Clone(item)}
	d := &decoder{c.encoded}
	c.err = d.record(2,
		func() error {
			return d.record(2,
				func() (err error) { c.data, err = d.bytes(); return err },
				func() error { return d.signature(&c.signature) })
		},
		func() (err error) { c.attestation, err = d.attestation(); return err })
	if c.err == nil {
		c.err = c.attestation.decode()
	}
	if c.err == nil {
		c.encoded = c.append(nil)
	}
	return c
}

func (c *Credential) append(b []byte) []byte {
	b = appendHead(b, majorArray, 2)
	b = appendHead(b, majorArray, 2)
	b = appendBytes(b, c.data)
	b = c.signature.append(b)
	return c.attestation.append(b)
}

// Bytes returns a copy of the encoded credential with its attestation.
func (c *Credential) Bytes() []byte { return bytes.Clone(c.encoded) }

// Text returns the encoded credential in lower-case hex, the form in which
// people pass credentials on.
func (c *Credential) Text() string { return hex.EncodeToString(c.encoded) }

// Attestation returns the issuer's attestation of the key that signed the
// credential, unverified; nil if the credential is malformed.
func (c *Credential) Attestation() *Attestation {
	if c.err != nil {
		return nil
	}
	return c.attestation
}

// Data decodes what the credential says, without verifying it: for showing.
func (c *Credential) Data() (*CredentialData, error) {
	if c.err != nil {
		return nil, c.err
	}
	d, err := versioned(c.data, credentialData)
	if err != nil {
		return nil, err
	}
	data := &CredentialData{Issuer: c.attestation.Subject}
	optional := func(p []byte) func() error {
		return func() error {
			if d.null() {
				return nil
			}
			return d.fixed(p)
		}
	}
	err = d.record(5,
		optional(data.Subject[:]),
		optional(data.SubjectChange[:]),
		func() error { return d.attributes(&data.Attributes) },
		func() error { return d.timestamp(&data.CreatedAt) },
		func() error { return d.timestamp(&data.ExpiresAt) })
	if err != nil {
		return nil, err
	}
	return data, nil
}

func (data *CredentialData) encode() []byte {
	optional := func(b, s []byte, absent bool) []byte {
		if absent {
			return append(b, cborNull)
		}
		return appendBytes(b, s)
	}
	b := appendHead(nil, majorArray, 5)
	b = optional(b, data.Subject[:], data.Subject.IsZero())
	b = optional(b, data.SubjectChange[:], data.SubjectChange == ChangeHash{})
	b = data.Attributes.append(b)
	b = appendTimestamp(b, data.CreatedAt)
	b = appendTimestamp(b, data.ExpiresAt)
	return encodeVersioned(credentialData, b)
}

// VerifyOptions says whose credentials are accepted.
type VerifyOptions struct {
	// Histories holds the histories of the authorities; the issuer's must be
	// among them.
	Histories Histories
	// Authorities are the issuers that are trusted. Without any, no credential
	// is accepted.
	Authorities []Identifier
	// Subject is who must be the subject; nil accepts any.
	Subject *Identifier
	// Now is the time at which the credential must be valid; zero is now.
	Now time.Time
}

// Verify checks the credential and the attestation in it (Ockam protocol,
// identities, credentials) and returns what it says. What has not been signed
// by a trusted authority is not even decoded. The error is ErrUnknownAuthority,
// ErrUnknownIdentity when the issuer's history is not stored, ErrExpired, or
// another one for what is simply not valid.
func (c *Credential) Verify(opt VerifyOptions) (*CredentialData, error) {
	if c.err != nil {
		return nil, c.err
	}
	now := opt.Now
	if now.IsZero() {
		now = time.Now()
	}
	a := c.attestation
	if !slices.Contains(opt.Authorities, a.Subject) {
		return nil, fmt.Errorf("%w: %v", ErrUnknownAuthority, a.Subject)
	}
	history, err := opt.Histories.History(a.Subject)
	if err != nil {
		return nil, fmt.Errorf("identity: issuer %v of a credential: %w", a.Subject, err)
	}
	if err := a.Verify(history, now); err != nil {
		return nil, err
	}
	if a.Purpose != PurposeCredentials {
		return nil, fmt.Errorf("identity: credential signed with a key that %v attests for another purpose", a.Subject)
	}
	if err := c.signature.verify(a.PublicKey, sha256.Sum256(c.data)); err != nil {
		return nil, fmt.Errorf("identity: credential by %v: %w", a.Subject, err)
	}
	data, err := c.Data()
	if err != nil {
		return nil, err
	}
	if err := c.verifyData(data, opt.Subject, now); err != nil {
		return nil, err
	}
	return data, nil
}

// verifyData checks what the credential says against the subject expected, the
// attestation and the clock.
func (c *Credential) verifyData(data *CredentialData, subject *Identifier, now time.Time) error {
	a := c.attestation
	switch {
	case data.Subject.IsZero():
		return fmt.Errorf("identity: credential by %v has no subject", a.Subject)
	case subject != nil && data.Subject != *subject:
		return fmt.Errorf("identity: credential by %v is for %v, not for %v", a.Subject, data.Subject, *subject)
	case data.CreatedAt < a.CreatedAt || data.ExpiresAt > a.ExpiresAt:
		return fmt.Errorf("identity: credential by %v reaches beyond the time of the key that signed it", a.Subject)
	}
	if err := verifyTime(data.CreatedAt, data.ExpiresAt, now); err != nil {
		return fmt.Errorf("identity: credential by %v for %v: %w", a.Subject, data.Subject, err)
	}
	return nil
}
