package node

import (
	"context"
	"fmt"
	"net"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/policy"
)

// prepareProject makes what the project of a configuration needs before its node
// starts. What members are told is kept at once, if it is known: nodes of the same
// configuration may be members.
func (n *Node) prepareProject(ctx context.Context, store *state.Store, c *config.ProjectServer) error {
	members, err := c.Members.Resolve(n.identifiers)
	if err != nil {
		return err
	}
	s := ProjectServer{Name: c.Name, ID: c.ID, Address: c.Address, Authority: AuthorityServer{
		Identity: c.AuthorityIdentity, Lifetime: c.Lifetime, Database: c.Database, EnforceAdminChecks: c.EnforceAdminChecks,
		Members: make(map[identity.Identifier]map[string]string),
	}}
	if c.AccountAuthority != nil {
		s.Authority.AccountAuthority = c.AccountAuthority.Text()
	}
	for text, attributes := range members {
		id, err := identity.ParseIdentifier(text)
		if err != nil {
			return err
		}
		s.Authority.Members[id] = attributes
	}
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return err
	}
	if s.Address == "" {
		host, _, _ := net.SplitHostPort(c.Listen)
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			if host, err = OwnAddress(host); err != nil {
				return fmt.Errorf("%s%w; say it: address = \"HOST:%s\"", place(c.Range), err, port)
			}
		}
		s.Address = net.JoinHostPort(host, port)
	}
	if n.serving, err = newProjectServing(ctx, n, store, s); err != nil || port == "0" {
		return err
	}
	_, err = n.serving.announce(ctx, c.Listen)
	return err
}

// startProject serves the project of a configuration: its listener, the relay
// service for members, and the authority.
func (n *Node) startProject(c *config.ProjectServer) (*resource, error) {
	p := n.serving
	if p == nil {
		return nil, fmt.Errorf("%sproject %s: a node that runs cannot become that of a project: start it again", place(c.Range), c.Name)
	}
	service, err := n.startRelayService(projectRelays(c), &config.RelayService{})
	if err != nil {
		return nil, err
	}
	p.closers = append(p.closers, service.stopNow)
	if err := p.serveAuthority(n.life, AuthorityListener, n.links); err != nil {
		p.close()
		return nil, fmt.Errorf("%sthe authority of the project %s: %w", place(c.Range), c.Name, err)
	}
	listener, err := n.startListenerFor(&config.Listener{Transport: "tcp", Address: c.Listen, Range: c.Range}, n.links)
	if err != nil {
		p.close()
		return nil, err
	}
	p.closers = append(p.closers, listener.stopNow)
	rec, err := p.announce(n.life, listener.view.(*listening).addr)
	if err != nil {
		p.close()
		return nil, err
	}
	n.event("project", c.Name, true, "is at %s, its authority %v at %s", rec.AccessRoute, rec.Authority.Identifier(), rec.AuthorityRoute)
	r := n.newResource(c, func(ctx context.Context) {
		<-ctx.Done()
		p.close()
	})
	r.halt = listener.halt
	r.view = listener.view
	return r, nil
}

// projectRelays is what the relay service of a project is like: for its members.
func projectRelays(c *config.ProjectServer) relayServiceSpec {
	e := policy.Default()
	return relayServiceSpec{
		Allow: config.AllowList{Policy: &config.Policy{Text: e.String(), Expr: e, Default: true}}, At: c.Range.String(),
	}
}
