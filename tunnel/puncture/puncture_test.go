package puncture_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports/transporttest"
	"ockam/transports/udp"
	"ockam/tunnel"
	"ockam/tunnel/puncture"
	"ockam/tunnel/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rendezvous runs a server until the test ends, and returns where.
func rendezvous(t *testing.T) string {
	t.Helper()
	r, group := tunnel.NewRouter(), new(tunnel.Group)
	self := tunnel.LocalAddress(puncture.RendezvousName)
	if _, err := r.Handle(self, puncture.Rendezvous{Router: r, Self: self}, tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
		t.Fatal(err)
	}
	lis, err := udp.Transport{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &tunnel.Server{Router: r, Traits: udp.Transport{}.Traits(), Group: group}
	background(t, func(ctx context.Context) {
		if err := s.Serve(ctx, lis); err != nil {
			t.Error(err)
		}
	})
	return lis.Addr().String()
}

// background runs f until the test ends.
func background(t *testing.T, f func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// TestRendezvousProbes sends what was sent to the rendezvous server of the
// reference implementation; ours answers where that did, and with the same.
func TestRendezvousProbes(t *testing.T) {
	b, err := os.ReadFile("../../transports/udp/testdata/udp.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Probes []struct {
			Name           string
			Sent, Received []string
			Decoded        []struct {
				Message struct{ Onward, Return []string }
			} `json:"received_decoded"`
		}
	}
	if err := json.Unmarshal(b, &v); err != nil || len(v.Probes) == 0 {
		t.Fatal(err)
	}
	addr := rendezvous(t)
	var c net.Conn
	for _, p := range v.Probes {
		first, _, _ := strings.Cut(p.Name, " ")
		if c == nil || first != "then" && first != "again" && first != "expected" {
			if c != nil {
				_ = c.Close()
			}
			if c, err = net.Dial("udp4", addr); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range p.Sent {
			if _, err := c.Write(unhex(t, s)); err != nil {
				t.Fatal(err)
			}
		}
		wait := 50 * time.Millisecond
		if len(p.Received) > 0 {
			wait = 5 * time.Second
		}
		_ = c.SetReadDeadline(time.Now().Add(wait))
		got := make([]byte, 600)
		n, err := c.Read(got)
		if (err == nil) != (len(p.Received) > 0) {
			t.Errorf("%s: %x, %v; the reference sent %v", p.Name, got[:n], err, p.Received)
			continue
		}
		if err != nil {
			continue
		}
		want, here := unhex(t, p.Received[0]), []byte(c.LocalAddr().String())
		from := 9 // behind the number, which differs
		if n > from && len(want) > from {
			if !strings.Contains(p.Name, "Ping") && !strings.Contains(string(got[:n]), string(here)) {
				t.Errorf("%s: %s is not in %x", p.Name, here, got[:n])
			}
			if n != len(want) && len(want)-n != len("127.0.0.1:12345")-len(here) {
				t.Errorf("%s:\n%x\n%x", p.Name, got[:n], want)
			}
		}
	}
	_ = c.Close()
}

func TestMyAddress(t *testing.T) {
	addr := rendezvous(t)
	if a, err := puncture.MyAddress(t.Context(), addr); err != nil || a.Addr().String() != "127.0.0.1" || a.Port() == 0 {
		t.Errorf("%v, %v", a, err)
	}
	if err := puncture.PingRendezvous(t.Context(), addr); err != nil {
		t.Error(err)
	}
	nobody, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := puncture.PingRendezvous(ctx, nobody.LocalAddr().String()); !errors.Is(err, puncture.ErrNoAnswer) {
		t.Errorf("%v, want ErrNoAnswer", err)
	}
}

// pair is two nodes with a link between them.
type pair struct {
	a, b         *tunnel.Router
	link         *tunnel.Link  // a's
	links, holes *tunnel.Group // of b
	config       puncture.Config
	failed       chan error
}

func newPair(t *testing.T, rdv string) *pair {
	t.Helper()
	p := &pair{
		a: tunnel.NewRouter(), b: tunnel.NewRouter(), links: new(tunnel.Group), holes: new(tunnel.Group),
		failed: make(chan error, 10),
	}
	there, back := transporttest.Pipe(transporttest.PipeOptions{})
	link := func(r *tunnel.Router, c *transporttest.PipeConn, g *tunnel.Group) *tunnel.Link {
		l, err := tunnel.NewLink(r, c.Link(), transporttest.Traits(), g)
		if err != nil {
			t.Fatal(err)
		}
		background(t, func(ctx context.Context) { _ = l.Serve(ctx) })
		return l
	}
	p.link = link(p.a, there, nil)
	link(p.b, back, p.links)
	self := tunnel.LocalAddress("echo")
	if _, err := p.b.Handle(self, service.Echo{Router: p.b, Self: self}, tunnel.Access{Open: []tunnel.Source{p.holes}}); err != nil {
		t.Fatal(err)
	}
	l := &puncture.Listener{
		Config: puncture.Config{Router: p.b, Rendezvous: rdv, Bind: "127.0.0.1:0", Group: p.holes},
		Open:   []tunnel.Source{p.links}, Failed: func(err error) { p.failed <- err },
	}
	if err := l.Register(); err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) {
		if err := l.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	p.config = puncture.Config{Router: p.a, Rendezvous: rdv, Bind: "127.0.0.1:0"}
	return p
}

func TestPuncture(t *testing.T) {
	p := newPair(t, rendezvous(t))
	hole, err := p.config.Dial(t.Context(), p.link, tunnel.Route{})
	if err != nil {
		t.Fatal(err)
	}
	if !hole.Origin().Punctured || hole.Origin().Remote == nil || hole.Public().Port() == 0 {
		t.Errorf("%+v, %v", hole.Origin(), hole.Public())
	}
	echo := tunnel.NewRoute(tunnel.LocalAddress("echo"))
	for _, n := range []int{0, 1, 23, 24, 255, 493, 5000, 48 << 10} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		got, err := tunnel.Ask(ctx, p.a, hole, echo, payload)
		cancel()
		if err != nil || string(got) != string(payload) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
	if err := hole.Send(&tunnel.Message{Onward: echo, Payload: make([]byte, 9<<20)}); !errors.Is(err, tunnel.ErrTooLarge) {
		t.Errorf("9 MiB: %v", err)
	}
	hole.Close()
	if err := hole.Origin().Err(); !errors.Is(err, tunnel.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if err := hole.Send(&tunnel.Message{Onward: echo}); err == nil {
		t.Error("sent through a closed puncture")
	}
}

// TestRefusals: who asks for nonsense gets nothing, and nothing is begun.
func TestRefusals(t *testing.T) {
	p := newPair(t, rendezvous(t))
	to := tunnel.NewRoute(tunnel.LocalAddress(puncture.Name))
	for _, offer := range [][]byte{
		nil, []byte("nonsense"),
		puncture.MakeNegotiation("somewhere", "a").Append(nil),
		puncture.MakeNegotiation("0.0.0.0:5", "a").Append(nil),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if b, err := tunnel.Ask(ctx, p.a, p.link, to, offer); err == nil {
			t.Errorf("%x is answered by %x", offer, b)
		}
		cancel()
	}
}

// TestNoRendezvous: nobody answers, and both sides say so.
func TestNoRendezvous(t *testing.T) {
	nobody, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	p := newPair(t, nobody.LocalAddr().String())
	if _, err := p.config.Dial(t.Context(), p.link, tunnel.Route{}); !errors.Is(err, puncture.ErrNoAnswer) {
		t.Errorf("%v, want ErrNoAnswer", err)
	}
	p.config.Rendezvous = rendezvous(t) // we reach one, the other side does not
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := p.config.Dial(ctx, p.link, tunnel.Route{}); err == nil {
		t.Error("a puncture without the other side")
	}
	if err := <-p.failed; !errors.Is(err, puncture.ErrNoAnswer) {
		t.Errorf("the other side: %v", err)
	}
}

// TestSilent: the other side goes away, and does not say so.
func TestSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the ten seconds that the protocol has for it")
	}
	rdv := rendezvous(t)
	p := newPair(t, rdv)
	hole, err := p.config.Dial(t.Context(), p.link, tunnel.Route{})
	if err != nil {
		t.Fatal(err)
	}
	hole.Close()
	select {
	case err := <-p.failed:
		if !errors.Is(err, puncture.ErrSilent) && !errors.Is(err, puncture.ErrNotThrough) { // it may have gone too early
			t.Errorf("%v, want ErrSilent", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("not noticed")
	}
}
