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

// HostnamePort is a host name or IP address, and a port.
type HostnamePort struct {
	Host string // 0
	Port uint16 // 1
}

func (v *HostnamePort) layout() layout { return tuple(text(0, &v.Host), integer(1, &v.Port)) }

// PortRange is a range of ports, both included.
type PortRange struct {
	First uint16 // 0
	Last  uint16 // 1
}

func (v *PortRange) layout() layout { return tuple(integer(0, &v.First), integer(1, &v.Last)) }

// A ConnectionStatus says whether an inlet or relay is connected.
type ConnectionStatus uint8

// The two there are; the numbers are those on the wire.
const (
	Down ConnectionStatus = 0
	Up   ConnectionStatus = 1
)

func connection(key uint64, p *ConnectionStatus) field { return choice(key, p, Down, Up) }
