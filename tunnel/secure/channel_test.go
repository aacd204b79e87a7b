package secure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
	"ockam/tunnel/wire"
)

// pair is a channel with both of its ends and what went over the wire.
type pair struct {
	alice, bob  *node
	link        *tunnel.Link
	listener    *secure.Listener
	a, b        *secure.Channel
	there, back recorder
	closed      chan error // why bob's end ended
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{alice: newNode(t), bob: newNode(t), closed: make(chan error, 10)}
	opened := make(chan *secure.Channel, 1)
	p.listener = p.bob.listenChannels(&secure.Listener{
		Opened: func(c *secure.Channel) { opened <- c },
		Closed: func(_ *secure.Channel, err error) { p.closed <- err },
	})
	p.link = (&meddler{p.there.pass, p.back.pass}).through(p.alice, p.bob)
	p.a = p.alice.connect(p.link)
	p.b = <-opened
	p.alice.works(p.a)
	return p
}

// TestClose closes either end, from many goroutines: one Close is sent, none comes
// back, nothing works afterwards and no keys are left.
func TestClose(t *testing.T) {
	for _, byBob := range []bool{false, true} {
		t.Run(fmt.Sprintf("by the responder %v", byBob), func(t *testing.T) {
			p := newPair(t)
			first, other, sent, notSent := p.a, p.b, &p.there, &p.back
			if byBob {
				first, other, sent, notSent = p.b, p.a, &p.back, &p.there
			}
			before, quiet := len(sent.all()), len(notSent.all())
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(first.Close)
			}
			wg.Wait()
			if err := ended(t, first.Origin()); !errors.Is(err, tunnel.ErrClosed) {
				t.Errorf("this end: %v", err)
			}
			if err := ended(t, other.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
				t.Errorf("the other end: %v", err)
			}
			other.Close()
			if err := <-p.closed; (byBob && !errors.Is(err, tunnel.ErrClosed)) || (!byBob && !errors.Is(err, secure.ErrPeerClosed)) {
				t.Errorf("the listener was told %v", err)
			}
			probe(t, p) // whatever was sent has arrived
			if n := len(sent.all()) - before; n != 1 && byBob || n != 2 && !byBob {
				t.Errorf("%d frames were sent", n)
			}
			if n := len(notSent.all()) - quiet; byBob && n != 1 || !byBob && n != 0 {
				t.Errorf("%d frames were sent back", n)
			}
			for _, c := range []*secure.Channel{first, other} {
				if n := c.Keys(); n > 0 {
					t.Errorf("%d keys are left", n)
				}
				m := tunnel.NewMessage()
				m.Onward = echo
				if err := c.Send(m); err == nil {
					t.Error("a closed channel sends")
				}
				m.Release()
				if err := c.Present(someCredential(t)); err == nil {
					t.Error("a closed channel presents a credential")
				}
			}
			if p.listener.Channels() != 0 || len(p.closed) > 0 {
				t.Errorf("%d channels in the list, told %d times more", p.listener.Channels(), len(p.closed))
			}
			m := tunnel.NewMessage()
			m.Onward = tunnel.NewRoute(p.a.Address())
			if err := p.alice.router.Send(m); !errors.Is(err, tunnel.ErrNoRoute) {
				t.Errorf("the closed channel's address: %v", err)
			}
		})
	}
}

