package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// A Question is whether Subject may use a resource.
type Question struct {
	Subject identity.Identifier
	// Resource is named as in policies. Its type may be left out where one
	// resource of the name is there. A relay that somebody may register is
	// forward_to_NAME, or NAME of the type relay; the relay service itself stands
	// for any name.
	Resource Resource
}

// maxSteps is how many parts of a policy an explanation has at most.
const maxSteps = 200

// Steps returns the parts of the policy that decided, with their values; nil if
// none did.
func (d *Decision) Steps() []policy.Step {
	if d.Rule.Allow.Policy == nil {
		return nil
	}
	return d.Rule.Allow.Policy.Expr.Steps(d.request(), maxSteps)
}

// Reason says, for people, why the decision is as it is.
func (d *Decision) Reason() string {
	rule := d.Rule.Allow
	what := fmt.Sprint(d.Resource)
	if d.Relay != "" {
		what += ", relay " + d.Relay
	}
	switch {
	case d.Err != nil:
		return strings.TrimPrefix(d.Err.Error(), policy.ErrDenied.Error()+": ")
	case rule.Anyone:
		return fmt.Sprintf("%s is open to anyone: %s", what, d.Rule.At)
	case rule.Permits(d.Subject):
		return fmt.Sprintf("%s is named by %s", d.Subject, d.Rule.At)
	case d.Relay == "" && d.Known != nil && d.Known.Attributes.Values[relayAttribute] != "" && d.Type == policy.Relay:
		return fmt.Sprintf("%s is allowed by the policy %s (%s), and the credential allows it the relay %q", d.Subject, d.Rule.Policy(), d.Rule.At,
			d.Known.Attributes.Values[relayAttribute])
	}
	return fmt.Sprintf("%s is allowed by the policy %s (%s)", d.Subject, d.Rule.Policy(), d.Rule.At)
}

// Explain decides as the node would if the subject came now, through a channel.
// The error is ErrNotFound if there is no such resource, and ErrBadRequest if
// there are two.
func (b *Background) Explain(q Question) (*Decision, error) { return b.n.explain(q) }

func (n *Node) explain(q Question) (*Decision, error) {
	n.mu.Lock()
	all := []*warden{n.echo}
	for _, r := range n.resources {
		if r.warden != nil {
			all = append(all, r.warden)
		}
	}
	n.mu.Unlock()
	return n.explainBy(all, q)
}

func (n *Node) explainBy(all []*warden, q Question) (*Decision, error) {
	w, name, err := find(all, q.Resource)
	if err != nil {
		return nil, fmt.Errorf("%w at the node %s", err, n.name)
	}
	d := w.decide(q.Subject.String(), name)
	if d.Known == nil {
		err = n.know(d) // where it did not matter, people want to know all the same
	}
	return d, err
}

// find returns what decides on a resource, and the name to be registered if it is
// a relay service.
func find(all []*warden, r Resource) (w *warden, name string, err error) {
	relayName, forward := strings.CutPrefix(r.Name, relay.Prefix)
	service := r.Name == relay.ServiceName || r.Name == relay.StaticServiceName || r.Type == policy.Relay && r.Name == ""
	var found []*warden
	for _, w := range all {
		right := r.Type == 0 || r.Type == w.of.Type
		if right && (w.names && (service || forward) || !w.names && w.of.Name == r.Name) {
			found = append(found, w)
		}
	}
	if len(found) == 0 && r.Type == policy.Relay {
		relayName = r.Name
		found = slices.DeleteFunc(slices.Clone(all), func(w *warden) bool { return !w.names })
	}
	var names []string
	for _, w := range all {
		names = append(names, w.of.String())
	}
	slices.Sort(names)
	switch {
	case len(found) == 0:
		return nil, "", fmt.Errorf("%w: no resource %q; there are %s", ErrNotFound, r, strings.Join(names, ", "))
	case len(found) > 1:
		return nil, "", fmt.Errorf("%w: %q may be a %v and a %v: say which type", ErrBadRequest, r.Name,
			min(found[0].of.Type, found[1].of.Type), max(found[0].of.Type, found[1].of.Type))
	case service:
		relayName = ""
	}
	if found[0].names {
		name = relayName
	}
	return found[0], name, nil
}

// ExplainConfigured decides as a node of a configuration would, by what the
// store knows. The node need not run. What an ephemeral node knows, only it does.
// Trust is what Options.Trust makes of the node; nil: what the configuration says.
func ExplainConfigured(ctx context.Context, f *config.File, name string, s *state.Store, trust *Trust, q Question) (*Decision, error) {
	c := f.Node(name)
	if c == nil {
		return nil, fmt.Errorf("%w: no node %q in the configuration", ErrNotFound, name)
	}
	n := &Node{name: name, router: tunnel.NewRouter(), identifiers: make(map[string]string), authority: c.Authority}
	if trust != nil {
		n.authority = trust.Authority
	}
	for _, other := range f.Nodes {
		named, err := s.Named(ctx, cmp.Or(other.Identity, other.Name))
		if err == nil && !other.Ephemeral {
			n.identifiers[other.Name] = named.Identifier.String()
		} else if err != nil && !errors.Is(err, state.ErrNotFound) {
			return nil, err
		}
	}
	n.channels.Attributes = s.Node(name)
	if c.Ephemeral {
		n.channels.Attributes = identity.NewMemoryStore()
	}
	var all []*warden
	if c.Project != nil {
		relays, done, err := n.asProject(ctx, s, c.Project)
		if err != nil {
			return nil, err
		}
		defer done()
		all = append(all, relays)
	}
	n.echo = n.echoWarden()
	all = append(all, n.echo)
	for _, w := range n.wanted(c) {
		if w.err != nil {
			return nil, w.err
		}
		if w.of.Name != "" {
			decides := n.byAllow(w.of, &w.allow, &w.at)
			decides.names = w.key == relayServiceKey
			all = append(all, decides)
		}
	}
	return n.explainBy(all, q)
}
