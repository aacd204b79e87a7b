package portal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
	"ockam/tunnel/wire"
)

// A countingSink takes everything at once.
type countingSink struct {
	n    atomic.Int64
	want int64
	done chan struct{}
}

func (s *countingSink) TryWrite(p []byte) (int, error) {
	if s.n.Add(int64(len(p))) == s.want {
		close(s.done)
	}
	return len(p), nil
}

func (s *countingSink) Write(p []byte) (int, error) { return s.TryWrite(p) }

// A readySource yields count pieces of size bytes, then io.EOF, without copying.
type readySource struct{ size, count int }

func (s *readySource) Read([]byte) (int, error) { panic("ReadReady is there") }

func (s *readySource) ReadReady(borrow func() []byte, giveBack func()) (int, error) {
	borrow()
	giveBack() // it was empty after all
	b := borrow()
	if s.count == 0 {
		return 0, io.EOF
	}
	s.count--
	return min(len(b), s.size), nil
}

// acceptOver returns a node, its link over conn and a stream accepted over it.
func acceptOver(t testing.TB, conn transports.Conn) (*node, *tunnel.Link, *portal.Stream) {
	t.Helper()
	n := &node{router: tunnel.NewRouter(), group: &tunnel.Group{Name: "test"}}
	link, err := tunnel.NewLink(n.router, conn, transporttest.Traits(), n.group)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	ch := make(chan *portal.Stream, 1)
	n.listen(t, &portal.Listener{Open: func(ctx context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			t.Errorf("Accept: %v", err)
		}
		ch <- s
		<-ctx.Done()
		_ = s.Close()
	}})
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload, m.Origin = local("outlet"), local("IN"), kind(portal.Ping), link.Origin()
	m.PrependReturn(link.Origin().Address())
	if err := n.router.Deliver(m); err != nil {
		t.Fatal(err)
	}
	return n, link, <-ch
}

// A laterSource is a transporttest.Source whose frame is known once a stream is open.
type laterSource struct {
	transporttest.Source
	sent atomic.Int64
	done chan struct{} // if set, the connection ends when it is closed, since an end drops what is queued
}

func (s *laterSource) Receive(borrow func(n int) []byte) ([]byte, error) {
	if s.Count == 0 && s.done != nil {
		<-s.done
	}
	return s.Source.Receive(borrow)
}

func (s *laterSource) Write(b net.Buffers) error {
	for _, p := range b {
		s.sent.Add(int64(len(p)))
	}
	return nil
}

func (s *laterSource) TryWrite(b net.Buffers) (int, error) {
	n := 0
	for _, p := range b {
		n += len(p)
	}
	s.sent.Add(int64(n))
	return n, nil
}

// receiveAll brings count payloads of size bytes to a stream whose sink takes them.
func receiveAll(t testing.TB, count, size int) func() {
	src := &laterSource{}
	n, link, s := acceptOver(t, src)
	body := payload(string(make([]byte, size)))
	onward := tunnel.NewRoute(tunnel.LocalAddress(names(s.LocalAddr().(portal.Addr).Route)[0]))
	src.Frame = append(wire.AppendMessageHead(nil, onward, local("IN"), len(body)), body...)
	src.Frame = wire.AppendMessageTail(src.Frame)
	sink := &countingSink{want: int64(count+1) * int64(size), done: make(chan struct{})}
	src.done = sink.done
	go func() { _, _ = s.WriteTo(sink) }()
	// One payload ahead: once it is taken WriteTo runs, and nothing is queued for it.
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload, m.Origin = onward, local("IN"), body, link.Origin()
	if err := n.router.Deliver(m); err != nil {
		t.Fatal(err)
	}
	for sink.n.Load() < int64(size) {
		pause()
	}
	return func() {
		src.Count = count
		if err := link.Serve(context.Background()); !errors.Is(err, tunnel.ErrPeerClosed) {
			t.Errorf("Serve: %v", err)
		}
		<-sink.done
	}
}

// sendAll sends count pieces of size bytes of a source.
func sendAll(t testing.TB, count, size int) func() {
	_, _, s := acceptOver(t, &laterSource{})
	src := &readySource{size, count}
	return func() {
		if n, err := s.ReadFrom(src); err != nil || n != int64(count*size) {
			t.Errorf("ReadFrom: %d, %v", n, err)
		}
	}
}

func TestAllocations(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	const count = 100_000
	for _, size := range []int{1, 512, portal.MaxData} {
		for name, prepare := range map[string]func(testing.TB, int, int) func(){"receive": receiveAll, "send": sendAll} {
			t.Run(fmt.Sprintf("%s %d", name, size), func(t *testing.T) {
				run := prepare(t, count, size)
				if n := transporttest.Mallocs(run); n > count/200 {
					t.Errorf("%d allocations for %d payloads", n, count)
				}
			})
		}
	}
}

func BenchmarkReceive(b *testing.B) { benchmark(b, receiveAll) }

func BenchmarkSend(b *testing.B) { benchmark(b, sendAll) }

func benchmark(b *testing.B, prepare func(testing.TB, int, int) func()) {
	for _, size := range []int{64, 512, portal.MaxData} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			run := prepare(b, b.N, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			run()
		})
	}
}

// BenchmarkStream moves bytes from one node to another over a link in memory.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{512, portal.MaxData} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			in, out := newPair(b, transporttest.PipeOptions{})
			from, to := connect(b, in, out, portal.Options{})
			sink := &countingSink{want: int64(b.N) * int64(size), done: make(chan struct{})}
			go func() { _, _ = to.WriteTo(sink) }()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := from.ReadFrom(&readySource{size, b.N}); err != nil {
				b.Fatal(err)
			}
			<-sink.done
		})
	}
}
