package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// Major types of CBOR (RFC 8949 section 3.1), in the upper three bits.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
	majorTag   = 6 << 5
	majorOther = 7 << 5

	indefinite = 31
	null       = 0xf6
	breakByte  = 0xff
)

// maxSkipDepth bounds the nesting of an item that is skipped.
const maxSkipDepth = 32

// appendHead appends the initial bytes of an item in the shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= 0xff:
		return append(b, major|24, byte(n))
	case n <= 0xffff:
		return append(b, major|25, byte(n>>8), byte(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// headLen returns how many bytes appendHead appends for n.
func headLen(n int) int {
	switch {
	case n < 24:
		return 1
	case n <= 0xff:
		return 2
	case n <= 0xffff:
		return 3
	default:
		return 5
	}
}

// AppendBytesHead appends the head of a CBOR byte string of n bytes.
func AppendBytesHead(b []byte, n int) []byte { return appendHead(b, majorBytes, uint64(n)) }

// BytesHeadLen returns the length of the head of a CBOR byte string of n bytes.
func BytesHeadLen(n int) int { return headLen(n) }

// ParseHead reads the initial bytes of a CBOR item, in any width (RFC 8949
// section 3). Major is the major type in the upper three bits of a byte; n is the
// length or value, 0 for an indefinite length (indef).
func ParseHead(b []byte) (major byte, n uint64, indef bool, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, false, nil, ErrTruncated
	}
	major, info := b[0]&0xe0, b[0]&0x1f
	b = b[1:]
	if info < 24 {
		return major, uint64(info), false, b, nil
	}
	if info == indefinite {
		return major, 0, true, b, nil
	}
	if info > 27 {
		return 0, 0, false, nil, ErrMalformed
	}
	width := 1 << (info - 24)
	if len(b) < width {
		return 0, 0, false, nil, ErrTruncated
	}
	for _, c := range b[:width] {
		n = n<<8 | uint64(c)
	}
	return major, n, false, b[width:], nil
}

// ParseByteString reads a CBOR byte string of definite length, in any width.
// The result lies within b.
func ParseByteString(b []byte) (data, rest []byte, err error) {
	major, n, indef, rest, err := ParseHead(b)
	if err != nil {
		return nil, nil, err
	}
	if major != majorBytes || indef {
		return nil, nil, ErrMalformed
	}
	if n > uint64(len(rest)) {
		return nil, nil, ErrTruncated
	}
	return rest[:n:n], rest[n:], nil
}

// ParseArrayHead reads the head of an array. For an array of indefinite length
// n is -1. The count is not checked against what follows: do not allocate by it.
func ParseArrayHead(b []byte) (n int, rest []byte, err error) {
	major, u, indef, rest, err := ParseHead(b)
	switch {
	case err != nil:
		return 0, nil, err
	case major != majorArray:
		return 0, nil, ErrMalformed
	case indef:
		return -1, rest, nil
	case u > uint64(len(rest)):
		return 0, nil, ErrTruncated // each element takes at least a byte
	}
	return int(u), rest, nil
}

// AppendUint appends n as a CBOR unsigned integer in the shortest form.
func AppendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

// ParseUint reads an unsigned integer of any width, at most limit.
func ParseUint(b []byte, limit uint64) (uint64, []byte, error) {
	major, n, indef, rest, err := ParseHead(b)
	if err != nil {
		return 0, nil, err
	}
	if major != majorUint || indef || n > limit {
		return 0, nil, ErrMalformed
	}
	return n, rest, nil
}

// elements walks over the elements of an array whose head has been read: more
// reports whether another element follows, and takes the break of an array of
// indefinite length.
type elements struct{ left int } // -1: until the break

func (e *elements) more(b []byte) (bool, []byte, error) {
	if e.left >= 0 {
		e.left--
		return e.left >= 0, b, nil
	}
	if len(b) == 0 {
		return false, nil, ErrTruncated
	}
	if b[0] == breakByte {
		return false, b[1:], nil
	}
	return true, b, nil
}

// skipRest skips what is left of an array: elements that a newer peer added.
func (e *elements) skipRest(b []byte) ([]byte, error) {
	for {
		ok, rest, err := e.more(b)
		if err != nil || !ok {
			return rest, err
		}
		if b, err = SkipItem(rest); err != nil {
			return nil, err
		}
	}
}

// SkipItem skips one well-formed item, nested at most 32 deep.
func SkipItem(b []byte) ([]byte, error) { return skipItem(b, maxSkipDepth) }

func skipItem(b []byte, depth int) ([]byte, error) {
	if depth == 0 {
		return nil, ErrMalformed
	}
	major, n, indef, rest, err := ParseHead(b)
	if err != nil {
		return nil, err
	}
	switch major {
	case majorBytes, majorText:
		if indef {
			return skipChunks(rest, major)
		}
		if n > uint64(len(rest)) {
			return nil, ErrTruncated
		}
		if major == majorText && !utf8.Valid(rest[:n]) {
			return nil, ErrMalformed
		}
		return rest[n:], nil
	case majorArray, majorMap:
		return skipElements(rest, major, n, indef, depth)
	case majorTag:
		if indef {
			return nil, ErrMalformed
		}
		return skipItem(rest, depth-1)
	case majorOther:
		if indef { // a break where an item is due
			return nil, ErrMalformed
		}
		if b[0] == majorOther|24 && n < 32 { // a simple value that is not in its one-byte form
			return nil, ErrMalformed
		}
		return rest, nil
	}
	if indef {
		return nil, ErrMalformed
	}
	return rest, nil
}

// skipChunks skips the chunks of a string of indefinite length.
func skipChunks(b []byte, want byte) ([]byte, error) {
	for {
		if len(b) == 0 {
			return nil, ErrTruncated
		}
		if b[0] == breakByte {
			return b[1:], nil
		}
		major, n, indef, rest, err := ParseHead(b)
		if err != nil {
			return nil, err
		}
		if major != want || indef {
			return nil, ErrMalformed
		}
		if n > uint64(len(rest)) {
			return nil, ErrTruncated
		}
		if want == majorText && !utf8.Valid(rest[:n]) {
			return nil, ErrMalformed
		}
		b = rest[n:]
	}
}

func skipElements(b []byte, major byte, n uint64, indef bool, depth int) ([]byte, error) {
	if !indef && n > uint64(len(b)) {
		return nil, ErrTruncated
	}
	each := 1
	if major == majorMap {
		each = 2
	}
	for i := uint64(0); indef || i < n; i++ {
		if indef && len(b) > 0 && b[0] == breakByte {
			return b[1:], nil
		}
		for range each {
			var err error
			if b, err = skipItem(b, depth-1); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}
