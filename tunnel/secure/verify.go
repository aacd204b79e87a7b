package secure

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"ockam/tunnel/identity"
	"ockam/tunnel/wire"
)

// verify checks what the peer says about itself: its change history, the
// attestation of the very key that Noise authenticated, and whether it is
// authorized (docs/protocol.md, Proof of identity). Only then is anything of it
// stored. Bad credentials do not end a handshake: they just give nothing.
//
// Who is not authorized is refused first, by what it claims: a history may have
// hundreds of signatures, which would be work for whoever asks for it.
func (c *Config) verify(payload, static []byte) (identity.Identifier, error) {
	if id, ok := claimed(payload); ok {
		if err := c.authorize(id); err != nil {
			return identity.Identifier{}, err
		}
	}
	proof, err := identity.ParseProof(payload)
	if err != nil {
		return identity.Identifier{}, fmt.Errorf("secure: proof of identity: %w", err)
	}
	peer := proof.History.Identifier()
	a := proof.Attestation
	if err := a.Verify(proof.History, c.now()); err != nil {
		return peer, fmt.Errorf("secure: attestation of %v: %w", peer, err)
	}
	if a.Purpose != identity.PurposeChannel || subtle.ConstantTimeCompare(a.PublicKey.Bytes, static) != 1 {
		return peer, fmt.Errorf("%w: %v attests another key than it uses", ErrUnauthorized, peer)
	}
	if err := c.authorize(peer); err != nil {
		return peer, err
	}
	if err := c.Histories.UpdateHistory(proof.History); err != nil {
		return peer, fmt.Errorf("secure: history of %v: %w", peer, err)
	}
	// The handshake does not depend on this: who has no attributes is refused
	// where attributes are asked for.
	_ = c.storeAttributes(peer, proof.Credentials)
	return peer, nil
}

func (c *Config) authorize(peer identity.Identifier) error {
	if c.Authorize == nil {
		return nil
	}
	if err := c.Authorize(peer); err != nil {
		return fmt.Errorf("%w: %v: %w", ErrUnauthorized, peer, err)
	}
	return nil
}

// claimed returns whose history a proof begins with, by the first change, whether it
// is signed or not. What it cannot read is left to identity.ParseProof.
func claimed(proof []byte) (identity.Identifier, bool) {
	b, err := proof, error(nil)
	for range 3 { // the proof, its history, the first change
		var n int
		if n, b, err = wire.ParseArrayHead(b); err != nil || n == 0 {
			return identity.Identifier{}, false
		}
	}
	data, _, err := wire.ParseByteString(b)
	return sha256.Sum256(data), err == nil
}

// storeAttributes stores what believable credentials say about peer. Of several
// the last one stays. It returns what was wrong with the others.
func (c *Config) storeAttributes(peer identity.Identifier, creds []*identity.Credential) error {
	if c.Attributes == nil || len(c.Authorities) == 0 {
		return nil
	}
	var errs []error
	for _, cred := range creds {
		data, err := cred.Verify(identity.VerifyOptions{
			Histories: c.Histories, Authorities: c.Authorities, Subject: &peer, Now: c.now(),
		})
		if err == nil {
			err = c.Attributes.PutAttributes(peer, data.Entry(c.now()))
		}
		if err != nil && c.Disbelieved != nil {
			c.Disbelieved(peer, err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
