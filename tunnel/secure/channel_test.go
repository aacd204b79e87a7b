package secure_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/secure"
	"ockam/tunnel/wire"
)

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
			if ended(t, c.Origin()) == nil {
				t.Error("no reason")
			}
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
	if ended(t, c.Origin()) == nil {
		t.Error("no reason")
	}
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
