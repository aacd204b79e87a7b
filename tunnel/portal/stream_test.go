package portal_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// pipes are the links that stream tests run over.
var pipes = []struct {
	name string
	o    transporttest.PipeOptions
}{
	{"pipe", transporttest.PipeOptions{}},
	{"without try", transporttest.PipeOptions{NoTry: true}},
	{"partial writes", transporttest.PipeOptions{MaxWrite: 1000, MaxRead: 777, Buffer: 5000}},
}

func TestBytesBothWays(t *testing.T) {
	for _, tt := range pipes {
		t.Run(tt.name, func(t *testing.T) {
			in, out := newPair(t, tt.o)
			a, b := connect(t, in, out, portal.Options{})
			data := make([]byte, 3<<20)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			var wg sync.WaitGroup
			for _, end := range []*portal.Stream{a, b} {
				wg.Go(func() {
					for p := data; len(p) > 0; {
						n := min(len(p), rand.IntN(200<<10))
						if _, err := end.Write(p[:n]); err != nil {
							t.Errorf("Write: %v", err)
						}
						p = p[n:]
					}
				})
				wg.Go(func() {
					got := sha256.New()
					if _, err := io.CopyN(got, onlyReader{end}, int64(len(data))); err != nil {
						t.Errorf("Read: %v", err)
					}
					if want := sha256.Sum256(data); !bytes.Equal(got.Sum(nil), want[:]) {
						t.Errorf("%v received other bytes", end.LocalAddr())
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestEndAfterEverything(t *testing.T) {
	for _, tt := range pipes {
		t.Run(tt.name, func(t *testing.T) {
			in, out := newPair(t, tt.o)
			a, b := connect(t, in, out, portal.Options{})
			data := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
			go func() {
				_, _ = b.Write(data)
				_ = b.Close()
			}()
			got, err := io.ReadAll(onlyReader{a})
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("ReadAll: %d bytes, %v, want %d", len(got), err, len(data))
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, portal.ErrEnded) {
				t.Errorf("Write after the end: %v, want ErrEnded", err)
			}
			if _, err := a.Read(make([]byte, 1)); !isEnd(err) {
				t.Errorf("Read after the end: %v, want EOF", err)
			}
		})
	}
}

func TestEchoWithCopy(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	out.listen(t, &portal.Listener{Open: echo})
	s, err := in.dialer("outlet").Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	data := bytes.Repeat([]byte("x"), 1<<20)
	go func() { _, _ = s.ReadFrom(bytes.NewReader(data)) }()
	var got bytes.Buffer
	if _, err := io.CopyN(&got, onlyReader{s}, int64(len(data))); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Fatalf("%d bytes came back, %v", got.Len(), err)
	}
	if sent, received := s.Moved(); sent != 1<<20 || received != 1<<20 {
		t.Errorf("Moved = %d, %d", sent, received)
	}
}

func TestRefusals(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	out.listen(t, &portal.Listener{Name: "refuses", Open: func(context.Context, *portal.Request) {}})
	t.Run("by the outlet", func(t *testing.T) {
		if s, err := in.dialer("refuses").Dial(t.Context()); s != nil || !errors.Is(err, portal.ErrRefused) {
			t.Errorf("Dial = %v, %v", s, err)
		}
	})
	t.Run("no outlet there", func(t *testing.T) {
		d := in.dialer("nobody")
		d.Timeout = 20 * time.Millisecond
		s, err := d.Dial(t.Context())
		var ne net.Error
		if s != nil || !isTimeout(err) || !errors.As(err, &ne) || !ne.Timeout() || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("Dial = %v, %v, want a timeout", s, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := in.dialer("nobody").Dial(ctx)
		wantErr(t, "Dial", err, context.DeadlineExceeded)
	})
	t.Run("path lost", func(t *testing.T) {
		ch := make(chan error)
		go func() {
			_, err := in.dialer("nobody").Dial(context.Background())
			ch <- err
		}()
		pause()
		out.stop()
		wantErr(t, "Dial while the link ends", <-ch, portal.ErrReset)
		_, err := in.dialer("nobody").Dial(t.Context())
		wantErr(t, "Dial after the link's end", err, portal.ErrReset)
	})
}

func TestLinkLost(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	a, b := connect(t, in, out, portal.Options{})
	if _, err := b.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := b.Read(make([]byte, 1))
		wantErr(t, "blocked Read", err, portal.ErrReset)
		if errors.Is(err, io.EOF) {
			t.Errorf("Read: %v passes for io.EOF", err)
		}
	})
	pause()
	in.stop()
	wg.Wait()
	<-out.done
	for _, s := range []*portal.Stream{a, b} {
		_, err := s.Read(make([]byte, 1))
		wantErr(t, "Read", err, portal.ErrReset)
		_, err = s.Write([]byte("x"))
		wantErr(t, "Write", err, portal.ErrReset)
		wantErr(t, "CloseWrite", s.CloseWrite(), portal.ErrReset)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestDeadlines(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	a, b := connect(t, in, out, portal.Options{})
	if err := a.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("Read: %v, want the deadline", err)
	}
	if _, err := a.Write([]byte("x")); !isTimeout(err) {
		t.Errorf("Write: %v, want the deadline", err)
	}
	if _, err := a.WriteTo(io.Discard); !isTimeout(err) {
		t.Errorf("WriteTo: %v, want the deadline", err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("Read without deadline: %d, %v", n, err)
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	a, _ := connect(t, in, out, portal.Options{})
	src, _ := net.Pipe()
	defer func() { _ = src.Close() }()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := a.ReadFrom(src)
		wantErr(t, "ReadFrom", err, net.ErrClosed)
	})
	wg.Go(func() {
		_, err := a.Read(make([]byte, 1))
		wantErr(t, "Read", err, net.ErrClosed)
	})
	pause()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	wantErr(t, "CloseWrite", a.CloseWrite(), net.ErrClosed)
	wantErr(t, "SetDeadline", a.SetDeadline(time.Now()), net.ErrClosed)
}

// TestConn runs the tests that every net.Conn should pass. One of them sets the
// first deadline while a write waits for room on the link, which is not noticed
// before the far end, where nobody reads, is reset: see SetWriteDeadline.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		in, out := newPair(t, transporttest.PipeOptions{})
		a, b := connect(t, in, out, portal.Options{StallTimeout: time.Second})
		return a, b, func() {
			_ = a.Close()
			_ = b.Close()
			in.stop()
			out.stop()
		}, nil
	})
}

func TestAddresses(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	a, b := connect(t, in, out, portal.Options{})
	if got, want := a.RemoteAddr().String(), b.LocalAddr().String(); got != want {
		t.Errorf("remote address %q, the peer's own is %q", got, want)
	}
	if a.LocalAddr().Network() != "ockam" || a.Origin() != in.link.Origin() {
		t.Error("wrong network or origin")
	}
	if got := (portal.Addr{Route: local("x"), Peer: "I1"}).String(); got != "I1 0#x" {
		t.Errorf("String = %q", got)
	}
}

func TestListenerBounds(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	release := make(chan struct{})
	l := &portal.Listener{MaxPending: 2, MaxStreams: 3, Open: func(_ context.Context, r *portal.Request) {
		<-release
		s, err := r.Accept()
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		_, _ = s.Read(make([]byte, 1))
		_ = s.Close()
	}}
	out.listen(t, l)
	type result struct {
		s   *portal.Stream
		err error
	}
	ch := make(chan result)
	dial := func() {
		go func() {
			s, err := in.dialer("outlet").Dial(context.Background())
			ch <- result{s, err}
		}()
	}
	dial()
	dial()
	dial() // one of the three is refused: two are pending
	r := <-ch
	if !errors.Is(r.err, portal.ErrRefused) || l.Refused() != 1 {
		t.Errorf("Dial: %v, refused %d, want 1", r.err, l.Refused())
	}
	close(release)
	var open []*portal.Stream
	for range 2 {
		open = append(open, (<-ch).s)
	}
	dial()
	open = append(open, (<-ch).s)
	dial() // beyond MaxStreams
	r = <-ch
	if !errors.Is(r.err, portal.ErrRefused) || l.Refused() != 2 {
		t.Errorf("Dial: %v, refused %d, want 2", r.err, l.Refused())
	}
	for _, s := range open {
		_ = s.Close()
	}
}

func TestListenerShutdown(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	accepted := make(chan *portal.Stream, 1)
	l := &portal.Listener{Router: out.router, Name: "outlet", Open: func(_ context.Context, r *portal.Request) {
		s, err := r.Accept()
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		accepted <- s
		_, _ = io.Copy(io.Discard, onlyReader{s})
		_ = s.Close()
	}}
	l.Access.Open = []tunnel.Source{out.group}
	if err := l.Bind(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- l.Serve(context.Background()) }()
	s, err := in.dialer("outlet").Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	l.Shutdown()
	if _, err := in.dialer("outlet").Dial(t.Context()); !errors.Is(err, portal.ErrRefused) {
		t.Errorf("a stream that was asked for after Shutdown: %v", err)
	}
	select {
	case err := <-served:
		t.Errorf("Serve returned while a stream is open: %v", err)
	default:
	}
	_ = s.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := l.Serve(t.Context()); !errors.Is(err, portal.ErrListenerClosed) {
		t.Errorf("second Serve: %v", err)
	}
}

func TestListenerNameTaken(t *testing.T) {
	r := tunnel.NewRouter()
	a, b := &portal.Listener{Router: r, Name: "outlet"}, &portal.Listener{Router: r, Name: "outlet"}
	if err := a.Bind(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Bind", b.Bind(), tunnel.ErrInUse)
	a.Shutdown()
	if err := b.Bind(); err != nil {
		t.Errorf("Bind after the other's Shutdown: %v", err)
	}
}
