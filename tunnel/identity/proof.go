package identity

import (
	"fmt"
)

// maxCredentials is how many credentials a proof or a refresh may carry. The
// reference implementation sends one at most.
const maxCredentials = 32

// A Proof is what each side of a handshake sends about itself: payload 2 and 3
// (Ockam protocol, secure channels, handshake).
type Proof struct {
	// History is the change history of the sender, verified.
	History *History
	// Attestation is of the key that is the sender's Noise static key. It is
	// decoded but not verified.
	Attestation *Attestation
	// Credentials are at most one when we send. Received ones may be
	// malformed; Verify then returns an error.
	Credentials []*Credential
}

// ParseProof decodes a proof and verifies its history; attestation and
// credentials are to be verified by the caller. A bad credential does not make
// the proof bad. Bytes after the proof are ignored; b is not kept.
func ParseProof(b []byte) (*Proof, error) {
	p := &Proof{}
	d := &decoder{b}
	err := d.record(3,
		func() (err error) { p.History, err = d.history(); return err },
		func() (err error) { p.Attestation, err = d.attestation(); return err },
		func() error { return d.credentials(&p.Credentials) })
	if err == nil {
		err = p.Attestation.decode()
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Bytes returns the encoded proof.
func (p *Proof) Bytes() []byte {
	b := appendHead(nil, majorArray, 3)
	b = append(b, p.History.encoded...)
	b = p.Attestation.append(b)
	return appendCredentials(b, p.Credentials)
}

// A Refresh is what the sender of a channel says about itself later on: its
// present history and new credentials (Ockam protocol, secure channels,
// RefreshCredentials).
type Refresh struct {
	// History is the change history of the sender, verified.
	History *History
	// Credentials are as in a Proof.
	Credentials []*Credential
}

// ParseRefresh decodes a refresh at the start of b and verifies its history.
// It returns what follows the refresh. b is not kept.
func ParseRefresh(b []byte) (r *Refresh, rest []byte, err error) {
	r = &Refresh{}
	d := &decoder{b}
	err = d.record(2,
		func() (err error) { r.History, err = d.history(); return err },
		func() error { return d.credentials(&r.Credentials) })
	if err != nil {
		return nil, nil, err
	}
	return r, d.b, nil
}

// Append appends the encoded refresh to b.
func (r *Refresh) Append(b []byte) []byte {
	b = appendHead(b, majorArray, 2)
	b = append(b, r.History.encoded...)
	return appendCredentials(b, r.Credentials)
}

func (d *decoder) credentials(p *[]*Credential) error {
	return d.list(func() error {
		if len(*p) == maxCredentials {
			return fmt.Errorf("identity: more than %d credentials", maxCredentials)
		}
		item, err := d.item()
		if err == nil {
			*p = append(*p, parseCredentialItem(item))
		}
		return err
	})
}

func appendCredentials(b []byte, all []*Credential) []byte {
	b = appendHead(b, majorArray, uint64(len(all)))
	for _, c := range all {
		b = append(b, c.encoded...)
	}
	return b
}
