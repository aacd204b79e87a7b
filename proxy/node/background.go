package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"ockam/config"
	"ockam/proxy/state"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/portal"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
)

// Errors of what commands ask a Background for.
var (
	// ErrNotFound means that there is nothing of that name.
	ErrNotFound = errors.New("node: not found")
	// ErrExists means that the name or address is taken.
	ErrExists = errors.New("node: already exists")
	// ErrBadRequest means that what was asked for makes no sense.
	ErrBadRequest = errors.New("node: bad request")
	// ErrChannelListener means that the channel listener which a node is to
	// begin with cannot be started.
	ErrChannelListener = errors.New("the secure channel listener cannot be started")
)

// BackgroundOptions say how a node that commands work with begins.
type BackgroundOptions struct {
	Name string
	// Identity is the name of a stored identity, which is made if there is none;
	// empty: that of the node's record, or else the default one.
	Identity string
	// Listen is the ip:port where commands and other nodes connect; port 0 takes
	// a free one. Empty: nowhere, as within a command.
	Listen string
	// Store is the state; whoever gives it closes it, after Close.
	Store *state.Store
	Log   *zap.Logger // nil: nothing is logged
	// NoDefaultServices leaves out everything but echo.
	NoDefaultServices bool
	// ChannelListener is a channel listener that there is without the default
	// services; nil: none. It is not stored. An error of its start is
	// ErrChannelListener.
	ChannelListener *ChannelListenerOptions
	// Trust is whose credentials are believed, and which are presented.
	Trust Trust
	// Projects finds the nodes of projects; nil: there are none.
	Projects Projects
	// Rendezvous, host:port, is the server with which inlets of this node and of
	// others find paths over UDP to each other; empty: there are none.
	Rendezvous string
	// Server is the project that the node serves, and then nothing else; nil: none.
	Server *ProjectServer
	// InMemory says that the node ends with a command: nothing of it is stored,
	// and nothing is restored.
	InMemory bool
}

// A Background is a node that commands change while it runs. Its methods may be
// called by any number of goroutines. What it is asked to have it has again
// when a node of the same name is started: inlets, outlets, relays, listeners
// and services, but not connections and channels.
type Background struct {
	n     *Node
	opt   BackgroundOptions
	store *state.Store
	end   context.CancelFunc
	addr  string

	started time.Time

	ending sync.Once
	change sync.Mutex // held while resources are made or removed

	mu       sync.Mutex // guards the rest
	closed   bool
	conns    map[tunnel.Address]*connection
	channels map[tunnel.Address]*channel
	ends     []*resource // listeners that were deleted: their links go on
}

// StartBackground starts a node that commands work with: a TCP listener, the
// services echo and uppercase, a channel listener and the relay service for
// anyone, and what its name had before. The context is for the start alone.
// Who calls it holds the node's lock, if there is one (state.Store.LockNode).
//
// What cannot be restored, because a port is taken, is logged; it is tried
// again at the next start.
func StartBackground(ctx context.Context, o BackgroundOptions) (*Background, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	b := &Background{
		opt: o, store: o.Store, end: end, started: time.Now(),
		conns: make(map[tunnel.Address]*connection), channels: make(map[tunnel.Address]*channel),
		n: &Node{
			name: o.Name, log: o.Log, router: tunnel.NewRouter(), budget: new(portal.Budget), life: life,
			rendezvous: o.Rendezvous, projects: o.Projects,
		},
	}
	b.n.allowed.Anyone, b.n.cutOff = true, b.hangUp
	if err := b.start(ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("node %s: %w", o.Name, err)
	}
	return b, nil
}

func (b *Background) start(ctx context.Context) error {
	if b.store == nil {
		return errors.New("there is no state to keep an identity in")
	}
	if err := b.identify(ctx); err != nil {
		return err
	}
	if b.opt.Server != nil {
		var err error
		if b.n.serving, err = newProjectServing(ctx, b.n, b.store, *b.opt.Server); err != nil {
			return err
		}
		b.opt.Trust = b.n.serving.trust()
	}
	if err := errors.Join(b.trust(), b.n.start()); err != nil {
		return err
	}
	if err := b.startServices(ctx); err != nil {
		return err
	}
	if b.opt.Rendezvous != "" {
		if err := b.startPunctures(); err != nil {
			return err
		}
	}
	if b.opt.Listen != "" {
		c := &config.Listener{Transport: "tcp", Address: b.opt.Listen}
		r, err := b.n.startListenerFor(c, b.n.own)
		if err != nil {
			return err
		}
		b.addr = r.view.(*listening).addr
		b.n.self = b.addr
		b.n.put(key{"listener", b.addr}, r)
	}
	if b.opt.InMemory {
		return nil
	}
	if err := b.defaultPolicies(ctx); err != nil {
		return err
	}
	if b.n.serving != nil {
		return b.announceProject(ctx) // it serves nothing else
	}
	return b.restore(ctx)
}

