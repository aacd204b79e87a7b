package secure_test

import (
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/secure"
)

// TestMayMove has the places between which a channel follows its initiator.
func TestMayMove(t *testing.T) {
	link := tunnel.NewOrigin(tunnel.RandomAddress())
	channel := tunnel.NewOrigin(tunnel.RandomAddress())
	channel.Outer = link
	puncture := tunnel.NewOrigin(tunnel.RandomAddress())
	puncture.Punctured = true
	for _, tt := range []struct {
		name     string
		from, to *tunnel.Origin
		want     bool
	}{
		{"link to link", link, tunnel.NewOrigin(tunnel.RandomAddress()), true},
		{"link to puncture", link, puncture, true},
		{"channel to puncture", channel, puncture, true},
		{"puncture to link", puncture, link, true},
		{"link to channel", link, channel, false},
		{"channel to link", channel, link, false},
		{"puncture to channel", puncture, channel, false},
	} {
		if got := secure.MayMove(tt.from, tt.to); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
