package secure

import (
	"errors"
	"fmt"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// handleFrame opens a frame and does what it says. It consumes m. Errors change
// nothing and are not told to the peer, but for ErrGap.
func (c *Channel) handleFrame(m *tunnel.Message) error {
	p, err := c.openFrame(m)
	if err != nil {
		m.Release()
		if errors.Is(err, ErrGap) {
			c.closeFor(err)
		}
		return err
	}
	switch p.kind {
	case kindClose:
		m.Release()
		if c.closed.CompareAndSwap(false, true) {
			c.end(ErrPeerClosed)
		}
		return nil
	case kindRefresh:
		err := c.refresh(&p)
		m.Release()
		return err
	default:
		m.Onward, m.Return, m.Payload, m.Origin = p.onward, p.ret, p.payload, c.origin
		m.PrependReturn(c.origin.Address())
		return c.cfg.Router.Deliver(m)
	}
}

// openFrame opens and decodes a frame, and has the channel follow the way that
// it came.
func (c *Channel) openFrame(m *tunnel.Message) (plaintext, error) {
	c.recv.Lock()
	defer c.unlockRecv()
	if c.closed.Load() {
		return plaintext{}, tunnel.ErrClosed
	}
	nonce, text, err := c.open.open(m.Payload)
	if err != nil {
		return plaintext{}, err
	}
	if c.received.Add(1) != nonce+1 && c.cfg.Ordered {
		return plaintext{}, ErrGap
	}
	p, err := parsePlaintext(text)
	if err != nil {
		return p, fmt.Errorf("secure: plaintext: %w", err)
	}
	if c.follow && p.kind == kindPayload && nonce > c.followed {
		c.followed = nonce
		if !m.Return.Equal(c.hops) {
			c.reroute(m.Return)
		}
	}
	return p, nil
}

// unlockRecv gives the receive lock back. Whoever does so last after the channel
// has ended forgets the keys: end itself does not wait for the lock.
func (c *Channel) unlockRecv() {
	c.wipeIfClosed()
	c.recv.Unlock()
	if c.closed.Load() && c.recv.TryLock() { // ended in between
		c.wipeIfClosed()
		c.recv.Unlock()
	}
}

func (c *Channel) wipeIfClosed() {
	if c.closed.Load() {
		c.open.wipe()
	}
}

// refresh takes a credential that the peer presents anew.
func (c *Channel) refresh(p *plaintext) error {
	r, _, err := identity.ParseRefresh(p.refresh)
	if err != nil {
		return err
	}
	if id := r.History.Identifier(); id != c.peer {
		return fmt.Errorf("%w: %v presents the history of %v", ErrUnauthorized, c.peer, id)
	}
	if err := c.cfg.Histories.UpdateHistory(r.History); err != nil {
		return err
	}
	return c.cfg.storeAttributes(c.peer, r.Credentials)
}