// identify gives the node its identity, and a record if it has none.
func (b *Background) identify(ctx context.Context) error {
	record, err := b.store.NamedNode(ctx, b.opt.Name)
	if b.opt.Name == "" || b.opt.InMemory || errors.Is(err, state.ErrNotFound) {
		record, err = nil, nil
	}
	if err != nil {
		return err
	}
	if record != nil && b.opt.Identity == "" {
		b.opt.Identity = record.Identity
	}
	id, err := b.storedIdentity(ctx)
	if err != nil {
		return err
	}
	b.n.use(id, b.store, b.store.Node(b.opt.Name))
	if record == nil && !b.opt.InMemory {
		_, err = b.store.CreateNode(ctx, state.Node{Name: b.opt.Name, Identity: b.opt.Identity})
	}
	return err
}

// storedIdentity returns the identity of the name in the options, which it
// makes if there is none, and puts the default's name there.
func (b *Background) storedIdentity(ctx context.Context) (*identity.Identity, error) {
	named, err := b.store.Named(ctx, b.opt.Identity)
	if errors.Is(err, state.ErrNotFound) {
		name := b.opt.Identity
		if name == "" {
			name = "default"
		}
		named, err = b.store.CreateIdentity(ctx, name, identity.CreateOptions{})
		if errors.Is(err, state.ErrExists) { // made by another process meanwhile
			named, err = b.store.Named(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}
	b.opt.Identity = named.Name
	return b.store.Identity(ctx, named.Name)
}

func (b *Background) startServices(ctx context.Context) error {
	if b.n.serving != nil {
		return b.serveProject(ctx)
	}
	if !b.opt.NoDefaultServices {
		return b.startDefaults()
	}
	if l := b.opt.ChannelListener; l != nil {
		if err := b.startChannelListener(ctx, *l); err != nil {
			return fmt.Errorf("%w at %s: %w", ErrChannelListener, l.Address, err)
		}
	}
	return nil
}

func (b *Background) startDefaults() error {
	for _, s := range []ServiceInfo{{Kind: service.UppercaseName, Address: service.UppercaseName}} {
		if err := b.startService(s); err != nil {
			return err
		}
	}
	if err := b.startChannelListener(context.Background(), ChannelListenerOptions{Address: secure.DefaultName}); err != nil {
		return err
	}
	w := b.warden(relayServiceResource, false)
	r, err := b.n.startRelayServiceFor(relayServiceSpec{Allow: config.AllowList{Anyone: true}}, &config.RelayService{}, w)
	if err == nil {
		b.n.put(relayServiceKey, r)
	}
	return err
}

// Addr returns where the node listens, host:port; empty if it does not.
func (b *Background) Addr() string { return b.addr }

// Router returns the node's router.
func (b *Background) Router() *tunnel.Router { return b.n.router }

// Name returns the node's name.
func (b *Background) Name() string { return b.opt.Name }

// IdentityName returns the name of the node's identity.
func (b *Background) IdentityName() string { return b.opt.Identity }

// Identifier returns what others know the node by.
func (b *Background) Identifier() identity.Identifier { return b.n.identity.Identifier() }

// Store returns the state that the node was given.
func (b *Background) Store() *state.Store { return b.store }

// ForCommands returns the access of what commands on this machine may reach
// over the node's own listener: nothing that comes through a channel, a relay
// or another listener does, not even by way of a hop.
func (b *Background) ForCommands() tunnel.Access {
	return tunnel.Access{Open: []tunnel.Source{b.n.own}, Gate: func(m *tunnel.Message) error {
		if m.Origin == nil || m.Origin.Group == b.n.own && b.n.fromHere(m.Origin) {
			return nil
		}
		return tunnel.ErrNotOpen
	}}
}

// fromHere reports whether an accepted link comes from this machine.
func (n *Node) fromHere(o *tunnel.Origin) bool {
	n.mu.Lock()
	a := n.accepted[o]
	n.mu.Unlock()
	if a == nil || a.link == nil {
		return false
	}
	from, ok := a.link.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	if from.IP.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		ip, ok := a.(*net.IPNet)
		return ok && ip.IP.Equal(from.IP)
	})
}
