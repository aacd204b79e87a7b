package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
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
	// Find, if set, says where the authority is by now, each time that it is asked:
	// a project may move. An error leaves it to Route.
	Find func(context.Context) (multiaddr.Addr, error)
}

// trust makes the node's channels follow the options.
func (b *Background) trust() error {
	b.n.echo = b.warden(Resource{policy.Echoer, service.EchoName}, false)
	name := b.opt.Name
	if b.opt.InMemory {
		name = "" // the credential is good for the next command as well
	}
	t := b.opt.Trust
	if err := errors.Join(b.n.trust(t.Authority), b.n.join(t, b.store, name)); err != nil {
		return err
	}
	b.n.channels.Credential = b.presents(b.n.identity)
	return nil
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
