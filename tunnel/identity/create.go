package identity

import (
	"fmt"
	"time"

	"ockam/tunnel/vault"
)

// Lifetime is how long a new identity key may attest purpose keys unless
// something else is asked for: ten years of 365 days.
const Lifetime = 10 * 365 * 24 * time.Hour

// CreateOptions says what a new identity key shall be. The zero value makes an
// Ed25519 key that is valid from now on for [Lifetime].
type CreateOptions struct {
	// KeyType is vault.Ed25519 (also when it is 0) or vault.P256.
	KeyType vault.KeyType
	// From and Until bound the attestations that the key may sign, in whole
	// seconds. A zero From is now, a zero Until is Lifetime after From.
	From, Until time.Time
}

// RotateOptions says what the next key of an identity shall be. A zero From is
// now, or the From of the key before if that is later.
type RotateOptions struct {
	CreateOptions
	// RevokePurposeKeys is written into the change, see Change.
	RevokePurposeKeys bool
}

// Create makes a new identity with a new key, which v keeps.
func Create(v vault.Vault, opt CreateOptions) (*History, error) {
	return extend(v, nil, RotateOptions{CreateOptions: opt})
}

// Rotate returns h with one more change: from then on a new key, which v
// keeps, speaks for the identity. v must hold the present key as well; it is
// not deleted, because the new history has to be stored first. Attestations
// made before are worth nothing to those who know the new history.
func (h *History) Rotate(v vault.Vault, opt RotateOptions) (*History, error) {
	return extend(v, h, opt)
}

// extend adds a change with a new key to h, which may be nil.
func extend(v vault.Vault, h *History, opt RotateOptions) (*History, error) {
	c := change{Change: Change{RevokePurposeKeys: opt.RevokePurposeKeys}}
	c.ValidFrom = At(opt.From)
	if opt.From.IsZero() {
		c.ValidFrom = At(time.Now())
	}
	next := &History{}
	if h != nil {
		next.changes = append(next.changes, h.changes...)
		c.previous = &h.latest().Hash
		if opt.From.IsZero() {
			c.ValidFrom = max(c.ValidFrom, h.latest().ValidFrom)
		}
	}
	c.ValidUntil = At(opt.Until)
	if opt.Until.IsZero() {
		c.ValidUntil = c.ValidFrom.add(Lifetime)
	}
	if c.ValidUntil < c.ValidFrom {
		return nil, fmt.Errorf("identity: a key valid until %v, before it is valid from %v", c.ValidUntil.Time(), c.ValidFrom.Time())
	}

	t := opt.KeyType
	if t == 0 {
		t = vault.Ed25519
	}
	if t != vault.Ed25519 && t != vault.P256 {
		return nil, fmt.Errorf("identity: %w: an identity key signs, %v does not", vault.ErrKeyType, t)
	}
	key, err := v.Generate(t)
	if err != nil {
		return nil, fmt.Errorf("identity: make key: %w", err)
	}
	c.PublicKey = key
	if err = c.sign(v, h); err == nil {
		next.changes = append(next.changes, c)
		err = next.verify()
	}
	if err != nil {
		_ = v.Delete(key.Handle())
		return nil, err
	}
	next.encoded = next.append(nil)
	return next, nil
}

// sign completes c, which follows h (nil if c is the first), with its data and
// its signatures.
func (c *change) sign(v vault.Signer, h *History) (err error) {
	c.data = c.encode()
	if c.signature, err = sign(v, c.PublicKey, c.data); err != nil || h == nil {
		return err
	}
	s, err := sign(v, h.LatestKey(), c.data)
	c.previousSignature = &s
	return err
}
