package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/multiaddr"
)

// A TCPInlet listens on From and joins each connection to To.
type TCPInlet struct {
	Name           string
	From           Socket         // where applications connect
	To             multiaddr.Addr // the outlet: begins with a connection or project, ends with a service
	Allow          Allow          // who must be at the far end
	MaxConnections int            // connections at a time; 0 for the default
	Range          hcl.Range      // where it stands, for errors found later
}

var tcpInletSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "from"}, {Name: "to"}, {Name: "via"}, {Name: "service"}, {Name: "allow"}, {Name: "max_connections"}, {Name: "for_each"},
}}

func (b *block) tcpInlet() *TCPInlet {
	in := &TCPInlet{Name: b.name, Range: b.at, MaxConnections: b.count("max_connections")}
	b.checkName()
	in.From = b.inletSocket()
	switch {
	case b.attrs["allow"] != nil:
		in.Allow = b.allow()
	case b.believes:
		in.Allow = b.defaultAllow()
	default:
		in.Allow.bad = true
	}
	addr, hops, at, ok := b.inletPlace()
	if !ok {
		b.missingInletAllow(true)
		return in
	}
	in.To = addr
	if last := hops[len(hops)-1]; last.Kind != multiaddr.HopService || last.Value == "" {
		b.errorf(at, "Bad address", "%s does not say which outlet of the node. Add /service/NAME at the end.", addr)
		b.missingInletAllow(true)
		return in
	}
	secure := lastSecure(hops)
	b.missingInletAllow(secure >= 0)
	b.checkReached(in.Allow, hops, "to")
	for _, h := range hops[secure+1:] {
		if secure >= 0 && strings.HasPrefix(h.Value, forwardTo) {
			b.warnf(at, "The channel ends at the relay", "The relay can read and alter everything, and allow is about the relay. "+
				"For a channel to the node behind it add /secure/api after /service/%s.", h.Value)
		}
	}
	return in
}

// forwardTo begins the name of what a relay forwards to a registered node.
const forwardTo = "forward_to_"

// lastSecure returns the index of the last secure channel, -1 if there is none.
func lastSecure(hops []multiaddr.Hop) int {
	for i := len(hops) - 1; i >= 0; i-- {
		if hops[i].Kind == multiaddr.HopSecure || hops[i].Kind == multiaddr.HopProject {
			return i
		}
	}
	return -1
}

func (b *block) missingInletAllow(secure bool) {
	switch {
	case b.attrs["allow"] != nil || b.believes:
	case secure:
		b.missing("allow", "Say who must be at the far end: the identifier of its node (allow = \"I…\"), a list of them, "+
			"node.NAME.identifier for a node of this configuration, or allow = \"anyone\" for whoever answers."+orJoin)
	default:
		b.missing("allow", "No secure channel is on the way, so nothing proves who is at the far end. "+
			"Add /secure/api before the last /service in to, and say who must be there (allow = \"I…\"). "+
			"If everybody on the way may read and answer, write allow = \"anyone\".")
	}
}

// inletSocket decodes from.
func (b *block) inletSocket() Socket {
	const example = "127.0.0.1:15432"
	if b.attrs["from"] == nil {
		b.missing("from", "Say where applications connect: from = %q or \"unix:/PATH\".", example)
		return Socket{}
	}
	text, at, ok := b.text("from", example)
	if !ok {
		return Socket{}
	}
	s, err := parseSocket(text, socketListen)
	if err != nil {
		b.errorf(at, "Bad address", "%s Write, for example, %q or \"unix:/run/postgres.sock\".", sentence(err), example)
		return Socket{}
	}
	if !s.Loopback() {
		b.warnf(at, "Inlet open to the network", "Whoever can reach %s on this machine can use what is behind the inlet; nothing asks who they are. "+
			"For programs on this machine alone use 127.0.0.1.", s)
	}
	return s
}
