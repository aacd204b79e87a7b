package node

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// A Resource is what a policy is for: one resource by its name, or all of a
// type if the name is empty.
type Resource struct {
	Type policy.ResourceType
	Name string
}

// String returns type and name, as in "tcp-outlet db"; one alone where the other is
// not given.
func (r Resource) String() string {
	switch {
	case r.Name == "":
		return r.Type.String()
	case r.Type == 0:
		return r.Name
	}
	return r.Type.String() + " " + r.Name
}

// A RuleSource says whose a rule is.
type RuleSource string

// The sources of rules.
const (
	OwnRule  RuleSource = "resource" // the resource's own
	TypeRule RuleSource = "type"     // that of its type: of all that have none of their own
	NoRule   RuleSource = "none"     // there is none
)

// A Rule is what decides on who may use a resource.
type Rule struct {
	Source RuleSource
	Allow  config.AllowList
	At     string // where it stands, for people
}

// Policy returns the text of the policy that decides, as it was written; empty
// if none does.
func (r Rule) Policy() string {
	if r.Allow.Policy == nil {
		return ""
	}
	return r.Allow.Policy.Text
}

// A Decision is whether somebody may use a resource, and what it was made from.
type Decision struct {
	Resource
	Subject string // the identifier; empty: nobody has proved one
	Rule    Rule
	// Relay is the name that is to be registered at a relay service; empty: any.
	Relay string
	// Authority is whose credentials count; zero: nobody's.
	Authority identity.Identifier
	// Known is what a credential of the authority, that is in force, says about
	// the subject; nil: nothing, or it did not matter.
	Known *identity.AttributesEntry
	// Err says why not, and then wraps policy.ErrDenied; nil: the subject may.
	Err error
}

// request returns the environment of the policy. Nothing in it comes from a
// message: the subject is what the handshake proved, and what is known of it is
// what its credentials said.
func (d *Decision) request() *policy.Request {
	r := &policy.Request{
		Resource: d.Name, Action: policy.HandleMessage, Subject: d.Subject,
		Authority: !d.Authority.IsZero(), Credential: d.Known != nil,
	}
	if d.Known != nil {
		r.Attributes = d.Known.Attributes.Values
	}
	return r
}

// A warden decides on who uses one resource, at every open and, while the channel
// lives, again and again. Explanations are its decisions as well.
type warden struct {
	node *Node
	of   Resource
	rule func() (Rule, error) // as it is now
	// names: the resource is the relay service, and a credential says which names
	// its subject may register there.
	names bool
}

// byAllow returns a warden that goes by an allow of the configuration, which, as
// where it stands, is guarded by Node.mu.
func (n *Node) byAllow(of Resource, list *config.AllowList, at *string) *warden {
	return &warden{node: n, of: of, rule: func() (Rule, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return ruleOf(*list, *at), nil
	}}
}

// ruleOf returns the rule that an allow is, or its default.
func ruleOf(list config.AllowList, at string) Rule {
	if p := list.Policy; p != nil && p.Default {
		return Rule{TypeRule, list, "the default of a node with an authority, since no allow stands at " + at}
	}
	return Rule{OwnRule, list, at}
}

// relayAttribute names the relays that a credential allows its subject to
// register, "*" for all (Ockam protocol, policies, relays).
const relayAttribute = "ockam-relay"

// decide decides on an identity that was proved, or on nobody if peer is empty.
// Name is what is to be registered at a relay service.
func (w *warden) decide(peer, name string) *Decision {
	d := &Decision{Resource: w.of, Subject: peer, Relay: name, Authority: w.node.authorityIdentifier()}
	rule, err := w.rule()
	if err != nil {
		d.Err = fmt.Errorf("%w: the policy of %v: %w", policy.ErrDenied, w.of, err)
		return d
	}
	d.Rule = rule
	allow := &rule.Allow
	switch {
	case allow.Permits(peer):
	case allow.Policy == nil && rule.Source == NoRule:
		d.Err = fmt.Errorf("%w: %s", policy.ErrDenied, rule.At)
	case allow.Policy == nil:
		d.Err = fmt.Errorf("%w: %s is not allowed by %s", policy.ErrDenied, peerName(peer), rule.At)
	case peer == "":
		d.Err = fmt.Errorf("%w: %v has a policy, and nobody proved an identity", policy.ErrDenied, w.of)
	default:
		w.byPolicy(d)
	}
	return d
}

// byPolicy decides by the policy of the rule.
func (w *warden) byPolicy(d *Decision) {
	if err := w.node.know(d); err != nil {
		d.Err = fmt.Errorf("%w: what is known of %s: %w", policy.ErrDenied, d.Subject, err)
		return
	}
	allowed, err := d.Rule.Allow.Policy.Expr.Eval(d.request())
	if err != nil || !allowed {
		why := "it is false"
		if err != nil {
			why = strings.TrimPrefix(err.Error(), "policy: ")
		}
		d.Err = fmt.Errorf("%w: %s is not allowed by the policy %s (%s): %s", policy.ErrDenied, d.Subject, d.Rule.Policy(), d.Rule.At, why)
		return
	}
	if w.names && !d.Authority.IsZero() {
		d.Err = d.mayRegister()
	}
}

