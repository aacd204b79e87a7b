package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A TCPOutlet connects to To for everyone whom Allow admits. It is the
// service NAME of its node.
type TCPOutlet struct {
	Name           string
	To             Socket
	Allow          Allow     // who may open it
	MaxConnections int       // connections at a time; 0 for the default
	Range          hcl.Range // where it stands, for errors found later
}

var tcpOutletSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
	{Name: "to"}, {Name: "allow"}, {Name: "max_connections"}, {Name: "for_each"},
}}

// builtIn are the names of services that a node has itself.
var builtIn = []string{"api", "echo", "forwarding_service", "hop", "static_forwarding_service", "uppercase"}

func (b *block) tcpOutlet() *TCPOutlet {
	out := &TCPOutlet{Name: b.name, Range: b.at, MaxConnections: b.count("max_connections")}
	b.checkName()
	if slices.Contains(builtIn, b.name) || strings.HasPrefix(b.name, forwardTo) {
		b.errorf(b.at, "Reserved name", "%q is the name of a service that nodes have themselves. Choose another one.", b.name)
	}
	out.To = b.outletSocket()
	switch {
	case b.attrs["allow"] != nil:
	case b.believes:
		out.Allow = b.defaultAllow()
		return out
	default:
		b.missing("allow", "Say who may open it: the identifier of a node (allow = \"I…\"), a list of them, "+
			"node.NAME.identifier for a node of this configuration, or allow = \"anyone\" for whoever can reach this node."+orJoin)
		return out
	}
	out.Allow = b.allow()
	if out.Allow.anyone {
		b.warnf(out.Allow.Range, "Outlet open to anyone", "Whoever can reach this node can connect to %s through it.", out.To)
	}
	return out
}

// outletSocket decodes to.
func (b *block) outletSocket() Socket {
	const example = "127.0.0.1:5432"
	if b.attrs["to"] == nil {
		b.missing("to", "Say what to connect to: to = %q, \"unix:/PATH\", or \"demo:web\" for a built-in web page.", example)
		return Socket{}
	}
	text, at, ok := b.text("to", example)
	if !ok {
		return Socket{}
	}
	s, err := parseSocket(text, socketDial)
	if err != nil {
		b.errorf(at, "Bad address", "%s Write, for example, %q, \"unix:/run/postgres.sock\" or \"demo:web\".", sentence(err), example)
	}
	return s
}
