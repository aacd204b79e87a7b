package udp

import (
	"encoding/binary"
	"errors"
)

const (
	version = 1 // of the protocol; written, and not looked at

	maxDatagram = 508 // bytes on the wire, without the headers of UDP and IP
	maxPart     = 493 // bytes of a message in one datagram
	headRoom    = maxDatagram - maxPart
)

// errMalformed is for a datagram that is not one of ours.
var errMalformed = errors.New("udp: malformed datagram")

// A datagram is one part of a message (docs/protocol.md, UDP).
type datagram struct {
	number uint16 // of the message
	offset uint32 // of the part in the message
	last   bool
	part   []byte
}

// Major types and simple values of CBOR.
const (
	majorUint, majorBytes, majorArray = 0 << 5, 2 << 5, 4 << 5
	falseByte, trueByte               = 0xf4, 0xf5
	indefinite                        = 31
	fields                            = 5
)

// appendDatagram appends the encoding of d, every number in its shortest form.
func appendDatagram(b []byte, d datagram) []byte {
	b = append(b, majorArray|fields, version)
	b = appendHead(b, majorUint, uint32(d.number))
	b = appendHead(b, majorUint, d.offset)
	if d.last {
		b = append(b, trueByte)
	} else {
		b = append(b, falseByte)
	}
	return append(appendHead(b, majorBytes, uint32(len(d.part))), d.part...)
}

func appendHead(b []byte, major byte, n uint32) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, major|26), n)
	}
}

// parseDatagram reads a datagram; the part lies within b. It accepts what the
// reference implementation accepts: numbers in longer forms, an array of
// indefinite length, any version. What stands behind the part is not looked at.
func parseDatagram(b []byte) (datagram, error) {
	var d datagram
	if len(b) == 0 {
		return d, errMalformed
	}
	if b[0] == majorArray|indefinite {
		b = b[1:]
	} else if n, rest, ok := parseHead(b, majorArray); ok && n >= fields {
		b = rest
	} else {
		return d, errMalformed
	}
	var numbers [3]uint64
	for i, limit := range [...]uint64{1<<8 - 1, 1<<16 - 1, 1<<32 - 1} { // version, number, offset
		n, rest, ok := parseHead(b, majorUint)
		if !ok || n > limit {
			return d, errMalformed
		}
		numbers[i], b = n, rest
	}
	if len(b) == 0 || b[0] != falseByte && b[0] != trueByte {
		return d, errMalformed
	}
	last := b[0] == trueByte
	n, rest, ok := parseHead(b[1:], majorBytes)
	if !ok || n > uint64(len(rest)) {
		return d, errMalformed
	}
	return datagram{number: uint16(numbers[1]), offset: uint32(numbers[2]), last: last, part: rest[:n:n]}, nil
}

// parseHead reads the head of an item of the given major type and of definite
// length, and returns its number.
func parseHead(b []byte, major byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, false
	}
	info := b[0] & 0x1f
	if info < 24 {
		return uint64(info), b[1:], true
	}
	size := 1 << (info - 24)
	if info > 27 || len(b) < 1+size {
		return 0, nil, false
	}
	for _, c := range b[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	return n, b[1+size:], true
}
