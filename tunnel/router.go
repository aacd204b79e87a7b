package tunnel

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"ockam/tunnel/wire"
)

// maxDepth is how often handlers may pass a message on within one node.
const maxDepth = 64

func wireAddress(a Address) []byte { return wire.AppendAddress(nil, a) }

// A Router knows the handlers of a node by address and calls them.
type Router struct {
	dropped atomic.Uint64

	mu      sync.RWMutex
	entries map[string]*Registration // by encoded address
}

// NewRouter returns a router without handlers.
func NewRouter() *Router { return &Router{entries: make(map[string]*Registration)} }

// Access says who may send to an address. The zero value lets only workers of
// this node do so.
type Access struct {
	Open []Source // to whom on the network the address is open
	Gate Gate     // asked for every message, from wherever; nil lets it pass
}

// A Registration is a handler at an address.
type Registration struct {
	router  *Router
	address Address
	handler Handler
	gate    Gate
	path    Path    // the handler, if it is a path that return routes may begin with
	owner   *Origin // the origin of that path: open to whom it is paired with
	open    atomic.Pointer[[]Source]
}

// Handle registers h at a. It returns ErrInUse if a has a handler.
func (r *Router) Handle(a Address, h Handler, access Access) (*Registration, error) {
	return r.register(&Registration{address: a, handler: h, gate: access.Gate}, access.Open)
}

// HandlePath registers a path at the address that its origin puts in front of
// return routes, so that answers find it.
func (r *Router) HandlePath(a Address, p Path, h Handler) (*Registration, error) {
	return r.register(&Registration{address: a, handler: h, path: p, owner: p.Origin()}, nil)
}

func (r *Router) register(e *Registration, open []Source) (*Registration, error) {
	e.router = r
	open = slices.Clone(open)
	e.open.Store(&open)
	key := string(wireAddress(e.address))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entries[key] != nil {
		return nil, fmt.Errorf("%w: %v", ErrInUse, e.address)
	}
	r.entries[key] = e
	return e, nil
}

// Address returns where the handler is registered.
func (e *Registration) Address() Address { return e.address }

// Open opens the address to s as well. The sources of an address are few.
func (e *Registration) Open(s Source) {
	for {
		old := e.open.Load()
		if slices.Contains(*old, s) {
			return
		}
		sources := append(slices.Clone(*old), s)
		if e.open.CompareAndSwap(old, &sources) {
			return
		}
	}
}

// Sources returns to whom the address is open.
func (e *Registration) Sources() []Source { return slices.Clone(*e.open.Load()) }

// Close removes the handler. Calls that have begun go on.
func (e *Registration) Close() {
	key := string(wireAddress(e.address))
	e.router.mu.Lock()
	defer e.router.mu.Unlock()
	if e.router.entries[key] == e {
		delete(e.router.entries, key)
	}
}

func (e *Registration) admits(o *Origin) bool {
	if o == nil { // a mistake of the caller: only links and channels deliver
		return false
	}
	for _, s := range *e.open.Load() {
		if s == Source(o) || o.Group != nil && s == Source(o.Group) {
			return true
		}
	}
	return e.owner != nil && e.owner.pairedWith(o)
}

func (r *Router) lookup(encoded []byte) *Registration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.entries[string(encoded)]
}

// Send passes on a message of a worker of this node, consuming it. It returns
// ErrNoRoute, ErrTooDeep, and what gate and handler return.
func (r *Router) Send(m *Message) error {
	e := r.lookup(m.Onward.First())
	if e == nil {
		m.Release()
		return ErrNoRoute
	}
	return e.dispatch(m)
}

// Deliver passes on a message that a link or channel brought, consuming it, if
// its first address is open to m.Origin. What is not open looks to the peer
// like what is not there: nothing comes back.
func (r *Router) Deliver(m *Message) error {
	e := r.lookup(m.Onward.First())
	var err error
	switch {
	case e == nil:
		err = ErrNoRoute
	case !e.admits(m.Origin):
		err = ErrNotOpen
	default:
		return e.dispatch(m)
	}
	r.dropped.Add(1)
	m.Release()
	return err
}

// Dropped returns how many messages from the network found no open address.
func (r *Router) Dropped() uint64 { return r.dropped.Load() }

func (e *Registration) dispatch(m *Message) error {
	if m.depth++; m.depth > maxDepth {
		m.Release()
		return ErrTooDeep
	}
	if e.gate != nil {
		if err := e.gate(m); err != nil {
			m.Release()
			return err
		}
	}
	m.Onward = m.Onward.Rest()
	return e.handler.HandleMessage(m)
}

// A PassThrough is a handler that passes messages on to another worker and is in
// their return route only because of that.
type PassThrough interface {
	Handler
	PassesThrough()
}

// Direct returns a return route without the PassThroughs of this node that it
// begins with: an answer need not go by way of them, and where the way back
// must be a link or channel, as for streams, that is behind them.
func (r *Router) Direct(route Route) Route {
	for route.Len() > 0 {
		e := r.lookup(route.First())
		if e == nil {
			break
		}
		if _, ok := e.handler.(PassThrough); !ok {
			break
		}
		route = route.Rest()
	}
	return route
}

// Path returns the path that route begins with and what follows it: how an
// answer along a return route leaves the node.
func (r *Router) Path(route Route) (Path, Route, error) {
	e := r.lookup(route.First())
	if e == nil || e.path == nil {
		return nil, Route{}, ErrNoRoute
	}
	return e.path, route.Rest(), nil
}
