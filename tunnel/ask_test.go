package tunnel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// TestAsk asks over one of two links: only the answer of that link counts.
func TestAsk(t *testing.T) {
	ask := func(t *testing.T, f func(r *tunnel.Router, p, other *peer, ret string)) (answer string, err error) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			r := tunnel.NewRouter()
			p, other := connect(t, r, nil, transporttest.PipeOptions{}), connect(t, r, nil, transporttest.PipeOptions{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				var b []byte
				b, err = tunnel.Ask(ctx, r, p.link, route("service"), []byte("question"))
				answer = string(b)
			}()
			h, perr := wire.ParseMessage(p.sent()[4:])
			if perr != nil || !h.Onward.Equal(route("service")) || string(h.Payload) != "question" {
				t.Errorf("sent %v %q, %v", h.Onward, h.Payload, perr)
			}
			f(r, p, other, h.Return.Addresses()[0].Name)
			<-done
		})
		return answer, err
	}
	t.Run("answer", func(t *testing.T) {
		got, err := ask(t, func(r *tunnel.Router, p, other *peer, ret string) {
			other.send([]string{ret}, nil, []byte("of somebody else"))
			m := tunnel.NewMessage()
			m.Onward, m.Payload = route(ret), []byte("of this node")
			if err := r.Send(m); !errors.Is(err, tunnel.ErrNotOpen) {
				t.Errorf("an answer of this node: %v", err)
			}
			synctest.Wait()
			p.send([]string{ret}, nil, []byte("first"))
			p.send([]string{ret}, nil, []byte("second"))
		})
		if got != "first" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("lost", func(t *testing.T) {
		_, err := ask(t, func(_ *tunnel.Router, p, _ *peer, _ string) { _ = p.conn.Close() })
		if !errors.Is(err, tunnel.ErrPeerClosed) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		_, err := ask(t, func(*tunnel.Router, *peer, *peer, string) {})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// TestAskHere asks a worker of the same node, and one that is not there.
func TestAskHere(t *testing.T) {
	r := tunnel.NewRouter()
	if _, err := r.Handle(tunnel.LocalAddress("echo"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		m.Onward, m.Return = m.Return, tunnel.Route{}
		return r.Send(m)
	}), tunnel.Access{}); err != nil {
		t.Fatal(err)
	}
	b, err := tunnel.Ask(t.Context(), r, nil, route("echo"), []byte("hello"))
	if string(b) != "hello" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := tunnel.Ask(t.Context(), r, nil, route("nobody"), nil); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("asking nobody: %v", err)
	}
}
