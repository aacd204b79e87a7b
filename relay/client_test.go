package relay_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ockam/relay"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// An outcome is what Register returned.
type outcome struct {
	reg *relay.Registration
	err error
}

// client starts to register over the link of p, the hub, and returns where the
// outcome will be and what was sent.
func (n *node) client(c relay.Client, p *peer) (done chan outcome, sent []byte) {
	c.Router, c.Path = n.router, p.link
	done = make(chan outcome, 1)
	go func() {
		r, err := c.Register(n.t.Context())
		done <- outcome{r, err}
	}()
	return done, p.next()
}

// uppercase opens echo and uppercase to the hub, as the reference does.
func (n *node) openServices(p *peer) {
	n.handle("uppercase", service.Uppercase{Router: n.router, Self: tunnel.LocalAddress("uppercase")}, p.link.Origin())
	n.handle("echo", service.Echo{Router: n.router, Self: tunnel.LocalAddress("echo")}, p.link.Origin())
	n.handle("outlet", tunnel.HandlerFunc(func(m *tunnel.Message) error {
		n.t.Error("a message reached what is not open to the relay")
		m.Release()
		return nil
	}))
}

// registrar returns the random address from which a client registered.
func registrar(t *testing.T, frame []byte) string {
	t.Helper()
	_, ret := routes(t, frame)
	return name(ret)
}

func routes(t *testing.T, frame []byte) (onward, ret string) {
	t.Helper()
	if len(frame) < 4 {
		t.Fatal("nothing was sent")
	}
	h, err := wire.ParseMessage(frame[4:])
	if err != nil {
		t.Fatalf("%v: %x", err, frame)
	}
	return h.Onward.String(), h.Return.String()
}

func TestClientWorkedExample(t *testing.T) {
	for _, elixir := range []bool{false, true} {
		name := "Rust"
		if elixir {
			name = "Elixir"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				hub := n.connect(nil)
				n.openServices(hub)
				done, sent := n.client(relay.Client{Name: "n3"}, hub)
				rr := registrar(t, sent)
				wantFrame(t, "registration", sent, replace(traced(t, exRegister), exRR, rr))

				forwarded, ack := exForward, replace(traced(t, exAck), exRR, rr)
				if elixir {
					forwarded = exElixir
					ack = frame(t, []string{rr}, []string{"forward_to_n3"}, bare("n3"))
				}
				hub.send(ack)
				synctest.Wait()
				got := <-done
				if got.err != nil || got.reg.Address() != tunnel.LocalAddress("forward_to_n3") {
					t.Fatalf("registered %v, %v", got.reg, got.err)
				}
				hub.send(replace(traced(t, forwarded), exRR, rr))
				wantFrame(t, "answer", hub.next(), traced(t, exReply))
			})
		})
	}
}

