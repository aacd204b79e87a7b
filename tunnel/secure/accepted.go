package secure

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"ockam/tunnel"
)

// A held is what a listener knows of a channel that it accepts.
type held struct {
	from   tunnel.Caller
	opened bool   // its handshake has succeeded
	before uint64 // frames that had arrived a while ago
}

// notYet is in place of a count for a channel that has not lived through a whole
// IdleTimeout.
const notYet = math.MaxUint64

// expireIdle closes, now and then, the channels on which nothing has arrived.
func (l *Listener) expireIdle(ctx context.Context) {
	idle := l.IdleTimeout
	if idle <= 0 {
		idle = IdleTimeout
	}
	for tunnel.Sleep(ctx, idle) {
		for _, c := range l.list() {
			n := c.received.Load()
			l.mu.Lock()
			h, ok := l.channels[c]
			still := ok && h.before == n
			if ok {
				h.before = n
			}
			l.mu.Unlock()
			if still {
				c.Close()
			}
		}
	}
}

func (l *Listener) list() []*Channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Channel, 0, len(l.channels))
	for c := range l.channels {
		all = append(all, c)
	}
	return all
}

func (l *Listener) opened(c *Channel, h *held) {
	l.mu.Lock()
	l.channels[c] = h
	l.opening--
	h.opened, h.before = true, notYet
	l.mu.Unlock()
	if l.Opened != nil {
		l.Opened(c)
	}
}

func (l *Listener) closed(c *Channel, err error) {
	l.mu.Lock()
	delete(l.channels, c)
	l.mu.Unlock()
	if l.Closed != nil {
		l.Closed(c, err)
	}
}

// roomLocked reports whether there may be one channel more. If there are too many,
// it takes half of those away that came over the link which has most, and returns
// them to be closed: it is likely that one peer opened them all. Where most of them
// came from one place behind the link's peer, it is half of those; the peer can make
// such places up, though. Those that less has arrived on are less likely to be
// missed. There is no room if every link has one. So many go at once since all are
// looked at to find them.
func (l *Listener) roomLocked() (quiet []*Channel, ok bool) {
	most := l.MaxChannels
	if most <= 0 {
		most = MaxChannels
	}
	if len(l.channels)+l.opening < most {
		return nil, true
	}
	links, callers := make(map[*tunnel.Origin][]*Channel), make(map[tunnel.Caller][]*Channel)
	for c, h := range l.channels {
		link := h.from.Link()
		links[link] = append(links[link], c)
	}
	quiet = longest(links)
	for _, c := range quiet {
		from := l.channels[c].from
		callers[from] = append(callers[from], c)
	}
	if of := longest(callers); len(of) > 1 {
		quiet = of
	}
	if len(quiet) < 2 {
		return nil, false
	}
	slices.SortFunc(quiet, func(a, b *Channel) int { return cmp.Compare(a.received.Load(), b.received.Load()) })
	quiet = quiet[:len(quiet)/2]
	for _, c := range quiet {
		delete(l.channels, c)
	}
	return quiet, true
}

func longest[K comparable](all map[K][]*Channel) (found []*Channel) {
	for _, s := range all {
		if len(s) > len(found) {
			found = s
		}
	}
	return found
}

// closeQuiet closes what roomLocked took away.
func (l *Listener) closeQuiet(quiet []*Channel) {
	if len(quiet) == 0 {
		return
	}
	for _, c := range quiet {
		c.Close()
	}
	if l.Refused != nil {
		l.Refused(fmt.Errorf("secure: too many channels are open: %d of those that came the same way were closed, first that of %v",
			len(quiet), quiet[0].Peer()))
	}
}
