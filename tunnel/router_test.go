package tunnel_test

import (
	"errors"
	"sync"
	"testing"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
)

func discard(m *tunnel.Message) error {
	m.Release()
	return nil
}

func message(onward ...string) *tunnel.Message {
	m := tunnel.NewMessage()
	m.Onward = route(onward...)
	return m
}

func TestRouterHandle(t *testing.T) {
	r := tunnel.NewRouter()
	a := handle(t, r, "a", tunnel.HandlerFunc(discard))
	if _, err := r.Handle(tunnel.LocalAddress("a"), tunnel.HandlerFunc(discard), tunnel.Access{}); !errors.Is(err, tunnel.ErrInUse) {
		t.Errorf("a second handler: %v", err)
	}
	if _, err := r.Handle(tunnel.Address{Type: 1, Name: "a"}, tunnel.HandlerFunc(discard), tunnel.Access{}); err != nil {
		t.Errorf("the same name of another type: %v", err)
	}
	if err := r.Send(message("a", "b")); err != nil {
		t.Error(err)
	}
	a.Close()
	a.Close()
	if err := r.Send(message("a")); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("after Close: %v", err)
	}
	again := handle(t, r, "a", tunnel.HandlerFunc(discard))
	a.Close() // does not close another's
	if err := r.Send(message("a")); err != nil {
		t.Errorf("after another's Close: %v", err)
	}
	if again.Address() != tunnel.LocalAddress("a") {
		t.Errorf("address %v", again.Address())
	}
	if err := r.Send(message()); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("an empty route: %v", err)
	}
}

func TestRouterGate(t *testing.T) {
	r := tunnel.NewRouter()
	denied := errors.New("denied")
	called := false
	_, err := r.Handle(tunnel.LocalAddress("a"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		called = true
		return discard(m)
	}), tunnel.Access{Gate: func(m *tunnel.Message) error {
		if string(m.Payload) == "please" {
			return nil
		}
		return denied
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Send(message("a")); !errors.Is(err, denied) || called {
		t.Errorf("%v, called: %v", err, called)
	}
	m := message("a")
	m.Payload = []byte("please")
	if err := r.Send(m); err != nil || !called {
		t.Errorf("%v, called: %v", err, called)
	}
}

// TestDepth: two relays that forward to one another end, and so do 64 hops.
func TestDepth(t *testing.T) {
	r := tunnel.NewRouter()
	passed := 0
	for _, hop := range [][2]string{{"a", "b"}, {"b", "a"}} {
		handle(t, r, hop[0], tunnel.HandlerFunc(func(m *tunnel.Message) error {
			passed++
			m.Onward = route(hop[1]).Join(m.Onward)
			return r.Send(m)
		}))
	}
	if err := r.Send(message("a", "x")); !errors.Is(err, tunnel.ErrTooDeep) || passed != 64 {
		t.Errorf("%v after %d hops", err, passed)
	}

	for _, h := range []string{"h1", "h2"} {
		handle(t, r, h, service.Hop{Router: r, Self: tunnel.LocalAddress(h)})
	}
	handle(t, r, "end", tunnel.HandlerFunc(discard))
	for n, want := range map[int]error{63: nil, 64: tunnel.ErrTooDeep} {
		m := tunnel.NewMessage()
		for i := range n {
			m.Onward = m.Onward.Join(route([]string{"h1", "h2"}[i%2]))
		}
		m.Onward = m.Onward.Join(route("end"))
		if err := r.Send(m); !errors.Is(err, want) {
			t.Errorf("%d hops: %v, want %v", n, err, want)
		}
	}
}

// TestDepthIsPerMessage: a message from the pool begins anew.
func TestDepthIsPerMessage(t *testing.T) {
	r := tunnel.NewRouter()
	handle(t, r, "a", tunnel.HandlerFunc(discard))
	for range 200 {
		if err := r.Send(message("a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRouterPath(t *testing.T) {
	r := tunnel.NewRouter()
	_, near := transporttest.Pipe(transporttest.PipeOptions{})
	l := newLink(t, r, near, nil)
	handle(t, r, "worker", tunnel.HandlerFunc(discard))
	p, rest, err := r.Path(tunnel.NewRoute(l.Address(), tunnel.LocalAddress("x")))
	if err != nil || p != tunnel.Path(l) || !rest.Equal(route("x")) {
		t.Errorf("%v, %v, %v", p, rest, err)
	}
	for _, r2 := range []tunnel.Route{route("worker", "x"), route("nobody"), {}} {
		if _, _, err := r.Path(r2); !errors.Is(err, tunnel.ErrNoRoute) {
			t.Errorf("path of %v: %v", r2, err)
		}
	}
	l.Close()
	if _, _, err := r.Path(tunnel.NewRoute(l.Address())); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("path of a closed link: %v", err)
	}
}

// TestRouterConcurrently registers, opens, sends and closes at the same time.
func TestRouterConcurrently(t *testing.T) {
	r := tunnel.NewRouter()
	fixed := handle(t, r, "fixed", tunnel.HandlerFunc(discard))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				o := tunnel.NewOrigin(tunnel.RandomAddress())
				reg, err := r.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(discard), tunnel.Access{Open: []tunnel.Source{o}})
				if err != nil {
					t.Error(err)
					return
				}
				m := tunnel.NewMessage()
				m.Onward, m.Origin = tunnel.NewRoute(reg.Address()), o
				if err := r.Deliver(m); err != nil {
					t.Error(err)
				}
				if err := r.Send(message("fixed")); err != nil {
					t.Error(err)
				}
				reg.Close()
			}
			fixed.Open(tunnel.NewOrigin(tunnel.RandomAddress()))
		})
	}
	wg.Wait()
	if n := len(fixed.Sources()); n != 4 {
		t.Errorf("open to %d sources, want 4", n)
	}
}

