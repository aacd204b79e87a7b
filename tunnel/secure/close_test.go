package secure_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
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
	for _, l := range p.bob.all { // not the node, whose listener would close the channel
		l.Close()
	}
	if err := ended(t, p.a.Origin()); !errors.Is(err, tunnel.ErrPeerClosed) {
		t.Errorf("alice's end: %v", err)
	}
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = echo
	if err := p.a.Send(m); !errors.Is(err, tunnel.ErrPeerClosed) {
		t.Errorf("send: %v", err)
	}
	if err := ended(t, p.b.Origin()); err == nil || !errors.Is(<-p.closed, err) {
		t.Errorf("bob's end: %v, and its listener was told something else", err)
	}
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
	if err := ended(t, c.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
		t.Error(err)
	}
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
	if ended(t, link.Origin()) == nil {
		t.Error("no reason")
	}
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
