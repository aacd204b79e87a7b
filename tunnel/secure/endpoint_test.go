package secure

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ockam/tunnel"
)

func message(payload, ret int) *tunnel.Message {
	m := tunnel.NewMessage()
	m.Payload = make([]byte, payload)
	m.Return = tunnel.NewRoute(tunnel.LocalAddress(string(make([]byte, ret))))
	return m
}

// TestEndpointLimits sends to an endpoint whose handshake does not go on.
func TestEndpointLimits(t *testing.T) {
	for _, tt := range []struct {
		name               string
		payload, ret, most int // how many may wait
	}{
		{"largest handshake messages", maxHandshakeMessage, 32, maxWaiting / (maxHandshakeMessage + messageAtLeast + 32)},
		{"empty", 0, 0, maxWaiting / messageAtLeast},
		{"longest routes", 0, maxRoute - 10, maxWaiting / (maxRoute + messageAtLeast - 10)},
		{"frames", 5 * maxHandshakeMessage, 0, 3},
		{"a frame that is too large to wait", maxWaiting, 0, 0},
		{"too long a route", 0, maxRoute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the pause takes no time
				var all atomic.Int64
				e, other := newEndpoint(&all), newEndpoint(&all)
				n := 0
				for ; n < 10000; n++ {
					if err := e.HandleMessage(message(tt.payload, tt.ret)); err != nil {
						if !errors.Is(err, ErrBusy) {
							t.Error(err)
						}
						break
					}
				}
				if n > tt.most || n < tt.most*9/10 {
					t.Errorf("%d messages wait, want about %d", n, tt.most)
				}
				if all.Load() != int64(e.bytes) || e.bytes > maxWaiting {
					t.Errorf("%d bytes wait, %d in all", e.bytes, all.Load())
				}
				all.Add(maxWaitingAll) // others hold all that there is
				if err := other.HandleMessage(message(100, 10)); err != nil {
					t.Errorf("the first message of another: %v", err)
				}
				began := time.Now()
				if err := other.HandleMessage(message(100, 10)); err == nil {
					t.Error("more than the first message of another")
				}
				if d := time.Since(began); d != maxPause {
					t.Errorf("dropped after %v, want %v", d, maxPause)
				}
				if err := other.HandleMessage(message(100, 10)); err == nil || time.Since(began) != maxPause {
					t.Error("a second pause, or none needed")
				}
				all.Add(-maxWaitingAll)
				e.abandon()
				other.abandon()
				if all.Load() != 0 {
					t.Errorf("%d bytes wait for nothing", all.Load())
				}
				if e.HandleMessage(message(1, 1)) == nil {
					t.Error("an abandoned endpoint takes messages")
				}
			})
		})
	}
}

// TestEndpointPause has the pause end because there is room, and because the
// handshake is given up.
func TestEndpointPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all atomic.Int64
		e := newEndpoint(&all)
		for e.bytes < maxWaiting-maxHandshakeMessage {
			if err := e.HandleMessage(message(maxHandshakeMessage-messageAtLeast-100, 10)); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		send := func() { done <- e.HandleMessage(message(maxHandshakeMessage, 10)) }
		go send()
		synctest.Wait()
		m := e.first()
		m.Release()
		if err := <-done; err != nil {
			t.Errorf("there is room: %v", err)
		}
		go send()
		synctest.Wait()
		e.abandon()
		if err := <-done; !errors.Is(err, ErrBusy) {
			t.Errorf("given up: %v", err)
		}
	})
}
