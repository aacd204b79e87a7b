package secure

import (
	"ockam/tunnel"
)

// A way is where a channel's frames go. A responder changes it when the
// initiator's frames come from elsewhere. Claims and drafts belong to the queue
// in which they were made, so the way before is kept until none is left there.
type way struct {
	under  tunnel.Carrier
	route  tunnel.Route // from the far end of under to the peer
	claims int          // not yet begun or given back
	dirty  bool         // something is committed and not yet flushed
}

func (w *way) commit(d tunnel.Draft) {
	w.under.Commit(d)
	w.dirty = true
}

// busy reports whether the way may not be forgotten.
func (w *way) busy() bool { return w.claims > 0 || w.dirty }

// Claim waits for room; see tunnel.Carrier. What it returns names the way on
// which there is room.
func (c *Channel) Claim(n int) (int, error) {
	for {
		under, i, err := c.claimOn()
		if err != nil {
			return 0, err
		}
		claim, err := under.Claim(n + frameOverhead + plaintextOverhead)
		if err == nil {
			return claim<<1 | i, nil
		}
		if !c.giveUp(i) {
			return 0, err
		}
	}
}

// TryClaim is Claim without waiting; see tunnel.Link.
func (c *Channel) TryClaim(n int) (int, bool) {
	under, i, err := c.claimOn()
	if err != nil {
		return 0, false
	}
	if t, ok := under.(interface{ TryClaim(int) (int, bool) }); ok {
		if claim, ok := t.TryClaim(n + frameOverhead + plaintextOverhead); ok {
			return claim<<1 | i, true
		}
	}
	c.giveUp(i)
	return 0, false
}

// claimOn says where a claim is to be made, and notes that it is.
func (c *Channel) claimOn() (tunnel.Carrier, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return nil, 0, c.failed
	}
	w := &c.ways[c.now]
	w.claims++
	return w.under, c.now, nil
}

// giveUp notes that a claim was not made on ways[i]. It reports whether the
// channel has another way meanwhile.
func (c *Channel) giveUp(i int) (moved bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ways[i].claims--
	return c.now != i && c.failed == nil
}

// takeLocked returns the way on which a claim was made, and the way's claim.
func (c *Channel) takeLocked(claim int) (*way, int) {
	w := &c.ways[claim&1]
	w.claims--
	return w, claim >> 1
}

// Unclaim gives room back; see tunnel.Carrier.
func (c *Channel) Unclaim(claim int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, claim := c.takeLocked(claim)
	w.under.Unclaim(claim)
}

// Flush writes what is committed; see tunnel.Carrier.
func (c *Channel) Flush() {
	var flush [2]tunnel.Carrier
	c.mu.Lock()
	for i := range c.ways {
		w := &c.ways[i]
		if w.dirty {
			w.dirty, flush[i] = false, w.under
		}
		if i != c.now && !w.busy() {
			w.under = nil // let go of a link that may have ended
		}
	}
	c.mu.Unlock()
	for _, under := range flush {
		if under != nil {
			under.Flush()
		}
	}
}

// reroute makes the way back of a frame the way of our frames: a responder
// follows an initiator that found another way (docs/protocol.md, Routes of a
// channel). Called with the receive lock. Whoever is between the two ends can do
// this; the next frame that comes unaltered undoes it.
//
// From one link a channel moves to another, and from anywhere to a puncture,
// which is agreed on for that. From or to another channel it does not: gates have
// seen what it runs over, and channels could come to run over each other in a
// circle.
func (c *Channel) reroute(hops tunnel.Route) {
	if hops.Size() > maxRoute {
		return
	}
	path, rest, err := c.cfg.Router.Path(c.cfg.Router.Direct(hops))
	if err != nil {
		return
	}
	if under, ok := path.(tunnel.Carrier); ok && c.move(under, rest.Join(c.last)) {
		c.hops = hops.Clone()
	}
}

// move changes the way, unless the one before the present is still in use: then
// the next frame tries again.
func (c *Channel) move(under tunnel.Carrier, route tunnel.Route) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return false
	}
	w, other := &c.ways[c.now], &c.ways[1-c.now]
	if w.under == under {
		w.route = route
		return true
	}
	if other.under != under && other.busy() || !mayMove(w.under.Origin(), under.Origin()) {
		return false
	}
	if under.Origin().Attach(c) != nil {
		return false
	}
	w.under.Origin().Detach(c)
	other.under, other.route = under, route
	c.now = 1 - c.now
	return true
}

func mayMove(from, to *tunnel.Origin) bool {
	return to.Punctured || from.Outer == nil && to.Outer == nil
}