// someCredential makes a credential to present.
func someCredential(t *testing.T) *identity.Credential {
	t.Helper()
	n := newNode(t)
	c, err := n.cfg.Identity.IssueCredential(n.cfg.Identity.History, identity.Attributes{}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// probe sends a message over alice's link and waits until the meddler has seen it.
func probe(t *testing.T, p *pair) {
	t.Helper()
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = route("probe")
	if err := p.link.Send(m); err != nil {
		t.Fatal(err)
	}
	within(t, "the probe passes", func() bool {
		all := p.there.all()
		return all[len(all)-1].onward.Equal(route("probe"))
	})
}

// TestLinkLost ends the link below a channel.
func TestLinkLost(t *testing.T) {
	p := newPair(t)
	p.bob.stop()
	if err := ended(t, p.a.Origin()); !errors.Is(err, io.EOF) {
		t.Errorf("alice's end: %v", err)
	}
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = echo
	if err := p.a.Send(m); !errors.Is(err, io.EOF) {
		t.Errorf("send: %v", err)
	}
	ended(t, p.b.Origin())
	<-p.closed
	p.a.Close()
	if p.a.Keys()+p.b.Keys() != 0 {
		t.Error("keys are left")
	}
}

// TestCloseInHandlers closes channels from where a handler runs.
func TestCloseInHandlers(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	group := &tunnel.Group{}
	var mu sync.Mutex
	var channel *secure.Channel
	bob.listenChannels(&secure.Listener{Group: group, Opened: func(c *secure.Channel) {
		mu.Lock()
		defer mu.Unlock()
		channel = c
	}})
	if _, err := bob.router.Handle(tunnel.LocalAddress("closer"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		m.Release()
		mu.Lock()
		defer mu.Unlock()
		channel.Close()
		return nil
	}), tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
		t.Fatal(err)
	}
	c := alice.connect(alice.joinTo(bob))
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = route("closer")
	if err := c.Send(m); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, c.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
		t.Error(err)
	}
	within(t, "no keys are left", func() bool { return channel.Keys() == 0 })
}

// TestCloseWhenOpened closes a channel as soon as the listener tells of it: it ends
// once, and nothing is left of it.
func TestCloseWhenOpened(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	closed := make(chan error, 2)
	l := bob.listenChannels(&secure.Listener{
		Opened: func(c *secure.Channel) { c.Close() },
		Closed: func(_ *secure.Channel, err error) { closed <- err },
	})
	c := alice.connect(alice.joinTo(bob))
	ended(t, c.Origin())
	if err := <-closed; !errors.Is(err, tunnel.ErrClosed) {
		t.Error(err)
	}
	within(t, "nothing is left", func() bool { return l.Handshakes() == 0 && l.Channels() == 0 && l.Waiting() == 0 })
	if len(closed) > 0 {
		t.Error("closed twice")
	}
}

// TestLinkEndsWhenOpened ends the link while a channel begins.
func TestLinkEndsWhenOpened(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	var open, closed int
	var mu sync.Mutex
	l := bob.listenChannels(&secure.Listener{
		Opened: func(*secure.Channel) {
			mu.Lock()
			defer mu.Unlock()
			open++
			bob.all[len(bob.all)-1].Close()
			<-bob.all[len(bob.all)-1].Origin().Done()
		},
		Closed: func(*secure.Channel, error) {
			mu.Lock()
			defer mu.Unlock()
			closed++
		},
	})
	link := alice.joinTo(bob)
	_, _ = secure.Dial(t.Context(), alice.cfg, link, api)
	ended(t, link.Origin())
	within(t, "nothing is left", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return open == 1 && closed == 1 && l.Channels() == 0 && l.Handshakes() == 0
	})
}

// TestListenerEnds ends the listener: its channels are closed, with a Close.
func TestListenerEnds(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	l := &secure.Listener{Config: *bob.cfg, Open: []tunnel.Source{bob.links}, Group: &tunnel.Group{}}
	bob.serveEcho(l.Group)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	if err := l.Register(); err != nil {
		t.Fatal(err)
	}
	link := alice.joinTo(bob)
	c := alice.connect(link) // even before somebody serves
	go func() { done <- l.Serve(ctx) }()
	d := alice.connect(link)
	alice.works(c)
	alice.works(d)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, c := range []*secure.Channel{c, d} {
		if err := ended(t, c.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
			t.Error(err)
		}
	}
	ctx, cancel = contextTimeout(t, 20*time.Millisecond)
	defer cancel()
	if _, err := secure.Dial(ctx, alice.cfg, link, api); !errors.Is(err, secure.ErrTimeout) {
		t.Errorf("after the end: %v", err)
	}
}

