// Package tunnel routes messages between handlers, carries them over links to
// other nodes in batches, and knows where each came from. It does not encrypt
// (tunnel/secure), does not know streams (tunnel/portal), and opens no sockets
// of its own (transports).
//
// A message on its way is a call: Router.Send looks at the first address of the
// onward route, drops it, asks the gate of the handler registered there, and
// calls that handler on the same goroutine. What a link or a channel brings in
// goes through Router.Deliver, which first asks whether that address was opened
// to where the message comes from: nothing is reachable by default.
//
// Rules that hold everywhere:
//
//   - HandleMessage consumes its message, error or not; Path.Send borrows it.
//   - A handler forwards or enqueues. It may wait for room in a link's queue,
//     never for a reply, a dial or a handshake.
//   - Only links and channels set Message.Origin.
//   - Locks are taken from the outer layer to the inner: stream, channel, link.
//     Nothing calls back outwards while it holds one.
package tunnel

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	"ockam/tunnel/wire"
)

// Address names a worker or a place that a transport reaches; see wire.Address.
type Address = wire.Address

// Route is a list of addresses in encoded form; see wire.Route.
type Route = wire.Route

// Errors that callers test for.
var (
	// ErrNoRoute is returned when no handler has the first onward address.
	ErrNoRoute = errors.New("tunnel: no such address")
	// ErrNotOpen is returned when the address is not opened to the message's origin.
	ErrNotOpen = errors.New("tunnel: address not open to where the message comes from")
	// ErrTooDeep is returned when handlers have passed a message on too often.
	ErrTooDeep = errors.New("tunnel: message passed on too often within the node")
	// ErrInUse is returned when an address already has a handler.
	ErrInUse = errors.New("tunnel: address already in use")
	// ErrClosed is returned by a path that was closed on this side.
	ErrClosed = errors.New("tunnel: closed")
	// ErrPeerClosed is why a link ended whose peer closed the connection. It is
	// not io.EOF, which those who read a stream over the link would take for its
	// good end.
	ErrPeerClosed = errors.New("tunnel: link closed by the peer")
	// ErrTooLarge is returned for a message that no frame of the link can hold.
	ErrTooLarge = errors.New("tunnel: message too large for the link")
)

// LocalAddress is the address of the worker called name.
func LocalAddress(name string) Address { return wire.LocalAddress(name) }

// NewRoute encodes addrs.
func NewRoute(addrs ...Address) Route { return wire.NewRoute(addrs...) }

// RandomAddress makes an address that nobody can guess: 32 hexadecimal digits.
func RandomAddress() Address {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return LocalAddress(hex.EncodeToString(b[:]))
}
