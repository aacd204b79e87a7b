package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"ockam/tunnel/wire"
)

// What the reference implementation tolerates (maps and arrays of indefinite
// length, keys in any order and twice, integers not in shortest form) and what
// it refuses (strings of indefinite length, byte strings where an array of
// bytes is due, enums of indefinite length) is no set of options of a general
// decoder, so bodies are read here, item by item. Items to be skipped go to
// package wire, which bounds their nesting.

// Major types of CBOR (RFC 8949 section 3.1).
const (
	MajorUint   = 0
	MajorNegint = 1
	MajorBytes  = 2
	MajorText   = 3
	MajorArray  = 4
	MajorMap    = 5
)

const (
	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborNull    = 0xf6
	cborFloat64 = 0xfb
	cborBreak   = 0xff
)

// maxDepth bounds what refers to itself: causes of errors.
const maxDepth = 8

// AppendHead appends the head of an item in shortest form.
func AppendHead(b []byte, major byte, n uint64) []byte {
	at := len(b)
	b = wire.AppendUint(b, n)
	b[at] |= major << 5
	return b
}

// AppendText appends a text string.
func AppendText(b []byte, s string) []byte {
	return append(AppendHead(b, MajorText, uint64(len(s))), s...)
}

// AppendBytes appends a byte string.
func AppendBytes(b, p []byte) []byte {
	return append(AppendHead(b, MajorBytes, uint64(len(p))), p...)
}

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, cborTrue)
	}
	return append(b, cborFalse)
}

// A Decoder holds what is left of an encoding.
type Decoder struct {
	b     []byte
	depth int // of what refers to itself
}

// Peek returns the first byte of the next item, 0 at the end, which no caller
// takes for null or a break.
func (d *Decoder) Peek() byte {
	if len(d.b) == 0 {
		return 0
	}
	return d.b[0]
}

// Null takes a null, if it is next.
func (d *Decoder) Null() bool {
	if d.Peek() != cborNull {
		return false
	}
	d.b = d.b[1:]
	return true
}

// Head reads the head of an item of the major type wanted. Arrays and maps may
// have an indefinite length.
func (d *Decoder) Head(want byte) (n uint64, indefinite bool, err error) {
	if len(d.b) == 0 {
		return 0, false, ErrTruncated
	}
	if major := d.b[0] >> 5; major != want {
		return 0, false, fmt.Errorf("%w: item of major type %d where %d is due", ErrMalformed, major, want)
	}
	_, n, indefinite, rest, err := wire.ParseHead(d.b)
	switch {
	case errors.Is(err, wire.ErrTruncated):
		return 0, false, ErrTruncated
	case err != nil || indefinite && want != MajorArray && want != MajorMap:
		return 0, false, fmt.Errorf("%w: length code %d", ErrMalformed, d.b[0]&0x1f)
	}
	d.b = rest
	return n, indefinite, nil
}

// Each reads the elements of an array, or the entries of a map. The count
// announced allocates nothing.
func (d *Decoder) Each(major byte, item func() error) error {
	n, indefinite, err := d.Head(major)
	if err != nil {
		return err
	}
	for i := uint64(0); indefinite || i < n; i++ {
		if indefinite && d.Peek() == cborBreak {
			d.b = d.b[1:]
			return nil
		}
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// Skip passes over an item, whatever it is; package wire bounds its nesting.
func (d *Decoder) Skip() error {
	rest, err := wire.SkipItem(d.b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	d.b = rest
	return nil
}

// Uint reads a number up to limit.
func (d *Decoder) Uint(limit uint64) (uint64, error) {
	n, _, err := d.Head(MajorUint)
	if err == nil && n > limit {
		err = fmt.Errorf("%w: integer %d is above %d", ErrMalformed, n, limit)
	}
	return n, err
}

// Variant reads the number of a plain enum, a definite array of two. What
// follows is the item with the variant's fields.
func (d *Decoder) Variant() (uint64, error) {
	n, indefinite, err := d.Head(MajorArray)
	if err != nil {
		return 0, err
	}
	if indefinite || n != 2 {
		return 0, fmt.Errorf("%w: enum is not a definite array of 2", ErrMalformed)
	}
	return d.Uint(math.MaxUint32)
}

// Data reads a byte or text string; the result lies within the input.
func (d *Decoder) Data(major byte) ([]byte, error) {
	n, _, err := d.Head(major)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(d.b)) {
		return nil, ErrTruncated
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p, nil
}

// Text reads a text.
func (d *Decoder) Text() (string, error) {
	p, err := d.Data(MajorText)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(p) {
		return "", fmt.Errorf("%w: text is not UTF-8", ErrMalformed)
	}
	return string(p), nil
}

// Bool reads a boolean.
func (d *Decoder) Bool() (bool, error) {
	c := d.Peek()
	switch {
	case len(d.b) == 0:
		return false, ErrTruncated
	case c != cborFalse && c != cborTrue:
		return false, fmt.Errorf("%w: no boolean", ErrMalformed)
	}
	d.b = d.b[1:]
	return c == cborTrue, nil
}

// Int reads an integer of either sign.
func (d *Decoder) Int() (int64, error) {
	if len(d.b) > 0 && d.b[0]>>5 == MajorNegint {
		n, _, err := d.Head(MajorNegint)
		if err == nil && n > math.MaxInt64 {
			err = fmt.Errorf("%w: integer below 64 bits", ErrMalformed)
		}
		return ^int64(n), err
	}
	n, err := d.Uint(math.MaxInt64)
	return int64(n), err
}

// AppendInt appends an integer, negative ones included.
func AppendInt(b []byte, n int64) []byte {
	if n < 0 {
		return AppendHead(b, MajorNegint, uint64(^n))
	}
	return AppendHead(b, MajorUint, uint64(n))
}

// Float reads a float of 64 bits.
func (d *Decoder) Float() (float64, error) {
	if len(d.b) > 0 && d.b[0] != cborFloat64 {
		return 0, fmt.Errorf("%w: no float of 64 bits", ErrMalformed)
	}
	if len(d.b) < 9 {
		return 0, ErrTruncated
	}
	bits := binary.BigEndian.Uint64(d.b[1:])
	d.b = d.b[9:]
	return math.Float64frombits(bits), nil
}

// AppendFloat appends a number of 64 bits.
func AppendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, cborFloat64), math.Float64bits(f))
}

// AppendNull appends a null.
func AppendNull(b []byte) []byte { return append(b, cborNull) }

// Rest returns what has not been read yet.
func (d *Decoder) Rest() []byte { return d.b }
