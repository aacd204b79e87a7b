package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// A Node is one node: an identity, and what it offers and reaches.
type Node struct {
	Name string
	// Identity is the name of the stored identity, which is made when there
	// is none. It is empty for an ephemeral node.
	Identity  string
	Ephemeral bool // the identity is made for this run, nothing is written
	// Authority is the issuer whose credentials are believed; nil: nobody's. With
	// one, blocks may do without allow: a credential is asked for then.
	Authority *identity.History
	// Membership is in which project the node is a member; nil: in none. Project
	// is the one of which it is the node; nil: of none. Not both are there. With
	// one of them, but for a Membership that only a whole way says, it is as with
	// an authority.
	Membership   *Membership
	Project      *ProjectServer
	Listeners    []*Listener
	Relays       []*Relay
	RelayService *RelayService // nil: other nodes cannot register names here
	TCPInlets    []*TCPInlet
	TCPOutlets   []*TCPOutlet
	// Services are the small workers that everybody may reach over the node's
	// listeners and channels: "uppercase", "hop". (Echo always is.)
	Services []string
	Range    hcl.Range // where it stands, for errors found later
}

// services are the workers that a node can be asked to offer.
var services = []string{"echo", "hop", "uppercase"}

var nodeSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "identity"}, {Name: "ephemeral"}, {Name: "authority"}, {Name: "project"}, {Name: "services"}, {Name: "ticket"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "listener", LabelNames: []string{"transport"}},
		{Type: "project", LabelNames: []string{"name"}},
		{Type: "relay", LabelNames: []string{"name"}},
		{Type: "relay_service"},
		{Type: "tcp_inlet", LabelNames: []string{"name"}},
		{Type: "tcp_outlet", LabelNames: []string{"name"}},
	},
}

// A nodeBlock is a node while it is being decoded.
type nodeBlock struct {
	block
	node   *Node
	blocks hcl.Blocks
	broken bool // something in it was not understood
}

// addNode takes up a node block. It returns nil if its name is taken.
func (l *loader) addNode(hb *hcl.Block, s scope) *nodeBlock {
	name := hb.Labels[0]
	if first := l.nodes[name]; first != nil {
		l.errorf(hb.DefRange, "Duplicate node", "A node %q stands at %s already. Everything of a node stands in one block.", name, line(first.at))
		return nil
	}
	before := len(l.diags)
	content := l.content(hb.Body, nodeSchema)
	n := &nodeBlock{
		block:  block{scope: s, kind: "node", name: name, at: hb.DefRange, attrs: content.Attributes},
		node:   &Node{Name: name, Range: hb.DefRange},
		blocks: content.Blocks,
		broken: len(l.diags) > before,
	}
	n.believes = content.Attributes["authority"] != nil || usesProject(content)
	n.project = &projectUse{}
	n.checkName()
	l.nodes[name] = n
	return n
}

// decodeListeners decodes the listeners alone, as other nodes may refer to
// them by /node/NAME.
func (n *nodeBlock) decodeListeners() {
	seen := names{}
	for _, hb := range n.blocks.OfType("listener") {
		for _, b := range n.instances(hb, listenerSchema) {
			if n.unique(seen, b) {
				n.node.Listeners = append(n.node.Listeners, b.listener())
			}
		}
	}
}

// decode decodes everything else.
func (n *nodeBlock) decode() *Node {
	n.decodeIdentity()
	n.decodeAuthority()
	n.decodeMembership()
	n.decodeProject()
	n.decodeServices()
	seen := names{}
	for _, hb := range n.blocks {
		schema := schemas[hb.Type]
		if schema == nil {
			continue // a listener, or the project
		}
		for _, b := range n.instances(hb, schema) {
			if n.unique(seen, b) {
				n.add(b)
			}
		}
	}
	n.endMembership()
	if len(n.blocks) == 0 && n.attrs["services"] == nil && !n.broken {
		n.errorf(n.at, "Nothing in the node", "The node offers and reaches nothing. Give it a listener, project, relay, relay_service, tcp_inlet or tcp_outlet.")
	}
	return n.node
}

// schemas says what may stand in each block of a node but listeners.
var schemas = map[string]*hcl.BodySchema{
	"relay":         relaySchema,
	"relay_service": relayServiceSchema,
	"tcp_inlet":     tcpInletSchema,
	"tcp_outlet":    tcpOutletSchema,
}

// add decodes one block of the node. A new kind of block gets a line here.
func (n *nodeBlock) add(b *block) {
	switch b.kind {
	case "relay":
		n.node.Relays = append(n.node.Relays, b.relay())
	case "relay_service":
		n.node.RelayService = b.relayService()
	case "tcp_inlet":
		n.node.TCPInlets = append(n.node.TCPInlets, b.tcpInlet())
	case "tcp_outlet":
		n.node.TCPOutlets = append(n.node.TCPOutlets, b.tcpOutlet())
	}
}

func (n *nodeBlock) decodeIdentity() {
	identity, at, named := n.text("identity", n.name)
	ephemeral, _ := n.flag("ephemeral")
	switch {
	case named && ephemeral:
		n.errorf(at, "Two kinds of identity", "An ephemeral node has an identity of its own, made for each run; leave out identity or ephemeral.")
	case named && !goodName.MatchString(identity):
		n.errorf(at, "Bad name", "%q cannot be the name of an identity. Names are made of letters, digits, '-', '_' and '.'.", identity)
	case !named && !ephemeral:
		identity = n.name
	}
	n.node.Identity, n.node.Ephemeral = identity, ephemeral
}

