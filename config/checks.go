package config

import (
	"net"
	"net/netip"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/multiaddr"
)

// A use is a socket that something listens on.
type use struct {
	socket Socket
	what   string
	at     hcl.Range
}

// checkAddresses reports two listeners or inlets on one address. All nodes of
// a configuration run in one process.
func (l *loader) checkAddresses(f *File) {
	var uses []use
	add := func(u use) {
		if u.socket.Address == "" {
			return // was wrong, which has been reported
		}
		for _, first := range uses {
			if collide(first.socket, u.socket) {
				l.errorf(u.at, "Address used twice", "%s is used by the %s at %s already. Choose another port.", u.socket, first.what, line(first.at))
				break
			}
		}
		uses = append(uses, u)
	}
	for _, n := range f.Nodes {
		for _, ln := range n.Listeners {
			add(use{Socket{"tcp", ln.Address}, "listener", ln.Range})
		}
		if p := n.Project; p != nil {
			add(use{Socket{"tcp", p.Listen}, "project", p.Range})
		}
		for _, in := range n.TCPInlets {
			add(use{in.From, "tcp_inlet", in.Range})
		}
	}
}

// collide reports whether not both of a and b can be listened on.
func collide(a, b Socket) bool {
	if a.Network != "tcp" || b.Network != "tcp" {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a.Address)
	hostB, portB, errB := net.SplitHostPort(b.Address)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	ipA, ipB := listenIP(hostA), listenIP(hostB)
	if !ipA.IsValid() || !ipB.IsValid() {
		return strings.EqualFold(hostA, hostB)
	}
	if ipA == ipB || ipA == netip.IPv6Unspecified() || ipB == netip.IPv6Unspecified() {
		return true // "::" takes IPv4 as well
	}
	return ipA.Is4() && ipB.Is4() && (ipA.IsUnspecified() || ipB.IsUnspecified())
}

// listenIP returns the address that a host stands for, if that is plain.
func listenIP(host string) netip.Addr {
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	ip, _ := netip.ParseAddr(host)
	return ip.Unmap()
}

// A registration is a name at a relay: the address that is dialed, or the
// project, and the name.
type registration struct{ address, name string }

// checkRelays looks at relays and inlets that meet in this configuration: a
// name is registered once, at a node that lets others register, and the
// service behind it exists.
func (l *loader) checkRelays(f *File) {
	owners := map[registration]*Node{}
	for _, n := range f.Nodes {
		for _, r := range n.Relays {
			if len(r.At) == 0 {
				continue // was wrong, which has been reported
			}
			key := registration{dialed(r.At), r.Name}
			if owner := owners[key]; owner != nil {
				l.errorf(r.Range, "Duplicate relay", "The node %q registers the name %q at the same relay. A name leads to one node.", owner.Name, r.Name)
				continue
			}
			owners[key] = n
			if hub := f.listensOn(key.address); hub != nil && hub.RelayService == nil && len(r.At) <= 3 {
				l.errorf(r.Range, "No relay there", "The node %q, which listens on %s, has no relay_service. Add one to it.", hub.Name, key.address)
			}
		}
	}
	for _, n := range f.Nodes {
		for _, in := range n.TCPInlets {
			l.checkOutlet(in, owners)
		}
	}
}

// checkOutlet reports an inlet to an outlet that the node behind the relay,
// which is in this configuration, does not have.
func (l *loader) checkOutlet(in *TCPInlet, owners map[registration]*Node) {
	if len(in.To) < 4 {
		return
	}
	start := 2 // after host and port
	if in.To[0].Protocol == multiaddr.Project {
		start = 1
	}
	last, way := in.To[len(in.To)-1], in.To[start:len(in.To)-1]
	var owner *Node
	for i, c := range way {
		name, ok := strings.CutPrefix(c.Value, forwardTo)
		if !ok || c.Protocol != multiaddr.Service {
			continue
		}
		if owner != nil {
			return // more than one relay on the way
		}
		if owner = owners[registration{dialed(in.To), name}]; owner == nil {
			return
		}
		for _, rest := range way[i+1:] {
			if rest.Protocol != multiaddr.Secure {
				return // goes on behind that node
			}
		}
	}
	if owner == nil {
		return
	}
	var names []string
	for _, out := range owner.TCPOutlets {
		if out.Name == last.Value {
			return
		}
		names = append(names, out.Name)
	}
	l.errorf(in.Range, "Unknown outlet", "The node %q, where the inlet leads to, has no tcp_outlet %q.%s", owner.Name, last.Value,
		didYouMean(last.Value, names, "%q"))
}

// dialed returns host:port of the connection that a place begins with, or what
// no address is: the project.
func dialed(a multiaddr.Addr) string {
	hops, err := a.Hops()
	if err != nil || len(hops) == 0 {
		return ""
	}
	if hops[0].Kind == multiaddr.HopProject {
		return "/project/" + hops[0].Value
	}
	return hops[0].Value
}

// listensOn returns the node with a listener that address leads to.
func (f *File) listensOn(address string) *Node {
	for _, n := range f.Nodes {
		for _, ln := range n.Listeners {
			if ln.Address != "" && Socket.Loopback(Socket{"tcp", address}) && collide(Socket{"tcp", ln.Address}, Socket{"tcp", address}) {
				return n
			}
		}
	}
	return nil
}
