package control

import (
	"fmt"
	"net/netip"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// NodeStatus answers GET /node.
type NodeStatus struct {
	Name       string              // 1
	Identifier identity.Identifier // 2
	Process    NodeProcessStatus   // 3
}

func (v *NodeStatus) layout() layout {
	return record(text(1, &v.Name), identifier(2, &v.Identifier), body(3, &v.Process))
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

func (v *NodeProcessStatus) layout() layout {
	fields := func() layout {
		if v.State == Stopped {
			return tuple()
		}
		return tuple(integer(0, &v.PID))
	}
	return layout{
		append: func(b []byte) ([]byte, error) {
			if v.State > Stopped {
				return nil, fmt.Errorf("%w: no process state %d", ErrMalformed, v.State)
			}
			return appendVariant(b, uint64(v.State), fields())
		},
		parse: func(d *decoder) error {
			n, err := d.variant()
			if err != nil {
				return err
			}
			if n > uint64(Stopped) {
				return fmt.Errorf("%w: no process state %d", ErrMalformed, n)
			}
			*v = NodeProcessStatus{State: ProcessState(n)}
			return fields().parse(d)
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

func (v *NodeResources) layout() layout {
	return record(text(1, &v.Name), text(2, &v.IdentityName), boolean(3, &v.IsDefault), body(4, &v.Process),
		body(5, &v.Route), optBody(6, &v.HTTPServer), list(7, &v.Transports), list(8, &v.ChannelListeners),
		list(9, &v.Inlets), list(10, &v.Outlets), list(11, &v.Services))
}

// RouteToNode says how to reach a node: by its name, and by its network address.
type RouteToNode struct {
	Short   multiaddr.Addr // 1: /node/NAME
	Verbose multiaddr.Addr // 2, optional: /dnsaddr/localhost/tcp/PORT
}

func (v *RouteToNode) layout() layout { return record(place(1, &v.Short), optPlace(2, &v.Verbose)) }

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

func (v *InternetAddress) layout() layout {
	return layout{append: v.append, parse: v.parse}
}

func (v *InternetAddress) append(b []byte) ([]byte, error) {
	ip, err := netip.ParseAddr(v.Host)
	switch {
	case err != nil || ip.Zone() != "": // neither has a place for the zone
		return appendVariant(b, addressDNS, tuple(text(0, &v.Host), integer(1, &v.Port)))
	case ip.Is4():
		return appendVariant(b, addressV4, tuple(v.socket(4)))
	default:
		return appendVariant(b, addressV6, tuple(v.socket(16)))
	}
}

func (v *InternetAddress) parse(d *decoder) error {
	n, err := d.variant()
	if err != nil {
		return err
	}
	switch n {
	case addressDNS:
		return tuple(text(0, &v.Host), integer(1, &v.Port)).parse(d)
	case addressV4:
		return tuple(v.socket(4)).parse(d)
	case addressV6:
		return tuple(v.socket(16)).parse(d)
	default:
		return fmt.Errorf("%w: no kind %d of internet address", ErrMalformed, n)
	}
}

// socket is the field of the IP variants: an array of the address, of size
// bytes, and the port.
func (v *InternetAddress) socket(size int) field {
	host := simple(0, &v.Host,
		func(b []byte, s string) []byte {
			ip, _ := netip.ParseAddr(s) // append has looked
			return appendBytes(b, ip.AsSlice())
		},
		func(d *decoder) (string, error) {
			p, err := d.data(majorBytes)
			if err != nil {
				return "", err
			}
			ip, ok := netip.AddrFromSlice(p)
			if !ok || len(p) != size {
				return "", fmt.Errorf("%w: IP address of %d bytes", ErrMalformed, len(p))
			}
			return ip.String(), nil
		})
	return field{key: 0, layout: tuple(host, integer(1, &v.Port))}
}
