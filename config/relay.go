package config

import (
	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/multiaddr"
)

// A Relay makes the node reachable through another one, by Name: it
// registers there and is then "forward_to_NAME" on that node. A file that does
// not say where means the project of the node.
type Relay struct {
	Name  string
	At    multiaddr.Addr // the other node: a connection, with or without a secure channel, or a project
	Allow Allow          // who must be there; anyone if the file does not say
	Range hcl.Range      // where it stands, for errors found later
}

var relaySchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "at"}, {Name: "allow"}, {Name: "for_each"}}}

func (b *block) relay() *Relay {
	r := &Relay{Name: b.name, Range: b.at, Allow: Allow{anyone: true, Range: b.at}}
	b.checkName()
	if b.attrs["allow"] != nil {
		r.Allow = b.allow()
	}
	const example = "/dnsaddr/relay.example.com/tcp/4000/secure/api"
	if b.attrs["at"] == nil {
		if b.project.server {
			b.missing("at", "The node is that of a project: others register at it. Say at which node to register: at = %q.", example)
		} else if name := b.project.short(); b.through(name, b.at) {
			r.At = multiaddr.Addr{{Protocol: multiaddr.Project, Value: name}}
		}
		return r
	}
	addr, hops, at, ok := b.place("at", example)
	if !ok {
		return r
	}
	r.At = addr
	if last := hops[len(hops)-1]; last.Kind == multiaddr.HopService {
		b.errorf(at, "Bad address", "A relay registers at a node, not at a service in it: leave out /service/%s at the end.", last.Value)
	}
	b.checkReached(r.Allow, hops, "at")
	return r
}

// checkReached reports an allow that cannot be checked, because no channel
// proves who is there.
func (b *block) checkReached(allow Allow, hops []multiaddr.Hop, attr string) {
	if allow.anyone || allow.bad {
		return
	}
	for _, h := range hops {
		if h.Kind == multiaddr.HopSecure || h.Kind == multiaddr.HopProject {
			return
		}
	}
	b.errorf(allow.Range, "Nobody to check",
		"Only a secure channel proves who is at the other end, and %s makes none. Add /secure/api to it, or write allow = \"anyone\".", attr)
}
