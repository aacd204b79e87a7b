package secure_test

import (
	"fmt"
	"testing"

	"ockam/tunnel"
)

// BenchmarkChannelEcho sends a message through a channel over a TCP connection and
// waits for its answer.
func BenchmarkChannelEcho(b *testing.B) {
	for _, size := range []int{64, 512, 48 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			alice, bob := newNode(b), newNode(b)
			bob.listenChannels(newListener())
			c := alice.connect(alice.dial(bob.listenTCP()))
			answered := make(chan struct{}, 1)
			self := tunnel.RandomAddress()
			if _, err := alice.router.Handle(self, tunnel.HandlerFunc(func(m *tunnel.Message) error {
				m.Release()
				answered <- struct{}{}
				return nil
			}), tunnel.Access{Open: []tunnel.Source{c.Origin()}}); err != nil {
				b.Fatal(err)
			}
			m := tunnel.NewMessage()
			defer m.Release()
			m.Onward, m.Return, m.Payload = echo, tunnel.NewRoute(self), make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(m); err != nil {
					b.Fatal(err)
				}
				<-answered
			}
		})
	}
}

// BenchmarkHandshake opens and closes channels over a TCP connection.
func BenchmarkHandshake(b *testing.B) {
	alice, bob := newNode(b), newNode(b)
	bob.listenChannels(newListener())
	link := alice.dial(bob.listenTCP())
	for b.Loop() {
		alice.connect(link).Close()
	}
}
