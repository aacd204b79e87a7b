package multiaddr

import (
	"errors"
	"fmt"
	"net"
)

// A Hop is what has to be done for one step of a place.
type Hop struct {
	Kind HopKind
	// Value is "host:port" for HopDial (an IPv6 host in brackets) and a name
	// for all others.
	Value string
}

// A HopKind says what a Hop asks for.
type HopKind int

// The kinds of hops.
const (
	HopDial    HopKind = iota + 1 // open a TCP connection to Value
	HopSecure                     // make a secure channel with the listener Value
	HopService                    // go on to the worker Value
	HopNode                       // go to the node Value, known locally by its name
	HopProject                    // go to the node of the project Value through a secure channel
)

// String returns the kind in one word.
func (k HopKind) String() string {
	switch k {
	case HopDial:
		return "dial"
	case HopSecure:
		return "secure"
	case HopService:
		return "service"
	case HopNode:
		return "node"
	case HopProject:
		return "project"
	default:
		return "unknown"
	}
}

// Hops reads the components as steps, from the nearest to the farthest: a
// host and the port after it are one HopDial. It refuses a host without port,
// a port without host, two TCP connections in one place, empty host and
// listener names, and spaces, which lead nowhere (Ockam protocol, MultiAddr,
// from place to route). The empty place has no hops.
func (a Addr) Hops() ([]Hop, error) {
	hops := make([]Hop, 0, len(a))
	dials := 0
	for i := 0; i < len(a); i++ {
		c := a[i]
		hop := Hop{Value: c.Value}
		switch c.Protocol {
		case IP4, IP6, DNSAddr:
			if i+1 == len(a) || a[i+1].Protocol != TCP {
				return nil, fmt.Errorf("multiaddr: %s: a port is missing: write %s/tcp/PORT", a, c)
			}
			i++
			hop.Kind, hop.Value = HopDial, net.JoinHostPort(c.Value, a[i].Value)
			dials++
		case TCP:
			return nil, fmt.Errorf("multiaddr: %s: %s needs a host before it: /dnsaddr/HOST, /ip4/… or /ip6/…", a, c)
		case Secure:
			hop.Kind = HopSecure
		case Service, Worker:
			hop.Kind = HopService
		case Node:
			hop.Kind = HopNode
		case Project:
			hop.Kind = HopProject
		case Space:
			return nil, fmt.Errorf("multiaddr: %s: a space is no place that one can go to", a)
		default:
			return nil, fmt.Errorf("multiaddr: %s: %w: %s", a, ErrUnknownProtocol, c.Protocol)
		}
		if c.Value == "" && hop.Kind != HopService {
			return nil, fmt.Errorf("multiaddr: %s: /%s needs a name after it", a, c.Protocol)
		}
		hops = append(hops, hop)
	}
	if dials > 1 {
		return nil, fmt.Errorf("multiaddr: %s: %w", a, errTwoConnections)
	}
	return hops, nil
}

var errTwoConnections = errors.New("only one TCP connection is possible in one place; go on with /service/NAME or /secure/NAME")
