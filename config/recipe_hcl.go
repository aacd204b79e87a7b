package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/multiaddr"
)

// NodeRecipe returns the commands that set up the one node of the file in the
// background. Where commands cannot say what the file says, or it holds
// several nodes, the error is an *Error that tells all of that.
func (f *File) NodeRecipe() (*Recipe, error) {
	r := &hclRecipe{l: &loader{files: f.Warnings.files}}
	for _, n := range f.Nodes[1:] {
		r.cannot(n.Range, "A command makes one node, and %s has one already.", line(f.Nodes[0].Range))
	}
	r.node(f.Nodes[0])
	if r.l.diags.HasErrors() {
		return nil, r.l.err()
	}
	sortSteps(r.recipe.Steps, nodeOrder)
	return &r.recipe, nil
}

// An hclRecipe is the recipe of a node while it is being made.
type hclRecipe struct {
	l      *loader
	recipe Recipe
}

// cannot records what commands cannot say.
func (r *hclRecipe) cannot(at hcl.Range, format string, args ...any) {
	r.l.errorf(at, "Not for a node in the background", "%s To run the file as it is: ockam run %s",
		fmt.Sprintf(format, args...), at.Filename)
}

func (r *hclRecipe) add(command, name string, at hcl.Range, options StepOptions) {
	r.recipe.Steps = append(r.recipe.Steps, Step{Command: command, Name: name, Options: options, Line: at.Start.Line})
}

func (r *hclRecipe) node(n *Node) {
	node := StepOptions{}
	if n.Ephemeral {
		r.cannot(n.Range, "A node in the background keeps its identity: ephemeral has no place there.")
	} else {
		node["identity"] = []string{n.Identity}
	}
	for i, ln := range n.Listeners {
		if i == 0 {
			node["tcp-listener-address"] = []string{ln.Address}
		} else {
			r.add(TCPListenerStep, ln.Address, ln.Range, StepOptions{})
		}
	}
	for _, name := range n.Services {
		if name == "hop" {
			r.cannot(n.Range, "Nodes in the background offer \"echo\" and \"uppercase\"; for \"hop\" there is a command: ockam service start hop --at %s.", n.Name)
		}
	}
	if n.Authority != nil {
		node["authority-identity"] = []string{n.Authority.Text()}
	}
	r.project(n, node)
	r.add(NodeStep, n.Name, n.Range, node)
	r.relayService(n)
	for _, e := range n.Relays {
		o := StepOptions{"at": {e.At.String()}}
		if o.Value("at") == "/project/"+DefaultProject {
			o = StepOptions{} // the command knows which one that is
		}
		r.add(RelayStep, e.Name, e.Range, r.authorized(e.Allow, o))
	}
	for _, e := range n.TCPInlets {
		o := StepOptions{"alias": {e.Name}, "from": {r.socket(e.From, e.Range)}, "to": {e.To.String()}}
		if relay, service, ok := behindRelay(e.To, DefaultProject); ok {
			o["via"], o["to"] = []string{relay}, []string{service}
		}
		r.limit(e.MaxConnections, e.Range)
		r.unguarded(n, e.Allow)
		r.add(TCPInletStep, "", e.Range, r.authorized(e.Allow, o))
	}
	for _, e := range n.TCPOutlets {
		r.limit(e.MaxConnections, e.Range)
		r.unguarded(n, e.Allow)
		o := StepOptions{"from": {e.Name}, "to": {r.socket(e.To, e.Range)}}
		if p := e.Allow.policy; p != nil && p.Default {
			// that is what such a node in the background has, too
		} else if p != nil {
			o["allow"] = []string{p.Text}
		} else if !e.Allow.anyone {
			r.cannot(e.Allow.Range, "Who may open an outlet is said there by policies over attributes, not by identifiers: only allow = \"anyone\" can be taken over.")
		}
		r.add(TCPOutletStep, "", e.Range, o)
	}
}

// project adds what makes the node a member of a project.
func (r *hclRecipe) project(n *Node, node StepOptions) {
	if p := n.Project; p != nil {
		r.cannot(p.Range, "A project in the background is made by a command of its own: ockam project create %s --listen %s.", p.Name, p.Listen)
	}
	m := n.Membership
	if m == nil {
		return
	}
	if m.Ticket != "" {
		r.add(TicketStep, m.Ticket, m.Range, StepOptions{})
	}
	switch {
	case m.Project != "":
		node["project"] = []string{m.Project}
	case m.Name != DefaultProject:
		node["project"] = []string{m.Name}
	}
}

// guarded reports whether policies decide in such a node in the background.
func (n *Node) guarded() bool { return n.Authority != nil || n.Membership != nil }

// behindRelay returns relay and outlet of the place that via stands for.
func behindRelay(a multiaddr.Addr, project string) (relay, service string, ok bool) {
	if len(a) != 4 {
		return "", "", false
	}
	relay, ok = strings.CutPrefix(a[1].Value, forwardTo)
	service = a[3].Value
	want := multiaddr.Addr{
		{Protocol: multiaddr.Project, Value: project},
		{Protocol: multiaddr.Service, Value: forwardTo + relay},
		{Protocol: multiaddr.Secure, Value: "api"},
		{Protocol: multiaddr.Service, Value: service},
	}
	return relay, service, ok && goodName.MatchString(relay) && goodName.MatchString(service) && slices.Equal(a, want)
}

// unguarded reports what is open to anyone in a node with an authority.
func (r *hclRecipe) unguarded(n *Node, a Allow) {
	if n.guarded() && a.anyone {
		r.cannot(a.Range, "In a node in the background that believes an authority a policy decides on every inlet and outlet; it cannot be open to anyone.")
	}
}

// relayService checks the block of that name. Nodes in the background have the
// service in any case.
func (r *hclRecipe) relayService(n *Node) {
	switch s := n.RelayService; {
	case s != nil && n.guarded() && s.Allow.policy != nil && s.Allow.policy.Default:
	case s != nil && n.guarded():
		r.cannot(s.Allow.Range, "Nodes in the background that believe an authority let those register names who have its credential.")
	case s != nil && !s.Allow.anyone:
		r.cannot(s.Allow.Range, "Nodes in the background let everybody who can connect register names.")
	case s == nil && !n.guarded():
		for _, ln := range n.Listeners {
			if s := (Socket{"tcp", ln.Address}); !s.Loopback() {
				r.recipe.Warnings = append(r.recipe.Warnings, fmt.Sprintf(
					"the node %s offers more in the background than %s says: whoever can connect to %s may register names, and use echo and uppercase",
					n.Name, n.Range.Filename, ln.Address))
			}
		}
	}
}

// authorized adds the option for who must be at the far end.
func (r *hclRecipe) authorized(a Allow, o StepOptions) StepOptions {
	switch {
	case a.anyone || a.policy != nil && a.policy.Default:
	case a.policy != nil && o["alias"] != nil:
		o["allow"] = []string{a.policy.Text}
	case len(a.identifiers) == 1 && len(a.nodes) == 0:
		o["authorized"] = []string{a.identifiers[0]}
	default:
		r.cannot(a.Range, "Commands take one identifier for who must be at the far end, written out, or anyone; for an inlet also a policy.")
	}
	return o
}

func (r *hclRecipe) limit(connections int, at hcl.Range) {
	if connections != 0 {
		r.cannot(at, "Commands have no max_connections.")
	}
}

func (r *hclRecipe) socket(s Socket, at hcl.Range) string {
	if s.Network != "tcp" {
		r.cannot(at, "Commands take HOST:PORT, not %s.", s)
	}
	return s.Address
}
