package relay_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"ockam/relay"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is a router with links to raw peers, in a bubble of synctest.
type node struct {
	t      testing.TB
	router *tunnel.Router
	group  *tunnel.Group // of all its links
}

func newNode(t testing.TB) *node {
	return &node{t: t, router: tunnel.NewRouter(), group: &tunnel.Group{Name: "test"}}
}

func (n *node) handle(name string, h tunnel.Handler, open ...tunnel.Source) *tunnel.Registration {
	n.t.Helper()
	reg, err := n.router.Handle(tunnel.LocalAddress(name), h, tunnel.Access{Open: open})
	if err != nil {
		n.t.Fatal(err)
	}
	return reg
}

// hub makes a relay of the node.
func (n *node) hub(s *relay.Server) *relay.Server {
	s.Router, s.Open = n.router, []tunnel.Source{n.group}
	n.handle(relay.ServiceName, s, n.group)
	n.handle(relay.StaticServiceName, s, n.group)
	n.handle("echo", service.Echo{Router: n.router, Self: tunnel.LocalAddress("echo")}, n.group)
	n.t.Cleanup(s.Close)
	return s
}

// A peer is the far end of a link of the node, which sees and sends raw frames.
type peer struct {
	t    testing.TB
	conn *transporttest.PipeConn
	link *tunnel.Link // the node's end
}

func (n *node) connect(group *tunnel.Group) *peer {
	n.t.Helper()
	far, near := transporttest.Pipe(transporttest.PipeOptions{})
	link, err := tunnel.NewLink(n.router, near.Link(), transporttest.Traits(), group)
	if err != nil {
		n.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = link.Serve(n.t.Context())
	}()
	n.t.Cleanup(func() {
		_ = far.Close()
		link.Close()
		<-ended
	})
	return &peer{n.t, far, link}
}

func (n *node) peer() *peer { return n.connect(n.group) }

// via is the address of the node's end of the link, which stands in front of
// return routes.
func (p *peer) via() string { return p.link.Address().Name }

func (p *peer) send(frame []byte) {
	p.t.Helper()
	if err := p.conn.Write(net.Buffers{bytes.Clone(frame)}); err != nil {
		p.t.Fatal(err)
	}
}

// sendHex sends a frame and returns what the node has sent by the time that it
// has nothing more to do, nil if nothing.
func (p *peer) sendHex(frame string) []byte {
	p.t.Helper()
	p.send(unhex(p.t, frame))
	return p.next()
}

// next returns the frame that the node sent, with its length, or nil.
func (p *peer) next() []byte {
	p.t.Helper()
	synctest.Wait()
	if p.conn.Unread() == 0 {
		return nil
	}
	body, err := p.conn.Receive(func(n int) []byte { return make([]byte, n) })
	if err != nil {
		p.t.Fatal(err)
	}
	return append([]byte{byte(len(body) >> 24), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// frame makes a frame as the reference does. Addresses are TYPE#NAME or NAME.
func frame(t testing.TB, onward, ret []string, payload []byte) []byte {
	t.Helper()
	o, r := route(t, onward), route(t, ret)
	size := wire.MessageSize(o, r, len(payload))
	b := []byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
	b = wire.AppendMessageHead(b, o, r, len(payload))
	return wire.AppendMessageTail(append(b, payload...))
}

func route(t testing.TB, names []string) tunnel.Route {
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

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replace exchanges addresses of a recording, which were random, for ours.
func replace(b []byte, pairs ...string) []byte {
	return []byte(strings.NewReplacer(pairs...).Replace(string(b)))
}

func bare(s string) []byte { return wire.AppendString(nil, s) }

// recording is testdata/relay.json, recorded from the reference implementation,
// revision fb8fb64cd.
type recording struct {
	Items  []recorded
	Client []recorded `json:"independent_client"`
	Hub    []recorded `json:"independent_hub"`
}

type recorded struct {
	Name, Direction, Hex, Answer string
	Decoded                      message
	AnswerDecoded                message `json:"answer_decoded"`
}

type message struct{ Onward, Return []string }

func loadRecording(t testing.TB) recording {
	t.Helper()
	b, err := os.ReadFile("testdata/relay.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// row returns the row with the name.
func row(t testing.TB, rows []recorded, name string) recorded {
	t.Helper()
	for _, r := range rows {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no row %q in the recording", name)
	return recorded{}
}

// name returns the address without its type.
func name(address string) string {
	_, after, _ := strings.Cut(address, "#")
	return after
}
