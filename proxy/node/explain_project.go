package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
	"ockam/tunnel/service"
)

// ExplainServed decides as a background node would that serves a project, which no
// command can ask: it is named like the node, and the store has what channels have
// told it. The node need not run. Of a member that has presented no credential yet
// it goes by what the next one will say.
func ExplainServed(ctx context.Context, name string, s *state.Store, served ProjectServer, q Question) (*Decision, error) {
	n := &Node{name: name, life: ctx, router: tunnel.NewRouter()}
	n.channels.Attributes = s.Node(name)
	trust, done, err := n.foresee(ctx, s, served)
	if err != nil {
		return nil, err
	}
	defer done()
	n.authority = trust.Authority
	b := &Background{n: n, store: s, opt: BackgroundOptions{Name: name, Trust: trust}}
	all := []*warden{b.warden(Resource{policy.Echoer, service.EchoName}, false)}
	if served.Name != "" {
		relays := b.warden(relayServiceResource, false)
		relays.names = true
		all = append(all, relays)
	}
	return n.explainBy(all, q)
}

// asProject has the node decide as that of a project, and returns what decides on
// its relays. Done is called afterwards.
func (n *Node) asProject(ctx context.Context, s *state.Store, c *config.ProjectServer) (relays *warden, done func(), err error) {
	trust, done, err := n.foresee(ctx, s, ProjectServer{Name: c.Name, Authority: AuthorityServer{
		Identity: c.AuthorityIdentity, Lifetime: c.Lifetime, Database: c.Database,
	}})
	if err != nil {
		return nil, nil, err
	}
	n.authority = trust.Authority
	spec := projectRelays(c)
	relays = n.byAllow(relayServiceResource, &spec.Allow, &spec.At)
	relays.names = true
	return relays, done, nil
}

// foresee has the node know of the members of a project that it serves, and returns
// what it believes. Done is called afterwards.
func (n *Node) foresee(ctx context.Context, s *state.Store, served ProjectServer) (t Trust, done func(), err error) {
	id, err := s.Identity(ctx, served.Authority.Identity)
	if errors.Is(err, state.ErrNotFound) {
		return t, nil, fmt.Errorf("%w: the project %s has not run yet, it has no authority", ErrNotFound, served.Name)
	} else if err != nil {
		return t, nil, fmt.Errorf("the identity of the authority: %w", err)
	}
	p := &projectServing{n: n, store: s, s: served, authority: id}
	members, err := p.openMembers(ctx)
	if err != nil {
		return t, nil, err
	}
	n.channels.Attributes = &foreseen{
		AttributeStore: n.channels.Attributes, ctx: ctx, members: members, issuer: id.Identifier(),
		lifetime: cmp.Or(served.Authority.Lifetime, authority.DefaultCredentialLifetime),
	}
	return p.trust(), p.close, nil
}

// foreseen has, beside what credentials have said, what the next one will say of a
// member of whom none is in force.
type foreseen struct {
	identity.AttributeStore
	ctx      context.Context //nolint:containedctx // the store's method has none; it lives for one question
	members  authority.Store
	issuer   identity.Identifier
	lifetime time.Duration
}

func (f *foreseen) Attributes(id identity.Identifier, now time.Time) (identity.AttributesEntry, bool, error) {
	e, ok, err := f.AttributeStore.Attributes(id, now)
	if ok || err != nil {
		return e, ok, err
	}
	m, err := f.members.Member(f.ctx, id)
	if errors.Is(err, authority.ErrNotMember) {
		return e, false, nil
	} else if err != nil {
		return e, false, err
	}
	return identity.AttributesEntry{
		Attributes: identity.Attributes{Values: m.Attributes}, AddedAt: identity.At(now), ExpiresAt: identity.At(now.Add(f.lifetime)),
		AttestedBy: f.issuer,
	}, true, nil
}
