package node

import (
	"time"
)

// Metrics are what a node counts, at one moment. Counters begin at 0 when the
// node, or the inlet or outlet that they are of, is started.
type Metrics struct {
	Started time.Time
	// Links and channels that there are now, by who opened them. Those of
	// accepted connections count the commands that talk to the node just now.
	LinksAccepted, LinksDialed, ChannelsAccepted, ChannelsOpened int
	// Dropped is how many messages from the network found no open address.
	Dropped uint64
	// Queued is how many bytes streams hold that applications have not taken, of
	// at most QueueLimit; Stalled how many were reset because theirs took nothing.
	Queued, QueueLimit int
	Stalled            uint64
	Inlets, Outlets    []PortMetrics // by name
	Relays             []RelayMetrics
}

// PortMetrics are those of an inlet or outlet.
type PortMetrics struct {
	Name            string
	Up              bool // of an inlet: it has a way to the far end
	Open            int  // streams now
	Opened, Refused uint64
	Sent, Received  int64 // bytes of payload, to and from the far end
}

// RelayMetrics are those of a registration at a relay.
type RelayMetrics struct {
	Name string
	Up   bool
}

// Metrics returns what the node counts.
func (b *Background) Metrics() Metrics {
	n := b.n
	m := Metrics{
		Started: b.started, Dropped: n.router.Dropped(),
		Queued: n.budget.Used(), QueueLimit: n.budget.Max(), Stalled: n.budget.Resets(),
	}
	b.mu.Lock()
	m.LinksDialed = len(b.conns)
	b.mu.Unlock()
	n.mu.Lock()
	for _, a := range n.accepted {
		if a.link != nil {
			m.LinksAccepted++
		} else {
			m.ChannelsAccepted++
		}
	}
	for w := range n.ways {
		if w.link != nil {
			m.LinksDialed++
		}
		m.ChannelsOpened += len(w.dug)
	}
	n.mu.Unlock()
	for _, r := range b.list(inletKey("").kind) {
		info := inletInfo(r)
		m.Inlets = append(m.Inlets, portMetrics(r, info.Alias, info.Up))
	}
	for _, r := range b.list(outletKey("").kind) {
		m.Outlets = append(m.Outlets, portMetrics(r, r.view.(OutletOptions).Address, true))
	}
	for _, r := range b.Relays() {
		m.Relays = append(m.Relays, RelayMetrics{r.Name, r.Up})
	}
	return m
}

func portMetrics(r *resource, name string, up bool) PortMetrics {
	m := PortMetrics{Name: name, Up: up}
	r.traffic.add(&m)
	return m
}

// Ending reports whether the node has begun to end: nothing new is taken.
func (b *Background) Ending() bool { return b.isClosed() }
