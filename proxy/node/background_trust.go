package node

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"ockam/proxy/state"
	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
	"ockam/tunnel/secure"
)

// Trust says whose credentials a node believes, and which it presents (Ockam
// protocol, command line, trust of a node). The zero value: none, and none.
//
// With an authority, the policies decide on who uses the inlets, outlets, echo
// and relay service of the node; the default ones ask for a credential of it.
type Trust struct {
	// Authority is the issuer whose credentials are believed.
	Authority *identity.History
	// Scope names the stored credentials, issued by the authority, that the node
	// presents. Empty: it presents none, unless there is a Route.
	Scope string
	// Route leads to the channel listener of the authority (/dnsaddr/HOST/tcp/PORT/
	// service/api), which is asked for credentials, each time before the one before
	// ends. They are stored in the scope. Nil: nobody is asked.
	Route multiaddr.Addr
}

// trust makes the node's channels follow the options.
func (b *Background) trust() error {
	t := &b.opt.Trust
	name := b.opt.Name
	if b.opt.InMemory {
		name = "" // the credential is good for the next command as well
	}
	if err := errors.Join(b.n.trust(t.Authority), b.n.join(*t, b.store, name)); err != nil || t.Authority == nil {
		return err
	}
	b.n.channels.Credential = b.presents(b.n.identity)
	b.n.echoGate = func(m *tunnel.Message) error {
		if m.Origin == nil { // a worker of this node
			return nil
		}
		return b.mayEcho(m.Origin)
	}
	return nil
}

// An echoing is a decision on who uses the echo service. It counts for a short
// time, since each message of a peer would ask the database otherwise.
type echoing struct {
	err   error
	until time.Time
}

// maxEchoing is how many decisions are kept before those of ended channels are
// looked for.
const maxEchoing = 1024

func (b *Background) mayEcho(o *tunnel.Origin) error {
	now := time.Now()
	b.mu.Lock()
	known, ok := b.echoes[o]
	b.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.err
	}
	err := b.guard(Resource{policy.Echoer, "echo"})(o)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.echoes == nil {
		b.echoes = make(map[*tunnel.Origin]echoing)
	}
	if len(b.echoes) >= maxEchoing {
		maps.DeleteFunc(b.echoes, func(_ *tunnel.Origin, e echoing) bool { return now.After(e.until) })
	}
	b.echoes[o] = echoing{err, now.Add(recheckInterval)}
	return err
}

// presents returns what gives the credential that channels in the name of id
// present; nil if they present none, or what the authority is asked for.
func (b *Background) presents(id *identity.Identity) func() (*identity.Credential, error) {
	t := &b.opt.Trust
	if t.Authority == nil || t.Scope == "" || t.Route != nil {
		return nil
	}
	return func() (*identity.Credential, error) {
		return b.credential(id.Identifier())
	}
}

// credential returns the stored credential about one of our identities.
func (b *Background) credential(subject identity.Identifier) (*identity.Credential, error) {
	t := &b.opt.Trust
	issuer := t.Authority.Identifier()
	stored, err := b.store.Credential(b.n.life, state.CredentialKey{
		Node: b.opt.Name, Issuer: issuer, Subject: subject, Scope: t.Scope,
	})
	const advice = "ockam credential store keeps another one for the node"
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil, fmt.Errorf("node %s has no credential about %v from %v in the scope %q: %s", b.opt.Name, subject, issuer, t.Scope, advice)
	case err != nil:
		return nil, err
	case stored.ExpiresAt <= identity.At(time.Now()):
		return nil, fmt.Errorf("node %s: the credential about %v in the scope %q has expired: %s", b.opt.Name, subject, t.Scope, advice)
	}
	return identity.ParseCredential(stored.Credential)
}

// accepting makes the configuration of a channel listener of one for dialing:
// whoever connects is not refused because this node has no credential itself.
func accepting(cfg *secure.Config) *secure.Config {
	present := cfg.Credential
	if present == nil {
		return cfg
	}
	accept := *cfg
	accept.Credential = func() (*identity.Credential, error) {
		c, err := present()
		if err != nil {
			return nil, nil //nolint:nilerr // the peer decides on who presents nothing
		}
		return c, nil
	}
	return &accept
}

// guards reports whether policies decide on all inlets and outlets.
func (b *Background) guards() bool { return b.opt.Trust.Authority != nil }

// subject puts what is known of the identity that o proved into a request.
func (b *Background) subject(r *policy.Request, o *tunnel.Origin) error {
	r.Subject = o.Peer
	if b.opt.Trust.Authority == nil {
		return nil
	}
	r.Authority = true
	id, err := identity.ParseIdentifier(o.Peer)
	if err != nil {
		return err
	}
	e, ok, err := b.store.Node(b.opt.Name).Attributes(id, time.Now())
	// The node may have had another authority before.
	if err == nil && ok && e.AttestedBy == b.opt.Trust.Authority.Identifier() {
		r.Credential, r.Attributes = true, e.Attributes.Values
	}
	return err
}

// relayAttribute names the relays that a credential allows its subject to
// register, "*" for all (Ockam protocol, policies, relays).
const relayAttribute = "ockam-relay"

// admitsRelay decides on who registers a name at a node with an authority.
func (b *Background) admitsRelay(m *tunnel.Message, name string) error {
	o := m.Origin
	if err := b.lasting(Resource{policy.Relay, relay.ServiceName})(o, func() { b.hangUp(o) }); err != nil {
		return err
	}
	r := new(policy.Request)
	if err := b.subject(r, m.Origin); err != nil {
		return err
	}
	if allowed := r.Attributes[relayAttribute]; allowed != "*" && allowed != name {
		return fmt.Errorf("%w: the credential of %s does not allow the relay %q", policy.ErrDenied, r.Subject, name)
	}
	return nil
}
