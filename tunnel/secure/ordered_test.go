package secure_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/secure"
)

// TestOrdered does to the frames of an ordered channel what somebody on the way
// can do. What arrives is always a beginning of what was sent; frames taken out
// or exchanged end the channel at both ends, and nothing else does.
func TestOrdered(t *testing.T) {
	const messages, struck = 100, 40
	flip := func(f frame) frame {
		f.payload = bytes.Clone(f.payload)
		f.payload[len(f.payload)-1] ^= 1
		return f
	}
	var held []frame
	tests := []struct {
		name   string
		strike func(n uint64, f frame) []frame // the frame with nonce n
		arrive int
	}{
		{"nothing", func(_ uint64, f frame) []frame { return []frame{f} }, messages},
		{"repeat", func(_ uint64, f frame) []frame { return []frame{f, f} }, messages},
		{"add a forged one", func(_ uint64, f frame) []frame { return []frame{flip(f), f} }, messages},
		{"take one out", func(n uint64, f frame) []frame {
			if n == struck {
				return nil
			}
			return []frame{f}
		}, struck},
		{"take the first out", func(n uint64, f frame) []frame {
			if n == 0 {
				return nil
			}
			return []frame{f}
		}, 0},
		{"alter one", func(n uint64, f frame) []frame {
			if n == struck {
				return []frame{flip(f)}
			}
			return []frame{f}
		}, struck},
		{"exchange two", func(n uint64, f frame) []frame {
			switch n {
			case struck:
				held = []frame{f}
				return nil
			case struck + 1:
				return append([]frame{f}, held...)
			}
			return []frame{f}
		}, struck},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			alice, bob := newNode(t), newNode(t)
			alice.cfg.Ordered, bob.cfg.Ordered = true, true
			group := &tunnel.Group{}
			opened := make(chan *secure.Channel, 1)
			bob.listenChannels(&secure.Listener{Group: group, Opened: func(c *secure.Channel) { opened <- c }})
			var mu sync.Mutex
			var got []string
			if _, err := bob.router.Handle(tunnel.LocalAddress("sink"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, string(m.Payload))
				m.Release()
				return nil
			}), tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
				t.Fatal(err)
			}
			a := alice.connect((&meddler{toBob: func(_ int, f frame) []frame {
				if handshakeMessage(f, true) != 0 {
					return []frame{f}
				}
				return test.strike(binary.BigEndian.Uint64(f.payload), f)
			}}).through(alice, bob))
			b := <-opened
			var want []string
			m := tunnel.NewMessage()
			defer m.Release()
			for i := range messages {
				text := fmt.Sprintf("message %d", i)
				m.Onward, m.Payload = route("sink"), []byte(text)
				if err := a.Send(m); err != nil && test.arrive == messages {
					t.Fatal(err)
				}
				if i < test.arrive {
					want = append(want, text)
				}
			}
			if test.arrive < messages {
				if err := ended(t, b.Origin()); !errors.Is(err, secure.ErrGap) {
					t.Errorf("the receiver's end: %v, want ErrGap", err)
				}
				if err := ended(t, a.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
					t.Errorf("the sender's end: %v, want ErrPeerClosed", err)
				}
			} else {
				within(t, "all arrive", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(got) == messages
				})
				if err := b.Origin().Err(); err != nil {
					t.Errorf("the channel has ended: %v", err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, want) {
				t.Errorf("got %d messages, want the first %d", len(got), len(want))
			}
		})
	}
}
