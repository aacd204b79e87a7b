package portal_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// dialPeer dials a peer that answers with a Pong whose return route is back.
func dialPeer(t testing.TB, opts portal.Options, back ...string) (*portal.Stream, *peer, tunnel.Route) {
	t.Helper()
	n, p := newPeer(t)
	d := n.dialer("outlet")
	d.Options = opts
	type result struct {
		s   *portal.Stream
		err error
	}
	ch := make(chan result, 1)
	go func() {
		s, err := d.Dial(context.Background())
		ch <- result{s, err}
	}()
	ping := p.expect(portal.Ping)
	if !ping.Onward.Equal(local("outlet")) || ping.Return.Len() != 1 || len(ping.Payload) != 1 {
		t.Errorf("Ping to %v from %v: %x", ping.Onward, ping.Return, ping.Payload)
	}
	p.send(ping.Return, local(back...), kind(portal.Pong))
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { _ = r.s.Close() })
	return r.s, p, ping.Return
}

// nothingElse fails if the peer gets another message; the bubble must be idle.
func (p *peer) nothingElse() {
	p.t.Helper()
	if n := p.conn.Unread(); n > 0 {
		p.t.Errorf("another message: %+v", p.receive())
	}
}

func TestDialedStream(t *testing.T) {
	s, p, own := dialPeer(t, portal.Options{}, "hop", "X")
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	h := p.expect(portal.Payload)
	if !h.Onward.Equal(local("hop", "X")) || !h.Return.Equal(own) || string(h.Payload) != "\x03\x05hello" {
		t.Errorf("Payload to %v from %v: %q", h.Onward, h.Return, h.Payload)
	}
	// All of these are dropped, and the stream goes on.
	p.send(local(append(names(own), "foo")...), local("X"), payload("BAD"))
	p.send(own, local("Y"), kind(portal.Pong))
	p.send(own, local("Y"), kind(portal.Ping))
	p.send(own, local("X"), []byte{4})
	p.send(own, local("X"), []byte{3, 9, 'a'})
	p.send(own, local("X"), payload(""))
	p.send(own, tunnel.Route{}, payload("good")) // the Elixir implementation has no return route here
	b := make([]byte, 9)
	if n, err := s.Read(b); err != nil || string(b[:n]) != "good" {
		t.Fatalf("Read: %q, %v", b[:n], err)
	}
	p.send(own, local("X"), payload("last"))
	p.send(own, local("X"), kind(portal.Disconnect))
	if got, err := io.ReadAll(onlyReader{s}); err != nil || string(got) != "last" {
		t.Errorf("ReadAll: %q, %v", got, err)
	}
	_ = s.Close()
	p.nothingElse() // the peer has ended the stream: no Disconnect back
}

func names(r tunnel.Route) []string {
	var out []string
	for _, a := range r.Addresses() {
		out = append(out, a.Name)
	}
	return out
}

func TestDialAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer func(p *peer, to tunnel.Route)
		want   error // nil: the stream opens
	}{
		{"disconnect", func(p *peer, to tunnel.Route) { p.send(to, local("X"), kind(portal.Disconnect)) }, portal.ErrRefused},
		{"payload, then pong", func(p *peer, to tunnel.Route) {
			p.send(to, local("X"), payload("too early"))
			p.send(to, local("X"), kind(portal.Pong))
			p.send(to, local("X"), payload("data"))
		}, nil},
		{"pong without return route, then one with", func(p *peer, to tunnel.Route) {
			p.send(to, tunnel.Route{}, kind(portal.Pong))
			p.send(to, local("X"), kind(portal.Pong))
			p.send(to, local("X"), payload("data"))
		}, nil},
		{"pong with trailing bytes", func(p *peer, to tunnel.Route) {
			p.send(to, local("X"), append(kind(portal.Pong), 9, 9))
			p.send(to, local("X"), payload("data"))
		}, nil},
		{"link closed", func(p *peer, _ tunnel.Route) { _ = p.conn.Close() }, portal.ErrReset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, p := newPeer(t)
			go func() { tt.answer(p, p.expect(portal.Ping).Return) }()
			s, err := n.dialer("outlet").Dial(t.Context())
			if !errors.Is(err, tt.want) {
				t.Fatalf("Dial: %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			defer func() { _ = s.Close() }()
			b := make([]byte, 9)
			if k, err := s.Read(b); err != nil || string(b[:k]) != "data" {
				t.Errorf("Read: %q, %v", b[:k], err)
			}
		})
	}
}

// TestLateAnswer has an outlet that answers after Dial gave up: it is told.
func TestLateAnswer(t *testing.T) {
	n, p := newPeer(t)
	d := n.dialer("outlet")
	d.Timeout = time.Millisecond
	if _, err := d.Dial(t.Context()); !isTimeout(err) {
		t.Fatalf("Dial: %v", err)
	}
	ping := p.expect(portal.Ping)
	p.send(ping.Return, local("X"), kind(portal.Pong))
	if h := p.expect(portal.Disconnect); !h.Onward.Equal(local("X")) || !h.Return.Equal(ping.Return) {
		t.Errorf("Disconnect to %v from %v", h.Onward, h.Return)
	}
}

