package control

import (
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
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

// Layout lays the fields out; see api.Body.
func (v *CreateInlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Listen), api.Place(2, &v.Outlet), api.Text(3, &v.Alias), api.OptIdentifier(4, &v.Authorized),
		api.OptDuration(5, &v.Wait), api.OptSub(6, &v.Policy), api.Bool(7, &v.WaitForConnection),
		api.OptIdentifier(8, &v.ChannelIdentifier), api.Bool(9, &v.UDPPuncture), api.Bool(11, &v.DisableTCPFallback),
		api.Bool(12, &v.EBPF), api.OptPlace(13, &v.CertificateProvider))
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

// Layout lays the fields out; see api.Body.
func (v *CreateOutlet) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Target), api.Bool(2, &v.TLS), api.OptAddress(3, &v.Address),
		api.Bool(4, &v.Reachable), api.OptSub(5, &v.Policy), api.Bool(6, &v.EBPF))
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

// Layout lays the fields out; see api.Body.
func (v *InletStatus) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Bind), api.OptText(2, &v.Worker), api.Text(3, &v.Alias), api.OptText(4, &v.Payload),
		api.OptText(5, &v.OutletRoute), connection(6, &v.Status), api.Text(7, &v.OutletAddress))
}

// OutletStatus describes an outlet.
type OutletStatus struct {
	Target  HostnamePort   // 1
	Address tunnel.Address // 2
	Payload string         // 3, optional
}

// Layout lays the fields out; see api.Body.
func (v *OutletStatus) Layout() api.Layout {
	return api.Record(api.Sub(1, &v.Target), api.Address(2, &v.Address), api.OptText(3, &v.Payload))
}

// HostnamePort is a host name or IP address, and a port.
type HostnamePort struct {
	Host string // 0
	Port uint16 // 1
}

// Layout lays the fields out; see api.Body.
func (v *HostnamePort) Layout() api.Layout {
	return api.Tuple(api.Text(0, &v.Host), api.Uint(1, &v.Port))
}

// PortRange is a range of ports, both included.
type PortRange struct {
	First uint16 // 0
	Last  uint16 // 1
}

// Layout lays the fields out; see api.Body.
func (v *PortRange) Layout() api.Layout {
	return api.Tuple(api.Uint(0, &v.First), api.Uint(1, &v.Last))
}

// A ConnectionStatus says whether an inlet or relay is connected.
type ConnectionStatus uint8

// The two there are; the numbers are those on the wire.
const (
	Down ConnectionStatus = 0
	Up   ConnectionStatus = 1
)

func connection(key uint64, p *ConnectionStatus) api.Field { return api.Choice(key, p, Down, Up) }
