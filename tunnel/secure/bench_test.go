package secure

import (
	"fmt"
	"testing"

	"ockam/transports/transporttest"
	"ockam/tunnel"
)

var benchSizes = []int{64, 1 << 10, 48 << 10}

// BenchmarkSeal compares AES-GCM alone, with our nonces and changes of keys, and
// a whole channel that sends into a link's queue.
func BenchmarkSeal(b *testing.B) {
	for _, size := range benchSizes {
		text, frame := make([]byte, size), make([]byte, size+frameOverhead)
		b.Run(fmt.Sprintf("aesgcm/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			aead, s := newAEAD(keyOne), scratch{}
			for b.Loop() {
				aead.Seal(frame[nonceSize:nonceSize], s.iv[:], text, nil)
			}
		})
		b.Run(fmt.Sprintf("sealer/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			s := newSealer(keyOne)
			for b.Loop() {
				s.seal(frame, text)
			}
		})
		for _, nested := range []bool{false, true} {
			b.Run(fmt.Sprintf("channel/nested=%v/%d", nested, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				node := newBench(b)
				c := node.channel(node.link(transporttest.NewSink()), keyOne, "outer")
				if nested {
					c = node.channel(c, keyTwo, "inner")
				}
				m := newOutgoing(size, true)
				defer m.Release()
				for b.Loop() {
					if err := c.Send(m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkOpen does the same for the other direction. The frames of a channel
// are made as they are opened, without the timer.
func BenchmarkOpen(b *testing.B) {
	for _, size := range benchSizes {
		text, frame := make([]byte, size), make([]byte, size+frameOverhead)
		b.Run(fmt.Sprintf("aesgcm/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			aead, s := newAEAD(keyOne), scratch{}
			sealed := aead.Seal(nil, s.iv[:], text, nil)
			for b.Loop() {
				if _, err := aead.Open(frame[:0], s.iv[:], sealed, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("channel/%d", size), func(b *testing.B) { benchmarkOpen(b, size) })
	}
}

func benchmarkOpen(b *testing.B, size int) {
	b.SetBytes(int64(size))
	node := newBench(b)
	link := node.link(transporttest.NewSink())
	c := node.channel(link, keyOne, "outer")
	node.sink.Open(c.Origin())
	text := appendPayloadHead(nil, sinkRoute, meRoute, size)
	text = append(append(text, make([]byte, size)...), emptyPadding)
	const batch = 64
	var frames [batch][]byte
	for i := range frames {
		frames[i] = make([]byte, len(text)+frameOverhead)
	}
	s := newSealer(keyOne)
	i := batch
	for b.Loop() {
		if i == batch {
			b.StopTimer()
			for i = range frames {
				s.seal(frames[i], text)
			}
			i = 0
			b.StartTimer()
		}
		m := tunnel.NewMessage()
		m.Payload, m.Origin = frames[i], link.Origin()
		i++
		if err := c.handleFrame(m); err != nil {
			b.Fatal(err)
		}
	}
}
