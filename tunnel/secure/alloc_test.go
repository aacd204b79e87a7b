package secure

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// A bench is a node with channels whose keys are known and that no handshake made.
type bench struct {
	t      testing.TB
	router *tunnel.Router
	sink   *tunnel.Registration
	got    int // messages that reached sink
}

var (
	sinkRoute = tunnel.NewRoute(tunnel.LocalAddress("sink"))
	meRoute   = tunnel.NewRoute(tunnel.LocalAddress("0123456789abcdef0123456789abcdef"))
	keyOne    = bytes.Repeat([]byte{1}, 32)
	keyTwo    = bytes.Repeat([]byte{2}, 32)
)

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, router: tunnel.NewRouter()}
	var err error
	b.sink, err = b.router.Handle(tunnel.LocalAddress("sink"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		b.got++
		m.Release()
		return nil
	}), tunnel.Access{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) link(conn transports.Conn) *tunnel.Link {
	b.t.Helper()
	l, err := tunnel.NewLink(b.router, conn, transporttest.Traits(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(l.Close)
	return l
}

// channel makes a channel over under that seals and opens with key, and where
// frames arrive at name.
func (b *bench) channel(under tunnel.Carrier, key []byte, name string) *Channel {
	b.t.Helper()
	r := &result{keys: &transportKeys{seal: [32]byte(key), open: [32]byte(key)}}
	c := newChannel(&Config{Router: b.router}, r, under, meRoute)
	e := newEndpoint(new(atomic.Int64))
	var err error
	c.remote, err = b.router.Handle(tunnel.LocalAddress(name), e, tunnel.Access{Open: []tunnel.Source{under.Origin()}})
	if err == nil {
		err = c.start(e)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// epochs are the keys of one direction, made beforehand.
type epochs []cipher.AEAD

func newEpochs(key []byte, frames int) epochs {
	var s scratch
	all := epochs{newAEAD(key)}
	for len(all)*rekeyInterval < frames {
		all = append(all, s.next(all[len(all)-1]))
	}
	return all
}

// A feed is a connection that brings count messages through a channel, or
// through a channel in a channel, sealed as they are read. It allocates nothing
// once its buffers are large enough.
type feed struct {
	layers []epochs       // the inner first
	routes []tunnel.Route // where the frames of each layer arrive
	size   int
	count  int

	nonce       uint64
	iv          [12]byte
	text, frame []byte
}

// Receive seals the next frame; see transports.Conn.
func (f *feed) Receive(borrow func(int) []byte) ([]byte, error) {
	if f.nonce == uint64(f.count) {
		return nil, io.EOF
	}
	f.text = append(appendPayloadHead(f.text[:0], sinkRoute, meRoute, f.size), make([]byte, f.size)...)
	for i, layer := range f.layers {
		if i > 0 {
			f.text = append(appendPayloadHead(f.text[:0], f.routes[i-1], tunnel.Route{}, len(f.frame)), f.frame...)
		}
		f.text = append(f.text, emptyPadding)
		binary.BigEndian.PutUint64(f.iv[4:], f.nonce)
		f.frame = append(f.frame[:0], f.iv[4:]...)
		f.frame = layer[f.nonce/rekeyInterval].Seal(f.frame, f.iv[:], f.text, nil)
	}
	f.nonce++
	to := f.routes[len(f.routes)-1]
	b := borrow(wire.MessageSize(to, tunnel.Route{}, len(f.frame)))
	out := append(wire.AppendMessageHead(b[:0], to, tunnel.Route{}, len(f.frame)), f.frame...)
	return wire.AppendMessageTail(out), nil
}

// Write takes all.
func (*feed) Write(net.Buffers) error { return nil }

// Close does nothing.
func (*feed) Close() error { return nil }

// RemoteAddr returns no address in particular.
func (*feed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// gate fails if more was allocated than two objects a change of keys, of which
// there are layers every 32 messages, and a few.
func gate(t *testing.T, messages, layers int, mallocs uint64) {
	t.Helper()
	most := uint64(2*layers*(messages/rekeyInterval) + 200)
	if mallocs > most {
		t.Errorf("%d allocations for %d messages, at most %d", mallocs, messages, most)
	}
	t.Logf("%d allocations for %d messages: %.2f a change of keys", mallocs, messages,
		float64(mallocs)/float64(layers*(messages/rekeyInterval)))
}

// allocCases are what the gates measure.
func allocCases(t *testing.T, run func(t *testing.T, size, messages int, nested bool)) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	for _, size := range []int{512, 48 << 10} {
		for _, nested := range []bool{false, true} {
			messages := 100_000
			if size > 4096 {
				messages = 20_000 // a gigabyte, sealed once or twice
			}
			t.Run(fmt.Sprintf("%d bytes, nested %v", size, nested), func(t *testing.T) { run(t, size, messages, nested) })
		}
	}
}

// TestSealAllocations gates what sending on a channel allocates, with and without
// room around the payload.
func TestSealAllocations(t *testing.T) {
	allocCases(t, func(t *testing.T, size, messages int, nested bool) {
		for _, room := range []bool{true, false} {
			t.Run(fmt.Sprintf("room %v", room), func(t *testing.T) {
				b := newBench(t)
				c, layers := b.channel(b.link(transporttest.NewSink()), keyOne, "outer"), 1
				if nested {
					c, layers = b.channel(c, keyTwo, "inner"), 2
				}
				m := newOutgoing(size, room)
				defer m.Release()
				sendAll(t, c, m, 100)
				n := transporttest.Mallocs(func() { sendAll(t, c, m, messages) })
				gate(t, messages, layers, n)
			})
		}
	})
}

func newOutgoing(size int, room bool) *tunnel.Message {
	m := tunnel.NewMessage()
	m.Onward, m.Return = sinkRoute, meRoute
	if room {
		m.SetBuffer(wire.GetBuffer(size), wire.Headroom, wire.Headroom+size)
	} else {
		m.Payload = make([]byte, size)
	}
	return m
}

func sendAll(t testing.TB, c *Channel, m *tunnel.Message, n int) {
	t.Helper()
	for range n {
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenAllocations gates what receiving over a link and a channel allocates.
func TestOpenAllocations(t *testing.T) {
	allocCases(t, func(t *testing.T, size, messages int, nested bool) {
		b := newBench(t)
		few, many := b.receiver(size, 100, nested), b.receiver(size, messages, nested)
		few()
		layers := 1
		if nested {
			layers = 2
		}
		gate(t, messages, layers, transporttest.Mallocs(many))
	})
}

// receiver prepares a link that brings messages through a channel and returns
// what reads them.
func (b *bench) receiver(size, count int, nested bool) func() {
	b.t.Helper()
	random := func() string { return lastName(tunnel.NewRoute(tunnel.RandomAddress())) }
	f := &feed{size: size, count: count, layers: []epochs{newEpochs(keyOne, count)}}
	link := b.link(f)
	outer := random()
	c := b.channel(link, keyOne, outer)
	f.routes = []tunnel.Route{tunnel.NewRoute(tunnel.LocalAddress(outer))}
	if nested {
		inner := random()
		c = b.channel(c, keyTwo, inner)
		f.layers = []epochs{newEpochs(keyTwo, count), f.layers[0]}
		f.routes = []tunnel.Route{tunnel.NewRoute(tunnel.LocalAddress(inner)), f.routes[0]}
	}
	b.sink.Open(c.Origin())
	return func() {
		before := b.got
		_ = link.Serve(b.t.Context())
		if b.got-before != count {
			b.t.Errorf("%d of %d messages arrived", b.got-before, count)
		}
	}
}

func lastName(r tunnel.Route) string { return wire.DecodeAddress(r.Last()).Name }
