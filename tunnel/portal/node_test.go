package portal_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
	"ockam/tunnel/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is one end of a link in memory.
type node struct {
	router *tunnel.Router
	link   *tunnel.Link
	group  *tunnel.Group
	done   chan struct{} // closed when the link has ended
}

// newPair returns two nodes with a link between them, which the first opened.
func newPair(t testing.TB, o transporttest.PipeOptions) (in, out *node) {
	t.Helper()
	a, b := transporttest.Pipe(o)
	in, out = &node{router: tunnel.NewRouter()}, &node{router: tunnel.NewRouter(), group: &tunnel.Group{Name: "test"}}
	in.start(t, a)
	out.start(t, b)
	return in, out
}

func (n *node) start(t testing.TB, conn *transporttest.PipeConn) {
	t.Helper()
	link, err := tunnel.NewLink(n.router, conn, transporttest.Traits(), n.group)
	if err != nil {
		t.Fatal(err)
	}
	n.link, n.done = link, make(chan struct{})
	go func() {
		defer close(n.done)
		_ = link.Serve(context.Background())
	}()
	t.Cleanup(n.stop)
}

func (n *node) stop() {
	n.link.Close()
	<-n.done
}

func (n *node) dialer(name string) *portal.Dialer {
	return &portal.Dialer{Router: n.router, Path: n.link, Route: tunnel.NewRoute(tunnel.LocalAddress(name))}
}

// listen serves l at n until the test ends.
func (n *node) listen(t testing.TB, l *portal.Listener) {
	t.Helper()
	l.Router = n.router
	if l.Name == "" {
		l.Name = "outlet"
	}
	l.Access.Open = append(l.Access.Open, n.group)
	if err := l.Bind(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// connect returns both ends of a stream. The accepted end is closed with ctx.
func connect(t testing.TB, in, out *node, opts portal.Options) (dialed, accepted *portal.Stream) {
	t.Helper()
	ch := make(chan *portal.Stream, 1)
	out.listen(t, &portal.Listener{Options: opts, Open: func(ctx context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		ch <- s
		<-ctx.Done()
		_ = s.Close()
	}})
	d := in.dialer("outlet")
	d.Options = opts
	s, err := d.Dial(context.Background())
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, <-ch
}

// echo answers a stream with what comes.
func echo(ctx context.Context, r *portal.Request) {
	s, err := r.Accept()
	if err != nil {
		return
	}
	defer func() { _ = s.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	_, _ = io.Copy(onlyWriter{s}, s)
	_ = s.CloseWrite()
}

// onlyWriter and onlyReader hide what else their value can do from io.Copy.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// A peer is the far end of a link played by the test: it sees and sends single
// messages.
type peer struct {
	t    testing.TB
	conn *transporttest.PipeConn
}

// newPeer returns a node and a peer linked to it.
func newPeer(t testing.TB) (*node, *peer) {
	t.Helper()
	a, b := transporttest.Pipe(transporttest.PipeOptions{})
	n := &node{router: tunnel.NewRouter(), group: &tunnel.Group{Name: "test"}}
	n.start(t, a)
	t.Cleanup(func() { _ = b.Close() })
	return n, &peer{t, b}
}

func (p *peer) send(onward, ret tunnel.Route, payload []byte) {
	p.t.Helper()
	size := wire.MessageSize(onward, ret, len(payload))
	b := []byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
	b = append(wire.AppendMessageHead(b, onward, ret, len(payload)), payload...)
	if err := p.conn.Write(net.Buffers{wire.AppendMessageTail(b)}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) receive() wire.Header {
	p.t.Helper()
	b, err := p.conn.Receive(func(n int) []byte { return make([]byte, n) })
	if err != nil {
		p.t.Fatal(err)
	}
	h, err := wire.ParseMessage(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// expect receives a message of that kind.
func (p *peer) expect(kind portal.Kind) wire.Header {
	p.t.Helper()
	h := p.receive()
	m, err := portal.ParseMessage(h.Payload)
	if err != nil || m.Kind != kind {
		p.t.Fatalf("got %x (%v), want a message of kind %d", h.Payload, err, kind)
	}
	return h
}

func local(names ...string) tunnel.Route {
	var addrs []tunnel.Address
	for _, n := range names {
		addrs = append(addrs, tunnel.LocalAddress(n))
	}
	return tunnel.NewRoute(addrs...)
}

func payload(data string) []byte {
	return portal.Message{Kind: portal.Payload, Data: []byte(data)}.Append(nil)
}

func kind(k portal.Kind) []byte { return portal.Message{Kind: k}.Append(nil) }

// wantErr fails unless err is one of want.
func wantErr(t testing.TB, what string, err error, want ...error) {
	t.Helper()
	for _, w := range want {
		if errors.Is(err, w) {
			return
		}
	}
	t.Errorf("%s: got error %v, want %v", what, err, want)
}

func pause() { time.Sleep(time.Millisecond) }

// isEnd reports the good end of a stream, which an io.Reader must return bare.
func isEnd(err error) bool { return err == io.EOF } //nolint:errorlint // see above

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
