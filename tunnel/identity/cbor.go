package identity

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/vault"
	"ockam/tunnel/wire"
)

// The types of this package are arrays of fixed shape. They are read here step
// by step, because what the reference implementation tolerates (arrays of
// indefinite length, elements too many, integers not in shortest form, a map
// key given twice) and what it refuses (byte strings of indefinite length,
// tags) is no set of options of a general decoder, and because a count that an
// attacker announces must not become an allocation. Whatever may hold anything,
// an element to be skipped, goes to the general decoder.

// The major types of CBOR that occur.
const (
	majorUint  = 0
	majorBytes = 2
	majorArray = 4
	majorMap   = 5
)

const (
	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
	cborBreak = 0xff
)

var (
	errEndsEarly      = errors.New("identity: encoding ends early")
	errMissing        = errors.New("identity: mandatory field is missing")
	errUnknownVariant = errors.New("identity: unknown variant")
)

// A decoder holds what is left of an encoding.
type decoder struct{ b []byte }

// head reads the head of an item of the major type wanted. An indefinite
// length is possible for arrays and maps only.
func (d *decoder) head(want byte) (n uint64, indefinite bool, err error) {
	if len(d.b) == 0 {
		return 0, false, errEndsEarly
	}
	if major := d.b[0] >> 5; major != want {
		return 0, false, fmt.Errorf("identity: CBOR item of major type %d where %d is due", major, want)
	}
	_, n, indefinite, rest, err := wire.ParseHead(d.b)
	switch {
	case errors.Is(err, wire.ErrTruncated):
		return 0, false, errEndsEarly
	case err != nil || indefinite && want != majorArray && want != majorMap:
		return 0, false, fmt.Errorf("identity: CBOR item of major type %d with length code %d", want, d.b[0]&0x1f)
	}
	d.b = rest
	return n, indefinite, nil
}

// each calls item until the n items announced, or those up to the break, are
// read. The count alone allocates nothing.
func (d *decoder) each(n uint64, indefinite bool, item func() error) error {
	for i := uint64(0); indefinite || i < n; i++ {
		if indefinite && len(d.b) > 0 && d.b[0] == cborBreak {
			d.b = d.b[1:]
			return nil
		}
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// list reads an array whose elements are all read by item.
func (d *decoder) list(item func() error) error {
	n, indefinite, err := d.head(majorArray)
	if err != nil {
		return err
	}
	return d.each(n, indefinite, item)
}

// record reads an array of fields, the first of which are mandatory; elements
// beyond the fields are skipped.
func (d *decoder) record(mandatory int, fields ...func() error) error {
	i := 0
	err := d.list(func() error {
		read := d.skip
		if i < len(fields) {
			read = fields[i]
		}
		i++
		return read()
	})
	if err == nil && i < mandatory {
		return errMissing
	}
	return err
}

// choice reads an enum: a definite array of 2 that holds the variant's number
// and what fields reads. When the variant is unknown, fields returns
// errUnknownVariant without having read anything.
func (d *decoder) choice(fields func(variant uint64) error) error {
	n, indefinite, err := d.head(majorArray)
	if err != nil {
		return err
	}
	if indefinite || n != 2 {
		return errors.New("identity: enum is not a definite array of 2")
	}
	variant, err := d.uint()
	if err != nil {
		return err
	}
	return fields(variant)
}

func (d *decoder) uint() (uint64, error) {
	n, _, err := d.head(majorUint)
	return n, err
}

// small reads an unsigned integer of one byte.
func (d *decoder) small(p *byte) error {
	n, err := d.uint()
	if err != nil {
		return err
	}
	if n > 255 {
		return fmt.Errorf("identity: integer %d is too large", n)
	}
	*p = byte(n)
	return nil
}

func (d *decoder) timestamp(p *Timestamp) error {
	n, err := d.uint()
	*p = Timestamp(n)
	return err
}

// bytes reads a byte string and returns it as part of the input.
func (d *decoder) bytes() ([]byte, error) {
	n, _, err := d.head(majorBytes)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(d.b)) {
		return nil, errEndsEarly
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b, nil
}

// blob reads a byte string into a copy of its own.
func (d *decoder) blob(p *[]byte) error {
	b, err := d.bytes()
	if err == nil {
		*p = append([]byte{}, b...)
	}
	return err
}

// fixed reads a byte string that must be as long as p.
func (d *decoder) fixed(p []byte) error {
	b, err := d.bytes()
	if err != nil {
		return err
	}
	if len(b) != len(p) {
		return fmt.Errorf("identity: byte string of %d bytes where %d are due", len(b), len(p))
	}
	copy(p, b)
	return nil
}

func (d *decoder) boolean(p *bool) error {
	if len(d.b) == 0 {
		return errEndsEarly
	}
	if d.b[0] != cborFalse && d.b[0] != cborTrue {
		return fmt.Errorf("identity: CBOR item %#x where a boolean is due", d.b[0])
	}
	*p = d.b[0] == cborTrue
	d.b = d.b[1:]
	return nil
}

// null reads a null, if that is what comes next.
func (d *decoder) null() bool {
	if len(d.b) == 0 || d.b[0] != cborNull {
		return false
	}
	d.b = d.b[1:]
	return true
}

// item reads one whole item of any kind and returns it as part of the input.
// It refuses more than 32 levels of nesting.
func (d *decoder) item() ([]byte, error) {
	var raw cbor.RawMessage
	rest, err := cbor.UnmarshalFirst(d.b, &raw)
	if err != nil {
		return nil, fmt.Errorf("identity: malformed CBOR: %w", err)
	}
	n := len(d.b) - len(rest)
	b := d.b[:n:n]
	d.b = rest
	return b, nil
}

func (d *decoder) skip() error {
	_, err := d.item()
	return err
}

// signingKey reads a key that signs changes or credentials.
func (d *decoder) signingKey(p *vault.PublicKey) error {
	return d.choice(func(variant uint64) error {
		t, err := signingType(variant)
		if err != nil {
			return err
		}
		*p = vault.PublicKey{Type: t, Bytes: make([]byte, t.PublicSize())}
		return d.record(1, func() error { return d.fixed(p.Bytes) })
	})
}

func signingType(variant uint64) (vault.KeyType, error) {
	switch variant {
	case 0:
		return vault.Ed25519, nil
	case 1:
		return vault.P256, nil
	default:
		return 0, fmt.Errorf("%w %d", errUnknownVariant, variant)
	}
}

func signingVariant(t vault.KeyType) uint64 {
	if t == vault.P256 {
		return 1
	}
	return 0
}

// appendHead appends the head of an item, in shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	at := len(b)
	b = wire.AppendUint(b, n)
	b[at] |= major << 5
	return b
}

func appendBytes(b, s []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(s))), s...)
}

func appendTimestamp(b []byte, t Timestamp) []byte { return appendHead(b, majorUint, uint64(t)) }

// appendVariant appends an enum up to its one field.
func appendVariant(b []byte, variant uint64) []byte {
	b = appendHead(b, majorArray, 2)
	b = appendHead(b, majorUint, variant)
	return appendHead(b, majorArray, 1)
}

func appendSigningKey(b []byte, key vault.PublicKey) []byte {
	return appendBytes(appendVariant(b, signingVariant(key.Type)), key.Bytes)
}
