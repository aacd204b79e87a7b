package tunnel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// TestRouteTable follows a message through a hop to echo and back (docs/
// protocol.md, Routes). Gates see a message before its first address is dropped.
func TestRouteTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, group := tunnel.NewRouter(), &tunnel.Group{}
		var steps []string
		note := func(m *tunnel.Message) error {
			steps = append(steps, showRoutes(m.Onward, m.Return))
			return nil
		}
		access := tunnel.Access{Open: []tunnel.Source{group}, Gate: note}
		for a, h := range map[string]tunnel.Handler{
			"h1":   service.Hop{Router: b, Self: tunnel.LocalAddress("h1")},
			"echo": service.Echo{Router: b, Self: tunnel.LocalAddress("echo")},
		} {
			if _, err := b.Handle(tunnel.LocalAddress(a), h, access); err != nil {
				t.Fatal(err)
			}
		}
		p := connect(t, b, group, transporttest.PipeOptions{})
		p.send([]string{"h1", "echo"}, []string{"A"}, nil)
		onWire := show(t, p.sent())
		got := strings.ReplaceAll(strings.Join(steps, "\n"), p.link.Address().Name, "sB")
		if want := "h1 => echo | sB => A\necho | h1 => sB => A\nh1 => sB => A | echo"; got != want {
			t.Errorf("delivered\n%s\nwant\n%s", got, want)
		}
		if want := "A | h1 => echo | "; onWire != want {
			t.Errorf("back on the wire: %s, want %s", onWire, want)
		}

		// The requester's side.
		a := tunnel.NewRouter()
		q := connect(t, a, nil, transporttest.PipeOptions{})
		var delivered string
		handle(t, a, "A", tunnel.HandlerFunc(func(m *tunnel.Message) error {
			delivered = showRoutes(m.Onward, m.Return)
			if m.Origin != q.link.Origin() {
				t.Error("a message without its origin")
			}
			m.Release()
			return nil
		}), q.link.Origin())
		m := tunnel.NewMessage()
		m.Onward, m.Return = route(q.link.Address().Name, "h1", "echo"), route("A")
		if err := a.Send(m); err != nil {
			t.Fatal(err)
		}
		if got, want := show(t, q.sent()), "h1 => echo | A | "; got != want {
			t.Errorf("on the wire: %s, want %s", got, want)
		}
		q.send([]string{"A"}, []string{"h1", "echo"}, nil)
		synctest.Wait()
		if want := " | " + q.link.Address().Name + " => h1 => echo"; delivered != want {
			t.Errorf("delivered: %s, want %s", delivered, want)
		}
	})
}

// TestProbes sends what an independent client sent to the reference's listener
// and wants the recorded answer and fate of the connection.
func TestProbes(t *testing.T) {
	b, err := os.ReadFile("wire/testdata/tcp-frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Probes []struct {
			Name, Sent, Connection, Reply string
			Answers                       bool `json:"connection_answers_echo_afterwards"`
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, probe := range v.Probes {
		if probe.Sent == "" || strings.Contains(probe.Name, "nodemanager GET") {
			continue
		}
		seen++
		t.Run(probe.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, group := tunnel.NewRouter(), &tunnel.Group{}
				services(t, r, group)
				p := connect(t, r, group, transporttest.PipeOptions{})
				p.write(unhex(t, probe.Sent))
				if got := p.sent(); !bytes.Equal(got, unhex(t, probe.Reply)) {
					t.Errorf("answer\n got %x\nwant %s", got, probe.Reply)
				}
				if got, want := p.open(), probe.Connection == "stays open"; got != want {
					t.Fatalf("open: %v, want %v", got, want)
				}
				if !probe.Answers {
					return
				}
				p.send([]string{"echo"}, []string{"me"}, []byte("after"))
				if got := show(t, p.sent()); got != "me | echo | after" {
					t.Errorf("afterwards echo answered %s", got)
				}
			})
		})
	}
	if seen < 50 {
		t.Errorf("only %d probes", seen)
	}
}

