package vault

import (
	"crypto/rand"
	"fmt"
)

// Software is a vault whose secrets are ordinary bytes in some storage. It
// wipes every copy of a secret that it has made as soon as it is used; copies
// inside Go's own cryptography are left to the garbage collector.
type Software struct {
	// Secrets is where the keys are stored; it must not be nil.
	Secrets Secrets
}

var _ Vault = (*Software)(nil)

// Generate makes a new key of the type and stores it.
func (s *Software) Generate(t KeyType) (PublicKey, error) {
	secret := make([]byte, SecretSize)
	defer clear(secret)
	for range 8 { // a random scalar is out of range for P-256 once in 2^32 times
		rand.Read(secret) // never fails: it ends the process instead
		if _, err := publicKey(t, secret); err == nil {
			break
		}
	}
	return s.Import(t, secret)
}

// Import stores a key that was made elsewhere: 32 bytes, see [SecretSize]. The
// caller keeps secret and wipes it. Importing a key that is there already
// changes nothing.
func (s *Software) Import(t KeyType, secret []byte) (PublicKey, error) {
	pub, err := publicKey(t, secret)
	if err != nil {
		return PublicKey{}, err
	}
	if err := s.Secrets.Put(pub.Handle(), t, secret); err != nil {
		return PublicKey{}, fmt.Errorf("vault: store key: %w", err)
	}
	return pub, nil
}

// PublicKey returns the public half of a key, or ErrUnknownKey.
func (s *Software) PublicKey(h Handle) (PublicKey, error) {
	t, secret, err := s.Secrets.Get(h)
	if err != nil {
		return PublicKey{}, fmt.Errorf("vault: load key: %w", err)
	}
	defer clear(secret)
	return publicKey(t, secret)
}

// Sign signs data, see [Signer].
func (s *Software) Sign(h Handle, data []byte) ([]byte, error) {
	t, secret, err := s.Secrets.Get(h)
	if err != nil {
		return nil, fmt.Errorf("vault: load key: %w", err)
	}
	defer clear(secret)
	return sign(t, secret, data)
}

// Agree returns the X25519 result of key h and peer, see [Agreer].
func (s *Software) Agree(h Handle, peer []byte) ([]byte, error) {
	t, secret, err := s.Secrets.Get(h)
	if err != nil {
		return nil, fmt.Errorf("vault: load key: %w", err)
	}
	defer clear(secret)
	if t != X25519 {
		return nil, fmt.Errorf("%w: %v does not agree", ErrKeyType, t)
	}
	return agree(secret, peer)
}

// Delete removes a key for good; ErrUnknownKey if there is none.
func (s *Software) Delete(h Handle) error {
	if err := s.Secrets.Delete(h); err != nil {
		return fmt.Errorf("vault: delete key: %w", err)
	}
	return nil
}