func TestOriginEnds(t *testing.T) {
	o := tunnel.NewOrigin(tunnel.LocalAddress("o"))
	told, detached := &dependent{}, &dependent{}
	for _, d := range []*dependent{told, detached} {
		if err := o.Attach(d); err != nil {
			t.Fatal(err)
		}
	}
	o.Detach(detached)
	select {
	case <-o.Done():
		t.Error("done")
	default:
	}
	o.End(errLost)
	o.End(errors.New("again"))
	<-o.Done()
	if err := o.Err(); !errors.Is(err, errLost) {
		t.Errorf("Err: %v", err)
	}
	if len(told.errs) != 1 || !errors.Is(told.errs[0], errLost) || len(detached.errs) != 0 {
		t.Errorf("told %v, detached %v", told.errs, detached.errs)
	}
	if err := o.Attach(told); !errors.Is(err, errLost) {
		t.Errorf("Attach after the end: %v", err)
	}
	o.Detach(told)
}

// TestPair looks at pairs through the address of a path.
func TestPair(t *testing.T) {
	r := tunnel.NewRouter()
	paths := map[string]*tunnel.Origin{}
	for _, name := range []string{"a", "b", "c"} {
		o := tunnel.NewOrigin(tunnel.LocalAddress(name))
		paths[name] = o
		if _, err := r.HandlePath(tunnel.LocalAddress(name), fakePath{o}, tunnel.HandlerFunc(discard)); err != nil {
			t.Fatal(err)
		}
	}
	a, b, c := paths["a"], paths["b"], paths["c"]
	through := func(from *tunnel.Origin, to string) bool {
		m := message(to, "x")
		m.Origin = from
		return r.Deliver(m) == nil
	}
	tunnel.Pair(nil, a)
	tunnel.Pair(a, nil)
	if through(a, "a") || through(a, "b") || through(b, "a") {
		t.Error("paths are open before they are paired")
	}
	tunnel.Pair(a, b)
	tunnel.Pair(a, b)
	tunnel.Pair(c, c)
	for _, tt := range []struct {
		from *tunnel.Origin
		to   string
		want bool
	}{
		{a, "b", true},
		{b, "a", true},
		{a, "a", false},
		{c, "c", true},
		{c, "a", false},
		{a, "c", false},
	} {
		if got := through(tt.from, tt.to); got != tt.want {
			t.Errorf("from %s to %s: %v", tt.from.Address(), tt.to, got)
		}
	}
	a.End(errLost)
	if through(b, "a") {
		t.Error("a pair outlives one of the two")
	}
	tunnel.Pair(b, a)
	tunnel.Pair(a, b)
	if through(b, "a") || through(a, "b") {
		t.Error("paired with what has ended")
	}
	c.End(errLost)
}

type fakePath struct{ o *tunnel.Origin }

func (fakePath) Send(*tunnel.Message) error { return nil }
func (p fakePath) Origin() *tunnel.Origin   { return p.o }

// TestPairRaces ends two origins while they are being paired: neither keeps the
// other.
func TestPairRaces(t *testing.T) {
	for range 300 {
		r := tunnel.NewRouter()
		a, b := tunnel.NewOrigin(tunnel.LocalAddress("a")), tunnel.NewOrigin(tunnel.LocalAddress("b"))
		for _, o := range []*tunnel.Origin{a, b} {
			if _, err := r.HandlePath(tunnel.LocalAddress(string(o.Address()[3:])), fakePath{o}, tunnel.HandlerFunc(discard)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { tunnel.Pair(a, b) })
		wg.Go(func() { tunnel.Pair(b, a) })
		wg.Go(func() { a.End(errLost) })
		wg.Wait()
		m := message("b")
		m.Origin = a
		if err := r.Deliver(m); !errors.Is(err, tunnel.ErrNotOpen) {
			t.Fatalf("paired with what has ended: %v", err)
		}
	}
}