// TestFlowControl: nothing is reachable until it is opened, to one link or to all
// of a listener, and a worker's answer is let in by what the worker opened.
func TestFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		p := connect(t, r, group, transporttest.PipeOptions{})
		q := connect(t, r, group, transporttest.PipeOptions{})
		dialed := connect(t, r, nil, transporttest.PipeOptions{})
		all := []*peer{p, q, dialed}
		echo := handle(t, r, "echo", service.Echo{Router: r, Self: tunnel.LocalAddress("echo")})
		reached := func() (out []bool) {
			for _, p := range all {
				p.send([]string{"echo"}, []string{"me"}, nil)
				out = append(out, p.sent() != nil)
			}
			return out
		}
		want := func(what string, want ...bool) {
			t.Helper()
			if got := reached(); !slices.Equal(got, want) {
				t.Errorf("%s: reached from %v, want %v", what, got, want)
			}
		}
		want("nothing opened", false, false, false)
		if n := r.Dropped(); n != 3 {
			t.Errorf("%d dropped, want 3", n)
		}
		echo.Open(q.link.Origin())
		want("opened to one link", false, true, false)
		echo.Open(group)
		echo.Open(group)
		want("opened to the listener", true, true, false)
		if n := len(echo.Sources()); n != 2 {
			t.Errorf("open to %d sources, want 2", n)
		}
		all = append(all, connect(t, r, group, transporttest.PipeOptions{}))
		want("a later connection", true, true, false, true)
		echo.Close()
		want("closed", false, false, false, false)
		for i, p := range all {
			if !p.open() {
				t.Errorf("link %d was closed", i)
			}
		}
	})
}

// TestForeignAddresses: addresses of other types than 0 are unknown, whatever
// their name is.
func TestForeignAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		p := connect(t, r, group, transporttest.PipeOptions{})
		for _, first := range []string{"1#127.0.0.1:9", "2#127.0.0.1:9", "3#127.0.0.1:9", "5#/tmp/x", "77#echo", "1#echo"} {
			p.send([]string{first, "echo"}, []string{"me"}, nil)
			p.send([]string{"h1", first, "echo"}, []string{"me"}, nil)
			if b := p.sent(); b != nil {
				t.Errorf("%s: answered %s", first, show(t, b))
			}
		}
		if !p.open() {
			t.Error("the link was closed")
		}
	})
}

// TestForgedReturnRoute: an answer leaves over the link that brought the
// question, wherever its return route points.
func TestForgedReturnRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		handle(t, r, "_internal.nodemanager", tunnel.HandlerFunc(func(m *tunnel.Message) error {
			t.Error("reached by a forged return route")
			m.Release()
			return nil
		}))
		p := connect(t, r, group, transporttest.PipeOptions{})
		other := connect(t, r, group, transporttest.PipeOptions{})
		for _, ret := range []string{"_internal.nodemanager", "echo", other.link.Address().Name, p.link.Address().Name} {
			p.send([]string{"echo"}, []string{ret}, []byte("x"))
			if got, want := show(t, p.sent()), ret+" | echo | x"; got != want {
				t.Errorf("%s: got %s", ret, got)
			}
		}
		// Nor does a link's address open anything by itself.
		p.send([]string{other.link.Address().Name, "x"}, []string{"me"}, nil)
		if b := other.sent(); b != nil {
			t.Errorf("sent on to another link: %s", show(t, b))
		}
	})
}

// TestUnsolicited: the answer to a request gets in, what nobody asked for does not.
func TestUnsolicited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tunnel.NewRouter()
		p := connect(t, r, nil, transporttest.PipeOptions{})
		q := connect(t, r, nil, transporttest.PipeOptions{})
		got := 0
		count := tunnel.HandlerFunc(func(m *tunnel.Message) error {
			got++
			m.Release()
			return nil
		})
		handle(t, r, "mine", count, p.link.Origin())
		handle(t, r, "other", count)
		for _, p := range []*peer{p, q} {
			p.send([]string{"mine"}, []string{"x"}, nil)
			p.send([]string{"other"}, []string{"x"}, nil)
		}
		synctest.Wait()
		if got != 1 || r.Dropped() != 3 {
			t.Errorf("%d delivered and %d dropped, want 1 and 3", got, r.Dropped())
		}
	})
}

func TestLargestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		p := connect(t, r, group, transporttest.PipeOptions{})
		head := frame(t, []string{"echo"}, []string{"a"}, make([]byte, 1<<17))
		payload := make([]byte, transports.MaxFrame-(len(head)-4-1<<17))
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		whole := frame(t, []string{"echo"}, []string{"a"}, payload)
		if len(whole) != 4+transports.MaxFrame {
			t.Fatalf("%d bytes", len(whole))
		}
		go p.write(whole)
		if got := p.receive(); !bytes.Equal(got, frame(t, []string{"a"}, []string{"echo"}, payload)) {
			t.Errorf("%d bytes came back, or others", len(got))
		}
		// One more cannot be sent.
		m := tunnel.NewMessage()
		m.Onward, m.Return, m.Payload = route("a"), route("echo"), append(payload, 1)
		if err := p.link.Send(m); !errors.Is(err, tunnel.ErrTooLarge) {
			t.Errorf("a frame of %d bytes: %v", len(whole)+1, err)
		}
		m.Release()
		if !p.open() {
			t.Fatal("closed")
		}
		p.write([]byte{1, 0, 0, 1})
		if p.open() {
			t.Error("a frame of 16777217 bytes did not close the link")
		}
		if err := <-p.done; !errors.Is(err, transports.ErrFrameTooLarge) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// TestFramesInPieces delivers frames byte by byte, and answers too.
func TestFramesInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		p := connect(t, r, group, transporttest.PipeOptions{MaxRead: 1, MaxWrite: 1, Buffer: 100})
		big := bytes.Repeat([]byte("0123456789"), 3000)
		go func() {
			p.send([]string{"echo"}, []string{"a"}, []byte("one"))
			p.send([]string{"echo"}, []string{"b"}, big)
			p.send([]string{"echo"}, []string{"c"}, []byte("three"))
		}()
		for _, want := range []string{"a | echo | one", "b | echo | " + string(big), "c | echo | three"} {
			if got := show(t, p.receive()); got != want {
				t.Errorf("got %.40s", got)
			}
		}
	})
}

// TestDisconnect: afterwards the link's address is unknown, and who depends on
// it has been told why.
func TestDisconnect(t *testing.T) {
	for _, tt := range []struct {
		name  string
		end   func(*peer)
		serve error // what Serve returns; nil also for: this side closed
	}{
		{"by the peer", func(p *peer) { _ = p.conn.Close() }, tunnel.ErrPeerClosed},
		{"within a frame", func(p *peer) { p.write([]byte{0, 0, 1}); _ = p.conn.Close() }, io.ErrUnexpectedEOF},
		{"by garbage", func(p *peer) { p.write([]byte{0, 0, 0, 1, 0xff}) }, wire.ErrMalformed},
		{"by this side", func(p *peer) { p.link.Close() }, nil},
		{"twice", func(p *peer) { p.link.Close(); p.link.Close() }, nil},
		{"write fails", func(p *peer) {
			p.near.FailWrites(errLost)
			m := tunnel.NewMessage()
			m.Onward = route("x")
			_ = p.link.Send(m)
			m.Release()
		}, errLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := tunnel.NewRouter()
				p := connect(t, r, nil, transporttest.PipeOptions{})
				told := &dependent{}
				if err := p.link.Origin().Attach(told); err != nil {
					t.Fatal(err)
				}
				tt.end(p)
				synctest.Wait()
				if err := <-p.done; !errors.Is(err, tt.serve) || tt.serve == nil && err != nil {
					t.Errorf("Serve: %v, want %v", err, tt.serve)
				}
				if len(told.errs) != 1 || told.errs[0] == nil || p.link.Origin().Err() == nil {
					t.Errorf("told %v", told.errs)
				}
				m := tunnel.NewMessage()
				m.Onward = route(p.link.Address().Name, "x")
				if err := r.Send(m); !errors.Is(err, tunnel.ErrNoRoute) {
					t.Errorf("Send to its address: %v", err)
				}
				m = tunnel.NewMessage()
				m.Onward = route("x")
				if err := p.link.Send(m); err == nil {
					t.Error("Send over it succeeds")
				}
				m.Release()
			})
		})
	}
}

