package vault

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// publicKey derives the public half. The errors of the cryptographic packages
// are not passed on anywhere in this file: no text of theirs about a secret
// can reach a log.
func publicKey(t KeyType, secret []byte) (PublicKey, error) {
	if len(secret) != SecretSize {
		return PublicKey{}, fmt.Errorf("%w: a secret key of %d bytes, want %d", ErrBadKey, len(secret), SecretSize)
	}
	switch t {
	case Ed25519:
		full := ed25519.NewKeyFromSeed(secret)
		defer clear(full)
		return PublicKey{t, append([]byte(nil), full[SecretSize:]...)}, nil
	case P256:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
		if err != nil {
			return PublicKey{}, fmt.Errorf("%w: P-256 scalar out of range", ErrBadKey)
		}
		pub, err := key.PublicKey.Bytes()
		if err != nil {
			return PublicKey{}, fmt.Errorf("%w: P-256 point", ErrBadKey)
		}
		return PublicKey{t, pub}, nil
	case X25519:
		key, err := ecdh.X25519().NewPrivateKey(secret)
		if err != nil {
			return PublicKey{}, fmt.Errorf("%w: X25519 secret", ErrBadKey)
		}
		return PublicKey{t, key.PublicKey().Bytes()}, nil
	default:
		return PublicKey{}, fmt.Errorf("%w: %v", ErrKeyType, t)
	}
}

func sign(t KeyType, secret, data []byte) ([]byte, error) {
	switch t {
	case Ed25519:
		full := ed25519.NewKeyFromSeed(secret)
		defer clear(full)
		return ed25519.Sign(full, data), nil
	case P256:
		return signP256(secret, data)
	case X25519:
		return nil, fmt.Errorf("%w: %v does not sign", ErrKeyType, t)
	default:
		return nil, fmt.Errorf("%w: %v", ErrKeyType, t)
	}
}

// signP256 signs SHA-256 of data, with the nonce of RFC 6979, and turns the
// DER form into r‖s.
func signP256(secret, data []byte) ([]byte, error) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		return nil, fmt.Errorf("%w: P-256 scalar out of range", ErrBadKey)
	}
	digest := sha256.Sum256(data)
	der, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("vault: P-256 signature failed")
	}
	var inner cryptobyte.String
	var r, s []byte
	in := cryptobyte.String(der)
	if !in.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) ||
		len(r) > SignatureSize/2 || len(s) > SignatureSize/2 {
		return nil, fmt.Errorf("vault: P-256 signature is not what DER says")
	}
	sig := make([]byte, SignatureSize)
	copy(sig[SignatureSize/2-len(r):], r)
	copy(sig[SignatureSize-len(s):], s)
	return sig, nil
}

func agree(secret, peer []byte) ([]byte, error) {
	key, err := ecdh.X25519().NewPrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: X25519 secret", ErrBadKey)
	}
	pub, err := ecdh.X25519().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: an X25519 public key of %d bytes", ErrBadKey, len(peer))
	}
	shared, err := key.ECDH(pub)
	if err != nil {
		return nil, fmt.Errorf("%w: X25519 public key of low order", ErrBadKey)
	}
	return shared, nil
}

// Verify checks that sig is a signature of data by the owner of pub. The error
// is ErrBadSignature, ErrBadKey when pub is no such key, or ErrKeyType. Both
// halves of the range of s are accepted for P-256.
func Verify(pub PublicKey, data, sig []byte) error {
	if len(sig) != SignatureSize {
		return fmt.Errorf("%w: %d bytes, want %d", ErrBadSignature, len(sig), SignatureSize)
	}
	switch pub.Type {
	case Ed25519:
		if len(pub.Bytes) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: an Ed25519 public key of %d bytes", ErrBadKey, len(pub.Bytes))
		}
		if !ed25519.Verify(pub.Bytes, data, sig) {
			return ErrBadSignature
		}
		return nil
	case P256:
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), pub.Bytes)
		if err != nil {
			return fmt.Errorf("%w: P-256 public key", ErrBadKey)
		}
		digest := sha256.Sum256(data)
		r := new(big.Int).SetBytes(sig[:SignatureSize/2])
		s := new(big.Int).SetBytes(sig[SignatureSize/2:])
		if !ecdsa.Verify(key, digest[:], r, s) {
			return ErrBadSignature
		}
		return nil
	case X25519:
		return fmt.Errorf("%w: %v does not sign", ErrKeyType, pub.Type)
	default:
		return fmt.Errorf("%w: %v", ErrKeyType, pub.Type)
	}
}
