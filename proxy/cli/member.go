package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ockam/proxy/control"
	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// ticketFlag gives cmd the option with which a machine becomes a member first.
func ticketFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "ticket", "", "become a member of a project first, with this ticket: its text, a file or a URL")
}

// atMember is at for what members of a project do. With a ticket the default
// identity becomes a member first; a node that there is not is made.
func (c *console) atMember(cmd *cobra.Command, name nodeName, ticket string, f func(context.Context, *remote) error) error {
	if ticket == "" {
		return c.at(cmd, name, true, f)
	}
	return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
		rec, err := s.NamedNode(ctx, string(name))
		made := errors.Is(err, state.ErrNotFound) || err == nil && rec.Authority && name == ""
		if err != nil && !made {
			return err
		}
		t, err := readTicket(ctx, ticket)
		if err != nil {
			return err
		}
		e := enrollment{ticket: ticket, read: t}
		if !made {
			if err := memberNode(rec, t.Project.Name); err != nil { // before the ticket is used
				return err
			}
			e.identity = rec.Identity
		}
		joined, err := c.enroll(ctx, s, e)
		if err != nil {
			return err
		}
		c.say(markOK, "The identity %s is a member of the project %s", joined.identity, joined.record.Name)
		if made {
			o := &nodeOptions{name: string(name), listen: defaultListen, identity: joined.identity, nodeSettings: nodeSettings{Project: joined.record.Name}}
			if o.name == "" {
				o.name = randomName()
			}
			if err := c.startProcess(ctx, s, o); err != nil {
				return err
			}
			c.say(markOK, "The node %s was made for it", o.name)
			if rec, err = s.NamedNode(ctx, o.name); err != nil {
				return err
			}
		}
		return s.connect(ctx, rec, f)
	})
}

// memberNode refuses a node that was made as no member of a project.
func memberNode(rec *state.Node, name string) error {
	o, err := settingsOf(rec)
	if err != nil || o.Project == name {
		return err
	}
	return &failure{
		err:  fmt.Errorf("the node %s was made before this machine became a member of the project %s, and does not take part in it", rec.Name, name),
		help: "Have a new node do it: --at NAME, with a name that no node has. Or make one: ockam node create NAME --project " + name,
	}
}

// projectName returns the name of the project that a node is a member of, or of
// the default one.
func (n *remote) projectName(ctx context.Context) (string, error) {
	rec, err := n.store.NamedNode(ctx, n.name)
	if err != nil {
		return "", err
	}
	if o, err := settingsOf(rec); err == nil && o.Project != "" {
		return o.Project, nil
	}
	known, err := n.store.knownProject(ctx, "")
	if err != nil {
		return "", err
	}
	return known.Name, nil
}

// mayRegister looks whether the credential of the node lets it register a relay at
// a project: the project does not answer who may not, so that it would be waited
// for in vain. What cannot be found out is left to the project.
func (n *remote) mayRegister(ctx context.Context, projectName, relay string) error {
	rec, err := n.store.knownProject(ctx, projectName)
	if err != nil || rec.Authority == nil {
		return err
	}
	node, err := n.store.NamedNode(ctx, n.name)
	if err != nil {
		return err
	}
	id, err := n.store.Identity(ctx, node.Identity)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, implicitTimeout)
	defer cancel()
	allowed := ""
	for _, credential := range []func(context.Context, *project.Record, string, *identity.Identity) (*identity.Credential, error){
		n.store.memberCredential, n.store.newCredential, // the membership may have changed since
	} {
		c, err := credential(ctx, rec, scopeOf(rec), id)
		if err != nil {
			return nil //nolint:nilerr // the node will say what is wrong
		}
		data, err := c.Data()
		if err != nil {
			return err
		}
		if allowed = data.Attributes.Values[authority.AttributeRelay]; allowed == "*" || allowed == relay {
			return nil
		}
	}
	what := "any relay"
	if allowed != "" {
		what = fmt.Sprintf("the relay %q, but only %q", relay, allowed)
	}
	return &failure{
		code: codeForbidden,
		err:  fmt.Errorf("the identity %s may not register %s at the project %s: its credential has no attribute %s for it", node.Identity, what, rec.Name, authority.AttributeRelay),
		help: "Ask an enroller of the project for a ticket that allows it (ockam project ticket --relay " + relay + "), for a new identity, or to change the membership: ockam project-member add " + id.Identifier().String() + " --relay " + relay,
	}
}

// reachableVia makes a node reachable as a relay at its project, unless it is.
func (c *console) reachableVia(ctx context.Context, n *remote, name string) error {
	at, err := n.projectName(ctx)
	if err != nil {
		return err
	}
	all, err := n.Relays(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Name == name {
			return nil
		}
	}
	if err := n.mayRegister(ctx, at, name); err != nil {
		return err
	}
	n.Timeout = 2 * time.Minute
	made, err := n.CreateRelay(ctx, control.CreateRelay{
		Name: name, Address: name, Return: control.AfterConnection,
		At: multiaddr.Addr{{Protocol: multiaddr.Project, Value: at}},
	})
	if err != nil {
		return err
	}
	if made.Status != control.Up {
		return &failure{
			err:  fmt.Errorf("the project %s does not register the relay %q: it may be a name that the ticket of this machine is not for", at, name),
			help: "The node goes on trying. Why it is refused stands in its log: ockam node logs " + n.name,
		}
	}
	c.say(markOK, "The node %s is reachable as %s at the project %s", n.name, name, at)
	return nil
}
