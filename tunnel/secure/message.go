package secure

import (
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/wire"
)

// Kinds of message in a channel (docs/protocol.md, Messages in a channel). On the
// wire each is an array of the kind and an array of its fields.
const (
	kindPayload = 0
	kindRefresh = 1
	kindClose   = 2
)

// plaintextOverhead is what stands around the two routes and the payload of a
// payload message: array heads, kind, the longest head of a byte string, padding.
const plaintextOverhead = 5 + 5 + 1

// emptyPadding ends every message that we send.
const emptyPadding = 0x40

// closeMessage is the whole plaintext of a Close.
var closeMessage = []byte{0x82, 0x82, kindClose, 0x80, emptyPadding}

// payloadSize returns the length of the plaintext of a payload message.
func payloadSize(onward, ret tunnel.Route, n int) int {
	return 5 + onward.Size() + ret.Size() + wire.BytesHeadLen(n) + n + 1
}

// appendPayloadHead appends all of a payload message that stands before its n
// bytes of payload; emptyPadding follows them.
func appendPayloadHead(b []byte, onward, ret tunnel.Route, n int) []byte {
	b = append(b, 0x82, 0x82, kindPayload, 0x81, 0x83)
	return wire.AppendBytesHead(ret.AppendTo(onward.AppendTo(b)), n)
}

// A plaintext is a message of a channel. Its fields lie in what was parsed.
type plaintext struct {
	kind        int
	onward, ret tunnel.Route
	payload     []byte
	refresh     []byte // undecoded
}

// parsePlaintext reads a message. It accepts what the reference implementation
// accepts: more elements than known, other widths, any padding, bytes behind.
func parsePlaintext(b []byte) (p plaintext, err error) {
	outer, b, err := fieldsOf(b, 2)
	if err != nil {
		return p, err
	}
	two, b, err := wire.ParseArrayHead(b)
	if err != nil || two != 2 { // a kind and its fields: of definite length
		return p, wire.ErrMalformed
	}
	kind, b, err := wire.ParseUint(b, 0xffffffff)
	if err != nil {
		return p, err
	}
	switch p.kind = int(kind); p.kind {
	case kindPayload:
		b, err = p.parsePayload(b)
	case kindRefresh:
		b, err = p.parseRefresh(b)
	case kindClose:
		b, err = wire.SkipItem(b) // the fields of a kind without fields are any item
	default:
		err = wire.ErrMalformed
	}
	if err != nil {
		return p, err
	}
	if _, b, err = wire.ParseByteString(b); err != nil {
		return p, err
	}
	_, err = skipFields(b, outer, 2)
	return p, err
}

func (p *plaintext) parsePayload(b []byte) ([]byte, error) {
	variant, b, err := fieldsOf(b, 1)
	if err != nil {
		return nil, err
	}
	fields, b, err := fieldsOf(b, 3)
	if err != nil {
		return nil, err
	}
	if p.onward, b, err = wire.ParseRoute(b); err != nil {
		return nil, err
	}
	if p.ret, b, err = wire.ParseRoute(b); err != nil {
		return nil, err
	}
	if p.payload, b, err = wire.ParseByteString(b); err != nil {
		return nil, err
	}
	if b, err = skipFields(b, fields, 3); err != nil {
		return nil, err
	}
	return skipFields(b, variant, 1)
}

func (p *plaintext) parseRefresh(b []byte) ([]byte, error) {
	variant, b, err := fieldsOf(b, 1)
	if err != nil {
		return nil, err
	}
	if p.refresh, b, err = item(b); err != nil {
		return nil, err
	}
	return skipFields(b, variant, 1)
}

// item returns the item that b begins with, undecoded.
func item(b []byte) (it, rest []byte, err error) {
	rest, err = wire.SkipItem(b)
	if err != nil {
		return nil, nil, err
	}
	return b[:len(b)-len(rest)], rest, nil
}

// fieldsOf reads the head of an array that has at least want elements.
func fieldsOf(b []byte, want int) (n int, rest []byte, err error) {
	n, rest, err = wire.ParseArrayHead(b)
	if err == nil && n >= 0 && n < want {
		err = wire.ErrMalformed
	}
	return n, rest, err
}

// skipFields skips what an array of n elements (negative: up to a break) has
// beyond the first known ones.
func skipFields(b []byte, n, known int) ([]byte, error) {
	for i := known; n < 0 || i < n; i++ {
		if n < 0 {
			if len(b) == 0 {
				return nil, wire.ErrTruncated
			}
			if b[0] == 0xff {
				return b[1:], nil
			}
		}
		var err error
		if b, err = wire.SkipItem(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendRefresh appends the plaintext of a message that presents credentials
// anew.
func appendRefresh(b []byte, r *identity.Refresh) []byte {
	b = append(b, 0x82, 0x82, kindRefresh, 0x81)
	return append(r.Append(b), emptyPadding)
}
