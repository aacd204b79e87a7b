package puncture

import (
	"fmt"

	"ockam/tunnel"
)

// HandleMessage sends a message that was routed to the puncture's address.
func (p *Puncture) HandleMessage(m *tunnel.Message) error {
	err := p.Send(m)
	m.Release()
	return err
}

// Send sends m through the puncture; see tunnel.Path. It may get lost.
func (p *Puncture) Send(m *tunnel.Message) error {
	claim, err := p.Claim(len(m.Payload))
	if err != nil {
		return err
	}
	d, err := p.Begin(claim, m.Onward, m.Return, len(m.Payload))
	if err != nil {
		return err
	}
	copy(d.Payload, m.Payload)
	p.Commit(d)
	p.Flush()
	return nil
}

// Claim waits for room; see tunnel.Carrier. A payload takes up to twice its size,
// since each byte is an integer.
func (p *Puncture) Claim(n int) (int, error) {
	if err := p.origin.Err(); err != nil {
		return 0, err
	}
	return p.link.Claim(2 * n)
}

// TryClaim is Claim without waiting; see tunnel.Link.
func (p *Puncture) TryClaim(n int) (int, bool) { return p.link.TryClaim(2 * n) }

// Unclaim gives room back; see tunnel.Carrier.
func (p *Puncture) Unclaim(claim int) { p.link.Unclaim(claim) }

// Begin places a message and takes the lock that Commit gives back; see
// tunnel.Carrier. How long the message is on the wire is known only when its
// payload is.
func (p *Puncture) Begin(claim int, onward, ret tunnel.Route, n int) (tunnel.Draft, error) {
	if largest := (udpTraits.MaxFrame - payloadHeadLen(onward, ret) - 64) / 2; n > largest {
		p.link.Unclaim(claim)
		return tunnel.Draft{}, fmt.Errorf("%w: %d bytes through a puncture, at most %d", tunnel.ErrTooLarge, n, largest)
	}
	p.draft.Lock()
	if cap(p.payload) < n {
		p.payload = make([]byte, n)
	}
	p.claim, p.onward, p.ret, p.payload = claim, onward, ret, p.payload[:n]
	return tunnel.Draft{Payload: p.payload}, nil
}

// Commit puts the draft into the link's queue; see tunnel.Carrier.
func (p *Puncture) Commit(tunnel.Draft) {
	defer p.draft.Unlock()
	size := payloadHeadLen(p.onward, p.ret) + intsLen(p.payload)
	if d, err := p.link.Begin(p.claim, p.peer, tunnel.Route{}, size); err == nil { // else the link has ended, and tells
		appendInts(appendPayloadHead(d.Payload[:0], p.onward, p.ret), p.payload)
		p.link.Commit(d)
	}
	p.onward, p.ret = tunnel.Route{}, tunnel.Route{}
}

// Flush writes what is committed; see tunnel.Carrier.
func (p *Puncture) Flush() { p.link.Flush() }
