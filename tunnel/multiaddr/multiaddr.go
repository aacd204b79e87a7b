// Package multiaddr holds places in text and binary.
//
// A place says how to get to a worker of another node: which connection to
// open, which secure channel to make on the way, which names follow. As text
// it reads "/dnsaddr/relay.example.com/tcp/4000/secure/api/service/echo".
//
// The package knows the two forms of a place and how its components belong
// together (Hops). It opens nothing, resolves no name and builds no route:
// that is the work of the node.
package multiaddr

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Self is the short text for the secure channel listener of one's own node.
// Parse reads it as "/secure/api".
const Self = "self"

// An Addr is a place: components from the nearest to the farthest. The nil
// Addr is the node itself.
type Addr []Component

// A Component is one step of a place.
type Component struct {
	Protocol Protocol
	// Value is canonical text: an IP address as netip prints it, a port in
	// decimal, a name as it was written. It may be empty for names.
	Value string
}

// Parse reads the text form of a place (Ockam protocol, MultiAddr, text). The
// first slash may be missing, the last value may be empty, and the empty text
// is the empty place. Values cannot hold a slash; there is no escaping.
//
// Errors name the part that is wrong. A protocol that this program will speak
// later is refused with ErrNotSupported.
func Parse(text string) (Addr, error) {
	switch text {
	case "":
		return nil, nil
	case Self:
		return Addr{{Secure, "api"}}, nil
	}
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	addr := make(Addr, 0, (len(parts)+1)/2)
	for i := 0; i < len(parts); i += 2 {
		p, err := parseProtocol(parts[i])
		if err != nil {
			return nil, fmt.Errorf("multiaddr: %q: %w", text, err)
		}
		value := ""
		if i+1 < len(parts) {
			value = parts[i+1]
		}
		c, err := newComponent(p, value)
		if err != nil {
			return nil, fmt.Errorf("multiaddr: %q: %w", text, err)
		}
		addr = append(addr, c)
	}
	return addr, nil
}

// String returns the text form, every component as "/name/value". A name that
// came in binary may hold a slash; its text then reads as more components
// than there are, so decide on components, never on this text.
func (a Addr) String() string {
	var b strings.Builder
	for _, c := range a {
		b.WriteString(c.String())
	}
	return b.String()
}

// String returns "/name/value".
func (c Component) String() string {
	return "/" + c.Protocol.String() + "/" + c.Value
}

// newComponent checks a value and makes it canonical.
func newComponent(p Protocol, value string) (Component, error) {
	bad := func(want string) (Component, error) {
		return Component{}, fmt.Errorf("/%s/%s: %q is not %s", p, value, value, want)
	}
	switch p {
	case IP4:
		ip, err := netip.ParseAddr(value)
		if err != nil || !ip.Is4() {
			return bad("an IPv4 address")
		}
		return Component{p, ip.String()}, nil
	case IP6:
		ip, err := netip.ParseAddr(value)
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return bad("an IPv6 address")
		}
		return Component{p, ip.String()}, nil
	case TCP:
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return bad("a port (0 to 65535)")
		}
		return Component{p, strconv.FormatUint(port, 10)}, nil
	case DNSAddr, Service, Node, Project, Space, Secure, Worker:
		if !utf8.ValidString(value) {
			return bad("UTF-8 text")
		}
		return Component{p, value}, nil
	default:
		return Component{}, fmt.Errorf("%w: protocol %d", ErrUnknownProtocol, uint64(p))
	}
}
