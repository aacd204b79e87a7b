package identity

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"ockam/tunnel/vault"
)

// dataType separates what one key may sign: it stands inside the signed bytes.
type dataType byte

const (
	changeData      dataType = 1
	attestationData dataType = 2
	credentialData  dataType = 3
)

// version is the only one there is, for all three types of data.
const version = 1

// encodeVersioned wraps data as it is signed.
func encodeVersioned(t dataType, data []byte) []byte {
	b := appendHead(nil, majorArray, 3)
	b = appendHead(b, majorUint, version)
	b = appendHead(b, majorUint, uint64(t))
	return appendBytes(b, data)
}

// versioned reads what encodeVersioned wrote and returns a decoder of the data.
func versioned(blob []byte, want dataType) (*decoder, error) {
	d := &decoder{blob}
	var v, t byte
	var data []byte
	if err := d.versioned(&v, &t, &data); err != nil {
		return nil, err
	}
	if v != version {
		return nil, fmt.Errorf("identity: signed data of version %d, known is %d", v, version)
	}
	if dataType(t) != want {
		return nil, fmt.Errorf("identity: signed data of type %d where %d is due", t, want)
	}
	return &decoder{data}, nil
}

func (d *decoder) versioned(v, t *byte, data *[]byte) error {
	return d.record(3,
		func() error { return d.small(v) },
		func() error { return d.small(t) },
		func() (err error) { *data, err = d.bytes(); return err })
}

// A signature is over the SHA-256 of a versioned blob.
type signature struct {
	t     vault.KeyType
	bytes [vault.SignatureSize]byte
}

func (d *decoder) signature(p *signature) error {
	return d.choice(func(variant uint64) (err error) {
		if p.t, err = signingType(variant); err != nil {
			return err
		}
		return d.record(1, func() error { return d.fixed(p.bytes[:]) })
	})
}

// optionalSignature reads a signature that may be null; one of an unknown
// variant counts as absent.
func (d *decoder) optionalSignature(p **signature) error {
	if d.null() {
		return nil
	}
	var s signature
	switch err := d.signature(&s); {
	case errors.Is(err, errUnknownVariant):
		return d.skip() // the fields of the variant
	case err != nil:
		return err
	}
	*p = &s
	return nil
}

func (s *signature) append(b []byte) []byte {
	return appendBytes(appendVariant(b, signingVariant(s.t)), s.bytes[:])
}

func (s *signature) verify(key vault.PublicKey, hash [32]byte) error {
	if s.t != key.Type {
		return fmt.Errorf("identity: a signature of type %v by a key of type %v", s.t, key.Type)
	}
	return vault.Verify(key, hash[:], s.bytes[:])
}

// sign signs blob with the key, whose secret half v holds.
func sign(v vault.Signer, key vault.PublicKey, blob []byte) (signature, error) {
	hash := sha256.Sum256(blob)
	b, err := v.Sign(key.Handle(), hash[:])
	if err != nil {
		return signature{}, fmt.Errorf("identity: sign: %w", err)
	}
	s := signature{t: key.Type}
	if copy(s.bytes[:], b) != len(b) || len(b) != vault.SignatureSize {
		return signature{}, fmt.Errorf("identity: the vault made a signature of %d bytes", len(b))
	}
	return s, nil
}