func TestCounters(t *testing.T) {
	counted := func(n uint16, data string) []byte {
		return portal.Message{Kind: portal.Payload, Data: []byte(data), Counter: n, Counted: true}.Append(nil)
	}
	tests := []struct {
		name string
		send [][]byte
		want string
		gap  bool
	}{
		{"in order", [][]byte{counted(0, "a"), counted(1, "b"), counted(2, "c")}, "abc", false},
		{"some without", [][]byte{counted(0, "a"), payload("b"), counted(1, "c")}, "abc", false},
		{"not from 0", [][]byte{counted(1, "a")}, "", true},
		{"missing", [][]byte{counted(0, "a"), counted(2, "c")}, "a", true},
		{"repeated", [][]byte{counted(0, "a"), counted(0, "a")}, "a", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, p, own := dialPeer(t, portal.Options{}, "X")
			var sink recorder
			done := make(chan error, 1)
			go func() {
				_, err := s.WriteTo(&sink)
				done <- err
			}()
			for _, b := range tt.send {
				p.send(own, local("X"), b)
			}
			p.send(own, local("X"), kind(portal.Disconnect))
			err := <-done
			if tt.gap {
				wantErr(t, "WriteTo", err, portal.ErrGap)
				_ = s.Close()
				p.expect(portal.Disconnect)
			} else if err != nil || string(sink) != tt.want {
				t.Errorf("%q, %v, want %q", sink, err, tt.want)
			}
		})
	}
}

// A recorder is a sink that keeps what it gets.
type recorder []byte

func (r *recorder) Write(p []byte) (int, error) {
	*r = append(*r, p...)
	return len(p), nil
}

func TestCounterWraps(t *testing.T) {
	s, p, own := dialPeer(t, portal.Options{}, "X")
	done := make(chan int64)
	go func() {
		n, err := s.WriteTo(io.Discard)
		if err != nil {
			t.Errorf("WriteTo: %v", err)
		}
		done <- n
	}()
	for i := range 65540 {
		m := portal.Message{Kind: portal.Payload, Data: []byte{1}, Counter: uint16(i), Counted: true}
		p.send(own, local("X"), m.Append(nil))
	}
	p.send(own, local("X"), kind(portal.Disconnect))
	if n := <-done; n != 65540 {
		t.Errorf("%d bytes came through, want 65540", n)
	}
}

// TestOutletListener sends an outlet what it must take and what it must ignore.
func TestOutletListener(t *testing.T) {
	n, p := newPeer(t)
	opened := 0
	n.listen(t, &portal.Listener{Open: func(_ context.Context, r *portal.Request) {
		opened++
		s, err := r.Accept()
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		_ = s.Close()
		if _, err := r.Accept(); err == nil {
			t.Error("a request was accepted twice")
		}
	}})
	for _, b := range [][]byte{kind(portal.Pong), kind(portal.Disconnect), payload("x"), {4}, {}} {
		p.send(local("outlet"), local("IN"), b)
	}
	p.send(local("outlet"), tunnel.Route{}, kind(portal.Ping)) // nowhere to answer
	for _, to := range []tunnel.Route{local("outlet"), local("outlet", "outlet"), local("outlet", "foo", "bar")} {
		p.send(to, local("hop", "IN"), append(kind(portal.Ping), 1, 2))
		pong := p.expect(portal.Pong)
		if !pong.Onward.Equal(local("hop", "IN")) || pong.Return.Len() != 1 || len(pong.Payload) != 1 {
			t.Errorf("Pong to %v from %v: %x", pong.Onward, pong.Return, pong.Payload)
		}
		if end := p.expect(portal.Disconnect); !end.Return.Equal(pong.Return) || len(end.Payload) != 1 {
			t.Errorf("Disconnect from %v: %x", end.Return, end.Payload)
		}
	}
	if opened != 3 {
		t.Errorf("%d requests, want 3", opened)
	}
}

// TestOtherLink sends to a stream's address over a link that is not the stream's.
func TestOtherLink(t *testing.T) {
	s, p, own := dialPeer(t, portal.Options{}, "X")
	_ = p
	m := tunnel.NewMessage()
	m.Onward, m.Payload, m.Origin = tunnel.Route{}, payload("forged"), tunnel.NewOrigin(tunnel.RandomAddress())
	wantErr(t, "HandleMessage", s.HandleMessage(m), tunnel.ErrNotOpen)
	m = tunnel.NewMessage()
	m.Onward, m.Payload = tunnel.Route{}, payload("from a worker of this node")
	wantErr(t, "HandleMessage", s.HandleMessage(m), tunnel.ErrNotOpen)
	p.send(own, local("X"), payload("true"))
	b := make([]byte, 9)
	if k, err := s.Read(b); err != nil || string(b[:k]) != "true" {
		t.Errorf("Read: %q, %v", b[:k], err)
	}
}