// decodeAuthority decodes whose credentials are believed.
func (n *nodeBlock) decodeAuthority() {
	if text, at, ok := n.text("authority", "81825837…"); ok {
		n.node.Authority = n.history("authority", text, at)
	}
}

// history returns the change history that an attribute holds, nil if it is none,
// which has been reported then.
func (b *block) history(attr, text string, at hcl.Range) *identity.History {
	h, err := identity.ParseHistoryText(strings.TrimSpace(text))
	if err != nil {
		b.errorf(at, "Bad authority", "This is no change history: %v. Write that of the authority, as \"ockam identity show NAME --full --encoding hex\" prints it, or put that into a file: %s = file(\"authority.hex\").",
			strings.TrimPrefix(err.Error(), "identity: "), attr)
		return nil
	}
	return h
}

func (n *nodeBlock) decodeServices() {
	attr := n.attrs["services"]
	if attr == nil {
		return
	}
	at := attr.Expr.Range()
	v := n.eval(attr.Expr)
	if !v.IsKnown() {
		return // has been reported
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil || !list.IsWhollyKnown() || list.IsNull() || list.ContainsMarked() {
		n.errorf(at, "Wrong type", `services takes a list of names, such as ["uppercase"].`)
		return
	}
	for _, e := range list.AsValueSlice() {
		if e.IsNull() {
			continue
		}
		name := e.AsString()
		if !slices.Contains(services, name) {
			detail := fmt.Sprintf("There is no service %q; there are %s.", name, strings.Join(services, ", "))
			if close := nearest(name, services); close != "" {
				detail += fmt.Sprintf(" Did you mean %q?", close)
			}
			n.errorf(at, "Unknown service", "%s", detail)
			continue
		}
		if name == "hop" {
			n.warnf(at, "Everything in the node is reachable", "A hop passes messages on to whatever they name. It is for trying things out.")
		}
		n.node.Services = append(n.node.Services, name)
	}
}

// names holds where each label of each kind stands.
type names map[[2]string]hcl.Range

// unique reports whether b is the first of its kind and label.
func (n *nodeBlock) unique(seen names, b *block) bool {
	key := [2]string{b.kind, b.name}
	first, twice := seen[key]
	if !twice {
		seen[key] = b.at
		return true
	}
	if b.name == "" {
		n.errorf(b.at, "Duplicate "+b.kind, "A node has one %s; there is another at %s.", b.kind, line(first))
	} else {
		n.errorf(b.at, "Duplicate "+b.kind, "There is a %s %q in this node at %s already.", b.kind, b.name, line(first))
	}
	return false
}

// expandNodes replaces each /node/NAME by the address on which that node of
// this configuration listens.
func (l *loader) expandNodes(addr multiaddr.Addr, at hcl.Range) (multiaddr.Addr, bool) {
	var out multiaddr.Addr
	for _, c := range addr {
		if c.Protocol != multiaddr.Node {
			out = append(out, c)
			continue
		}
		n := l.nodes[c.Value]
		if n == nil {
			l.errorf(at, "Unknown node", "There is no node %q in this configuration.%s", c.Value,
				didYouMean(c.Value, slices.Sorted(maps.Keys(l.nodes)), "/node/%s"))
			return nil, false
		}
		if len(n.node.Listeners) == 0 {
			if len(n.blocks.OfType("listener")) == 0 {
				advice := ""
				if p := n.blocks.OfType("project"); len(p) > 0 {
					advice = fmt.Sprintf(" The way to its project is /project/%s.", p[0].Labels[0])
				}
				l.errorf(at, "Node without a listener", "The node %q has no listener \"tcp\", so nobody can connect to it.%s", c.Value, advice)
			}
			return nil, false
		}
		host, port, err := net.SplitHostPort(n.node.Listeners[0].Address)
		if err != nil {
			return nil, false // has been reported
		}
		if port == "0" {
			l.errorf(at, "Port not known yet", "The listener of node %q takes a free port (port 0), which is not known before it runs. Give it a fixed port.", c.Value)
			return nil, false
		}
		out = append(out, hostComponent(host), multiaddr.Component{Protocol: multiaddr.TCP, Value: port})
	}
	return out, true
}

// hostComponent returns the place of a listener's host, seen from the same
// machine.
func hostComponent(host string) multiaddr.Component {
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return multiaddr.Component{Protocol: multiaddr.DNSAddr, Value: host}
	case ip == netip.IPv4Unspecified():
		return multiaddr.Component{Protocol: multiaddr.IP4, Value: "127.0.0.1"}
	case ip == netip.IPv6Unspecified():
		return multiaddr.Component{Protocol: multiaddr.IP6, Value: "::1"}
	case ip.Is4():
		return multiaddr.Component{Protocol: multiaddr.IP4, Value: ip.String()}
	default:
		return multiaddr.Component{Protocol: multiaddr.IP6, Value: ip.WithZone("").String()}
	}
}
