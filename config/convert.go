package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"ockam/tunnel/multiaddr"
)

// Convert writes HCL that Load reads, for what one of the reference's
// configurations says in YAML, of one node or of anything. What HCL has no word
// for is an error, each with its line, or a comment where nothing is lost.
// Variables are replaced by their values.
func Convert(text string, o RecipeOptions) ([]byte, error) {
	name := strings.TrimSuffix(filepath.Base(o.file()), filepath.Ext(o.file()))
	if !goodName.MatchString(name) || o.File == "" {
		name = "node"
	}
	read := ReadNodeRecipe
	if isRunText(text) {
		read = ReadRunRecipe
	}
	r, err := read(text, o)
	if err != nil {
		return nil, err
	}
	if node, ok := r.Node(); ok && !isRunText(text) {
		if node.Name != "" {
			name = node.Name
		}
		r.ForNode(name)
	}
	c := &converter{file: o.file(), nodes: map[string]*hclNode{}}
	for _, w := range r.Warnings {
		c.notes = append(c.notes, w+".")
	}
	c.takeNodes(r.Steps, name)
	for _, s := range r.Steps {
		c.take(s)
	}
	c.open()
	c.fixPorts()
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return c.write()
}

// isRunText reports whether a text has sections that a configuration of one
// node has not.
func isRunText(text string) bool {
	r := &yamlReader{left: maxNodes}
	top, err := r.parseYAML(text)
	if err != nil || top == nil {
		return false
	}
	return slices.ContainsFunc(r.pairs(top), func(p pair) bool {
		_, kind := scalar(p.value)
		return slices.Contains([]string{"vaults", "vault", "identities", "nodes", "node"}, p.key) || p.key == "identity" && kind == notScalar
	})
}

// A converter is a configuration that becomes HCL.
type converter struct {
	file     string
	nodes    map[string]*hclNode
	order    []*hclNode
	notes    []string // comments at the top
	mistakes []error
}

// An hclNode is a block "node" that is to be written.
type hclNode struct {
	name, identity, listen string
	project, ticket        string
	line                   int
	reached                bool // a route goes to it by its name
	notes                  []string
	blocks                 []hclBlock
}

// An hclBlock is a block within a node.
type hclBlock struct {
	kind, label string
	notes       []string
	attrs       [][2]string
	allow       string // what the file says of it, empty if nothing
}

func (c *converter) errorf(s Step, format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Errorf("config: %s:%d: %s: %s", c.file, s.Line, s.Command, fmt.Sprintf(format, args...)))
}

// takeNodes takes the nodes; where there is none, one of that name.
func (c *converter) takeNodes(steps []Step, name string) {
	for _, s := range steps {
		if s.Command != NodeStep {
			continue
		}
		n := &hclNode{name: s.Name, listen: "127.0.0.1:0", line: s.Line}
		switch {
		case n.name == "":
			n.name = name
		case c.nodes[n.name] != nil:
			c.errorf(s, "there is a node %q already", n.name)
			continue
		}
		o := c.options(s, []string{"identity", "project", "tcp-listener-address", "t"}, []string{
			"foreground", "f", "exit-on-eof", "e", "skip-is-running-check", "s", "child-process", "opentelemetry-context",
		}, &n.notes)
		if n.identity = o.Value("identity"); n.identity == "" {
			n.notes = append(n.notes, "Its identity has its name; the reference takes the default one of the machine.")
		}
		n.project = o.Value("project")
		for _, option := range []string{"t", "tcp-listener-address"} {
			if o.Has(option) {
				n.listen = o.Value(option)
			}
		}
		c.nodes[n.name], c.order = n, append(c.order, n)
	}
	if len(c.order) == 0 && len(steps) > 0 {
		n := &hclNode{name: name, listen: "127.0.0.1:0", notes: []string{"The default node; its identity has its name."}}
		c.nodes[name], c.order = n, []*hclNode{n}
	}
}

// options returns those of a step that have a meaning, notes those that mean
// nothing here, and reports all others.
func (c *converter) options(s Step, known, harmless []string, notes *[]string) StepOptions {
	out := StepOptions{}
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		switch text := strings.TrimSpace(name + " " + strings.Join(s.Options[name], " ")); {
		case slices.Contains(known, name) && len(s.Options[name]) == 1:
			out[name] = s.Options[name]
		case slices.Contains(known, name):
			c.errorf(s, "%s takes one value", name)
		case slices.Contains(harmless, name):
			*notes = append(*notes, "Without meaning here: "+text)
		default:
			at := s
			if line := s.lines[name]; line > 0 {
				at.Line = line
			}
			c.errorf(at, "HCL has no word for %q", text)
		}
	}
	return out
}

// take takes one step, other than a node.
func (c *converter) take(s Step) {
	switch s.Command {
	case NodeStep:
	case IdentityStep:
		c.options(s, nil, nil, nil)
		c.notes = append(c.notes, fmt.Sprintf("The identity %q is made when a node that has it runs.", s.Name))
	case RelayStep:
		c.relay(s)
	case TCPInletStep:
		c.inlet(s)
	case TCPOutletStep:
		c.outlet(s)
	case TicketStep:
		c.ticket(s)
	case PolicyStep:
		c.errorf(s, "HCL has no policies of their own: it has allow, identifiers or a policy, in each outlet and inlet")
	default:
		c.errorf(s, "HCL has nothing for it in this version")
	}
}

