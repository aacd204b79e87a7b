//go:build linux

package tcp_test

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"ockam/transports"
	"ockam/transports/tcp"
	"ockam/transports/transporttest"
)

// connected returns the two ends of a connection.
func connected(t testing.TB) (a, b transports.Conn) {
	t.Helper()
	l, err := tcp.Transport{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = tcp.Transport{}.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	b, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return a, b
}

// transfer sends count frames of size bytes from a to b, in batches of four.
func transfer(t testing.TB, a, b transports.Conn, count, size int) {
	frame := append([]byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, size)...)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		batch := make(net.Buffers, 0, 4)
		for i := 0; i < count; i += 4 {
			batch = append(batch[:0], frame, frame, frame, frame)
			n, err := a.(transports.TryWriter).TryWrite(batch)
			if rest := transports.Advance(batch, n); err == nil && len(rest) > 0 {
				err = a.Write(rest)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	buf := make([]byte, size)
	borrow := func(int) []byte { return buf }
	for range count {
		if got, err := b.Receive(borrow); err != nil || len(got) != size {
			t.Errorf("%d bytes, %v", len(got), err)
			return
		}
	}
}

func TestAllocations(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("pools drop objects under the race detector")
	}
	for _, tt := range []struct{ count, size int }{{100_000, 512}, {10_000, 48 << 10}} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			a, b := connected(t)
			transfer(t, a, b, 1000, tt.size)
			n := transporttest.Mallocs(func() { transfer(t, a, b, tt.count, tt.size) })
			if n > uint64(tt.count)/1000+50 {
				t.Errorf("%d allocations for %d frames", n, tt.count)
			}
		})
	}
}

// TestIdleMemory: a connection that waits holds no buffer, even if the peer has
// sent half a length.
func TestIdleMemory(t *testing.T) {
	if transporttest.RaceEnabled {
		t.Skip("the race detector needs memory of its own")
	}
	const count = 100
	var wg sync.WaitGroup
	var conns []transports.Conn
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range count {
		a, b := connected(t)
		conns = append(conns, a, b)
		if err := a.Write(net.Buffers{{0, 0, 0, 3, 1, 2, 3}, {0, 0}}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 3)
		if _, err := b.Receive(func(int) []byte { return buf }); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = b.Receive(func(int) []byte { return buf }) })
	}
	if each := (heap() - before) / count; each > 8<<10 {
		t.Errorf("%d bytes a connection", each)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
}

func BenchmarkTransfer(b *testing.B) {
	for _, size := range []int{512, 48 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, y := connected(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			transfer(b, x, y, (b.N+3)/4*4, size)
		})
	}
}
