package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/node"
	"ockam/relay"
)

// soon is how long something may take that does not wait for anything: far less
// than the drains below.
const soon = 10 * time.Second

// shut cancels, and waits until the inlet at addr takes nothing new.
func shut(d *draining, addr string) {
	d.t.Helper()
	d.cancel()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = c.Close()
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the inlet still accepts connections: %v", err)
		}
	}
}

// idle is a node with everything, in which nothing is under way.
const idle = `
node "n" {
  ephemeral = true
  services  = ["uppercase"]
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  relay_service { allow = "anyone" }
  tcp_outlet "o" {
    to    = "%[2]s"
    allow = "anyone"
  }
}
node "m" {
  ephemeral = true
  relay "r" { at = "/ip4/127.0.0.1/tcp/%[3]s/secure/api" }
  relay "plain" { at = "/ip4/127.0.0.1/tcp/%[3]s" }
  tcp_inlet "in" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%[3]s/secure/api/service/o"
    allow = "anyone"
  }
}`

func TestShutdownIdle(t *testing.T) {
	silent := newServing(t)                // it never says anything
	began := func(r *draining, _ string) { // what waits for somebody has begun to
		r.wait("the listener", func(e node.Event) bool { return e.Kind == "listener" && e.Up })
		r.wait("the inlet", func(e node.Event) bool { return e.Kind == "inlet" && e.Addr != "" })
	}
	up := func(r *draining, port string) {
		began(r, port)
		c := connect(r.t, r.inletUp("in"))
		c.echo("before")
		_ = c.Close()
		for _, name := range []string{"r", "plain"} {
			r.wait("the relay "+name, func(e node.Event) bool { return e.Kind == "relay" && e.Name == name && e.Up })
		}
	}
	for _, tt := range []struct {
		name string
		far  func(t *testing.T) string      // a port in place of that of n
		do   func(r *draining, port string) // before the end; port is that of n
	}{
		{"all is well", nil, up},
		{"the far end refuses", freePort, func(r *draining, port string) {
			began(r, port)
			r.wait("no way", func(e node.Event) bool { return e.Kind == "inlet" && !e.Up })
		}},
		{"the far end says nothing", func(t *testing.T) string { return portOf(t, silent.addr) }, func(r *draining, port string) {
			began(r, port)
			for range 3 { // the relays and the inlet
				receive(r.t, "a connection", silent.conns)
			}
		}},
		{"at once", nil, func(*draining, string) {}},
		{"there are peers", nil, func(r *draining, port string) {
			up(r, port)
			p := newPeer(r.t, newOwner(r.t))
			l := p.link("127.0.0.1:" + port)
			c := p.channel(p.link("127.0.0.1:" + port))
			registered(r.t, p, c, "x")
			if _, ok := p.ask(l, route(relay.Prefix+"x", "echo"), []byte{1}, patience); !ok {
				r.t.Error("the name leads nowhere")
			}
		}},
		{"there are peers who begin something and say no more", nil, func(r *draining, port string) {
			began(r, port)
			for _, begin := range []string{"", "\x01", "\x01\x00\x00"} {
				c, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err != nil {
					r.t.Fatal(err)
				}
				r.t.Cleanup(func() { _ = c.Close() })
				_, _ = io.WriteString(c, begin)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			far := port
			if tt.far != nil {
				far = tt.far(t)
			}
			r := runDraining(t, load(t, fmt.Sprintf(idle, port, echoServer(t), far), nil), 10*time.Minute)
			tt.do(r, port)
			r.cancel()
			r.wantOver(soon)
		})
	}
}

// A serving is a target that gives the test its connections.
type serving struct {
	addr  string
	conns chan *net.TCPConn
}

func newServing(t *testing.T) *serving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{addr: l.Addr().String(), conns: make(chan *net.TCPConn, 10)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			s.conns <- c.(*net.TCPConn)
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return s
}

// ends are an outlet and an inlet, that anyone may use.
const (
	outletEnd = `
node "db" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "o" {
    to    = "%[2]s"
    allow = "anyone"
  }
}`
	inletEnd = `
node "app" {
  ephemeral = true
  tcp_inlet "in" {
    from  = "127.0.0.1:%[2]s"
    to    = "/ip4/127.0.0.1/tcp/%[1]s/secure/api/service/o"
    allow = "anyone"
  }
}`
)

// TestShutdownDrains ends a run in the middle of transfers, each of which is held
// there until the inlet takes nothing new: every byte arrives.
func TestShutdownDrains(t *testing.T) {
	const size = 8 << 20 // more than what stands in queues and sockets
	data := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(data)

	port, target := freePort(t), newServing(t)
	r := runDraining(t, load(t, fmt.Sprintf(outletEnd, port, target.addr)+fmt.Sprintf(inletEnd, port, freePort(t)), nil), 10*time.Minute)
	addr := r.inletUp("in")
	open := func() (client, server *net.TCPConn) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		server = receive(t, "a connection at the target", target.conns)
		for _, c := range []net.Conn{c, server} {
			_ = c.SetDeadline(time.Now().Add(3 * patience))
		}
		return c.(*net.TCPConn), server
	}
	downClient, downServer := open()
	upClient, upServer := open()
	waitClient, waitServer := open()

	var wg sync.WaitGroup
	send := func(what string, c *net.TCPConn) {
		wg.Go(func() {
			if n, err := c.Write(data); err != nil {
				t.Errorf("%s: sending ended after %d bytes: %v", what, n, err)
			}
			_ = c.CloseWrite()
		})
	}
	gather := func(what string, c *net.TCPConn, first []byte) {
		wg.Go(func() {
			rest, err := io.ReadAll(c)
			if got := append(first, rest...); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: got %d bytes, then %v; want %d bytes, unaltered, then the end", what, len(got), err, size)
			}
			_ = c.Close()
		})
	}
	firstOf := func(c *net.TCPConn) []byte {
		b := make([]byte, 100<<10)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	send("down", downServer)
	send("up", upClient)
	downFirst, upFirst := firstOf(downClient), firstOf(upServer)
	shut(r, addr)
	select {
	case <-r.over:
		t.Fatalf("run has returned in the middle of transfers: %v", r.err)
	default:
	}
	gather("down", downClient, downFirst)
	gather("up", upServer, upFirst)
	wg.Wait()
	_, _, _ = downClient.Close(), upClient.Close(), downServer.Close()

	// The last connection does nothing until now.
	for _, c := range [][2]net.Conn{{waitClient, waitServer}, {waitServer, waitClient}} {
		got := make([]byte, 4)
		_, _ = io.WriteString(c[0], "late")
		if _, err := io.ReadFull(c[1], got); err != nil || string(got) != "late" {
			t.Errorf("a connection that waited: got %q, %v", got, err)
		}
	}
	select {
	case <-r.over:
		t.Fatalf("run has returned while a connection is open: %v", r.err)
	default:
	}
	_, _ = waitClient.Close(), waitServer.Close()
	r.wantOver(soon)
}