// TestConcurrentSend sends from 64 goroutines. The order of nonces is that on the
// wire, and every message arrives once.
func TestConcurrentSend(t *testing.T) {
	const senders, each = 64, 50
	pa, pb := known(t)
	bob := newRouter(t).is(pb)
	opened := make(chan *secure.Channel, 1)
	bob.listenChannels(&secure.Listener{Opened: func(c *secure.Channel) { opened <- c }})
	_, far := bob.far(bob.links)
	d := far.dialer("api", pa.Static)
	d.prove(loadPayloads(t)[0].Payload)
	c := <-opened
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				if err := sendSome(c, i, j); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]bool{}
	for n := range uint64(senders * each) {
		f, nonce, text := d.receive()
		if nonce != n {
			t.Fatalf("frame %d has nonce %d", n, nonce)
		}
		if size := len(f.payload); size < 24 {
			t.Errorf("frame of %d bytes", size)
		}
		m := parsePlain(t, text)
		if seen[string(m.payload)] {
			t.Errorf("%.20q twice", m.payload)
		}
		seen[string(m.payload)] = true
		if !m.onward.Equal(route("app")) {
			t.Fatalf("goes to %v", m.onward)
		}
	}
}

// sendSome sends a message in one of the ways that there are.
func sendSome(c *secure.Channel, i, j int) error {
	text := bytes.Repeat(fmt.Appendf(nil, "%d/%d,", i, j), 1+i*j%300)
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward, m.Return = route("app"), route("me")
	switch j % 4 {
	case 0: // with room around the payload
		b := wire.GetBuffer(len(text))
		copy(b.Bytes(), text)
		m.SetBuffer(b, wire.Headroom, wire.Headroom+len(text))
		return c.Send(m)
	case 1:
		m.Payload = text
		return c.Send(m)
	case 2:
		claim, err := c.Claim(len(text))
		if err != nil {
			return err
		}
		return place(c, claim, m.Onward, text)
	default:
		claim, ok := c.TryClaim(len(text))
		if !ok {
			m.Payload = text
			return c.Send(m)
		}
		c.Unclaim(claim)
		if claim, ok = c.TryClaim(len(text)); ok {
			return place(c, claim, m.Onward, text)
		}
		m.Payload = text
		return c.Send(m)
	}
}

func place(c *secure.Channel, claim int, onward tunnel.Route, text []byte) error {
	d, err := c.Begin(claim, onward, tunnel.Route{}, len(text))
	if err != nil {
		return err
	}
	copy(d.Payload, text)
	c.Commit(d)
	c.Flush()
	return nil
}

// TestCloseWhileSending closes a channel, and its link, under senders that wait
// for room: all of them return.
func TestCloseWhileSending(t *testing.T) {
	for _, how := range []string{"channel", "link"} {
		t.Run(how, func(t *testing.T) {
			_, pb := known(t)
			pa, _ := known(t)
			bob := newRouter(t).is(pb)
			opened := make(chan *secure.Channel, 1)
			bob.listenChannels(&secure.Listener{Opened: func(c *secure.Channel) { opened <- c }})
			a, b := transporttest.Pipe(transporttest.PipeOptions{Buffer: 4 << 10, StallTimeout: 500 * time.Millisecond})
			link := bob.link(a, bob.links)
			defer func() { _ = b.Close() }()
			d := (&far{t, b}).dialer("api", pa.Static)
			d.prove(loadPayloads(t)[0].Payload)
			c := <-opened
			var wg sync.WaitGroup
			var sent sync.WaitGroup
			sent.Add(8)
			for i := range 8 {
				wg.Go(func() {
					m := tunnel.NewMessage()
					defer m.Release()
					m.Onward, m.Payload = route("app"), make([]byte, 40000)
					var once sync.Once
					defer once.Do(sent.Done)
					for j := range 1000 {
						if j > i {
							once.Do(sent.Done)
						}
						if c.Send(m) != nil {
							return
						}
					}
					t.Error("nobody takes anything, and nothing fails")
				})
			}
			if how == "channel" {
				c.Close()
			} else {
				link.Close()
			}
			ended(t, c.Origin())
			wg.Wait()
		})
	}
}

