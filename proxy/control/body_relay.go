package control

import (
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// A ReturnTiming says when the creation of a relay is answered.
type ReturnTiming uint8

// The timings; the numbers are those on the wire.
const (
	Immediately     ReturnTiming = 1
	AfterConnection ReturnTiming = 2
)

// CreateRelay is the request of POST /node/relay.
type CreateRelay struct {
	At         multiaddr.Addr      // 1: the node with the relay service
	Name       string              // 2: on this node
	Authorized identity.Identifier // 3, optional: who must be at the relay
	Address    string              // 4, optional: the name at the relay; absent: a random one
	Return     ReturnTiming        // 5
}

// Layout lays the fields out; see api.Body.
func (v *CreateRelay) Layout() api.Layout {
	return api.Record(api.Place(1, &v.At), api.Text(2, &v.Name), api.OptIdentifier(3, &v.Authorized), api.OptText(4, &v.Address),
		api.Choice(5, &v.Return, Immediately, AfterConnection))
}

// RelayInfo describes a relay as seen by who registered it. The optional fields
// but the last are there while it is Up.
type RelayInfo struct {
	ForwardingRoute string           // 1, optional: addresses joined by " => "
	RemoteAddress   string           // 2, optional: forward_to_NAME
	WorkerAddress   string           // 3, optional: as TYPE#NAME
	Flow            *FlowControlID   // 4, optional
	Status          ConnectionStatus // 5
	Destination     multiaddr.Addr   // 6
	Name            string           // 7
	LastFailure     string           // 8, optional: the reference never fills it
}

// Layout lays the fields out; see api.Body.
func (v *RelayInfo) Layout() api.Layout {
	return api.Record(api.OptText(1, &v.ForwardingRoute), api.OptText(2, &v.RemoteAddress), api.OptText(3, &v.WorkerAddress),
		api.OptSub(4, &v.Flow), connection(5, &v.Status), api.Place(6, &v.Destination), api.Text(7, &v.Name),
		api.OptText(8, &v.LastFailure))
}
