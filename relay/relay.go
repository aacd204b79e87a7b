// Package relay forwards messages to the nodes that registered a name, and
// registers a name at such a relay. It is not its job to know what it forwards
// (it sees ciphertext), to open connections, or to try again: who calls it does.
//
// A relay on the wire (docs/protocol.md, Relays): a node sends the name it
// wants, a BARE string, to one of the two services. The relay sends the full
// address, forward_to_NAME, back along the return route. From then on a message
// to that address goes on along the return route without its last hop, which is
// the client that registered. The return route of a forwarded message stays as
// it is: answers name the links, not the relay, so the relay opens those to one
// another (tunnel.Pair).
package relay

import (
	"errors"

	"ockam/tunnel"
)

// Addresses of the service. The two are the same in the reference's Rust
// implementation and here; in its Elixir implementation the first gives random
// names only.
const (
	ServiceName       = "forwarding_service"
	StaticServiceName = "static_forwarding_service"
)

// Prefix is put in front of a name to make the address of its relay.
const Prefix = "forward_to_"

// Ephemeral is the name that stands for: any name that is free.
const Ephemeral = "register"

// Errors that callers test for.
var (
	// ErrTaken is returned for a name that another owner has.
	ErrTaken = errors.New("relay: name belongs to another")
	// ErrName is returned for a name that cannot be an address.
	ErrName = errors.New("relay: name is too long or contains #")
	// ErrLimit is returned when a node or the relay has too many names.
	ErrLimit = errors.New("relay: too many names")
	// ErrNoAnswer is returned by Register when the relay does not acknowledge.
	// The reference answers neither a refused registration nor that of a name it
	// already has.
	ErrNoAnswer = errors.New("relay: registration was not acknowledged")
)

// address makes the address of the relay for a name.
func address(prefix, name string) tunnel.Address { return tunnel.LocalAddress(prefix + name) }
