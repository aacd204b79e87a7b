package control

import (
	"fmt"
	"net/netip"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// NodeStatus answers GET /node.
type NodeStatus struct {
	Name       string              // 1
	Identifier identity.Identifier // 2
	Process    NodeProcessStatus   // 3
}

// Layout lays the fields out; see api.Body.
func (v *NodeStatus) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Name), api.Identifier(2, &v.Identifier), api.Sub(3, &v.Process))
}

// A ProcessState says whether the process of a node runs.
type ProcessState uint8

// The states; the numbers are those on the wire.
const (
	Running ProcessState = 0
	Zombie  ProcessState = 1 // has ended, and its parent has not asked how
	Stopped ProcessState = 2
)

// NodeProcessStatus is the state of a node's process. PID is sent for Running
// and Zombie only.
type NodeProcessStatus struct {
	State ProcessState
	PID   uint32
}

// Layout lays the fields out; see api.Body.
func (v *NodeProcessStatus) Layout() api.Layout {
	fields := func() api.Layout {
		if v.State == Stopped {
			return api.Tuple()
		}
		return api.Tuple(api.Uint(0, &v.PID))
	}
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			if v.State > Stopped {
				return nil, fmt.Errorf("%w: no process state %d", api.ErrMalformed, v.State)
			}
			return api.AppendVariant(b, uint64(v.State), fields())
		},
		Parse: func(d *api.Decoder) error {
			n, err := d.Variant()
			if err != nil {
				return err
			}
			if n > uint64(Stopped) {
				return fmt.Errorf("%w: no process state %d", api.ErrMalformed, n)
			}
			*v = NodeProcessStatus{State: ProcessState(n)}
			return fields().Parse(d)
		},
	}
}

// NodeResources answers GET /node/resources.
type NodeResources struct {
	Name             string                  // 1
	IdentityName     string                  // 2
	IsDefault        bool                    // 3
	Process          NodeProcessStatus       // 4
	Route            RouteToNode             // 5
	HTTPServer       *InternetAddress        // 6, optional
	Transports       []TransportStatus       // 7
	ChannelListeners []SecureChannelListener // 8
	Inlets           []InletStatus           // 9
	Outlets          []OutletStatus          // 10
	Services         []ServiceStatus         // 11
}

// Layout lays the fields out; see api.Body.
func (v *NodeResources) Layout() api.Layout {
	return api.Record(api.Text(1, &v.Name), api.Text(2, &v.IdentityName), api.Bool(3, &v.IsDefault), api.Sub(4, &v.Process),
		api.Sub(5, &v.Route), api.OptSub(6, &v.HTTPServer), api.List(7, &v.Transports), api.List(8, &v.ChannelListeners),
		api.List(9, &v.Inlets), api.List(10, &v.Outlets), api.List(11, &v.Services))
}

// RouteToNode says how to reach a node: by its name, and by its network address.
type RouteToNode struct {
	Short   multiaddr.Addr // 1: /node/NAME
	Verbose multiaddr.Addr // 2, optional: /dnsaddr/localhost/tcp/PORT
}

// Layout lays the fields out; see api.Body.
func (v *RouteToNode) Layout() api.Layout {
	return api.Record(api.Place(1, &v.Short), api.OptPlace(2, &v.Verbose))
}

// InternetAddress is a host name or an IP address, with a port. Host holds the
// text of either; it is encoded as an IP address when it reads as one.
type InternetAddress struct {
	Host string
	Port uint16
}

// Variants of InternetAddress.
const (
	addressDNS = 0
	addressV4  = 1
	addressV6  = 2
)

// Layout lays the fields out; see api.Body.
func (v *InternetAddress) Layout() api.Layout {
	return api.Layout{Append: v.append, Parse: v.parse}
}

func (v *InternetAddress) append(b []byte) ([]byte, error) {
	ip, err := netip.ParseAddr(v.Host)
	switch {
	case err != nil || ip.Zone() != "": // neither has a place for the zone
		return api.AppendVariant(b, addressDNS, api.Tuple(api.Text(0, &v.Host), api.Uint(1, &v.Port)))
	case ip.Is4():
		return api.AppendVariant(b, addressV4, api.Tuple(v.socket(4)))
	default:
		return api.AppendVariant(b, addressV6, api.Tuple(v.socket(16)))
	}
}

func (v *InternetAddress) parse(d *api.Decoder) error {
	n, err := d.Variant()
	if err != nil {
		return err
	}
	switch n {
	case addressDNS:
		return api.Tuple(api.Text(0, &v.Host), api.Uint(1, &v.Port)).Parse(d)
	case addressV4:
		return api.Tuple(v.socket(4)).Parse(d)
	case addressV6:
		return api.Tuple(v.socket(16)).Parse(d)
	default:
		return fmt.Errorf("%w: no kind %d of internet address", api.ErrMalformed, n)
	}
}

// socket is the field of the IP variants: an array of the address, of size
// bytes, and the port.
func (v *InternetAddress) socket(size int) api.Field {
	host := api.Simple(0, &v.Host,
		func(b []byte, s string) []byte {
			ip, _ := netip.ParseAddr(s) // append has looked
			return api.AppendBytes(b, ip.AsSlice())
		},
		func(d *api.Decoder) (string, error) {
			p, err := d.Data(api.MajorBytes)
			if err != nil {
				return "", err
			}
			ip, ok := netip.AddrFromSlice(p)
			if !ok || len(p) != size {
				return "", fmt.Errorf("%w: IP address of %d bytes", api.ErrMalformed, len(p))
			}
			return ip.String(), nil
		})
	return api.Field{Key: 0, Layout: api.Tuple(host, api.Uint(1, &v.Port))}
}