// TestClientRecorded replays what an independent hub sent to the reference's
// client.
func TestClientRecorded(t *testing.T) {
	rec := loadRecording(t).Hub
	was := name(rec[0].Decoded.Return[0])
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		hub := n.connect(nil)
		n.openServices(hub)
		n.handle("_internal.nodemanager", tunnel.HandlerFunc(func(m *tunnel.Message) error {
			t.Error("a message reached the node manager")
			m.Release()
			return nil
		}))
		done, sent := n.client(relay.Client{Name: "e1"}, hub)
		rr := registrar(t, sent)
		wantFrame(t, "registration", sent, replace(unhex(t, rec[0].Hex), was, rr))
		var answers [][]byte
		for _, r := range rec[1:] {
			b := replace(unhex(t, r.Hex), was, rr)
			if r.Direction == "hub to client" {
				hub.send(b)
				if b := hub.next(); b != nil {
					answers = append(answers, b)
				}
				continue
			}
			if len(answers) == 0 {
				t.Fatalf("the client did not send %x", b)
			}
			wantFrame(t, r.Name, answers[0], b)
			answers = answers[1:]
		}
		if len(answers) > 0 {
			t.Errorf("the client sent more: %x", answers)
		}
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestClientAcknowledgement(t *testing.T) {
	for _, tt := range []struct {
		name    string
		asked   string
		ret     []string
		payload []byte
		want    string // the relay's address; empty: ignored
	}{
		{"Rust", "n3", []string{"forward_to_n3"}, bare("forward_to_n3"), "forward_to_n3"},
		{"Elixir", "n3", []string{"forward_to_n3"}, bare("n3"), "forward_to_n3"},
		{"other prefix", "v1", []string{"weird"}, bare("something_v1"), "weird"},
		{"bytes behind it", "n3", []string{"forward_to_n3"}, append(bare("n3"), 1, 2), "forward_to_n3"},
		{"the last of two", "n3", []string{"a", "b"}, bare("n3"), "b"},
		{"random name", relay.Ephemeral, []string{"forward_to_0123"}, bare("forward_to_0123"), "forward_to_0123"},
		{"random name, echoed", relay.Ephemeral, []string{"FWD_1"}, bare("register"), "FWD_1"},
		{"another name", "v3", []string{"forward_to_v3"}, bare("other"), ""},
		{"another type", "n3", []string{"1#forward_to_n3"}, bare("n3"), ""},
		{"no address", "n3", nil, bare("n3"), ""},
		{"cut short", "n3", []string{"forward_to_n3"}, []byte{3, 'n', '3'}, ""},
		{"not UTF-8", "n3", []string{"forward_to_n3"}, []byte{3, 0xff, 'n', '3'}, ""},
		{"empty", "n3", []string{"forward_to_n3"}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				hub := n.connect(nil)
				done, sent := n.client(relay.Client{Name: tt.asked}, hub)
				hub.send(frame(t, []string{registrar(t, sent)}, tt.ret, tt.payload))
				got := <-done
				if tt.want == "" {
					if !errors.Is(got.err, relay.ErrNoAnswer) {
						t.Errorf("%v, %v", got.reg, got.err)
					}
					return
				}
				if got.err != nil || got.reg.Address() != tunnel.LocalAddress(tt.want) {
					t.Fatalf("%v, %v", got.reg, got.err)
				}
				hub.send(frame(t, []string{registrar(t, sent)}, []string{"later"}, bare(tt.asked)))
				synctest.Wait()
				if got.reg.Address() != tunnel.LocalAddress(tt.want) {
					t.Errorf("a later acknowledgement changed the address to %v", got.reg.Address())
				}
			})
		})
	}
}

// TestClientStranger: only the relay's link may acknowledge.
func TestClientStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		hub, stranger := n.connect(nil), n.peer()
		done, sent := n.client(relay.Client{Name: "n3"}, hub)
		rr := registrar(t, sent)
		stranger.send(frame(t, []string{rr}, []string{"forward_to_n3"}, bare("n3")))
		m := tunnel.NewMessage() // and a worker of the node
		m.Onward, m.Return, m.Payload = route(t, []string{rr}), route(t, []string{"x", "y"}), bare("n3")
		if err := n.router.Send(m); !errors.Is(err, tunnel.ErrNotOpen) {
			t.Errorf("a worker of the node acknowledged: %v", err)
		}
		if got := <-done; !errors.Is(got.err, relay.ErrNoAnswer) {
			t.Errorf("%v, %v", got.reg, got.err)
		}
	})
}

func TestClientFails(t *testing.T) {
	lost := errors.New("lost")
	for _, tt := range []struct {
		name   string
		during func(p *peer, cancel func())
		want   error
		after  time.Duration
	}{
		{"no answer", func(*peer, func()) {}, relay.ErrNoAnswer, relay.AckTimeout},
		{"path lost", func(p *peer, _ func()) { p.link.Origin().End(lost) }, lost, 0},
		{"context ends", func(_ *peer, cancel func()) { cancel() }, context.Canceled, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				hub := n.connect(nil)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				done := make(chan error)
				go func() {
					_, err := relay.Client{Router: n.router, Path: hub.link, Name: "n3"}.Register(ctx)
					done <- err
				}()
				sent := hub.next()
				tt.during(hub, cancel)
				if err := <-done; !errors.Is(err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(start), tt.want, tt.after)
				}
				hub.send(frame(t, []string{registrar(t, sent)}, []string{"forward_to_n3"}, bare("n3")))
				synctest.Wait()
				if n.router.Dropped() != 1 {
					t.Error("the registrar is still there")
				}
			})
		})
	}
	t.Run("path is lost already", func(t *testing.T) {
		n := newNode(t)
		c := n.channel("")
		c.origin.End(lost)
		if _, err := (relay.Client{Router: n.router, Path: c, Name: "n3"}).Register(t.Context()); !errors.Is(err, lost) {
			t.Error(err)
		}
	})
}

