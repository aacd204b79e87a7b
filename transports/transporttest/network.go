package transporttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"

	"ockam/transports"
)

// A Network is a transport in memory: connections are pipes, addresses any text;
// listening at "" takes a free one. The zero value is ready.
type Network struct {
	Options PipeOptions

	mu        sync.Mutex
	last      int
	listeners map[string]*pipeListener
}

// Traits are those of Pipe.
func (*Network) Traits() transports.Traits { return Traits() }

// Dial connects to addr.
func (n *Network) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	c, err := n.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return c.Link(), nil
}

// DialRaw connects to addr and returns the stream of bytes.
func (n *Network) DialRaw(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
	c, err := n.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return rawPipe{c}, nil
}

func (n *Network) dial(ctx context.Context, addr string) (*PipeConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.listeners[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("pipe: %q: %w", addr, syscall.ECONNREFUSED)
	}
	a, b := Pipe(n.Options)
	select {
	case l.backlog <- b:
		return a, nil
	case <-l.closed:
		return nil, fmt.Errorf("pipe: %q: %w", addr, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Listen listens at addr.
func (n *Network) Listen(_ context.Context, addr string) (transports.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == "" {
		n.last++
		addr = "pipe" + strconv.Itoa(n.last)
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("pipe: %q: %w", addr, syscall.EADDRINUSE)
	}
	if n.listeners == nil {
		n.listeners = make(map[string]*pipeListener)
	}
	l := &pipeListener{n: n, addr: pipeAddr(addr), backlog: make(chan *PipeConn, 16), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

type pipeListener struct {
	n       *Network
	addr    pipeAddr
	backlog chan *PipeConn
	once    sync.Once
	closed  chan struct{}
}

// Accept returns the next connection.
func (l *pipeListener) Accept() (transports.Conn, error) {
	select {
	case c := <-l.backlog:
		return c.Link(), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr returns the address.
func (l *pipeListener) Addr() net.Addr { return l.addr }

// Close ends Accept.
func (l *pipeListener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		delete(l.n.listeners, string(l.addr))
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}

// rawPipe is a pipe as a stream of bytes.
type rawPipe struct{ *PipeConn }

// Write writes all of b.
func (p rawPipe) Write(b []byte) (int, error) {
	if err := p.PipeConn.Write(net.Buffers{b}); err != nil {
		return 0, err
	}
	return len(b), nil
}
