package puncture

import (
	"bytes"
	"fmt"

	"ockam/tunnel"
)

// Negotiation is a message of a negotiation.
type Negotiation = negotiation

// MakeNegotiation makes one.
func MakeNegotiation(public, remote string) Negotiation {
	return negotiation{public, []byte(remote)}
}

// Append appends the encoding.
func (n negotiation) Append(b []byte) []byte { return n.append(b) }

// Fields returns what is in it.
func (n negotiation) Fields() (public, remote string) { return n.public, string(n.remote) }

// For the tests of the encodings.
var (
	ParseNegotiation    = parseNegotiation
	AppendAddressAnswer = appendAddressAnswer
	ParseAddressAnswer  = parseAddressAnswer
	AppendUnit          = appendUnit
	ParseVariant        = parseVariant
)

// AppendPayload encodes a message through a puncture.
func AppendPayload(b []byte, onward, ret tunnel.Route, payload []byte) []byte {
	return appendInts(appendPayloadHead(b, onward, ret), payload)
}

// PayloadSize is the length of what AppendPayload appends.
func PayloadSize(onward, ret tunnel.Route, payload []byte) int {
	return payloadHeadLen(onward, ret) + intsLen(payload)
}

// Recode reads a message of any kind, and encodes what it has read.
func Recode(b []byte) ([]byte, error) {
	b = bytes.Clone(b)
	kind, fields, err := parseVariant(b)
	if err != nil {
		return nil, err
	}
	if kind != kindPayload {
		if a, err := parseAddressAnswer(b); err == nil {
			return appendAddressAnswer(nil, a.String()), nil
		}
		return appendUnit(nil, byte(kind)), nil
	}
	h, err := parsePayload(fields)
	if err != nil {
		return nil, err
	}
	out := AppendPayload(nil, h.Onward, h.Return, h.Payload)
	if n := PayloadSize(h.Onward, h.Return, h.Payload); n != len(out) {
		return nil, fmt.Errorf("%d bytes, not %d", len(out), n)
	}
	return out, nil
}