func TestRegistrationEnds(t *testing.T) {
	lost := errors.New("lost")
	for _, tt := range []struct {
		name string
		end  func(*relay.Registration, *peer)
		want error
	}{
		{"closed", func(r *relay.Registration, _ *peer) { r.Close() }, tunnel.ErrClosed},
		{"closed twice", func(r *relay.Registration, _ *peer) { r.Close(); r.Close() }, tunnel.ErrClosed},
		{"path lost", func(_ *relay.Registration, p *peer) { p.link.Origin().End(lost) }, lost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				hub := n.connect(nil)
				n.openServices(hub)
				done, sent := n.client(relay.Client{Name: "n3"}, hub)
				rr := registrar(t, sent)
				hub.send(frame(t, []string{rr}, []string{"forward_to_n3"}, bare("n3")))
				r := (<-done).reg
				if r.Err() != nil {
					t.Error(r.Err())
				}
				tt.end(r, hub)
				<-r.Done()
				if err := r.Err(); !errors.Is(err, tt.want) {
					t.Errorf("Err() is %v, want %v", err, tt.want)
				}
				if b := hub.sendHex(""); b != nil {
					t.Errorf("sent %x", b)
				}
				hub.send(frame(t, []string{rr, "echo"}, []string{"c"}, nil))
				if b := hub.next(); b != nil {
					t.Errorf("a message got through the registrar: %x", b)
				}
			})
		})
	}
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		hub := n.connect(nil)
		done, sent := n.client(relay.Client{Name: "n3", Via: tunnel.NewRoute(tunnel.LocalAddress("via"))}, hub)
		onward, ret := routes(t, sent)
		if onward != "0#via => 0#static_forwarding_service" {
			t.Errorf("registration goes to %v", onward)
		}
		rr := name(ret)
		hub.send(frame(t, []string{rr}, []string{"forward_to_n3"}, bare("n3")))
		r := (<-done).reg
		silent := make(chan error)
		start := time.Now()
		go func() { silent <- r.KeepAlive(t.Context()) }()
		for range 3 {
			if onward, _ := routes(t, hub.next()); onward != "0#via => 0#echo" {
				t.Errorf("ping goes to %v", onward)
			}
			time.Sleep(tunnel.PingInterval)
		}
		if err := <-silent; !errors.Is(err, tunnel.ErrPeerSilent) || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestBothEnds registers our client at our hub and sends through it.
func TestBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, outlet := newNode(t), newNode(t)
		hub.hub(&relay.Server{})
		a, b := transporttest.Pipe(transporttest.PipeOptions{})
		near := serve(t, outlet.router, a, nil)
		serve(t, hub.router, b, hub.group)
		outlet.handle("uppercase", service.Uppercase{Router: outlet.router, Self: tunnel.LocalAddress("uppercase")}, near.Origin())

		r, err := relay.Client{Router: outlet.router, Path: near, Name: "n3"}.Register(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		alive := make(chan error)
		go func() { alive <- r.KeepAlive(ctx) }()
		time.Sleep(time.Hour)
		p := hub.peer()
		p.send(traced(t, exHello))
		if got := p.next(); got == nil {
			t.Error("no answer through the relay")
		}
		cancel()
		if err := <-alive; err != nil {
			t.Errorf("KeepAlive: %v", err)
		}
	})
}

func serve(t *testing.T, r *tunnel.Router, c *transporttest.PipeConn, g *tunnel.Group) *tunnel.Link {
	t.Helper()
	l, err := tunnel.NewLink(r, c.Link(), transporttest.Traits(), g)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.Serve(t.Context())
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l
}