// TestMove has the initiator's frames come over another link: the channel moves
// there, goes on when the first link ends, and leaves nothing in the queue of either.
func TestMove(t *testing.T) {
	pa, pb := known(t)
	bob := newRouter(t).is(pb)
	opened := make(chan *secure.Channel, 1)
	bob.listenChannels(&secure.Listener{Opened: func(c *secure.Channel) { opened <- c }})
	links := make([]*tunnel.Link, 2)
	fars := make([]*far, 2)
	for i := range links {
		links[i], fars[i] = bob.far(bob.links)
	}
	d := fars[0].dialer("api", pa.Static)
	d.prove(loadPayloads(t)[0].Payload)
	c := <-opened
	d.echoes("at the first link")

	// Messages are sent all the while; some senders have claims on the link that was.
	stop := make(chan struct{})
	var senders, readers sync.WaitGroup
	var mu sync.Mutex
	got := map[uint64]int{}
	for i, f := range fars {
		readers.Go(func() {
			for {
				b, err := receive(f.conn)
				if err != nil {
					return
				}
				fr := parseFrame(t, b)
				mu.Lock()
				if nonce, _, err := d.open(responderSeals, fr.payload); err != nil || got[nonce] != 0 {
					t.Errorf("frame %d: %v, over link %d", nonce, err, i)
				} else {
					got[nonce] = i + 1
				}
				mu.Unlock()
			}
		})
	}
	for i := range 8 {
		senders.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := sendSome(c, i, j); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 200 {
		mu.Lock()
		b := frame{d.peer, tunnel.Route{}, d.seal(initiatorSeals, uint64(i+1), plain(route("nobody"), tunnel.Route{}, nil))}.bytes()
		mu.Unlock()
		fars[i%2].writeRaw(b)
		within(t, "the frame is opened", func() bool { return c.Received() == uint64(i+2) })
	}
	close(stop)
	senders.Wait()
	ctx, cancel := contextTimeout(t, patience)
	defer cancel()
	for i, l := range links {
		if err := l.Drain(ctx); err != nil {
			t.Errorf("link %d is not empty: %v", i, err)
		}
	}
	within(t, "all frames arrive", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return uint64(len(got))+1 == c.Nonce()
	})
	over := map[int]int{}
	for _, l := range got {
		over[l]++
	}
	if over[1] == 0 || over[2] == 0 {
		t.Errorf("frames over the links: %v", over)
	}
	// The last frame came over the second link.
	links[0].Close()
	if err := sendSome(c, 1, 1); err != nil {
		t.Errorf("after the end of the link that was left: %v", err)
	}
	links[1].Close()
	ended(t, c.Origin())
	readers.Wait()
}

// TestNoCircle sends a channel's own frame through the channel, where the
// listener is open to its channels: it must not come to run over itself.
func TestNoCircle(t *testing.T) {
	pa, pb := known(t)
	bob := newRouter(t).is(pb)
	group := &tunnel.Group{Name: "channels"}
	bob.listenChannels(&secure.Listener{Group: group, Open: []tunnel.Source{group}})
	_, far := bob.far(bob.links)
	d := far.dialer("api", pa.Static)
	d.prove(loadPayloads(t)[0].Payload)
	d.echoes("before")
	inside := d.seal(initiatorSeals, 3, plain(echo, route("app"), []byte("inside")))
	d.sendAt(2, tunnel.Route{}, plain(d.peer, tunnel.Route{}, inside))
	f, _, text := d.receive()
	if m := parsePlain(t, text); string(m.payload) != "inside" || !f.onward.Equal(route(d.self)) {
		t.Errorf("%q to %v", m.payload, f.onward)
	}
	d.nonce = 4
	d.echoes("after")
}
