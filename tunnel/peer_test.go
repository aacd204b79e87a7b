package tunnel_test

import (
	"encoding/hex"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A peer is the raw far end of a link.
type peer struct {
	t    testing.TB
	conn *transporttest.PipeConn
	near *transporttest.PipeConn // the link's own end
	link *tunnel.Link
	done chan error // what Serve returned
}

func connect(t testing.TB, r *tunnel.Router, g *tunnel.Group, o transporttest.PipeOptions) *peer {
	t.Helper()
	far, near := transporttest.Pipe(o)
	p := &peer{t: t, conn: far, near: near, link: newLink(t, r, near.Link(), g), done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.done <- p.link.Serve(t.Context())
	}()
	t.Cleanup(func() {
		_ = far.Close()
		p.link.Close()
		<-ended
	})
	return p
}

func newLink(t testing.TB, r *tunnel.Router, c transports.Conn, g *tunnel.Group) *tunnel.Link {
	t.Helper()
	l, err := tunnel.NewLink(r, c, transporttest.Traits(), g)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if err := p.conn.Write(net.Buffers{b}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(onward, ret []string, payload []byte) {
	p.t.Helper()
	p.write(frame(p.t, onward, ret, payload))
}

// sent returns the next frame that the node sent, with its length, once it has
// nothing more to do; nil if there is none.
func (p *peer) sent() []byte {
	p.t.Helper()
	synctest.Wait()
	if p.conn.Unread() == 0 {
		return nil
	}
	return p.receive()
}

// receive waits for a frame and returns it with its length.
func (p *peer) receive() []byte {
	p.t.Helper()
	b, err := p.conn.Receive(func(n int) []byte { return make([]byte, n) })
	if err != nil {
		p.t.Fatal(err)
	}
	return append(length(len(b)), b...)
}

// open reports whether the link has not ended.
func (p *peer) open() bool {
	synctest.Wait()
	select {
	case <-p.link.Origin().Done():
		return false
	default:
		return true
	}
}

func length(n int) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

// frame makes a frame as the reference does. Addresses are TYPE#NAME or NAME.
func frame(t testing.TB, onward, ret []string, payload []byte) []byte {
	t.Helper()
	o, r := parse(t, onward), parse(t, ret)
	b := wire.AppendMessageHead(length(wire.MessageSize(o, r, len(payload))), o, r, len(payload))
	return wire.AppendMessageTail(append(b, payload...))
}

func parse(t testing.TB, names []string) tunnel.Route {
	t.Helper()
	var addrs []tunnel.Address
	for _, s := range names {
		a, err := wire.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, a)
	}
	return tunnel.NewRoute(addrs...)
}

// show writes a frame as ONWARD | RETURN | PAYLOAD without types.
func show(t testing.TB, frame []byte) string {
	t.Helper()
	if frame == nil {
		return "nothing"
	}
	h, err := wire.ParseMessage(frame[4:])
	if err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	return showRoutes(h.Onward, h.Return) + " | " + string(h.Payload)
}

func showRoutes(onward, ret tunnel.Route) string {
	return strings.ReplaceAll(onward.String()+" | "+ret.String(), "0#", "")
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// services registers echo, uppercase and the hop h1, open to sources.
func services(t testing.TB, r *tunnel.Router, sources ...tunnel.Source) {
	t.Helper()
	for name, h := range map[string]tunnel.Handler{
		"echo":      service.Echo{Router: r, Self: tunnel.LocalAddress("echo")},
		"uppercase": service.Uppercase{Router: r, Self: tunnel.LocalAddress("uppercase")},
		"h1":        service.Hop{Router: r, Self: tunnel.LocalAddress("h1")},
	} {
		handle(t, r, name, h, sources...)
	}
}

var errLost = errors.New("lost")
