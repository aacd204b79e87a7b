package udp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/transports/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTransport(t *testing.T) {
	transporttest.Run(t, udp.Transport{}, transporttest.Options{Addr: "127.0.0.1:0"})
}

func alloc(n int) []byte { return make([]byte, n) }

func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// bind returns a socket of ours and a plain one.
func bind(t *testing.T, tr udp.Transport) (*udp.Socket, *net.UDPConn) {
	t.Helper()
	s, err := tr.Bind(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, plain(t, s)
}

func plain(t *testing.T, s *udp.Socket) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp4", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

func send(t *testing.T, c *net.UDPConn, all ...[]byte) {
	t.Helper()
	for _, b := range all {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

func accept(t *testing.T, s *udp.Socket) transports.Conn {
	t.Helper()
	c, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not within 5 s", what)
}

// TestParts has the datagrams that messages of certain sizes are sent in.
func TestParts(t *testing.T) {
	for _, tt := range []struct{ size, parts int }{{0, 1}, {1, 1}, {492, 1}, {493, 1}, {494, 2}, {986, 2}, {987, 3}, {66000, 134}} {
		peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := udp.Transport{}.Dial(t.Context(), peer.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{7}, tt.size)
		if err := c.Write(net.Buffers{frame(want)}); err != nil {
			t.Fatal(err)
		}
		var got []byte
		var number []byte
		for i := range tt.parts {
			var b [2000]byte
			_ = peer.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := peer.Read(b[:])
			if err != nil {
				t.Fatal(err)
			}
			d, err := udp.ParseDatagram(b[:n])
			last := i == tt.parts-1
			numberNow := b[2:5]
			if i == 0 {
				number = bytes.Clone(numberNow)
			}
			if err != nil || n > udp.MaxDatagram || !last && len(d.Part()) != udp.MaxPart || !bytes.Equal(number, numberNow) {
				t.Errorf("%d bytes, part %d: %d bytes of %d, %v", tt.size, i, len(d.Part()), n, err)
			}
			if !bytes.Equal(udp.AppendDatagram(nil, d), b[:n]) {
				t.Errorf("%d bytes, part %d is %x", tt.size, i, b[:n])
			}
			got = append(got, d.Part()...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d", tt.size, len(got))
		}
		_ = peer.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := peer.Read(make([]byte, 600)); err == nil {
			t.Errorf("%d bytes: another datagram of %d", tt.size, n)
		}
		_, _ = c.Close(), peer.Close()
	}
}

// TestDropped counts what is not delivered, and goes on.
func TestDropped(t *testing.T) {
	s, c := bind(t, udp.Transport{})
	long := udp.AppendDatagram(nil, whole(3))
	long = append(long, make([]byte, udp.MaxDatagram+1-len(long))...)
	send(t, c, []byte("nonsense"), nil, long,
		udp.AppendDatagram(nil, part(4, 1)), udp.AppendDatagram(nil, whole(4)),
		long[:udp.MaxDatagram][:len(udp.AppendDatagram(nil, whole(3)))],
		udp.AppendDatagram(nil, whole(5)))
	got, err := accept(t, s).Receive(alloc)
	if err != nil || string(got) != "5" {
		t.Errorf("%q, %v", got, err)
	}
	if c := s.Counts(); c.Malformed != 3 || c.Lost != 3 {
		t.Errorf("%+v", c)
	}
}

// TestStrangers: who only dials hears nobody else.
func TestStrangers(t *testing.T) {
	peer, other := bind(t, udp.Transport{})
	s, err := udp.Transport{}.Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Dial(t.Context(), peer.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := s.Dial(t.Context(), peer.Addr().String()); err == nil {
		t.Error("two connections to one address")
	}
	if _, err := other.WriteTo([]byte("x"), nil); err == nil {
		t.Error("a connected socket sent elsewhere")
	}
	stranger, err := net.Dial("udp4", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write(udp.AppendDatagram(nil, whole(1))); err != nil {
		t.Fatal(err)
	}
	within(t, "the stranger is counted", func() bool { return s.Counts().Stray == 1 })
	if err := c.Write(net.Buffers{frame([]byte("hello"))}); err != nil {
		t.Fatal(err)
	}
	back := accept(t, peer)
	if err := back.Write(net.Buffers{frame([]byte("to you"))}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Receive(alloc); err != nil || string(got) != "to you" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestManyPeers: the number of peers is bounded, and the one that was silent for
// the longest makes room.
func TestManyPeers(t *testing.T) {
	s, first := bind(t, udp.Transport{MaxPeers: 3})
	send(t, first, udp.AppendDatagram(nil, whole(1)))
	conns := []transports.Conn{accept(t, s)}
	for range 3 {
		send(t, plain(t, s), udp.AppendDatagram(nil, whole(1)))
		conns = append(conns, accept(t, s))
	}
	if _, peers := s.Held(); peers != 3 {
		t.Errorf("%d peers", peers)
	}
	for i, c := range conns {
		_, err := c.Receive(alloc)
		if i == 0 && err == nil { // the place is taken before the connection is told
			_, err = c.Receive(alloc)
		}
		if i == 0 && !errors.Is(err, udp.ErrCrowded) || i > 0 && err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// TestNobodyAccepts: peers that nobody accepts are bounded too.
func TestNobodyAccepts(t *testing.T) {
	s, _ := bind(t, udp.Transport{})
	for range 140 {
		c, err := net.Dial("udp4", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, c.(*net.UDPConn), udp.AppendDatagram(nil, whole(1)))
		_ = c.Close()
	}
	within(t, "the rest is dropped", func() bool { return s.Counts().Overflow > 0 })
	_ = s.Close()
	if bytes, peers := s.Held(); bytes != 0 || peers != 0 {
		t.Errorf("after Close %d bytes for %d peers", bytes, peers)
	}
}

func TestIdle(t *testing.T) {
	s, c := bind(t, udp.Transport{IdleTimeout: time.Second}) // accepted and received from before that
	send(t, c, udp.AppendDatagram(nil, part(1, 0)))
	conn := accept(t, s)
	if _, err := conn.Receive(alloc); !errors.Is(err, udp.ErrIdle) {
		t.Errorf("%v, want ErrIdle", err)
	}
	if bytes, peers := s.Held(); bytes != 0 || peers != 0 {
		t.Errorf("%d bytes for %d peers", bytes, peers)
	}
	send(t, c, udp.AppendDatagram(nil, whole(1))) // it comes again
	if got, err := accept(t, s).Receive(alloc); err != nil || string(got) != "1" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestMemory: messages that never end and messages that nobody receives take no
// more than the socket's share.
func TestMemory(t *testing.T) {
	const limit = 256 << 10
	s, _ := bind(t, udp.Transport{MaxMemory: limit})
	filler, asked := make([]byte, udp.MaxPart), uint64(0)
	taken := func(c *net.UDPConn) { // the kernel drops what the socket does not take in time
		t.Helper()
		asked++
		send(t, c, []byte("nonsense"))
		within(t, "all that was sent is taken", func() bool { return s.Counts().Malformed == asked })
	}
	for p := range 4 { // each would fill it three quarters
		c := plain(t, s)
		for i := range 400 {
			send(t, c, udp.AppendDatagram(nil, udp.MakeDatagram(1, uint32(i*udp.MaxPart), false, filler)))
			if held, _ := s.Held(); held > limit {
				t.Fatalf("%d bytes held", held)
			}
			if i%50 == 49 {
				taken(c)
			}
		}
		_ = p
	}
	within(t, "something was dropped", func() bool { return s.Counts().Overflow > 0 })
	c := plain(t, s)
	send(t, c, udp.AppendDatagram(nil, whole(9)))
	for range 4 {
		_ = accept(t, s)
	}
	conn := accept(t, s)
	if got, err := conn.Receive(alloc); err != nil || string(got) != "9" {
		t.Errorf("a small message: %q, %v", got, err)
	}
	for i := range 2000 { // nobody receives
		send(t, c, udp.AppendDatagram(nil, udp.MakeDatagram(uint16(10+i), 0, true, filler)))
		if i%50 == 49 {
			taken(c)
		}
	}
	if held, _ := s.Held(); held > limit {
		t.Errorf("%d bytes held", held)
	}
	_ = conn.Close()
}

func TestTooLarge(t *testing.T) {
	s, _ := bind(t, udp.Transport{})
	c, err := udp.Transport{}.Dial(t.Context(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	head := binary.BigEndian.AppendUint32(nil, transports.MaxFrame+1)
	if err := c.Write(net.Buffers{head, make([]byte, transports.MaxFrame+1)}); !errors.Is(err, transports.ErrFrameTooLarge) {
		t.Errorf("%v", err)
	}
	if err := c.Write(net.Buffers{{0, 0}}); err == nil {
		t.Error("half a head was written")
	}
	if err := c.Write(net.Buffers{{0, 0}, {0, 3, 'a'}, {'b', 'c', 0, 0}, {0, 1, 'd'}}); err != nil { // across buffers
		t.Error(err)
	}
	conn := accept(t, s)
	for _, want := range []string{"abc", "d"} {
		if got, err := conn.Receive(alloc); err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// TestTryWrite: what need not be spread over time is sent at once, whole.
func TestTryWrite(t *testing.T) {
	s, _ := bind(t, udp.Transport{})
	c, err := udp.Transport{}.Dial(t.Context(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	try := c.(transports.TryWriter)
	small := frame([]byte("small"))
	if n, err := try.TryWrite(net.Buffers{small, small}); n != 2*len(small) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := try.TryWrite(net.Buffers{frame(make([]byte, 1<<20))}); n != 0 || err != nil {
		t.Errorf("a large one: %d, %v", n, err)
	}
	_ = c.Close()
	if _, err := try.TryWrite(net.Buffers{small}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseOrder(t *testing.T) {
	s, c := bind(t, udp.Transport{})
	send(t, c, udp.AppendDatagram(nil, whole(1)))
	conn := accept(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	send(t, c, udp.AppendDatagram(nil, whole(2))) // the connection goes on
	for _, want := range []string{"1", "2"} {
		if got, err := conn.Receive(alloc); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
	_ = conn.Close()
	if _, err := s.Dial(t.Context(), "127.0.0.1:9"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after all is closed: %v", err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:http"} {
		if c, err := (udp.Transport{}).Dial(t.Context(), addr); err == nil {
			_ = c.Close()
			t.Errorf("dialed %q", addr)
		}
	}
	if _, err := (udp.Transport{}).Bind(t.Context(), "127.0.0.1"); err == nil {
		t.Error("bound to no port")
	}
}

func TestIPv6(t *testing.T) {
	s, err := udp.Transport{}.Bind(t.Context(), "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	defer s.Close()
	c, err := udp.Transport{}.Dial(context.Background(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Write(net.Buffers{frame([]byte("six"))}); err != nil {
		t.Fatal(err)
	}
	if got, err := accept(t, s).Receive(alloc); fmt.Sprintf("%s %v", got, err) != "six <nil>" {
		t.Errorf("%q, %v", got, err)
	}
}
