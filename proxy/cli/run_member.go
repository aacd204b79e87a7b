package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// asMembers has the nodes of a configuration be members of the projects that it
// names. The state is opened when a node needs it.
func (c *console) asMembers(opt *node.Options, l *lazyStore) {
	opt.Projects = func(ctx context.Context, name string) (node.ProjectNode, error) {
		s, err := l.open()
		if err != nil {
			return node.ProjectNode{}, err
		}
		return (&store{s}).projects(ctx, name)
	}
	opt.Trust = func(ctx context.Context, n *config.Node, id *identity.Identity) (node.Trust, error) {
		if n.Membership == nil {
			return node.Trust{}, nil
		}
		s, err := l.open()
		if err != nil {
			return node.Trust{}, err
		}
		t, err := c.memberTrust(ctx, &store{s}, n, id)
		if err != nil {
			return node.Trust{}, fmt.Errorf("%s: %w", n.Membership.Range, err)
		}
		return t, nil
	}
}

// memberTrust makes a node a member, if it has a ticket and is none, and returns
// what it believes and presents.
func (c *console) memberTrust(ctx context.Context, s *store, n *config.Node, id *identity.Identity) (node.Trust, error) {
	m := n.Membership
	if strings.HasPrefix(m.Project, "{") {
		rec, err := project.ParseRecordLeniently([]byte(m.Project))
		if err != nil {
			return node.Trust{}, err
		}
		if err := s.keepProject(ctx, rec); err != nil {
			return node.Trust{}, err
		}
	}
	if m.Ticket != "" {
		if err := c.redeemOnce(ctx, s, n, id); err != nil {
			return node.Trust{}, err
		}
	}
	return s.trust(ctx, &nodeSettings{Project: m.Name})
}

// redeemOnce uses the ticket of a node the first time that it runs. Later it is a
// member, and a ticket that was used up is no mistake; nor is an authority that is
// down, as long as a credential is kept.
func (c *console) redeemOnce(ctx context.Context, s *store, n *config.Node, id *identity.Identity) error {
	t, err := project.ParseTicket(n.Membership.Ticket)
	if err != nil {
		return err
	}
	key := state.CredentialKey{
		Node: n.Name, Issuer: t.Project.Authority.Identifier(), Subject: id.Identifier(), Scope: scopeOf(t.Project),
	}
	kept, err := s.Credential(ctx, key)
	if err == nil && kept.ExpiresAt > identity.At(time.Now()) { // the node renews it
		return nil
	} else if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	wasMember := err == nil
	if err := s.mayKeep(ctx, t.Project); err != nil {
		return err
	}
	a, err := s.callAuthority(ctx, t.Project, id)
	if err != nil && wasMember { // the node starts, and asks again when the authority is back
		c.say(markWarning, "%v", err)
		return nil
	} else if err != nil {
		return err
	}
	defer a.close()
	cred, err := a.Issue(ctx)
	used := false
	if errors.Is(err, authority.ErrNotMember) { // not yet, or not any more
		refused := a.Redeem(ctx, t.Code)
		if used = refused == nil; !used && !errors.Is(refused, authority.ErrAlreadyMember) {
			return ticketError(t.Project, refused)
		}
		cred, err = a.Issue(ctx)
	}
	if err != nil {
		return notMember(t.Project, id.Identifier(), err)
	}
	if _, err := s.keepTicket(ctx, t.Project, used); err != nil {
		return err
	}
	if n.Ephemeral {
		return nil // nothing of it is kept
	}
	return s.keepCredential(ctx, key, cred)
}
