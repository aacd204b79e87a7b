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

// pinging starts a pinger over the link of p and returns its outcome.
func pinging(ctx context.Context, r *tunnel.Router, p *peer) (*tunnel.Pinger, chan error) {
	done := make(chan error, 1)
	pinger := &tunnel.Pinger{Router: r, Path: p.link, Route: route("echo")}
	go func() { done <- pinger.Run(ctx) }()
	return pinger, done
}

// ping takes the next ping, which must be a CBOR integer in shortest form for
// echo, and returns where its answer goes and its body.
func ping(t *testing.T, p *peer) (ret string, body []byte) {
	t.Helper()
	b := p.sent()
	if b == nil {
		t.Fatal("no ping")
	}
	h, err := wire.ParseMessage(b[4:])
	if err != nil {
		t.Fatal(err)
	}
	n, rest, err := wire.ParseUint(h.Payload, 1<<64-1)
	if err != nil || len(rest) > 0 || string(wire.AppendUint(nil, n)) != string(h.Payload) {
		t.Errorf("ping %x: %v", h.Payload, err)
	}
	if !h.Onward.Equal(route("echo")) || h.Return.Len() != 1 {
		t.Errorf("ping to %v from %v", h.Onward, h.Return)
	}
	return h.Return.Addresses()[0].Name, h.Payload
}

func TestPingerSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tunnel.NewRouter()
		p, other := connect(t, r, nil, transporttest.PipeOptions{}), connect(t, r, nil, transporttest.PipeOptions{})
		start := time.Now()
		_, done := pinging(t.Context(), r, p)
		var ret string
		for i := range 20 { // answered one by one
			var body []byte
			ret, body = ping(t, p)
			if at := time.Since(start); at != time.Duration(i)*tunnel.PingInterval {
				t.Errorf("ping %d after %v", i, at)
			}
			p.send([]string{ret}, []string{"echo"}, body)
			time.Sleep(tunnel.PingInterval)
		}
		// Two are lost; the answer to the first of them counts for both.
		_, first := ping(t, p)
		time.Sleep(tunnel.PingInterval)
		ping(t, p)
		p.send([]string{ret}, []string{"echo"}, first)
		time.Sleep(tunnel.PingInterval)
		// Then the peer is silent: wrong bodies and other links do not count.
		silent := time.Now()
		for range 3 {
			_, body := ping(t, p)
			p.send([]string{ret}, []string{"echo"}, append(body, 0))
			p.send([]string{ret}, []string{"echo"}, nil)
			p.send([]string{ret}, []string{"echo"}, first)
			other.send([]string{ret}, []string{"echo"}, body)
			m := message(ret)
			m.Payload = body
			if err := r.Send(m); !errors.Is(err, tunnel.ErrNotOpen) {
				t.Errorf("a worker of the node answered: %v", err)
			}
			time.Sleep(tunnel.PingInterval)
		}
		synctest.Wait()
		select {
		case err := <-done:
			if d := time.Since(silent); !errors.Is(err, tunnel.ErrPeerSilent) || d != 3*tunnel.PingInterval {
				t.Errorf("%v after %v", err, d)
			}
		default:
			t.Fatal("silence was not noticed")
		}
		if p.sent() != nil {
			t.Error("a ping too many")
		}
		if err := r.Send(message(ret)); !errors.Is(err, tunnel.ErrNoRoute) {
			t.Errorf("its address is left: %v", err)
		}
	})
}

func TestPingerEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*peer, context.CancelFunc)
		want error
	}{
		{"context", func(_ *peer, cancel context.CancelFunc) { cancel() }, nil},
		{"path lost", func(p *peer, _ context.CancelFunc) { p.link.Origin().End(errLost) }, errLost},
		{"closed", func(p *peer, _ context.CancelFunc) { p.link.Close() }, tunnel.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := tunnel.NewRouter()
				p := connect(t, r, nil, transporttest.PipeOptions{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				pinger, done := pinging(ctx, r, p)
				ping(t, p)
				start := time.Now()
				tt.end(p, cancel)
				if err := <-done; !errors.Is(err, tt.want) || time.Since(start) != 0 {
					t.Errorf("%v after %v, want %v at once", err, time.Since(start), tt.want)
				}
				if tt.want != nil {
					if err := pinger.Run(t.Context()); err == nil {
						t.Error("runs again over a lost path")
					}
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	var b tunnel.Backoff
	for round := range 100 {
		high := 250 * time.Millisecond
		for i := range 40 {
			d := b.Next()
			if low := high * 2 / 5; d < low || d >= high {
				t.Fatalf("round %d, wait %d is %v, want %v to %v", round, i, d, low, high)
			}
			most := 1500 * time.Millisecond // as long as tries are few
			if i >= 24 {
				most = 10 * time.Second
			}
			high = min(2*high, most)
		}
		b.Reset()
	}
	seen := map[time.Duration]bool{}
	for range 20 {
		seen[b.Next()] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 waits take %d values: no jitter", len(seen))
	}
}

func TestBackoffWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b tunnel.Backoff
		start := time.Now()
		if !b.Wait(t.Context()) || time.Since(start) < 100*time.Millisecond {
			t.Errorf("waited %v", time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		start = time.Now()
		if b.Wait(ctx) || time.Since(start) != time.Millisecond {
			t.Errorf("waited %v after the context ended", time.Since(start))
		}
	})
}
