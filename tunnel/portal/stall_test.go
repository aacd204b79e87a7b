package portal_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel/portal"
)

// A sink takes bytes while it is open, and can be tried.
type sink struct {
	mu   sync.Mutex
	cond sync.Cond
	room int // bytes it takes now
	got  int
	end  error
}

func newSink(room int) *sink {
	s := &sink{room: room}
	s.cond.L = &s.mu
	return s
}

func (s *sink) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(p), s.room)
	s.room, s.got = s.room-n, s.got+n
	return n, s.end
}

func (s *sink) WriteSome(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.room == 0 && s.end == nil {
		s.cond.Wait()
	}
	n := min(len(p), s.room)
	s.room, s.got = s.room-n, s.got+n
	return n, s.end
}

func (s *sink) Write(p []byte) (int, error) { panic("WriteSome is there") }

func (s *sink) SetWriteDeadline(time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end = io.ErrClosedPipe
	s.cond.Broadcast()
	return nil
}

func (s *sink) give(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room += n
	s.cond.Broadcast()
}

// A flood is a stream that is written to without end, and its sink.
type flood struct {
	s    *portal.Stream
	sink *sink
	done chan error // what WriteTo returned
}

// newFloods returns count streams over one link from in to out. Each has got
// something before any of them is flooded.
func newFloods(t *testing.T, count int, opts portal.Options) (in *node, floods []*flood) {
	t.Helper()
	in, out := newPair(t, transporttest.PipeOptions{})
	start := make(chan struct{})
	out.listen(t, &portal.Listener{Open: func(ctx context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		defer func() { _ = s.Close() }()
		p := make([]byte, 10_000)
		_, _ = s.Write(p)
		<-start
		for {
			if _, err := s.Write(p); err != nil {
				return
			}
		}
	}})
	d := in.dialer("outlet")
	d.Options = opts
	var wg sync.WaitGroup
	for range count {
		s, err := d.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		f := &flood{s, newSink(0), make(chan error, 1)}
		floods = append(floods, f)
		wg.Go(func() {
			_, err := f.s.WriteTo(f.sink)
			f.done <- err
			_ = f.s.Close()
		})
	}
	synctest.Wait()
	close(start)
	t.Cleanup(func() {
		for _, f := range floods {
			_ = f.s.Close()
		}
		wg.Wait()
	})
	return in, floods
}

// TestSlowSink moves a stream whose sink takes little at a time: the queue stays
// within its limit and the stream lives.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(portal.Budget)
		_, floods := newFloods(t, 1, portal.Options{Budget: b, QueueLimit: 200 << 10, StallTimeout: 10 * time.Second})
		for range 100 {
			floods[0].sink.give(12_000)
			time.Sleep(8 * time.Second)
			if n := b.Used(); n > 200<<10 || n < 100<<10 {
				t.Fatalf("%d bytes queued", n)
			}
		}
		if floods[0].sink.got != 1_200_000 || b.Resets() != 0 || !b.Held() {
			t.Errorf("%d bytes taken, %d resets, held %v", floods[0].sink.got, b.Resets(), b.Held())
		}
	})
}

// TestTricklingSink has a sink that takes so little that the link would be given
// up: it is reset, and the link lives.
func TestTricklingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, floods := newFloods(t, 1, portal.Options{})
		start := time.Now()
		for len(floods[0].done) == 0 && time.Since(start) < time.Minute {
			floods[0].sink.give(100)
			time.Sleep(time.Second)
		}
		wantErr(t, "WriteTo", <-floods[0].done, portal.ErrStalled)
		if err := in.link.Origin().Err(); err != nil {
			t.Errorf("the link ended: %v", err)
		}
	})
}

// TestStalledStreams has 64 streams that take nothing: all are reset after one
// StallTimeout, and a stream that does take goes on.
func TestStalledStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = portal.DefaultStallTimeout
		b := new(portal.Budget)
		_, floods := newFloods(t, 65, portal.Options{Budget: b, StallTimeout: stall})
		good := floods[64]
		good.sink.give(1 << 40)
		start := time.Now()
		for _, f := range floods[:64] {
			wantErr(t, "WriteTo", <-f.done, portal.ErrStalled)
		}
		if took := time.Since(start); took < stall || took > stall+stall/4 {
			t.Errorf("it took %v, StallTimeout is %v", took, stall)
		}
		if b.Resets() != 64 {
			t.Errorf("%d resets", b.Resets())
		}
		_ = good.s.Close()
		wantErr(t, "WriteTo of the good stream", <-good.done, net.ErrClosed)
		if good.sink.got < 512<<10 { // about as much as each of the others
			t.Errorf("the good stream got %d bytes only", good.sink.got)
		}
	})
}

// TestStalledInTurn has streams of which each can take more than the one before
// it, and which stop only after that has been reset: the others are waited for
// less than another StallTimeout.
func TestStalledInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall, count = portal.DefaultStallTimeout, 4
		_, floods := newFloods(t, count, portal.Options{Budget: new(portal.Budget)})
		for i, f := range floods {
			f.sink.give(i * 2 * portal.DefaultQueueLimit)
		}
		start := time.Now()
		for i, f := range floods {
			wantErr(t, "WriteTo", <-f.done, portal.ErrStalled)
			if took := time.Since(start); took < stall || took > stall+stall/2 {
				t.Errorf("stream %d was reset after %v, StallTimeout is %v", i, took, stall)
			}
		}
	})
}

// TestBudget has streams that take nothing and use up the node's budget before
// one of their queues is full: the stream that waits for room is not the one
// that is reset.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &portal.Budget{Limit: 1 << 20}
		_, floods := newFloods(t, 9, portal.Options{Budget: b, QueueLimit: 400 << 10})
		good := floods[8]
		time.Sleep(5 * time.Second) // the others have stalled for longer
		good.sink.give(1 << 40)
		for _, f := range floods[:8] {
			wantErr(t, "WriteTo", <-f.done, portal.ErrStalled)
		}
		if used := b.Used(); used > 1<<20 {
			t.Errorf("%d bytes are charged", used)
		}
		select {
		case err := <-good.done:
			t.Errorf("the stream that takes everything ended: %v", err)
		default:
		}
	})
}

// TestLastBytesStall ends a stream whose sink does not take the last bytes.
func TestLastBytesStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, own := dialPeer(t, portal.Options{}, "X")
		f := newSink(1)
		p.send(own, local("X"), payload("abc"))
		p.send(own, local("X"), kind(portal.Disconnect))
		start := time.Now()
		n, err := s.WriteTo(f)
		wantErr(t, "WriteTo", err, portal.ErrStalled)
		if took := time.Since(start); n != 1 || took < portal.DefaultStallTimeout || took > 2*portal.DefaultStallTimeout {
			t.Errorf("%d bytes, after %v", n, took)
		}
	})
}

// TestSmallPayloads queues payloads of a byte: they are charged for little more
// than they are.
func TestSmallPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(portal.Budget)
		s, p, own := dialPeer(t, portal.Options{Budget: b}, "X")
		for range 50_000 {
			p.send(own, local("X"), payload("x"))
		}
		synctest.Wait()
		if n := b.Used(); n < 50_000 || n > 100_000 {
			t.Errorf("50,000 bytes are charged as %d", n)
		}
		p.send(own, local("X"), kind(portal.Disconnect))
		if got, err := io.ReadAll(onlyReader{s}); err != nil || len(got) != 50_000 || b.Used() != 0 {
			t.Errorf("ReadAll: %d bytes, %v; %d still charged", len(got), err, b.Used())
		}
	})
}