// TestShutdownBusy lets the time for what is under way run out while an
// application takes nothing of what comes for it. Run returns, and neither end
// sees an end as if everything had come.
func TestShutdownBusy(t *testing.T) {
	const drain = time.Second / 2
	for _, which := range []string{"inlet", "outlet"} {
		t.Run("at the "+which, func(t *testing.T) {
			port, target := freePort(t), newServing(t)
			drains := map[string]time.Duration{"inlet": 10 * time.Minute, "outlet": 10 * time.Minute}
			drains[which] = drain
			db := runDraining(t, load(t, fmt.Sprintf(outletEnd, port, target.addr), nil), drains["outlet"])
			app := runDraining(t, load(t, fmt.Sprintf(inletEnd, port, freePort(t)), nil), drains["inlet"])
			conn := connect(t, app.inletUp("in"))
			near, far, ending := conn.Conn, net.Conn(receive(t, "a connection", target.conns)), app
			if which == "outlet" {
				near, far, ending = far, near, db
			}
			wrote := make(chan error, 1)
			go func() {
				_, err := far.Write(make([]byte, 64<<20))
				wrote <- err
			}()
			if _, err := io.ReadFull(near, make([]byte, 100<<10)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			ending.cancel()
			ending.wantOver(7 * time.Second) // nobody reads meanwhile; after 9 s the stream is given up anyway
			if took := time.Since(began); took < drain {
				t.Errorf("the run ended after %v, before the time was over", took)
			}
			wantResetOf(t, "who takes nothing", near)
			if err := receive(t, "the end of writing", wrote); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("who sends: %v, want a reset", err)
			}
		})
	}
}
