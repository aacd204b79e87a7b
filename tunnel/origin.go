package tunnel

import (
	"net"
	"sync"
)

// A Source is where messages come from when an address is opened to it: one
// Origin, or all origins of a Group.
type Source interface{ source() }

// A Group is what many origins have in common: the listener that accepted them.
// Its name is for people.
type Group struct{ Name string }

func (*Group) source() {}

// An Origin is one link or one channel as the bringer of messages. Gates decide
// on it, never on what a message says. It ends with its link or channel, and
// then resets what is attached to it.
type Origin struct {
	// Peer is the identifier that the channel proved, empty for a link.
	Peer string
	// Outer is the origin of the channel's own ciphertext; nil for a link.
	Outer *Origin
	// Group is the listener that accepted the link or channel; nil if this node opened it.
	Group *Group
	// Remote is the peer's network address; nil for a channel.
	Remote net.Addr
	// Punctured: it is a way past NATs, beside the one over which it was agreed on.
	Punctured bool

	address []byte // of the path back, encoded: what it puts in front of return routes
	done    chan struct{}

	mu       sync.Mutex
	err      error
	attached map[Dependent]struct{}
	paired   map[*Origin]struct{}
}

func (*Origin) source() {}

// A Dependent is told, once, when the origin it is attached to has ended.
type Dependent interface{ OriginEnded(err error) }

// NewOrigin returns the origin of a link or channel that has its path back at
// address. Only links and channels make origins.
func NewOrigin(address Address) *Origin {
	return &Origin{address: wireAddress(address), done: make(chan struct{})}
}

// Address returns the encoded address of the path back, which every message of
// this origin has in front of its return route.
func (o *Origin) Address() []byte { return o.address }

// Done is closed when the link or channel has ended.
func (o *Origin) Done() <-chan struct{} { return o.done }

// Err says why the link or channel has ended; nil while it lives.
func (o *Origin) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// Attach has d told when the origin ends. If it has ended already, Attach
// returns why and does not attach.
func (o *Origin) Attach(d Dependent) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if o.attached == nil {
		o.attached = make(map[Dependent]struct{})
	}
	o.attached[d] = struct{}{}
	return nil
}

// Detach undoes Attach.
func (o *Origin) Detach(d Dependent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.attached, d)
}

// Dependents returns how many are attached.
func (o *Origin) Dependents() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.attached)
}

// End ends the origin and tells its dependents, on this goroutine. The caller
// holds no lock. Only the first call does anything.
func (o *Origin) End(err error) {
	o.mu.Lock()
	if o.err != nil {
		o.mu.Unlock()
		return
	}
	o.err = err
	attached, paired := o.attached, o.paired
	o.attached, o.paired = nil, nil
	o.mu.Unlock()
	close(o.done)
	for p := range paired {
		p.unpair(o)
	}
	for d := range attached {
		d.OriginEnded(err)
	}
}

// Pair opens the ways back of a and b to one another: what one of them brings
// may leave through the other. A relay pairs the two links it forwards between,
// so that answers, which name the links and not the relay, get through. A and b
// may be the same: a node that reaches itself through the relay.
func Pair(a, b *Origin) {
	if a == nil || b == nil || a.pairedWith(b) || !a.pair(b) {
		return
	}
	if !b.pair(a) {
		a.unpair(b)
	} else if a.Err() != nil { // ended in between, and did not know of b
		b.unpair(a)
	}
}

func (o *Origin) unpair(with *Origin) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.paired, with)
}

func (o *Origin) pair(with *Origin) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return false
	}
	if o.paired == nil {
		o.paired = make(map[*Origin]struct{})
	}
	o.paired[with] = struct{}{}
	return true
}

func (o *Origin) pairedWith(with *Origin) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.paired[with]
	return ok
}
