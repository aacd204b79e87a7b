package tunnel_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"ockam/transports/transporttest"
	"ockam/tunnel"
)

// A forwarder is a node with a link to a sink, and a handler "on" that passes
// messages on to it: what forwarding costs but for the system calls.
type forwarder struct {
	t    testing.TB
	r    *tunnel.Router
	g    *tunnel.Group
	sink *transporttest.Sink
	out  *tunnel.Link
}

func newForwarder(t testing.TB) *forwarder {
	f := &forwarder{t: t, r: tunnel.NewRouter(), g: &tunnel.Group{}, sink: transporttest.NewSink()}
	f.out = newLink(t, f.r, f.sink, nil)
	t.Cleanup(f.out.Close)
	handle(t, f.r, "on", tunnel.HandlerFunc(func(m *tunnel.Message) error {
		err := f.out.Send(m)
		m.Release()
		return err
	}), f.g)
	return f
}

// run brings count messages with a payload of size bytes over a new link.
func (f *forwarder) run(count, size int) {
	src := &transporttest.Source{
		Frame: frame(f.t, []string{"on", "00112233445566778899aabbccddeeff"}, []string{"ffeeddccbbaa99887766554433221100"}, make([]byte, size))[4:],
		Count: count,
	}
	if err := newLink(f.t, f.r, src, f.g).Serve(f.t.Context()); !errors.Is(err, tunnel.ErrPeerClosed) {
		f.t.Fatal(err)
	}
}

func TestForwardAllocations(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	for _, size := range []int{0, 512, 48 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const count = 100_000
			f := newForwarder(t)
			f.run(1000, size)
			before := f.sink.Bytes()
			n := transporttest.Mallocs(func() { f.run(count, size) })
			if f.sink.Bytes()-before < count*int64(size+100) {
				t.Error("messages are missing")
			}
			if n > count/1000 {
				t.Errorf("%d allocations for %d messages", n, count)
			}
		})
	}
}

// TestSendAllocations sends in all ways over a pipe that is now and then full,
// so that the writer goroutine comes and goes.
func TestSendAllocations(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	for _, size := range []int{512, 48 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			p := connect(t, tunnel.NewRouter(), nil, transporttest.PipeOptions{})
			body := make([]byte, 64<<10)
			borrow := func(int) []byte { return body }
			send := func(count int) {
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() {
					payload := make([]byte, size)
					m := message("x")
					defer m.Release()
					m.Payload = payload
					for range count {
						if err := p.link.Send(m); err != nil {
							t.Error(err)
							return
						}
					}
				})
				for range count {
					if _, err := p.conn.Receive(borrow); err != nil {
						t.Error(err)
						return
					}
				}
			}
			send(1000)
			const count = 50_000
			if n := transporttest.Mallocs(func() { send(count) }); n > count/200 {
				t.Errorf("%d allocations for %d messages", n, count)
			}
		})
	}
}

func BenchmarkForward(b *testing.B) {
	for _, size := range []int{512, 48 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newForwarder(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			f.run(b.N, size)
		})
	}
}

func BenchmarkLinkSend64Senders(b *testing.B) {
	for _, size := range []int{700, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := newLink(b, tunnel.NewRouter(), transporttest.NewSink(), nil)
			defer l.Close()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.SetParallelism(32) // 64 on two processors
			b.RunParallel(func(pb *testing.PB) {
				m := message("00112233445566778899aabbccddeeff")
				defer m.Release()
				m.Return, m.Payload = route("ffeeddccbbaa99887766554433221100"), make([]byte, size)
				for pb.Next() {
					if err := l.Send(m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
