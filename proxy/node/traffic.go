package node

import (
	"sync"
	"sync/atomic"

	"ockam/proxy"
	"ockam/tunnel/portal"
)

// A traffic counts the streams of an inlet or outlet and their bytes. Nothing is
// counted for a message: streams know what they have moved.
type traffic struct {
	refused atomic.Uint64

	mu       sync.Mutex
	open     map[*portal.Stream]struct{}
	total    uint64
	sent     int64 // by streams that have ended
	received int64
}

func (t *traffic) opened(s *portal.Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[*portal.Stream]struct{})
	}
	t.open[s] = struct{}{}
	t.total++
}

func (t *traffic) closed(c proxy.Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c.Stream)
	t.sent += c.To
	t.received += c.From
}

// add adds what has been counted to m.
func (t *traffic) add(m *PortMetrics) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m.Open, m.Opened, m.Refused = len(t.open), t.total, t.refused.Load()
	m.Sent, m.Received = t.sent, t.received
	for s := range t.open {
		sent, received := s.Moved()
		m.Sent += sent
		m.Received += received
	}
}

// count has a way counted among the node's until uncount.
func (n *Node) count(w *way) {
	w.node = n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways[w] = true
}

// uncount does nothing for a way that is not counted; n is then nil.
func (n *Node) uncount(w *way) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ways, w)
}
