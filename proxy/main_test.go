package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/proxy"
	"ockam/transports"
	"ockam/transports/tcp"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is an inlet and an outlet in two nodes with a link between them, a
// target behind the outlet, and the inlet's address.
type rig struct {
	t        testing.TB
	in, out  *tunnel.Router
	links    [2]*tunnel.Link // of the inlet's node, of the outlet's
	group    *tunnel.Group
	inlet    *proxy.Inlet
	outlet   *proxy.Outlet
	addr     string // of the inlet
	budget   *portal.Budget
	opened   atomic.Int64
	refused  chan error
	closed   chan error
	cancelIn context.CancelFunc
}

// An option changes a rig before it starts.
type option func(*rig)

func overTCP(r *rig) {
	a, b := tcpConns(r.t)
	r.link(a, b, tcp.Transport{}.Traits())
}

func tcpConns(t testing.TB) (a, b transports.Conn) {
	t.Helper()
	l, err := (tcp.Transport{}).Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ch := make(chan transports.Conn)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		ch <- c
	}()
	a, err = (tcp.Transport{}).Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a, <-ch
}

// link makes the two links of the rig, and serves them.
func (r *rig) link(a, b transports.Conn, traits transports.Traits) {
	for i, router := range []*tunnel.Router{r.in, r.out} {
		conn, group := a, (*tunnel.Group)(nil)
		if i == 1 {
			conn, group = b, r.group
		}
		link, err := tunnel.NewLink(router, conn, traits, group)
		if err != nil {
			r.t.Fatal(err)
		}
		r.links[i] = link
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = link.Serve(context.Background())
		}()
		r.t.Cleanup(func() {
			link.Close()
			<-done
		})
	}
}

// newRig starts a rig whose outlet leads to target.
func newRig(t testing.TB, target string, options ...option) *rig {
	t.Helper()
	r := &rig{
		t: t, in: tunnel.NewRouter(), out: tunnel.NewRouter(), group: &tunnel.Group{Name: "test"},
		budget: new(portal.Budget), refused: make(chan error, 20_000), closed: make(chan error, 20_000),
	}
	events := proxy.Events{
		Opened:  func(proxy.Connection) { r.opened.Add(1) },
		Closed:  func(_ proxy.Connection, err error) { r.closed <- err },
		Refused: func(_ proxy.Connection, err error) { r.refused <- err },
	}
	opts := portal.Options{Budget: r.budget}
	r.outlet = &proxy.Outlet{
		Router: r.out, Name: "outlet", Access: tunnel.Access{Open: []tunnel.Source{r.group}},
		Target: target, Options: opts, Events: events,
	}
	dialer := &portal.Dialer{Options: opts, Router: r.in, Route: tunnel.NewRoute(tunnel.LocalAddress("outlet"))}
	r.inlet = &proxy.Inlet{Events: events, Dial: func(ctx context.Context) (*portal.Stream, error) {
		d := *dialer
		d.Path, d.Options = r.links[0], r.outlet.Options
		return d.Dial(ctx)
	}}
	for _, o := range options {
		o(r)
	}
	if r.links[0] == nil {
		a, b := transporttest.Pipe(transporttest.PipeOptions{})
		r.link(a, b, transporttest.Traits())
	}
	r.start()
	return r
}

func (r *rig) start() {
	r.t.Helper()
	l, err := proxy.Listen(r.t.Context(), "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	if err := r.outlet.Bind(); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	inCtx, cancelIn := context.WithCancel(ctx)
	r.cancelIn = cancelIn
	var wg sync.WaitGroup
	serve := func(what string, f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				r.t.Errorf("%s: %v", what, err)
			}
		})
	}
	serve("outlet", func() error { return r.outlet.Serve(ctx) })
	serve("inlet", func() error { return r.inlet.Serve(inCtx, l) })
	r.t.Cleanup(func() {
		cancel()
		cancelIn()
		wg.Wait()
	})
}

// dial connects a client to the inlet.
func (r *rig) dial() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// target listens, and serves each connection with f, until the test ends. f
// need not close its connection.
func target(t testing.TB, f func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, func(c net.Conn) { f(c.(*net.TCPConn)) })
	return l.Addr().String()
}

func serve(t testing.TB, l net.Listener, f func(net.Conn)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	ended := false
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			if ended {
				_ = c.Close()
			}
			mu.Unlock()
			wg.Go(func() {
				f(c)
				_ = c.Close()
				mu.Lock()
				defer mu.Unlock()
				delete(conns, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		ended = true
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// echo sends back what comes, and ends when that ends.
func echo(c *net.TCPConn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func wantReset(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%s: %v, want a reset", what, err)
	}
}

// expect returns what ch brings within a while.
func expect[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(15 * time.Second):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}