// TestHalfClose measures when the side that dialed tells of its end.
func TestHalfClose(t *testing.T) {
	const grace = 2 * time.Second
	tests := []struct {
		name string
		do   func(s *portal.Stream, p *peer, own tunnel.Route)
		want time.Duration // from CloseWrite to the Disconnect; -1: none
		err  error         // of Read in the end
	}{
		{"unanswered", func(s *portal.Stream, _ *peer, _ tunnel.Route) {
			_, _ = s.Write([]byte("question"))
			_ = s.CloseWrite()
		}, grace, portal.ErrHalfClosed},
		{"nothing said", func(s *portal.Stream, _ *peer, _ tunnel.Route) { _ = s.CloseWrite() }, grace, portal.ErrHalfClosed},
		{"answered before", func(s *portal.Stream, p *peer, own tunnel.Route) {
			_, _ = s.Write([]byte("question"))
			p.send(own, local("X"), payload("answer"))
			synctest.Wait()
			_ = s.CloseWrite()
		}, grace / 4, portal.ErrHalfClosed},
		{"answered slowly", func(s *portal.Stream, p *peer, own tunnel.Route) {
			_ = s.CloseWrite()
			for range 3 {
				time.Sleep(grace - time.Millisecond)
				p.send(own, local("X"), payload("answer"))
			}
		}, 4*grace - 3*time.Millisecond, portal.ErrHalfClosed},
		{"ended by the peer", func(s *portal.Stream, p *peer, own tunnel.Route) {
			_ = s.CloseWrite()
			time.Sleep(time.Second)
			p.send(own, local("X"), kind(portal.Disconnect))
		}, -1, nil},
		{"closed", func(s *portal.Stream, _ *peer, _ tunnel.Route) {
			_ = s.CloseWrite()
			time.Sleep(time.Second)
			_ = s.Close()
		}, time.Second, net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p, own := dialPeer(t, portal.Options{HalfCloseGrace: grace}, "X")
				var sink recorder
				done := make(chan error, 1)
				go func() {
					_, err := s.WriteTo(&sink)
					done <- err
				}()
				synctest.Wait()
				start := time.Now()
				tt.do(s, p, own)
				if err := <-done; !errors.Is(err, tt.err) {
					t.Errorf("WriteTo: %v, want %v", err, tt.err)
				}
				synctest.Wait()
				if took := time.Since(start); tt.want >= 0 && took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
				n := 0
				for p.conn.Unread() > 0 {
					if m, _ := portal.ParseMessage(p.receive().Payload); m.Kind == portal.Disconnect {
						n++
					}
				}
				if want := min(1, int(tt.want+1)); n != want {
					t.Errorf("%d Disconnects, want %d", n, want)
				}
				if _, err := s.Write([]byte("x")); err == nil {
					t.Error("Write after CloseWrite succeeded")
				}
			})
		})
	}
}

// TestAcceptedHalfClose sees the Disconnect at once, and then no more data.
func TestAcceptedHalfClose(t *testing.T) {
	in, out := newPair(t, transporttest.PipeOptions{})
	a, b := connect(t, in, out, portal.Options{})
	if _, err := a.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 3)
	if _, err := io.ReadFull(b, buf); err != nil {
		t.Fatal(err)
	}
	_, _ = b.Write([]byte("bye"))
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(onlyReader{a}); err != nil || string(got) != "bye" {
		t.Errorf("ReadAll: %q, %v", got, err)
	}
	if got, err := io.ReadAll(onlyReader{b}); !errors.Is(err, portal.ErrHalfClosed) || string(got) != "ore" {
		t.Errorf("ReadAll of the side that ended: %q, %v", got, err)
	}
}

// TestLargePayload takes a payload above what we send, and above the limit.
func TestLargePayload(t *testing.T) {
	s, p, own := dialPeer(t, portal.Options{QueueLimit: 64 << 10}, "X")
	p.send(own, local("X"), payload(string(make([]byte, 200_000))))
	p.send(own, local("X"), payload("after"))
	if n, err := io.CopyN(io.Discard, onlyReader{s}, 200_005); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_, _ = s.Write(make([]byte, 100_000))
	for _, want := range []int{portal.MaxData, portal.MaxData, 100_000 - 2*portal.MaxData} {
		m, err := portal.ParseMessage(p.expect(portal.Payload).Payload)
		if err != nil || len(m.Data) != want {
			t.Errorf("a payload of %d bytes, %v, want %d", len(m.Data), err, want)
		}
	}
}
