package secure_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
)

// open returns those of the channels that have not ended.
func open(all []*secure.Channel) (left []*secure.Channel) {
	for _, c := range all {
		select {
		case <-c.Origin().Done():
		default:
			left = append(left, c)
		}
	}
	return left
}

// TestMaxChannels: when there are too many channels, it costs whoever has most of
// them those on which least was said, whatever place behind its link it gives out for
// its own; and the others nothing.
func TestMaxChannels(t *testing.T) {
	const most, busy = 16, 5
	for _, tt := range []struct {
		name string
		hop  func(i int) string // by which the i-th of alice's goes
	}{
		{"of a link", func(int) string { return "" }},
		{"from one place behind it", func(int) string { return "hop" }},
		{"from many places behind it", func(i int) string { return fmt.Sprint("hop", i) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			alice, carol, relay, bob := newNode(t), newNode(t), newNode(t), newNode(t)
			refused := make(chan error, most)
			accepted := make(chan *secure.Channel, 2*most)
			bob.listenChannels(&secure.Listener{
				MaxChannels: most,
				Opened:      func(c *secure.Channel) { accepted <- c },
				Refused:     func(err error) { refused <- err },
			})
			toRelay, toBob := alice.joinTo(relay), relay.joinTo(bob)
			direct, other := alice.joinTo(bob), carol.connect(carol.joinTo(bob))
			var flood []*secure.Channel
			for i := range most - 1 {
				hop := tt.hop(i)
				if hop == "" {
					flood = append(flood, alice.connect(direct))
				} else {
					self := tunnel.LocalAddress(hop)
					open := tunnel.Access{Open: []tunnel.Source{relay.links, toBob.Origin()}}
					_, err := relay.router.Handle(self, service.Hop{Router: relay.router, Self: self}, open)
					if err != nil && !errors.Is(err, tunnel.ErrInUse) {
						t.Fatal(err)
					}
					c, err := secure.Dial(alice.ctx, alice.cfg, toRelay, tunnel.NewRoute(self, toBob.Address()).Join(api))
					if err != nil {
						t.Fatal(err)
					}
					flood = append(flood, c)
				}
				if i%busy == 0 {
					alice.works(flood[i])
				}
			}
			within(t, "bob has accepted them", func() bool { return len(accepted) == most })
			if n := len(open(flood)); n != most-1 {
				t.Fatalf("%d open before there are too many", n)
			}
			next := carol.connect(carol.joinTo(bob))
			carol.works(next)
			carol.works(other)
			const want = most - 1 - (most-1)/2
			within(t, "half of them end", func() bool { return len(open(flood)) == want })
			for i := 0; i < most-1; i += busy {
				alice.works(flood[i])
			}
			select {
			case err := <-refused:
				if !strings.Contains(err.Error(), alice.id().String()) {
					t.Errorf("does not say whose: %v", err)
				}
			case <-time.After(patience):
				t.Error("does not say it")
			}
		})
	}
}

// TestNoRoom: where everybody has one channel, none is closed for another one.
func TestNoRoom(t *testing.T) {
	const most = 4
	bob := newNode(t)
	accepted, closed := make(chan *secure.Channel, 2*most), make(chan *secure.Channel, 2*most)
	bob.listenChannels(&secure.Listener{
		MaxChannels: most,
		Opened:      func(c *secure.Channel) { accepted <- c },
		Closed:      func(c *secure.Channel, _ error) { closed <- c },
	})
	var all []*secure.Channel
	var nodes []*node
	for range most {
		n := newNode(t)
		nodes, all = append(nodes, n), append(all, n.connect(n.joinTo(bob)))
	}
	within(t, "bob has accepted them", func() bool { return len(accepted) == most })
	late := newNode(t)
	link := late.joinTo(bob)
	ctx, cancel := contextTimeout(t, 300*time.Millisecond)
	defer cancel()
	if c, err := secure.Dial(ctx, late.cfg, link, api); err == nil {
		c.Close()
		t.Error("one more is accepted")
	}
	for i, c := range all {
		nodes[i].works(c)
	}
	all[0].Close()
	<-closed
	late.works(late.connect(link))
}