// mayRegister decides on the name that is to be registered.
func (d *Decision) mayRegister() error {
	allowed := ""
	if d.Known != nil {
		allowed = d.Known.Attributes.Values[relayAttribute]
	}
	switch {
	case allowed == "*" || allowed != "" && (d.Relay == "" || d.Relay == allowed):
		return nil
	case allowed == "":
		return fmt.Errorf("%w: the credential of %s has no attribute %s, and so allows it no relay", policy.ErrDenied, d.Subject, relayAttribute)
	}
	return fmt.Errorf("%w: the credential of %s allows it the relay %q, not %q", policy.ErrDenied, d.Subject, allowed, d.Relay)
}

// anyName reports whether a credential lets who is at the other end of o register
// any name, and so take one that somebody else has (Ockam protocol, projects,
// relay service).
func (w *warden) anyName(o *tunnel.Origin, name string) bool {
	if o == nil || o.Peer == "" {
		return false
	}
	d := w.decide(o.Peer, name)
	return d.Err == nil && d.Known != nil && d.Known.Attributes.Values[relayAttribute] == "*"
}

// know puts what is known of the subject into a decision.
func (n *Node) know(d *Decision) error {
	if d.Authority.IsZero() || d.Subject == "" {
		return nil
	}
	id, err := identity.ParseIdentifier(d.Subject)
	if err != nil {
		return err
	}
	e, ok, err := n.channels.Attributes.Attributes(id, time.Now())
	// The node may have had another authority before.
	if err == nil && ok && e.AttestedBy == d.Authority {
		d.Known = &e
	}
	return err
}

func (n *Node) authorityIdentifier() identity.Identifier {
	if n.authority == nil {
		return identity.Identifier{}
	}
	return n.authority.Identifier()
}

// admit decides on who is at the other end of o. When it would decide otherwise
// later, while what was opened may still be open, it calls cut, which ends the
// channel.
func (w *warden) admit(o *tunnel.Origin, cut func()) error { return w.admitName(o, "", cut) }

// admitName is admit for a name that is to be registered at a relay service.
func (w *warden) admitName(o *tunnel.Origin, name string, cut func()) error {
	peer := ""
	if o != nil {
		peer = o.Peer
	}
	d := w.decide(peer, name)
	if d.Err != nil || peer == "" || d.Rule.Allow.Anyone {
		return d.Err
	}
	if d.byName() {
		if err := w.node.keepHistory(peer); err != nil {
			return fmt.Errorf("%w: the history of %s: %w", policy.ErrDenied, peer, err)
		}
	}
	w.node.watchAdmitted(admission{w, o, name}, cut)
	return nil
}

// An admission is that something of a resource may be open over a channel.
type admission struct {
	*warden
	origin *tunnel.Origin
	name   string // at a relay service
}

// recheckInterval is how often it is looked whether those who have something open
// would still be admitted: credentials expire, and policies change.
const recheckInterval = time.Second

// maxNames is how many names that a channel registers at a relay service are
// decided on again: who may register any could name more than there is memory for.
const maxNames = 64

func (n *Node) watchAdmitted(a admission, cut func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.admitted == nil {
		n.admitted = make(map[admission]func())
		n.names = make(map[*tunnel.Origin]int)
		close(n.watching)
	}
	if _, known := n.admitted[a]; !known && a.name != "" {
		if n.names[a.origin] >= maxNames {
			return // the channel ends with the first that is not admitted any more
		}
		n.names[a.origin]++
	}
	n.admitted[a] = cut
}

// dismiss forgets the admissions to a resource that has ended.
func (n *Node) dismiss(w *warden) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.admitted, func(a admission, _ func()) bool { return a.warden == w })
}

// recheck ends the channels of those who would not be admitted any more, as long
// as the node lives. A stream that is reset tells its peer that it has ended,
// which would look like all there is; one whose channel ends is reset at both ends.
// What else the channel carries is lost as well, also where the peer was admitted
// to the resource earlier and uses another one now.
func (n *Node) recheck() {
	select {
	case <-n.watching:
	case <-n.life.Done():
	}
	for tunnel.Sleep(n.life, recheckInterval) {
		n.mu.Lock()
		all := maps.Clone(n.admitted)
		n.mu.Unlock()
		for a, cut := range all {
			if a.origin.Err() != nil {
				n.mu.Lock()
				delete(n.admitted, a)
				delete(n.names, a.origin)
				n.mu.Unlock()
				continue
			}
			if a.origin.Dependents() == 0 {
				continue
			}
			if d := a.decide(a.origin.Peer, a.name); d.Err != nil {
				n.denied.say(zap.WarnLevel, a.refused("not admitted any more"), a.origin.Peer,
					zap.String("peer", a.origin.Peer), zap.Error(d.Err))
				cut()
			}
		}
	}
}

// sameAuthority returns an error if cfg has another authority than the node, which
// has the one that it began with.
func (n *Node) sameAuthority(cfg *config.Node) error {
	var wanted identity.Identifier
	if cfg.Authority == nil && (n.members != nil || n.serving != nil) { // that of the project
		return nil
	}
	if cfg.Authority != nil {
		wanted = cfg.Authority.Identifier()
	}
	if wanted != n.authorityIdentifier() {
		return fmt.Errorf("node %s: %sit cannot get another authority while it runs: start it again", n.name, place(cfg.Range))
	}
	return nil
}

// trust makes the node believe the credentials of an authority; nil: nobody's.
// With one, the policies decide on who uses what the node has.
func (n *Node) trust(h *identity.History) error {
	if h == nil {
		return nil
	}
	if err := n.peers.update(h, true); err != nil {
		return fmt.Errorf("the authority %v: %w", h.Identifier(), err)
	}
	n.authority = h
	n.channels.Authorities = []identity.Identifier{h.Identifier()}
	n.echoGate = n.mayEcho
	return nil
}
