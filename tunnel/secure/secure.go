// Package secure makes secure channels: a Noise XX handshake in which both ends
// prove their identities, then sealed messages. A channel runs over any path,
// another channel included, and is itself a path. It is not its job to decide
// what a peer may reach: that is for gates, by Origin.Peer; and it keeps no
// identities or keys (tunnel/identity, tunnel/vault).
//
// The protocol is that of docs/protocol.md, Secure channels. A frame is
//
//	offset 0    8 bytes   nonce, big-endian
//	offset 8    n bytes   plaintext sealed with AES-256-GCM
//	offset 8+n  16 bytes  tag
//
// and the plaintext is a CBOR array of a message and a padding. Keys change
// every 32 frames. A frame that does not open changes nothing and is dropped in
// silence.
//
// Dial opens a channel; a Listener accepts them. Both verify the peer's change
// history, the attestation of its channel key, and whether the peer is
// authorized, before anything of it is passed on.
package secure

import (
	"crypto/rand"
	"errors"
	"io"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// Errors that callers test for.
var (
	// ErrReplay is returned for a nonce that was accepted before.
	ErrReplay = errors.New("secure: nonce already used")
	// ErrWindow is returned for a nonce too far from the highest accepted one.
	ErrWindow = errors.New("secure: nonce outside the window")
	// ErrOpen is returned for a frame that is too short or does not authenticate.
	ErrOpen = errors.New("secure: frame does not open")
	// ErrExhausted is returned when a channel has used all its nonces.
	ErrExhausted = errors.New("secure: nonces used up")
	// ErrTimeout is returned when the handshake takes too long: often the sign
	// of a listener that is not there, since nothing is signalled.
	ErrTimeout = errors.New("secure: no answer from the channel listener")
	// ErrUnauthorized is returned when the peer proved to be somebody else.
	ErrUnauthorized = errors.New("secure: peer is not authorized")
	// ErrPeerClosed is why a channel ended that the peer closed.
	ErrPeerClosed = errors.New("secure: closed by the peer")
	// ErrBusy is returned when too many handshakes are under way, or too many
	// channels open.
	ErrBusy = errors.New("secure: too many handshakes under way")
	// ErrGap is why an ordered channel ended: frames of the peer are missing or
	// came in another order.
	ErrGap = errors.New("secure: frames missing or out of order")
)

const (
	// DefaultTimeout is how long Dial waits for the whole handshake. The
	// reference implementation waits 120 s.
	DefaultTimeout = 10 * time.Second
	// responderTimeout is how long a Listener waits for the third message.
	responderTimeout = 30 * time.Second
	// maxHandshakeMessage is the limit of each handshake message, in bytes.
	maxHandshakeMessage = 65535
	// maxBadMessages is how many messages that do not fit a handshake survives:
	// anybody on the way can send them, and the genuine one may still come.
	maxBadMessages = 8
	// maxRoute is the longest route to a peer, in bytes, that is remembered: it
	// is written in front of every frame. 64 random addresses take 2.3 KiB.
	maxRoute = 4 << 10
)

// A Config is what both ends of a channel need. It may be shared.
type Config struct {
	Router   *tunnel.Router
	Identity *identity.Identity // who we are
	// Group, if set, is that of the origins of channels that Dial opens: what is
	// open to it is reachable for the peer. (A Listener has its own.)
	Group *tunnel.Group
	// Histories keeps the change histories of peers; an older one than known is
	// refused.
	Histories identity.Histories
	// Authorize decides on the peer that the handshake proved; an error refuses
	// it. It is asked before as well, when the peer only claims to be it, so that
	// strangers cost little. Nil lets everybody pass: the address behind the
	// channel then decides.
	Authorize func(identity.Identifier) error
	// Authorities are the issuers whose credentials are believed.
	Authorities []identity.Identifier
	// Attributes stores what believed credentials say; nil: credentials are ignored.
	Attributes identity.AttributeStore
	// Disbelieved, if set, is told why a credential that a peer presents is not
	// believed, where there are Authorities and Attributes. It is called on the
	// goroutine of the handshake or of the link, and must return soon.
	Disbelieved func(peer identity.Identifier, err error)
	// Credential, if set, gives the credential to present. An error ends the handshake.
	Credential func() (*identity.Credential, error)
	// Now replaces time.Now if set.
	Now func() time.Time
	// Ordered is for routes whose hops all keep the order and lose nothing, such
	// as TCP. Then a genuine frame that is not the next one shows that somebody on
	// the way takes frames out or exchanges them, and ends the channel with
	// ErrGap: what runs over it, and has no numbers of its own, must not go on as
	// if nothing were missing. Frames that are not genuine, and repeated ones, are
	// dropped as ever. False: frames may be lost, and overtake each other by 32.
	Ordered bool
	// Random replaces crypto/rand for the ephemeral key if set; for tests.
	Random io.Reader

	addresses func() tunnel.Address // replaces tunnel.RandomAddress if set; for tests
}

func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *Config) address() tunnel.Address {
	if c.addresses != nil {
		return c.addresses()
	}
	return tunnel.RandomAddress()
}

func (c *Config) ephemeral() ([]byte, error) {
	secret := make([]byte, 32)
	r := c.Random
	if r == nil {
		r = rand.Reader
	}
	_, err := io.ReadFull(r, secret)
	return secret, err
}
