package control_test

import (
	"context"
	"testing"

	"ockam/proxy/control"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/api"
)

// join links two routers and returns the end of the link at a; what comes to b
// is of the group.
func join(t testing.TB, a, b *tunnel.Router, group *tunnel.Group) *tunnel.Link {
	t.Helper()
	left, right := transporttest.Pipe(transporttest.PipeOptions{})
	linkA, err := tunnel.NewLink(a, left.Link(), transporttest.Traits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	linkB, err := tunnel.NewLink(b, right.Link(), transporttest.Traits(), group)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	for _, l := range []*tunnel.Link{linkA, linkB} {
		go func() {
			_ = l.Serve(context.Background())
			done <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		linkA.Close()
		linkB.Close()
		<-done
		<-done
	})
	return linkA
}

// serve runs a server for the node on a router, and returns a client of it on
// another router.
func serve(t testing.TB, s *api.Server) *control.Client {
	t.Helper()
	s.Router = tunnel.NewRouter()
	group := &tunnel.Group{Name: "test"}
	_, err := s.Router.Handle(tunnel.LocalAddress(control.Address), s, tunnel.Access{Open: []tunnel.Source{group}})
	if err != nil {
		t.Fatal(err)
	}
	router := tunnel.NewRouter()
	link := join(t, router, s.Router, group)
	t.Cleanup(s.Close)
	return &control.Client{Router: router, Path: link}
}

// A hand answers requests at Address as it is told.
type hand struct {
	router *tunnel.Router
	answer func(payload []byte) (answer []byte)
}

func (h *hand) HandleMessage(m *tunnel.Message) error {
	a := tunnel.NewMessage()
	a.Onward, a.Return = m.Return.Clone(), tunnel.NewRoute(tunnel.LocalAddress(control.Address))
	a.Payload = h.answer(append([]byte(nil), m.Payload...))
	m.Release()
	if a.Payload == nil {
		a.Release()
		return nil
	}
	return h.router.Send(a)
}

// byHand returns a client of a node that answers as it is told.
func byHand(t testing.TB, answer func([]byte) []byte) *control.Client {
	t.Helper()
	h := &hand{router: tunnel.NewRouter(), answer: answer}
	group := &tunnel.Group{Name: "test"}
	_, err := h.router.Handle(tunnel.LocalAddress(control.Address), h, tunnel.Access{Open: []tunnel.Source{group}})
	if err != nil {
		t.Fatal(err)
	}
	router := tunnel.NewRouter()
	link := join(t, router, h.router, group)
	return &control.Client{Router: router, Path: link}
}

// ask sends raw bytes to the worker at Address and returns where the raw answers
// come.
func ask(t testing.TB, c *control.Client, payload []byte) <-chan []byte {
	t.Helper()
	answers := make(chan []byte, 16)
	reg, err := c.Router.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		answers <- append([]byte(nil), m.Payload...)
		m.Release()
		return nil
	}), tunnel.Access{Open: []tunnel.Source{c.Path.Origin()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	m := tunnel.NewMessage()
	defer m.Release()
	m.Onward = tunnel.NewRoute(tunnel.LocalAddress(control.Address))
	m.Return = tunnel.NewRoute(reg.Address())
	m.Payload = payload
	if err := c.Path.Send(m); err != nil {
		t.Fatal(err)
	}
	return answers
}