// A dependent notes what it is told.
type dependent struct{ errs []error }

func (d *dependent) OriginEnded(err error) { d.errs = append(d.errs, err) }

// TestCloseBeforeServe: a link that was never served ends as well.
func TestCloseBeforeServe(t *testing.T) {
	r := tunnel.NewRouter()
	_, near := transporttest.Pipe(transporttest.PipeOptions{})
	l := newLink(t, r, near, nil)
	l.Close()
	if err := l.Origin().Err(); !errors.Is(err, tunnel.ErrClosed) {
		t.Errorf("Err: %v", err)
	}
	if err := l.Serve(t.Context()); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

// TestSlowPeer: a peer that asks and does not read blocks itself only. Nothing
// is lost when it reads again.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		slow := connect(t, r, group, transporttest.PipeOptions{})
		other := connect(t, r, group, transporttest.PipeOptions{})
		const count, size = 400, 10_000 // 4 MB: more than pipes and queue hold
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			for i := range count {
				slow.send([]string{"echo"}, []string{"me"}, bytes.Repeat([]byte{byte(i)}, size))
			}
		}()
		synctest.Wait()
		select {
		case <-wrote:
			t.Error("everything was taken from a peer that reads nothing")
		default:
		}
		other.send([]string{"echo"}, []string{"me"}, []byte("x"))
		if got := show(t, other.sent()); got != "me | echo | x" {
			t.Errorf("meanwhile another got %s", got)
		}
		time.Sleep(transports.StallTimeout - time.Second)
		for i := range count {
			h, err := wire.ParseMessage(slow.receive()[4:])
			if err != nil || !bytes.Equal(h.Payload, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("answer %d: %d bytes, %v", i, len(h.Payload), err)
			}
		}
		<-wrote
	})
}

// TestManyHopsClose: a frame of a million hops closes the link it came over.
func TestManyHopsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, group := tunnel.NewRouter(), &tunnel.Group{}
		services(t, r, group)
		p := connect(t, r, group, transporttest.PipeOptions{Buffer: 8 << 20})
		body := append([]byte{0x83, 0x9a, 0, 0x0f, 0x42, 0x40}, bytes.Repeat([]byte{0x82, 0, 0x42, 'h', '1'}, 1_000_000)...)
		body = append(body, 0x80, 0x40)
		p.write(append(length(len(body)), body...))
		if p.open() {
			t.Error("still open")
		}
		if err := <-p.done; !errors.Is(err, wire.ErrTooManyHops) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// TestTooManyHopsOut: a route that the far node would refuse is not sent.
func TestTooManyHopsOut(t *testing.T) {
	r := tunnel.NewRouter()
	_, near := transporttest.Pipe(transporttest.PipeOptions{})
	l := newLink(t, r, near, nil)
	defer l.Close()
	long := route(slices.Repeat([]string{"h"}, wire.MaxHops+1)...)
	for _, m := range []*tunnel.Message{{Onward: long}, {Onward: route("x"), Return: long}, {Onward: long, Payload: make([]byte, 1<<17)}} {
		if err := l.Send(m); !errors.Is(err, wire.ErrTooManyHops) {
			t.Errorf("Send: %v", err)
		}
	}
	if n, _ := near.Written(); n != 0 {
		t.Errorf("%d bytes were written", n)
	}
}