// node returns the node that a step is about, nil if it is not in the file.
func (c *converter) node(s Step) *hclNode {
	at := s.At()
	n := c.nodes[at]
	switch {
	case n != nil:
	case at == "" && len(c.order) == 1:
		return c.order[0]
	case at == "":
		c.errorf(s, "the file has several nodes: say which one, by \"at\" (of a relay, by \"to\")")
	default:
		c.errorf(s, "the node %q is not in the file", at)
	}
	return n
}

// route checks that the nodes of a route are in the file.
func (c *converter) route(s Step, option, text string) (string, bool) {
	addr, err := multiaddr.Parse(text)
	if err != nil {
		c.errorf(s, "%s: %v", option, err)
		return "", false
	}
	for _, part := range addr {
		if part.Protocol != multiaddr.Node {
			continue
		}
		n := c.nodes[part.Value]
		if n == nil {
			c.errorf(s, "%s: the node %q is not in the file: write its address, such as /ip4/192.0.2.1/tcp/4000", option, part.Value)
			return "", false
		}
		n.reached = true
	}
	return addr.String(), true
}

func (c *converter) relay(s Step) {
	b := hclBlock{kind: "relay", label: s.Name}
	o := c.options(s, []string{"at", "to", "authorized", "relay-address"}, []string{
		"no-connection-wait", "no-retry", "project-relay", "retry", "retry-count", "retry-delay",
	}, &b.notes)
	if address := o.Value("relay-address"); address != "" {
		b.label = address
	}
	if b.label == "" {
		b.label = "default"
	}
	at := o.Value("at")
	if at != "" && !strings.Contains(at, "/") {
		at = "/node/" + at
	}
	at, ok := c.route(s, "at", at)
	n := c.node(s)
	if !ok || n == nil {
		return
	}
	if at != "" && at != "/project/"+n.projectName() {
		b.attrs = [][2]string{{"at", at}}
	}
	b.allow = o.Value("authorized")
	n.blocks = append(n.blocks, b)
}

func (c *converter) inlet(s Step) {
	b := hclBlock{kind: "tcp_inlet"}
	o := c.options(s, []string{"alias", "allow", "at", "authorized", "expression", "from", "to", "via"}, []string{
		"connection-wait", "no-connection-wait", "retry-wait", "timeout",
	}, &b.notes)
	n := c.node(s)
	to, relay, service, ok := c.inletTo(s, o, n)
	if !ok || n == nil {
		return
	}
	from, fallback := o.Value("from"), "inlet"
	if from == "" {
		from = "0"
	}
	if relay != "" && service != "outlet" {
		fallback = service
	}
	b.label = n.free("tcp_inlet", o.Value("alias"), fallback)
	b.attrs = [][2]string{{"from", withHost(from)}}
	switch {
	case relay == "":
		b.attrs = append(b.attrs, [2]string{"to", to})
	case service == b.label:
		b.attrs = append(b.attrs, [2]string{"via", relay})
	default:
		b.attrs = append(b.attrs, [2]string{"via", relay}, [2]string{"service", service})
	}
	b.allow = cmp.Or(o.Value("authorized"), o.Value("allow"), o.Value("expression"))
	n.blocks = append(n.blocks, b)
}

func (c *converter) outlet(s Step) {
	b := hclBlock{kind: "tcp_outlet"}
	o := c.options(s, []string{"allow", "at", "expression", "from", "to"}, nil, &b.notes)
	n := c.node(s)
	if n == nil {
		return
	}
	from := o.Value("from")
	b.label = n.free("tcp_outlet", from[strings.LastIndex(from, "/")+1:], "outlet")
	b.attrs = [][2]string{{"to", withHost(o.Value("to"))}}
	b.allow = cmp.Or(o.Value("allow"), o.Value("expression"))
	n.blocks = append(n.blocks, b)
}

// free returns a name; without one, a name like fallback that no block of that
// kind has.
func (n *hclNode) free(kind, name, fallback string) string {
	if name != "" {
		return name
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(n.blocks, func(b hclBlock) bool { return b.kind == kind && b.label == name })
	}
	name = fallback
	for i := 2; taken(name); i++ {
		name = fmt.Sprintf("%s-%d", fallback, i)
	}
	return name
}

// withHost makes host:port of a port.
func withHost(text string) string {
	if !strings.Contains(text, ":") {
		return net.JoinHostPort("127.0.0.1", text)
	}
	return text
}

// fixPorts gives the nodes that routes name a port that is known before they
// run.
func (c *converter) fixPorts() {
	taken := map[string]bool{}
	for _, n := range c.order {
		_, port, _ := net.SplitHostPort(n.listen)
		taken[port] = true
	}
	next := 4000
	for _, n := range c.order {
		host, port, err := net.SplitHostPort(n.listen)
		if err != nil || port != "0" || !n.reached {
			continue
		}
		for taken[fmt.Sprint(next)] {
			next++
		}
		n.listen = net.JoinHostPort(host, fmt.Sprint(next))
		taken[fmt.Sprint(next)] = true
		n.notes = append(n.notes, "Routes name it, so that it needs a port that is known; any free one will do.")
	}
}
