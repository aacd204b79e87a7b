// Package service has the small workers that every node may offer: echo, hop
// and uppercase. It is not its job to register them or to say who may reach
// them.
package service

import (
	"fmt"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// Well-known addresses (docs/protocol.md, Workers).
const (
	EchoName      = "echo"
	HopName       = "hop"
	UppercaseName = "uppercase"
)

// Echo answers each message with the same payload. The reference
// implementation's sessions ping it, so every node has one at EchoName.
type Echo struct {
	Router *tunnel.Router
	Self   tunnel.Address // the return route of its answers
}

// HandleMessage answers m. A message without a return route is dropped.
func (e Echo) HandleMessage(m *tunnel.Message) error { return reply(e.Router, e.Self, m) }

func reply(r *tunnel.Router, self tunnel.Address, m *tunnel.Message) error {
	if m.Return.Len() == 0 {
		m.Release()
		return fmt.Errorf("service: %v: no return route", self)
	}
	m.Onward, m.Return, m.Origin = m.Return, tunnel.NewRoute(self), nil
	return r.Send(m)
}

// Uppercase answers a BARE string with the string in upper case, by the full
// rules of Unicode: "ß" becomes "SS".
type Uppercase struct {
	Router *tunnel.Router
	Self   tunnel.Address
}

// HandleMessage answers m; what is not a string is dropped.
func (u Uppercase) HandleMessage(m *tunnel.Message) error {
	s, _, err := wire.ParseString(m.Payload)
	if err != nil {
		m.Release()
		return fmt.Errorf("service: uppercase: %w", err)
	}
	m.Payload = wire.AppendString(nil, cases.Upper(language.Und).String(s))
	return reply(u.Router, u.Self, m)
}

// Hop passes messages on to the next address and puts itself in front of their
// return route. It makes everything in the node reachable for whoever reaches
// it: for trying things out.
type Hop struct {
	Router *tunnel.Router
	Self   tunnel.Address
}

// PassesThrough says that answers need not come by way of the hop.
func (Hop) PassesThrough() {}

// HandleMessage passes m on. m keeps its origin, so that gates behind the hop
// see who sent it.
func (h Hop) HandleMessage(m *tunnel.Message) error {
	m.PrependReturn(wire.AppendAddress(nil, h.Self))
	return h.Router.Send(m)
}
