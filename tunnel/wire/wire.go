// Package wire has the message header and BARE on byte slices, and pooled
// buffers with head- and tailroom. It knows bytes only: no reader, no clock, no
// randomness, no router. What the fields mean is package tunnel's business.
//
// Two encodings meet here (docs/protocol.md, Encodings). A message on a TCP
// link is a CBOR array of onward route, return route, payload and tracing
// context; a route is an array of addresses; an address is an array of its
// type and its bytes. Bodies that workers exchange are often BARE.
//
// The functions that run for every message are written by hand and allocate
// nothing for what the reference implementation sends. Whatever else a CBOR
// decoder may accept (indefinite lengths, wider integers, more elements) takes
// a slower way and comes out in the same shortest form.
package wire

import "errors"

// MaxHops is the largest number of addresses in a route that is read from the
// network. The reference implementation has no such limit; without one a frame
// of 16 MiB would be five million hops.
const MaxHops = 64

// Errors of the parsers. They say what is wrong, not where it came from.
var (
	// ErrTruncated is returned when the input ends inside a value.
	ErrTruncated = errors.New("wire: input ends inside a value")
	// ErrMalformed is returned when the input is not what the layout demands.
	ErrMalformed = errors.New("wire: malformed value")
	// ErrTooManyHops is returned for a route of more than MaxHops addresses.
	ErrTooManyHops = errors.New("wire: route has too many hops")
)
