// Package transports has what every transport provides: connections that carry
// whole frames. It is not its job to know what is in a frame, or who may send
// one: that is package tunnel.
package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// StallTimeout is how long a connection may take nothing of what is written to
// it before the write fails, if its transport does not say otherwise.
const StallTimeout = 10 * time.Second

// MaxFrame is the largest frame of the transports that have no smaller limit,
// without its length (docs/protocol.md, TCP).
const MaxFrame = 16 << 20

// Errors that the connections of all transports return.
var (
	// ErrFrameTooLarge is returned for a frame above Traits.MaxFrame.
	ErrFrameTooLarge = errors.New("transports: frame too large")
	// ErrStalled is returned by Write when the peer took nothing for StallTimeout.
	ErrStalled = errors.New("transports: peer takes nothing")
	// ErrVersion is returned by Receive when the peer speaks another protocol.
	ErrVersion = errors.New("transports: unknown protocol version")
)

// Traits say what a transport is like.
type Traits struct {
	Name        string // as a listener's label in a configuration: "tcp"
	Type        uint8  // transport type of its addresses (docs/protocol.md, Addresses)
	LengthBytes int    // length of the big-endian length in front of each frame that is written; 0: message by message
	MaxFrame    int    // largest frame in bytes, without that length
	Ordered     bool   // frames arrive in the order in which they were sent
	Reliable    bool   // frames are not lost while the connection lives
}

// A Transport opens connections over one kind of network.
type Transport interface {
	Traits() Traits
	Dial(ctx context.Context, addr string) (Conn, error)
	Listen(ctx context.Context, addr string) (Listener, error)
}

// A Listener accepts connections. Close ends a blocked Accept with net.ErrClosed.
type Listener interface {
	Accept() (Conn, error)
	Addr() net.Addr
	Close() error
}

// A Conn carries whole frames. One goroutine may call Write and another Receive
// at the same time; Close may be called by anybody.
type Conn interface {
	// Write writes the bytes of batch, which are whole frames with their
	// lengths in front, in order. It blocks; it fails with ErrStalled when the
	// peer takes nothing for StallTimeout. It changes batch.
	Write(batch net.Buffers) error
	// Receive returns the next frame without its length, in the memory that
	// borrow gave for it. It calls borrow as soon as the frame's length is
	// known; for a frame that is larger than all the peer has sent so far it
	// may call borrow again for more, and then gives up what it had.
	Receive(borrow func(n int) []byte) ([]byte, error)
	// Close ends blocked calls of Write and Receive with net.ErrClosed.
	Close() error
	// RemoteAddr returns the peer's address, for people.
	RemoteAddr() net.Addr
}

// A TryWriter is a Conn that can write without blocking.
type TryWriter interface {
	// TryWrite writes what the network takes now and returns how much that
	// was. It changes neither batch nor its elements. Nobody may call Write or
	// TryWrite at the same time.
	TryWrite(batch net.Buffers) (int, error)
}

// A WriteCloser is a Conn that can end one direction.
type WriteCloser interface {
	// CloseWrite tells the peer that nothing more is written. Nobody may call
	// Write or TryWrite at the same time.
	CloseWrite() error
}

// CheckLength returns an error for a frame length that the traits do not allow.
func (t Traits) CheckLength(n int) error {
	if n > t.MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrFrameTooLarge, n, t.MaxFrame)
	}
	return nil
}

// Advance drops the first n bytes of batch, changing it.
func Advance(batch net.Buffers, n int) net.Buffers {
	for len(batch) > 0 && n >= len(batch[0]) {
		n -= len(batch[0])
		batch = batch[1:]
	}
	if n > 0 {
		batch[0] = batch[0][n:]
	}
	return batch
}
