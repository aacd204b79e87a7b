package secure_test

import (
	"testing"
	"time"

	"ockam/tunnel/secure"
)

// TestIdleChannel has channels opened all the time between two looks of the
// listener: each lives through one whole IdleTimeout, and none for long after it.
func TestIdleChannel(t *testing.T) {
	const idle = 300 * time.Millisecond
	alice, bob := newNode(t), newNode(t)
	bob.listenChannels(&secure.Listener{IdleTimeout: idle})
	link := alice.dial(bob.listenTCP())
	for range 8 {
		c, err := secure.Dial(t.Context(), alice.cfg, link, api)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		select {
		case <-c.Origin().Done():
		case <-time.After(20 * idle):
			t.Fatal("an idle channel is never closed")
		}
		if d := time.Since(began); d < idle*9/10 {
			t.Errorf("closed %v after it was opened, want %v at least", d, idle)
		}
	}
}
