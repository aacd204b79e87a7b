package node

import (
	"context"
	"crypto/tls"
	"net"
	"reflect"
	"sync"
	"time"

	"go.uber.org/zap"

	"ockam/config"
)

// Start runs the nodes of a configuration as Run does, for tests that apply
// others to them. Stop is to be called in any case.
func Start(ctx context.Context, f *config.File, opt Options) (nodes []*Node, stop func(drain time.Duration), err error) {
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &runner{opt: opt, life: life}
	if nodes, err = r.makeNodes(ctx, f); err == nil {
		err = r.applyAll(ctx, f, nodes)
	}
	return nodes, func(drain time.Duration) {
		last, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		r.end(last, nodes, end)
	}, err
}

// RememberStrangers bounds the strangers without a channel whose histories the node
// remembers from now on.
func (b *Background) RememberStrangers(most int) {
	p := b.n.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
}

// Registrations returns how many addresses have a handler in the node.
func (n *Node) Registrations() int {
	r := reflect.ValueOf(n.router).Elem()
	mu := (*sync.RWMutex)(r.FieldByName("mu").Addr().UnsafePointer())
	mu.RLock()
	defer mu.RUnlock()
	return r.FieldByName("entries").Len()
}

// ServeHealth answers health checks of the rendezvous service at addr.
func ServeHealth(ctx context.Context, l net.Listener, addr string) error {
	h := healthCheck{service: addr, log: zap.NewNop()}
	return h.serve(ctx, l)
}

// ParseCertificateReply reads a certificate provider's answer.
func ParseCertificateReply(b []byte) (kind uint64, chain, key []byte, err error) {
	var r certificateReply
	err = r.parse(b)
	return r.kind, r.chain, r.key, err
}

// A Certificates keeps a certificate; see certificates.
type Certificates struct{ c certificates }

// NewCertificates returns one that asks by calling ask.
func NewCertificates(ask func(context.Context) (*tls.Certificate, error)) *Certificates {
	return &Certificates{certificates{ask: ask, failed: func(error) {}, turn: make(chan struct{}, 1)}}
}

// Current is certificates.current.
func (c *Certificates) Current(ctx context.Context) (*tls.Certificate, error) {
	return c.c.current(ctx)
}

// Accepted returns how many accepted links and channels the node remembers.
func (n *Node) Accepted() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.accepted)
}

// Explain decides as the node would.
func (n *Node) Explain(q Question) (*Decision, error) { return n.explain(q) }
