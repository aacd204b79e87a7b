package tcp_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/transports"
	"ockam/transports/tcp"
	"ockam/transports/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTransport(t *testing.T) {
	const stall = time.Second // others may have the processors for a while
	transporttest.Run(t, tcp.Transport{}, transporttest.Options{
		Addr: "127.0.0.1:0",
		Raw: func(ctx context.Context, addr string) (io.ReadWriteCloser, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
		Start:    []byte{1},
		Stalling: tcp.Transport{StallTimeout: stall}, Stall: stall,
	})
}

// What a client and a server send (docs/protocol.md, TCP), recorded from the
// reference implementation, revision fb8fb64cd; the address is made up.
const (
	request = "010000003d848182004975707065726361736581820058203030303130323033303430353036303730383039306130623063306430653066460568656c6c6f627b7d"
	answer  = "010000003d848182005820303030313032303330343035303630373038303930613062306330643065306681820049757070657263617365460548454c4c4f627b7d"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raw returns a socket and the connection that the transport accepted for it.
func raw(t *testing.T, tr tcp.Transport) (*net.TCPConn, transports.Conn) {
	t.Helper()
	l, err := tr.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return c.(*net.TCPConn), accepted
}

func alloc(n int) []byte { return make([]byte, n) }

func TestRecordedStreams(t *testing.T) {
	for split := range len(request) / 2 {
		c, accepted := raw(t, tcp.Transport{})
		in, out := unhex(t, request), unhex(t, answer)
		if _, err := c.Write(in[:split]); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1)
		if _, err := io.ReadFull(c, got); err != nil || got[0] != 1 {
			t.Fatalf("first byte %x, %v", got, err)
		}
		if _, err := c.Write(in[split:]); err != nil {
			t.Fatal(err)
		}
		frame, err := accepted.Receive(alloc)
		if err != nil || !bytes.Equal(frame, in[5:]) {
			t.Fatalf("split at %d: received %x, %v", split, frame, err)
		}
		if err := accepted.Write(net.Buffers{out[1:20], out[20:]}); err != nil {
			t.Fatal(err)
		}
		_ = accepted.Close()
		if all, err := io.ReadAll(c); err != nil || !bytes.Equal(all, out[1:]) {
			t.Fatalf("sent %x, %v", all, err)
		}
	}
}

// TestVersionSentFirst: either side sends its version without waiting.
func TestVersionSentFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := tcp.Transport{}.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 2)
	if n, err := c.Read(got); n != 1 || got[0] != 1 || err != nil {
		t.Errorf("dialer sent %x, %v", got[:n], err)
	}
}

func TestVersion(t *testing.T) {
	const short = 500 * time.Millisecond // in which what has come must be received
	for _, tt := range []struct {
		name  string
		start []byte
		want  error
	}{
		{"2", []byte{2}, transports.ErrVersion},
		{"0", []byte{0}, transports.ErrVersion},
		{"a web browser", []byte("GET / HTTP/1.1\r\n\r\n"), transports.ErrVersion},
		{"nothing", nil, transports.ErrVersion},
		{"1, then nothing", []byte{1}, net.ErrClosed}, // a silent peer is not late
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, accepted := raw(t, tcp.Transport{VersionTimeout: short})
			if _, err := c.Write(tt.start); err != nil {
				t.Fatal(err)
			}
			close := time.AfterFunc(4*short, func() { _ = accepted.Close() })
			defer close.Stop()
			_, err := accepted.Receive(func(n int) []byte {
				t.Errorf("asked for %d bytes", n)
				return make([]byte, n)
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	l, err := tcp.Transport{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, addr := range []string{l.Addr().String(), "127.0.0.1:99999", "nonsense"} {
		if l, err := (tcp.Transport{}).Listen(t.Context(), addr); err == nil {
			_ = l.Close()
			t.Errorf("listens at %q", addr)
		}
	}
}

// TestAcceptGone: a peer that resets before it is accepted is not the end of
// the listener.
func TestAcceptGone(t *testing.T) {
	l, err := tcp.Transport{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 20 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	last, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	for range 21 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		same := c.RemoteAddr().String() == last.LocalAddr().String()
		_ = c.Close()
		if same {
			return
		}
	}
	t.Error("the last connection was not accepted")
}
