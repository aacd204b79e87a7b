package wire

import "unicode/utf8"

// maxUvarint is the length of the longest variable-length integer.
const maxUvarint = 10

// AppendUvarint appends n as a BARE variable-length unsigned integer, shortest
// form (docs/protocol.md, BARE).
func AppendUvarint(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// UvarintLen returns how many bytes AppendUvarint appends for n.
func UvarintLen(n uint64) int {
	l := 1
	for n >= 0x80 {
		n >>= 7
		l++
	}
	return l
}

// ParseUvarint reads a variable-length integer and returns it with what
// follows. Over-long forms of fewer than ten bytes are accepted, as the
// reference implementation does; a tenth byte must be 1.
func ParseUvarint(b []byte) (uint64, []byte, error) {
	var n uint64
	for i := range b {
		if i == maxUvarint-1 {
			if b[i] != 1 {
				return 0, nil, ErrMalformed
			}
			return n | 1<<63, b[i+1:], nil
		}
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, b[i+1:], nil
		}
	}
	return 0, nil, ErrTruncated
}

// AppendBytes appends p as BARE data: its length, then its bytes.
func AppendBytes(b, p []byte) []byte {
	return append(AppendUvarint(b, uint64(len(p))), p...)
}

// AppendString appends s as a BARE string; the bytes are those of AppendBytes.
func AppendString(b []byte, s string) []byte {
	return append(AppendUvarint(b, uint64(len(s))), s...)
}

// ParseBytes reads BARE data. The result lies within b.
func ParseBytes(b []byte) (data, rest []byte, err error) {
	n, rest, err := ParseUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, ErrTruncated
	}
	return rest[:n:n], rest[n:], nil
}

// ParseString reads a BARE string, which must be UTF-8.
func ParseString(b []byte) (s string, rest []byte, err error) {
	data, rest, err := ParseBytes(b)
	if err != nil {
		return "", nil, err
	}
	if !utf8.Valid(data) {
		return "", nil, ErrMalformed
	}
	return string(data), rest, nil
}
