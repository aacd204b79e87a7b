package secure

import (
	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// Limits that tests go to.
const (
	MaxBadMessages      = maxBadMessages
	MaxHandshakesPerHop = maxHandshakesPerHop
	MaxRoute            = maxRoute
	MaxWaiting          = maxWaiting
	MaxWaitingAll       = maxWaitingAll
)

// SetAddresses has the addresses of a channel's end come from next: first the
// one that the peer learns, then the channel's own.
func (c *Config) SetAddresses(next func() tunnel.Address) { c.addresses = next }

// Nonce returns how many frames were sealed.
func (c *Channel) Nonce() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seal.nonce
}

// Keys reports how many keys the channel still holds.
func (c *Channel) Keys() int {
	n := 0
	c.mu.Lock()
	if c.seal.aead != nil {
		n++
	}
	c.mu.Unlock()
	c.recv.Lock()
	defer c.recv.Unlock()
	if c.open.current != nil {
		n++
	}
	return n
}

// Received returns how many frames were opened.
func (c *Channel) Received() uint64 { return c.received.Load() }

// Waiting returns how many bytes wait for handshakes to finish.
func (l *Listener) Waiting() int64 { return l.waiting.Load() }

// Handshakes returns how many handshakes are under way.
func (l *Listener) Handshakes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handshakes.Total()
}

// Channels returns how many channels are open.
func (l *Listener) Channels() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.channels)
}

// Refresh takes the encoded plaintext of a RefreshCredentials message on a channel with
// peer.
func (c *Config) Refresh(peer identity.Identifier, text []byte) error {
	p, err := parsePlaintext(text)
	if err != nil {
		return err
	}
	return (&Channel{cfg: c, peer: peer}).refresh(&p)
}

// MayMove reports whether a channel may follow its initiator from one way to another.
func MayMove(from, to *tunnel.Origin) bool { return mayMove(from, to) }
