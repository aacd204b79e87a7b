package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/vault"
)

// Options are what all nodes of a configuration share.
type Options struct {
	Log *zap.Logger // nil: nothing is logged
	// Status, if set, is told what the person at the terminal wants to know. It
	// is called from many goroutines and must return soon.
	Status func(Event)
	// Store opens the state; it is called once, and only when some node is not
	// ephemeral. Whoever gives it closes what it returned, after Run.
	Store func() (*state.Store, error)
	// Projects finds the nodes of projects; nil: there are none.
	Projects Projects
	// Trust, if set, says whose credentials a node, which has this identity, believes,
	// and which it presents.
	Trust func(context.Context, *config.Node, *identity.Identity) (Trust, error)
	// Ready, if set, is called when everything has been started.
	Ready func()
}

// Run runs the nodes of a configuration until ctx ends. Then nothing new is
// taken, what is under way has until drain to end, and everything is closed.
// Run returns after all it started has ended; nil if it was ctx that ended it.
//
// Nothing runs if something cannot be started, such as a listener whose
// address is in use: Run then returns all reasons together.
func Run(ctx context.Context, f *config.File, opt Options, drain time.Duration) error {
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &runner{opt: opt, life: life}
	defer func() {
		for _, unlock := range r.unlock {
			unlock()
		}
	}()
	nodes, err := r.makeNodes(ctx, f)
	if err != nil {
		end()
		return err
	}
	err = r.applyAll(ctx, f, nodes)
	if err == nil && ctx.Err() == nil {
		if opt.Ready != nil {
			opt.Ready()
		}
		<-ctx.Done()
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err != nil {
		cancel() // there is nothing to wait for
	}
	r.end(last, nodes, end)
	return err
}

// A runner makes nodes, and has what they share.
type runner struct {
	opt   Options
	life  context.Context
	store *state.Store // nil until a node needs it

	unlock []func() // the nodes' locks on the state
}

// end ends the nodes; what is under way has until ctx ends.
func (r *runner) end(ctx context.Context, nodes []*Node, life context.CancelFunc) {
	stop(ctx, nodes)
	life()
	for _, n := range nodes {
		n.wg.Wait()
	}
}

func (r *runner) makeNodes(ctx context.Context, f *config.File) ([]*Node, error) {
	identifiers := make(map[string]string)
	var nodes []*Node
	for _, c := range f.Nodes {
		n := &Node{
			name: c.Name, log: r.opt.Log, status: r.opt.Status, router: tunnel.NewRouter(),
			identifiers: identifiers, budget: new(portal.Budget), life: r.life, projects: r.opt.Projects,
		}
		if err := r.identify(ctx, n, c); err != nil {
			return nil, fmt.Errorf("node %s: %w", c.Name, err)
		}
		identifiers[c.Name] = n.identity.Identifier().String()
		nodes = append(nodes, n)
	}
	for i, n := range nodes { // first, so that members in the same configuration know them
		if c := f.Nodes[i]; c.Project != nil {
			if err := n.prepareProject(ctx, r.store, c.Project); err != nil {
				return nil, fmt.Errorf("node %s: project %s: %w", n.name, c.Project.Name, err)
			}
		}
	}
	for i, n := range nodes {
		if err := r.trust(ctx, n, f.Nodes[i]); err != nil {
			return nil, fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	for _, n := range nodes {
		if err := errors.Join(n.start(), n.listen()); err != nil {
			return nil, fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	return nodes, nil
}

// trust makes the channels of n follow the options.
func (r *runner) trust(ctx context.Context, n *Node, c *config.Node) error {
	t := Trust{}
	var err error
	switch {
	case n.serving != nil:
		t = n.serving.trust()
	case r.opt.Trust != nil:
		t, err = r.opt.Trust(ctx, c, n.identity)
	}
	if err != nil {
		return err
	}
	if t.Authority == nil {
		t.Authority = c.Authority
	}
	store := r.store
	if c.Ephemeral {
		store = nil
	}
	return errors.Join(n.trust(t.Authority), n.join(t, store, c.Name))
}

func (r *runner) applyAll(ctx context.Context, f *config.File, nodes []*Node) error {
	var errs []error
	for i, n := range nodes {
		errs = append(errs, n.Apply(ctx, f.Nodes[i]))
	}
	return errors.Join(errs...)
}

// identify gives n its identity: a new one that nobody keeps, or the stored one,
// which is made when there is none.
func (r *runner) identify(ctx context.Context, n *Node, c *config.Node) error {
	if c.Ephemeral {
		return n.beEphemeral()
	}
	if r.store == nil {
		if r.opt.Store == nil {
			return errors.New("there is no state to keep an identity in")
		}
		s, err := r.opt.Store()
		if err != nil {
			return err
		}
		r.store = s
	}
	unlock, err := r.store.LockNode(c.Name)
	if err != nil {
		return err
	}
	r.unlock = append(r.unlock, unlock)
	id, err := r.store.Identity(ctx, c.Identity)
	text, where := "is", ""
	if errors.Is(err, state.ErrNotFound) {
		if _, err = r.store.CreateIdentity(ctx, c.Identity, identity.CreateOptions{}); err == nil || errors.Is(err, state.ErrExists) {
			text, where = "was made:", ", and is kept in "+r.store.Path()
			id, err = r.store.Identity(ctx, c.Identity)
		}
	}
	if err != nil {
		return err
	}
	n.use(id, r.store, r.store.Node(c.Name))
	n.event("identity", c.Identity, true, "%s %v%s", text, id.Identifier(), where)
	return nil
}

func (n *Node) beEphemeral() error {
	v := vault.NewMemory()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		return err
	}
	s := identity.NewMemoryStore()
	id := &identity.Identity{History: h, Vault: v, PurposeKeys: s}
	n.use(id, s, s)
	n.event("identity", "", true, "is %v, for this run", id.Identifier())
	return nil
}

// use gives n its identity, and what is known of others: histories for all nodes of
// a home, and attributes for one, since nodes may trust different authorities.
func (n *Node) use(id *identity.Identity, histories identity.Histories, attributes identity.AttributeStore) {
	n.identity = id
	n.peers = newPeers(histories, n.isNamed)
	n.channels = secure.Config{
		Router: n.router, Identity: id, Histories: n.peers, Attributes: keptAttributes{attributes, n.peers}, Ordered: true,
	}
}

// isNamed reports whether the configuration names an identity.
func (n *Node) isNamed(id identity.Identifier) bool {
	if n.serving != nil {
		if _, ok := n.serving.s.Authority.Members[id]; ok {
			return true
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.allowed.Identifiers, id.String())
}
