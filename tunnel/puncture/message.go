package puncture

import (
	"fmt"
	"net/netip"
	"unicode/utf8"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// Variants of the messages. Requests and answers of a rendezvous server, and
// what goes through a puncture, are told apart by where they arrive.
const (
	kindPing    = 0 // to a rendezvous server, whose Pong is the same; through a puncture
	kindAddress = 1 // GetMyAddress, and its answer
	kindPong    = 1 // through a puncture
	kindPayload = 2

	maxText = 256 // bytes of an address in text
)

// Major types of CBOR in the upper three bits.
const (
	majorUint, majorText, majorArray = 0 << 5, 3 << 5, 4 << 5
	wide                             = 24 // a byte with the number follows
)

// appendUnit appends a variant without fields.
func appendUnit(b []byte, kind byte) []byte { return append(b, majorArray|2, kind, majorArray) }

// parseVariant reads which variant b is; what follows are its fields. Where there
// are none, anything may stand in their place.
func parseVariant(b []byte) (kind uint64, fields []byte, err error) {
	n, b, err := wire.ParseArrayHead(b)
	if err != nil {
		return 0, nil, err
	}
	if n != 2 {
		return 0, nil, wire.ErrMalformed
	}
	kind, b, err = wire.ParseUint(b, kindPayload)
	if err != nil {
		return 0, nil, err
	}
	if kind != kindPayload { // whose fields are read anyway
		_, err = wire.SkipItem(b)
	}
	return kind, b, err
}

// parseFields reads the head of an array with at least n elements.
func parseFields(b []byte, n int) ([]byte, error) {
	have, b, err := wire.ParseArrayHead(b)
	if err == nil && have >= 0 && have < n {
		err = wire.ErrMalformed
	}
	return b, err
}

func appendText(b []byte, s string) []byte {
	if n := len(s); n < wide {
		b = append(b, majorText|byte(n))
	} else {
		b = append(b, majorText|wide, byte(n))
	}
	return append(b, s...)
}

func parseText(b []byte) (string, []byte, error) {
	major, n, indef, b, err := wire.ParseHead(b)
	switch {
	case err != nil:
		return "", nil, err
	case major != majorText || indef || n >= maxText:
		return "", nil, wire.ErrMalformed
	case n > uint64(len(b)):
		return "", nil, wire.ErrTruncated
	case !utf8.Valid(b[:n]):
		return "", nil, wire.ErrMalformed
	}
	return string(b[:n]), b[n:], nil
}

// parsePublic reads a UDP address, ip:port.
func parsePublic(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err == nil && (a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast()) {
		err = fmt.Errorf("puncture: nothing can be sent to %s", s)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err
}

// appendInts appends p as an array of integers: as the reference implementation
// writes the bytes of negotiations and payloads, and nothing else.
func appendInts(b, p []byte) []byte {
	b = appendArrayHead(b, len(p))
	for _, c := range p {
		if c < wide {
			b = append(b, c)
		} else {
			b = append(b, wide, c)
		}
	}
	return b
}

func appendArrayHead(b []byte, n int) []byte {
	at := len(b)
	b = wire.AppendUint(b, uint64(n))
	b[at] |= majorArray
	return b
}

// intsLen returns how many bytes appendInts appends for p.
func intsLen(p []byte) int {
	n := headLen(len(p)) + len(p)
	for _, c := range p {
		if c >= wide {
			n++
		}
	}
	return n
}

func headLen(n int) int { return wire.BytesHeadLen(n) }

// parseInts reads an array of bytes and appends them to dst, which may lie over b
// from its beginning: no integer is shorter than a byte. Memory is taken for what
// is there, never for what is announced.
func parseInts(dst, b []byte) ([]byte, error) {
	n, b, err := wire.ParseArrayHead(b)
	if err != nil {
		return nil, err
	}
	for i := 0; i != n; i++ {
		switch {
		case len(b) == 0:
			return nil, wire.ErrTruncated
		case n < 0 && b[0] == 0xff: // the end of an array of indefinite length
			return dst, nil
		case b[0] < wide:
			dst, b = append(dst, b[0]), b[1:]
			continue
		case b[0] == wide && len(b) > 1:
			dst, b = append(dst, b[1]), b[2:]
			continue
		}
		var u uint64
		if u, b, err = wire.ParseUint(b, 255); err != nil {
			return nil, err
		}
		dst = append(dst, byte(u))
	}
	return dst, nil
}

// A negotiation is either of the two messages with which two nodes agree on a
// puncture: Initiate, and Acknowledge in answer (docs/protocol.md, Puncture).
type negotiation struct {
	public string // ip:port of the sender as others see it
	remote []byte // name of the address where the sender takes what comes through
}

func (n negotiation) append(b []byte) []byte {
	return appendInts(appendText(append(b, majorArray|2), n.public), n.remote)
}

func parseNegotiation(b []byte) (negotiation, error) {
	var n negotiation
	b, err := parseFields(b, 2)
	if err != nil {
		return n, err
	}
	if n.public, b, err = parseText(b); err != nil {
		return n, err
	}
	n.remote, err = parseInts(nil, b)
	if err == nil && len(n.remote) > maxText {
		err = wire.ErrMalformed
	}
	return n, err
}

// appendAddressAnswer appends what a rendezvous server answers to GetMyAddress.
func appendAddressAnswer(b []byte, public string) []byte {
	return appendText(append(b, majorArray|2, kindAddress, majorArray|1), public)
}

func parseAddressAnswer(b []byte) (netip.AddrPort, error) {
	kind, b, err := parseVariant(b)
	if err == nil && kind != kindAddress {
		err = wire.ErrMalformed
	}
	if err == nil {
		b, err = parseFields(b, 1)
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	s, _, err := parseText(b)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return parsePublic(s)
}

// appendPayloadHead appends what stands before the payload of a message through
// a puncture.
func appendPayloadHead(b []byte, onward, ret tunnel.Route) []byte {
	return ret.AppendTo(onward.AppendTo(append(b, majorArray|2, kindPayload, majorArray|3)))
}

func payloadHeadLen(onward, ret tunnel.Route) int { return 3 + onward.Size() + ret.Size() }

// parsePayload reads the fields of a message through a puncture. The payload is
// put together in place, where its integers stand.
func parsePayload(b []byte) (h wire.Header, err error) {
	if b, err = parseFields(b, 3); err != nil {
		return h, err
	}
	if h.Onward, b, err = wire.ParseRoute(b); err != nil {
		return h, err
	}
	if h.Return, b, err = wire.ParseRoute(b); err != nil {
		return h, err
	}
	if h.Payload, err = parseInts(b[:0], b); err != nil {
		return wire.Header{}, err
	}
	return h, nil
}
