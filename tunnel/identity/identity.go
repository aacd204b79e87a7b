// Package identity makes, encodes and verifies change histories, purpose keys and credentials.
//
// An identity is a chain of signed changes, its [History]; each change names
// the key that speaks for the identity from then on, and the hash of the first
// change is the [Identifier]. The latest key attests the keys that do the work
// ([Attestation]): one for secure channels, one that signs credentials. A
// [Credential] is a statement of an authority about the attributes of a
// subject. An [Identity] is one of our own, with the vault that holds its keys.
//
// What arrives from peers is decoded as tolerantly as the reference
// implementation decodes it, and sent in the one strict form. Signed blobs are
// kept as they were received; they are never encoded again. All formats: Ockam
// protocol, identities (docs/protocol.md).
//
// It is not the job of this package to keep secrets (tunnel/vault), to store
// anything on disk (proxy/state) or to run handshakes (tunnel/secure).
package identity

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// The errors that callers test for with errors.Is.
var (
	// ErrUnknownIdentity means that no history of an identifier is stored.
	ErrUnknownIdentity = errors.New("identity: unknown identity")
	// ErrOlderHistory means that a longer history of the identity is stored.
	ErrOlderHistory = errors.New("identity: history is older than the one known")
	// ErrHistoryConflict means that the stored history of the identity has
	// other changes: its owner, or a thief of a former key, has forked it.
	ErrHistoryConflict = errors.New("identity: history contradicts the one known")
	// ErrNoPurposeKey means that no purpose key of that kind is stored.
	ErrNoPurposeKey = errors.New("identity: no purpose key")
	// ErrUnknownAuthority means that the issuer of a credential is none of the
	// authorities that are trusted.
	ErrUnknownAuthority = errors.New("identity: issuer is not a trusted authority")
	// ErrExpired means that an attestation or a credential, or the key that
	// should sign one, is past its time.
	ErrExpired = errors.New("identity: expired")
)

// Identifier names an identity: the SHA-256 of its first change.
type Identifier [32]byte

// ParseIdentifier reads the text form: "I" and 64 hexadecimal digits, white
// space around it ignored.
func ParseIdentifier(s string) (Identifier, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), "I")
	if b, err := hex.DecodeString(text); ok && err == nil && len(b) == len(Identifier{}) {
		return Identifier(b), nil
	}
	return Identifier{}, fmt.Errorf("identity: %q is not an identifier (I and 64 hexadecimal digits)", shorten(s))
}

// String returns "I" and 64 lower-case hexadecimal digits.
func (id Identifier) String() string { return "I" + hex.EncodeToString(id[:]) }

// IsZero reports whether id is the zero value, which names nobody.
func (id Identifier) IsZero() bool { return id == Identifier{} }

// MarshalText returns the text form.
func (id Identifier) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form, see [ParseIdentifier].
func (id *Identifier) UnmarshalText(b []byte) error {
	parsed, err := ParseIdentifier(string(b))
	if err == nil {
		*id = parsed
	}
	return err
}

// ChangeHash names one change of a history: the SHA-256 of its signed data.
type ChangeHash [32]byte

// ParseChangeHash reads the text form: 64 hexadecimal digits, white space
// around it ignored.
func ParseChangeHash(s string) (ChangeHash, error) {
	if b, err := hex.DecodeString(strings.TrimSpace(s)); err == nil && len(b) == len(ChangeHash{}) {
		return ChangeHash(b), nil
	}
	return ChangeHash{}, fmt.Errorf("identity: %q is not a change hash (64 hexadecimal digits)", shorten(s))
}

// String returns 64 lower-case hexadecimal digits.
func (h ChangeHash) String() string { return hex.EncodeToString(h[:]) }

// Timestamp is a time in whole seconds since 1970, UTC, as the protocol has it.
type Timestamp uint64

// At returns the second in which t lies; times before 1970 become 0.
func At(t time.Time) Timestamp { return Timestamp(max(t.Unix(), 0)) }

// Time returns the beginning of the second, in UTC. What lies beyond the range
// of time.Time becomes its end.
func (t Timestamp) Time() time.Time {
	const last = math.MaxInt64 - 62135596800 // time.Time counts from the year 1
	return time.Unix(int64(min(t, last)), 0).UTC()
}

// add returns the time d later (or the end of time). A d below 0 counts as 0.
func (t Timestamp) add(d time.Duration) Timestamp {
	s := Timestamp(max(d, 0) / time.Second)
	if t > math.MaxUint64-s {
		return math.MaxUint64
	}
	return t + s
}

// shorten keeps long or binary input out of error messages.
func shorten(s string) string {
	const most = 80
	if len(s) > most {
		return string(bytes.ToValidUTF8([]byte(s[:most]), nil)) + "…"
	}
	return s
}
