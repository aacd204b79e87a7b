package relay

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// Limits of a Server whose own are zero, and of what it keeps a registration.
const (
	DefaultMaxNames     = 1 << 16
	DefaultMaxPerOrigin = 256
	maxNameLength       = 255
	maxRouteSize        = 1 << 10 // of the way back: two dozen random addresses
)

// A Server is the relay service. It is the handler of both its addresses,
// ServiceName and StaticServiceName; who may reach those is up to whoever
// registers it there. Set the fields before, and do not copy it afterwards.
type Server struct {
	Router *tunnel.Router
	// Prefix stands in front of names; empty: the constant Prefix.
	Prefix string
	// Registry keeps the names; nil: in memory, for this server alone.
	Registry Registry
	// Allow is asked, with the name, for each registration; an error refuses
	// it. For Ephemeral the name is the random one. Nil allows anyone.
	Allow func(m *tunnel.Message, name string) error
	// TakesOver, if set, says whether who registers a name, which Allow has
	// permitted, may take it from another owner.
	TakesOver func(m *tunnel.Message, name string) bool
	// Open says from where the relays' addresses may be reached. More can be
	// added with OpenTo.
	Open []tunnel.Source
	// MaxNames and MaxPerOrigin limit the names, in all and of one link or
	// channel; 0: DefaultMaxNames, DefaultMaxPerOrigin.
	MaxNames, MaxPerOrigin int
	// Registered, Released and Refused, if set, are told what happens, on the
	// goroutine where it does and without locks. They must return soon. Who was
	// refused learns nothing.
	Registered, Released, Refused func(Event)

	memory Memory

	mu     sync.Mutex
	names  map[string]*entry
	counts map[*tunnel.Origin]int
	closed bool
}

// An Event is what happened to a name.
type Event struct {
	Name    string         // one that was refused as too long is cut
	Address tunnel.Address // of the relay
	Origin  *tunnel.Origin // who registered it, or was refused
	Owner   string         // who has it: an identifier, or "link ADDRESS"
	Again   bool           // registered again, by the same owner
	Err     error          // why it was released or refused
}

// An entry is a registered name: the handler of its relay's address.
type entry struct {
	server *Server
	name   string
	claim  *Claim
	target atomic.Pointer[target]

	// Guarded by Server.mu.
	reg  *tunnel.Registration
	lost bool // before it was in Server.names, or since
}

// A target is where an entry forwards to. It is what is attached to the origin
// of the registration.
type target struct {
	entry  *entry
	path   tunnel.Path
	origin *tunnel.Origin
	back   tunnel.Route // behind path, to the client that registered
	front  tunnel.Route // back without its last hop, which is that client
}

// HandleMessage registers a name for the node that sent m.
func (s *Server) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	name, _, err := wire.ParseString(m.Payload)
	if err != nil {
		return fmt.Errorf("relay: registration: %w", err)
	}
	if name == Ephemeral {
		name = tunnel.RandomAddress().Name
	}
	e := &entry{server: s, name: name}
	t, err := s.newTarget(e, m)
	if err == nil && s.Allow != nil {
		err = s.Allow(m, name)
	}
	if err != nil {
		return s.refuse(e, m.Origin, err)
	}
	e.claim = &Claim{Name: name, Owner: ownerOf(t.origin), Lost: e.onLost}
	if s.TakesOver != nil && s.TakesOver(m, name) {
		if err := s.displace(t); err != nil {
			return s.refuse(e, t.origin, err)
		}
	}
	if done, err := s.move(t); done || err != nil {
		return s.finish(t, done, err)
	}
	s.registry().Claim(e.claim, func(err error) {
		again := false
		if err == nil {
			if again, err = s.add(t); err != nil {
				s.registry().Release(e.claim)
			}
		}
		_ = s.finish(t, again, err)
	})
	return nil
}

// newTarget checks what a registration asks for. The way back must be a link or
// a channel and somebody behind it: with less, what is sent to the relay would
// go to workers of this node.
func (s *Server) newTarget(e *entry, m *tunnel.Message) (*target, error) {
	if len(e.name) > maxNameLength || strings.Contains(e.name, "#") {
		return nil, ErrName
	}
	path, back, err := s.Router.Path(s.Router.Direct(m.Return))
	if err != nil || path.Origin() != m.Origin || back.Len() == 0 || back.Size() > maxRouteSize {
		return nil, errors.New("relay: no usable way back")
	}
	back = back.Clone()
	return &target{entry: e, path: path, origin: m.Origin, back: back, front: back.WithoutLast()}, nil
}

// ownerOf says whose a name is: the identity's that the channel proved, or,
// without one, that very link's.
func ownerOf(o *tunnel.Origin) string {
	if o.Peer != "" {
		return o.Peer
	}
	return "link " + wire.DecodeAddress(o.Address()).Name
}

func (s *Server) registry() Registry {
	if s.Registry != nil {
		return s.Registry
	}
	return &s.memory
}

