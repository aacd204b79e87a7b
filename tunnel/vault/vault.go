// Package vault keeps secret keys; signs and agrees with them.
//
// A secret key never leaves a vault: callers hold a [Handle] and ask for
// signatures and for Diffie-Hellman results. Where the secrets lie is the
// business of a [Secrets]: in memory here, in the state database elsewhere.
// It is not the job of this package to know what is signed, nor to seal and
// open messages.
package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// The errors that callers test for with errors.Is.
var (
	// ErrUnknownKey means that the vault holds no key of that handle.
	ErrUnknownKey = errors.New("vault: unknown key")
	// ErrKeyType means that a key of this type cannot do what was asked.
	ErrKeyType = errors.New("vault: wrong type of key")
	// ErrBadKey means that bytes are no valid key of the type named.
	ErrBadKey = errors.New("vault: malformed key")
	// ErrBadSignature means that a signature does not verify.
	ErrBadSignature = errors.New("vault: signature does not verify")
)

// SignatureSize is the length in bytes of every signature, of either type:
// R‖S for Ed25519, r‖s (32 bytes each, big-endian) for P-256.
const SignatureSize = 64

// SecretSize is the length in bytes of every secret key: the seed for Ed25519,
// the big-endian scalar for P-256, the unclamped scalar for X25519.
const SecretSize = 32

// KeyType says what a key is and thereby what it can do.
type KeyType uint8

// The types of key: the first two sign, the third agrees.
const (
	// Ed25519 signs as RFC 8032 says. It is the default for identities.
	Ed25519 KeyType = iota + 1
	// P256 signs with ECDSA over SHA-256 of what it is given.
	P256
	// X25519 agrees on secrets as RFC 7748 says.
	X25519
)

// String returns the name that the Ockam protocol uses for the type.
func (t KeyType) String() string {
	switch t {
	case Ed25519:
		return "EdDSACurve25519"
	case P256:
		return "ECDSASHA256CurveP256"
	case X25519:
		return "X25519"
	default:
		return fmt.Sprintf("KeyType(%d)", uint8(t))
	}
}

// ParseKeyType is the reverse of [KeyType.String].
func ParseKeyType(s string) (KeyType, error) {
	for _, t := range []KeyType{Ed25519, P256, X25519} {
		if s == t.String() {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%w: no type is called %q", ErrKeyType, s)
}

// PublicSize returns the length in bytes of a public key of the type: 32, or
// 65 (0x04‖X‖Y) for P-256. It is 0 for a type that does not exist.
func (t KeyType) PublicSize() int {
	switch t {
	case Ed25519, X25519:
		return 32
	case P256:
		return 65
	default:
		return 0
	}
}

// Handle names a key of a vault: the SHA-256 of the raw public key, as 32 raw
// bytes in a string. Handles are local, they never travel.
type Handle string

// String returns the handle in lower-case hex.
func (h Handle) String() string { return hex.EncodeToString([]byte(h)) }

// PublicKey is the public half of a key. Bytes must not be changed.
type PublicKey struct {
	Type  KeyType
	Bytes []byte
}

// Handle returns the handle under which a vault that holds the secret half
// knows the key.
func (p PublicKey) Handle() Handle {
	sum := sha256.Sum256(p.Bytes)
	return Handle(sum[:])
}

// Equal reports whether p and q are the same key.
func (p PublicKey) Equal(q PublicKey) bool {
	return p.Type == q.Type && string(p.Bytes) == string(q.Bytes)
}

// String returns type and bytes as the ockam command prints them:
// "EdDSACurve25519: " and hex.
func (p PublicKey) String() string {
	return p.Type.String() + ": " + hex.EncodeToString(p.Bytes)
}

// A Signer signs with the keys that it holds.
type Signer interface {
	// Sign returns the signature of data, always SignatureSize bytes. An
	// Ed25519 key signs data itself, a P-256 key its SHA-256; both always give
	// the same bytes for the same data. The error is ErrUnknownKey, ErrKeyType,
	// or what the storage says.
	Sign(h Handle, data []byte) ([]byte, error)
}

// An Agreer agrees on shared secrets with the keys that it holds.
type Agreer interface {
	// Agree returns the X25519 result of key h and the public key peer, 32
	// bytes that the caller wipes. A peer key of low order, which would make
	// the result all zero, is refused with ErrBadKey.
	Agree(h Handle, peer []byte) ([]byte, error)
}

// A Vault makes keys, keeps them and works with them. It is safe for
// concurrent use.
type Vault interface {
	Signer
	Agreer
	// Generate makes a new key of the type and keeps it.
	Generate(t KeyType) (PublicKey, error)
	// PublicKey returns the public half of a key, or ErrUnknownKey.
	PublicKey(h Handle) (PublicKey, error)
	// Delete removes a key for good; ErrUnknownKey if there is none.
	Delete(h Handle) error
}

// Secrets stores raw secret keys. It is safe for concurrent use.
type Secrets interface {
	// Put stores a copy of secret; what is stored under h is replaced.
	Put(h Handle, t KeyType, secret []byte) error
	// Get returns a copy of a secret, which the caller wipes, or ErrUnknownKey.
	Get(h Handle) (KeyType, []byte, error)
	// Delete removes a secret for good; ErrUnknownKey if there is none.
	Delete(h Handle) error
}
