package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// ErrNoProject means that no project of that name is known.
var ErrNoProject = errors.New("node: unknown project")

// defaultProject is the name that means the default project, if no project has it.
const defaultProject = "default"

// A ProjectNode is where the node of a project is, and who it is.
type ProjectNode struct {
	Route      multiaddr.Addr // to its channel listener
	Identifier identity.Identifier
}

// Projects finds the node of a project by the project's name, or that of the
// default project by the empty name. The error for one that there is not is
// ErrNoProject. It is asked anew for each way.
type Projects func(ctx context.Context, name string) (ProjectNode, error)

// A step is a hop, and who must be there if it is a channel listener; nil: anyone.
type step struct {
	multiaddr.Hop
	peer func(identity.Identifier) error
}

// steps are the hops of a target with the last project in place of all that leads
// to it: a connection to the project's node, and a channel to nobody else. What
// the target asks of the far end is asked at the last channel.
func (n *Node) steps(ctx context.Context, to target) ([]step, error) {
	var all []step
	hops := to.hops
	for i, h := range slices.Backward(to.hops) {
		if h.Kind != multiaddr.HopProject {
			continue
		}
		var err error
		if all, err = n.toProject(ctx, h.Value); err != nil {
			return nil, err
		}
		hops = to.hops[i+1:]
		break
	}
	for _, h := range hops {
		all = append(all, step{Hop: h})
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Kind == multiaddr.HopSecure {
			all[i].peer = both(all[i].peer, to.peer)
			break
		}
	}
	return all, nil
}

// both asks one, then the other; nil lets everybody pass.
func both(one, other func(identity.Identifier) error) func(identity.Identifier) error {
	if one == nil || other == nil {
		if one == nil {
			return other
		}
		return one
	}
	return func(id identity.Identifier) error {
		if err := one(id); err != nil {
			return err
		}
		return other(id)
	}
}

// toProject returns the steps to the node of a project.
func (n *Node) toProject(ctx context.Context, name string) ([]step, error) {
	p, err := n.findProject(ctx, name)
	if errors.Is(err, ErrNoProject) {
		return nil, fmt.Errorf("%w %q: become a member with a ticket (ockam project enroll TICKET), or import its description (ockam project import --project-file FILE)", ErrNoProject, name)
	} else if err != nil {
		return nil, fmt.Errorf("node: project %s: %w", name, err)
	}
	if len(p.Route) == 0 || p.Identifier.IsZero() {
		return nil, fmt.Errorf("node: the description of project %s does not say where its node is, and who: import a newer one", name)
	}
	hops, err := listenerHops(p.Route)
	if err != nil {
		return nil, fmt.Errorf("node: the route %v to project %s: %w", p.Route, name, err)
	}
	var all []step
	for _, h := range hops {
		all = append(all, step{Hop: h})
	}
	all[len(all)-1].peer = func(id identity.Identifier) error {
		if id == p.Identifier {
			return nil
		}
		return fmt.Errorf("the node of project %s is %v: if its identity is a new one, import the project's description again", name, p.Identifier)
	}
	return all, nil
}

func (n *Node) findProject(ctx context.Context, name string) (ProjectNode, error) {
	if n.projects == nil {
		return ProjectNode{}, ErrNoProject
	}
	p, err := n.projects(ctx, name)
	if errors.Is(err, ErrNoProject) && name == defaultProject {
		return n.projects(ctx, "")
	}
	return p, err
}

// listenerHops are the hops of the route to a channel listener, the last of which
// is the channel.
func listenerHops(route multiaddr.Addr) ([]multiaddr.Hop, error) {
	hops, err := route.Hops()
	if err != nil {
		return nil, err
	}
	if len(hops) < 2 || hops[0].Kind != multiaddr.HopDial {
		return nil, errors.New("it does not begin with a connection, or ends with it")
	}
	last := &hops[len(hops)-1]
	if last.Kind == multiaddr.HopService {
		last.Kind = multiaddr.HopSecure
	}
	if last.Kind != multiaddr.HopSecure {
		return nil, errors.New("it does not end with a channel listener")
	}
	for _, h := range hops {
		if h.Kind == multiaddr.HopProject {
			return nil, errors.New("it leads through another project")
		}
	}
	return hops, nil
}
