package control

import (
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// CreateInlet is the request of POST /node/inlet.
type CreateInlet struct {
	Listen              HostnamePort        // 1: port 0 takes a free one
	Outlet              multiaddr.Addr      // 2
	Alias               string              // 3: the inlet's name
	Authorized          identity.Identifier // 4, optional: who must be at the far end
	Wait                *time.Duration      // 5, optional: for the outlet
	Policy              *PolicyExpression   // 6, optional: stored for the alias
	WaitForConnection   bool                // 7
	ChannelIdentifier   identity.Identifier // 8, optional: whose channel it must be
	UDPPuncture         bool                // 9
	DisableTCPFallback  bool                // 11
	EBPF                bool                // 12
	CertificateProvider multiaddr.Addr      // 13, optional: whom to ask for a TLS certificate
}

func (v *CreateInlet) layout() layout {
	return record(body(1, &v.Listen), place(2, &v.Outlet), text(3, &v.Alias), optIdentifier(4, &v.Authorized),
		optDuration(5, &v.Wait), optBody(6, &v.Policy), boolean(7, &v.WaitForConnection),
		optIdentifier(8, &v.ChannelIdentifier), boolean(9, &v.UDPPuncture), boolean(11, &v.DisableTCPFallback),
		boolean(12, &v.EBPF), optPlace(13, &v.CertificateProvider))
}

// CreateOutlet is the request of POST /node/outlet.
type CreateOutlet struct {
	Target    HostnamePort      // 1
	TLS       bool              // 2: speak TLS to the target
	Address   tunnel.Address    // 3, optional: "outlet" if free, else a random one
	Reachable bool              // 4: through the channels of the listener "api"
	Policy    *PolicyExpression // 5, optional: stored for the address
	EBPF      bool              // 6
}

func (v *CreateOutlet) layout() layout {
	return record(body(1, &v.Target), boolean(2, &v.TLS), optAddress(3, &v.Address),
		boolean(4, &v.Reachable), optBody(5, &v.Policy), boolean(6, &v.EBPF))
}

// InletStatus describes an inlet. That of a deleted one is Down and has neither
// worker nor route.
type InletStatus struct {
	Bind          string           // 1: ip:port
	Worker        string           // 2, optional: the bare name, without "0#"
	Alias         string           // 3
	Payload       string           // 4, optional
	OutletRoute   string           // 5, optional: addresses joined by " => "
	Status        ConnectionStatus // 6
	OutletAddress string           // 7: a MultiAddr in text
}

func (v *InletStatus) layout() layout {
	return record(text(1, &v.Bind), optText(2, &v.Worker), text(3, &v.Alias), optText(4, &v.Payload),
		optText(5, &v.OutletRoute), connection(6, &v.Status), text(7, &v.OutletAddress))
}

// OutletStatus describes an outlet.
type OutletStatus struct {
	Target  HostnamePort   // 1
	Address tunnel.Address // 2
	Payload string         // 3, optional
}

func (v *OutletStatus) layout() layout {
	return record(body(1, &v.Target), address(2, &v.Address), optText(3, &v.Payload))
}

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

func (v *CreateRelay) layout() layout {
	return record(place(1, &v.At), text(2, &v.Name), optIdentifier(3, &v.Authorized), optText(4, &v.Address),
		choice(5, &v.Return, Immediately, AfterConnection))
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

func (v *RelayInfo) layout() layout {
	return record(optText(1, &v.ForwardingRoute), optText(2, &v.RemoteAddress), optText(3, &v.WorkerAddress),
		optBody(4, &v.Flow), connection(5, &v.Status), place(6, &v.Destination), text(7, &v.Name),
		optText(8, &v.LastFailure))
}