func (s *Server) address(name string) tunnel.Address {
	if s.Prefix != "" {
		return address(s.Prefix, name)
	}
	return address(Prefix, name)
}

// move lets a name that is registered here forward to t, if the owner is the
// same. It reports whether it did; false without an error: the name is not here.
func (s *Server) move(t *target) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.names[t.entry.name]
	if e == nil {
		return false, s.roomLocked(t.origin)
	}
	if e.claim.Owner != t.entry.claim.Owner {
		return false, ErrTaken
	}
	old := e.target.Load()
	if old.origin != t.origin && s.counts[t.origin] >= s.maxPerOrigin() {
		return false, ErrLimit
	}
	t.entry = e
	if err := t.origin.Attach(t); err != nil {
		return false, err
	}
	e.target.Store(t)
	old.origin.Detach(old)
	s.countLocked(old.origin, -1)
	s.countLocked(t.origin, 1)
	return true, nil
}

// add puts the entry of t, whose name has been claimed, into the table. An entry
// that is there belongs to an older claim of the same owner.
func (s *Server) add(t *target) (again bool, err error) {
	e := t.entry
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.lost {
		return false, ErrTaken
	}
	if old := s.names[e.name]; old != nil {
		again = s.removeLocked(old)
	}
	if err := s.insertLocked(e, t); err != nil {
		e.lost = true
		return false, err
	}
	return again, nil
}

func (s *Server) insertLocked(e *entry, t *target) error {
	if s.closed {
		return tunnel.ErrClosed
	}
	if err := s.roomLocked(t.origin); err != nil {
		return err
	}
	e.target.Store(t)
	reg, err := s.Router.Handle(s.address(e.name), e, tunnel.Access{Open: s.Open})
	if err != nil {
		return err
	}
	if err := t.origin.Attach(t); err != nil {
		reg.Close()
		return err
	}
	e.reg = reg
	if s.names == nil {
		s.names, s.counts = make(map[string]*entry), make(map[*tunnel.Origin]int)
	}
	s.names[e.name] = e
	s.countLocked(t.origin, 1)
	return nil
}

// roomLocked returns an error if there is no room for another name of o.
func (s *Server) roomLocked(o *tunnel.Origin) error {
	limit := s.MaxNames
	if limit == 0 {
		limit = DefaultMaxNames
	}
	if len(s.names) >= limit || s.counts[o] >= s.maxPerOrigin() {
		return ErrLimit
	}
	return nil
}

func (s *Server) maxPerOrigin() int {
	if s.MaxPerOrigin > 0 {
		return s.MaxPerOrigin
	}
	return DefaultMaxPerOrigin
}

func (s *Server) countLocked(o *tunnel.Origin, n int) {
	if s.counts[o] += n; s.counts[o] == 0 {
		delete(s.counts, o)
	}
}

// finish acknowledges a registration, or reports that it was refused.
func (s *Server) finish(t *target, again bool, err error) error {
	e := t.entry
	if err != nil {
		return s.refuse(e, t.origin, err)
	}
	a := s.address(e.name)
	if s.Registered != nil {
		s.Registered(Event{Name: e.name, Address: a, Origin: t.origin, Owner: e.claim.Owner, Again: again})
	}
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return = t.back, tunnel.NewRoute(a)
	m.Payload = wire.AppendString(nil, a.Name)
	return t.path.Send(m)
}

func (s *Server) refuse(e *entry, o *tunnel.Origin, err error) error {
	if s.Refused != nil {
		owner, _ := s.registry().Owner(e.name)
		name := e.name
		if len(name) > maxNameLength { // up to a whole frame, of a stranger's making
			name = strings.ToValidUTF8(name[:maxNameLength], "")
		}
		s.Refused(Event{Name: name, Address: s.address(name), Origin: o, Owner: owner, Err: err})
	}
	return err
}

// HandleMessage forwards m. The message and its payload are not copied.
func (e *entry) HandleMessage(m *tunnel.Message) error {
	t := e.target.Load()
	tunnel.Pair(m.Origin, t.origin)
	if t.front.Len() > 0 { // the node that registered is not next to this one
		m.Onward = t.front.Join(m.Onward)
	}
	err := t.path.Send(m)
	m.Release()
	return err
}

// OpenTo makes the relays, those that are and those to come, reachable from src.
func (s *Server) OpenTo(src tunnel.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Open = append(s.Open[:len(s.Open):len(s.Open)], src)
	for _, e := range s.names {
		e.reg.Open(src)
	}
}

// Names returns how many names are registered.
func (s *Server) Names() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names)
}

// Addresses returns where what is for the registered names is sent to, in no
// order.
func (s *Server) Addresses() []tunnel.Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []tunnel.Address
	for _, e := range s.names {
		all = append(all, e.reg.Address())
	}
	return all
}

// Close gives all names back and takes no more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	var gone []*entry
	for _, e := range s.names {
		s.removeLocked(e)
		gone = append(gone, e)
	}
	s.mu.Unlock()
	for _, e := range gone {
		s.released(e, tunnel.ErrClosed)
	}
}
