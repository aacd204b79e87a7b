package secure

import (
	"sync"
	"sync/atomic"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// A Channel is one end of a secure channel: a path whose messages only the peer
// can read, and an origin whose Peer is who the handshake proved. Any number of
// goroutines may send on it.
//
// It is a handler at two addresses. At its own, which return routes of what it
// delivers begin with, it takes messages to seal; at the other, the only one
// that the peer knows, frames to open.
type Channel struct {
	cfg    *Config
	peer   identity.Identifier
	origin *tunnel.Origin
	reg    *tunnel.Registration // where messages are sealed
	remote *tunnel.Registration // where frames arrive
	last   tunnel.Route         // the peer's address for frames: the last hop of route
	follow bool                 // a responder follows the initiator's way back
	group  *tunnel.Group        // of the origin
	opened func(*Channel)       // the listener's, called before the first frame
	ended  func(*Channel, error)

	presented atomic.Pointer[identity.Credential] // to the peer, last; nil: none

	received atomic.Uint64 // frames opened; a listener closes channels where it stands still
	closed   atomic.Bool

	// How frames leave. The lock is held from the nonce to the commit.
	mu     sync.Mutex
	seal   *sealer
	ways   [2]way // ways[now] is in use; the other was, and may hold claims
	now    int
	draft  tunnel.Draft // of the way below, between Begin and Commit
	placed *way         // where draft is
	failed error

	// How frames arrive.
	recv     sync.Mutex
	open     *opener
	followed uint64 // the highest nonce that set the way
	hops     tunnel.Route
}

// Peer returns who the handshake proved the other end to be.
func (c *Channel) Peer() identity.Identifier { return c.peer }

// Origin is the channel as the bringer of messages; Origin().Peer is Peer() as text.
func (c *Channel) Origin() *tunnel.Origin { return c.origin }

// Address returns the channel's address on this node, which routes through it
// begin with.
func (c *Channel) Address() tunnel.Address { return c.reg.Address() }

// Send seals m; see tunnel.Path. Keys change every 32 messages.
func (c *Channel) Send(m *tunnel.Message) error {
	claim, err := c.Claim(len(m.Payload))
	if err != nil {
		return err
	}
	size := payloadSize(m.Onward, m.Return, len(m.Payload))
	head := size - len(m.Payload) - 1
	around := m.Around(head, 1)
	if around == nil { // no room for the head in front of the payload
		d, err := c.Begin(claim, m.Onward, m.Return, len(m.Payload))
		if err != nil {
			return err
		}
		copy(d.Payload, m.Payload)
		c.Commit(d)
	} else {
		appendPayloadHead(around[:0], m.Onward, m.Return, len(m.Payload))
		around[size-1] = emptyPadding
		if err := c.sealFrom(claim, around); err != nil {
			return err
		}
	}
	c.Flush()
	return nil
}

// sealFrom seals a plaintext that lies elsewhere straight into the queue below.
func (c *Channel) sealFrom(claim int, plaintext []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sealFromLocked(claim, plaintext)
}

func (c *Channel) sealFromLocked(claim int, plaintext []byte) error {
	w, d, err := c.beginLocked(claim, len(plaintext))
	if err != nil {
		return err
	}
	c.seal.seal(d.Payload, plaintext)
	w.commit(d)
	return nil
}

// beginLocked places a frame for size bytes of plaintext in the queue below. On
// error the claim is given back.
func (c *Channel) beginLocked(claim, size int) (*way, tunnel.Draft, error) {
	w, claim := c.takeLocked(claim)
	err := c.failed
	if err == nil {
		err = c.seal.check()
	}
	if err != nil {
		w.under.Unclaim(claim)
		return w, tunnel.Draft{}, err
	}
	d, err := w.under.Begin(claim, w.route, tunnel.Route{}, size+frameOverhead)
	return w, d, err
}

// Begin places a message and takes the lock that Commit gives back; see
// tunnel.Carrier.
func (c *Channel) Begin(claim int, onward, ret tunnel.Route, n int) (tunnel.Draft, error) {
	size := payloadSize(onward, ret, n)
	c.mu.Lock()
	w, d, err := c.beginLocked(claim, size)
	if err != nil {
		c.mu.Unlock()
		return tunnel.Draft{}, err
	}
	c.draft, c.placed = d, w
	head := len(appendPayloadHead(d.Payload[nonceSize:nonceSize], onward, ret, n))
	at := nonceSize + head
	d.Payload[at+n] = emptyPadding
	return tunnel.Draft{Payload: d.Payload[at : at+n : at+n]}, nil
}

// Commit seals the draft in place; see tunnel.Carrier.
func (c *Channel) Commit(tunnel.Draft) {
	d, w := c.draft, c.placed
	c.draft, c.placed = tunnel.Draft{}, nil
	c.seal.seal(d.Payload, d.Payload[nonceSize:len(d.Payload)-tagSize])
	w.commit(d)
	c.mu.Unlock()
}

// HandleMessage seals a message that was routed to the channel's address.
func (c *Channel) HandleMessage(m *tunnel.Message) error {
	err := c.Send(m)
	m.Release()
	return err
}

// Present sends a credential to the peer, in place of the one it knows. The
// peer says nothing about what it thinks of it.
func (c *Channel) Present(cred *identity.Credential) error {
	err := c.control(appendRefresh(nil, &identity.Refresh{
		History: c.cfg.Identity.History, Credentials: []*identity.Credential{cred},
	}))
	if err == nil {
		c.presented.Store(cred)
	}
	return err
}

// Presented returns the credential that the peer was given last, by Present or in
// the handshake; nil if there was none.
func (c *Channel) Presented() *identity.Credential { return c.presented.Load() }

// control sends a message about the channel itself.
func (c *Channel) control(plaintext []byte) error {
	claim, err := c.Claim(len(plaintext))
	if err != nil {
		return err
	}
	if err := c.sealFrom(claim, plaintext); err != nil {
		return err
	}
	c.Flush()
	return nil
}

// Close tells the peer, if there is room, and ends the channel. It does not
// wait. Nothing is sent behind what tells the peer.
func (c *Channel) Close() { c.closeFor(tunnel.ErrClosed) }

func (c *Channel) closeFor(cause error) {
	if !c.closed.CompareAndSwap(false, true) {
		return
	}
	if claim, ok := c.TryClaim(len(closeMessage)); ok {
		c.mu.Lock()
		err := c.sealFromLocked(claim, closeMessage)
		c.failed = cause
		c.mu.Unlock()
		if err == nil {
			c.Flush()
		}
	}
	c.end(cause)
}

// OriginEnded ends the channel with the path below it.
func (c *Channel) OriginEnded(err error) {
	if c.closed.CompareAndSwap(false, true) {
		c.end(err)
	}
}

// end is called once, without locks. It does not wait for the receive lock.
func (c *Channel) end(err error) {
	c.reg.Close()
	c.remote.Close()
	c.mu.Lock()
	c.failed = err
	under := c.ways[c.now].under
	c.seal.wipe()
	c.mu.Unlock()
	if c.recv.TryLock() {
		c.unlockRecv()
	} // else the frame that is being opened is the last, and wipes
	under.Origin().Detach(c)
	c.origin.End(err)
	if c.ended != nil {
		c.ended(c, err)
	}
}
