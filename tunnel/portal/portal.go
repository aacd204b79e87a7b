// Package portal makes byte streams over paths: it opens them, listens for
// them, and moves their bytes, bounded in memory. It knows no sockets: package
// proxy joins sockets and streams.
//
// A Stream is a net.Conn with CloseWrite. One side dials it along a route whose
// last address is the name of an outlet; the other listens at that name.
//
// # What the protocol cannot do
//
// It has four messages: Ping opens, Pong answers, Payload carries bytes and
// Disconnect ends (docs/protocol.md, Portals). So, towards any peer:
//
//   - There is no window for each stream. What the application does not take is
//     queued, up to Options.QueueLimit and the Budget of the node; then the
//     reader of the link waits, and a stream whose application takes nothing for
//     Options.StallTimeout is reset, alone. Payloads are handed to the sink of
//     WriteTo at once, without a queue, when it can take them.
//   - There is no half-close. A Disconnect ends both directions. The side that
//     accepted the stream sends it as soon as it has nothing more to say; the
//     side that dialed holds it back while an answer may still come
//     (Options.HalfCloseGrace). Afterwards Read fails with ErrHalfClosed.
//   - There are no reasons: refusal, end and reset are all a Disconnect. Bytes
//     that were queued before it are delivered, then comes io.EOF.
//
// Whatever else ends a stream is a reset: a lost link or channel, bytes missing
// in between, an application that takes nothing. Then Read fails with ErrReset,
// never with io.EOF, and what was queued is dropped, because a reset must not
// look like an end.
package portal

import (
	"errors"
	"time"

	"ockam/tunnel"
)

// Errors that callers test for.
var (
	// ErrReset is returned by a stream that did not end in good order; what it
	// is wrapped with says why.
	ErrReset = errors.New("portal: stream reset")
	// ErrRefused is returned by Dial when the far side does not want the stream.
	ErrRefused = errors.New("portal: refused by the outlet")
	// ErrEnded is returned by Write after the peer has ended the stream.
	ErrEnded = errors.New("portal: ended by the peer")
	// ErrHalfClosed is returned by Read when this side has ended the stream and
	// the peer has not: whether it had more to say is unknown.
	ErrHalfClosed = errors.New("portal: ended by this side, not by the peer")
	// ErrStalled is the cause of a reset when nobody took what was queued.
	ErrStalled = errors.New("portal: nothing taken for too long")
	// ErrGap is the cause of a reset when the peer numbers its payloads and one is missing.
	ErrGap = errors.New("portal: payloads missing, repeated or out of order")
)

// Defaults of Options, Dialer and Listener.
const (
	DefaultQueueLimit = 1 << 20
	// DefaultStallTimeout is less than transports.StallTimeout, so that a
	// stream which takes nothing is reset before a link that waits for it is
	// given up, also if what was queued then takes a moment to move.
	DefaultStallTimeout   = 7 * time.Second
	DefaultHalfCloseGrace = 2 * time.Second
	DefaultOpenTimeout    = 15 * time.Second
	DefaultMaxPending     = 1024
)

// Options are what dialed and accepted streams have in common. The zero value
// is ready.
type Options struct {
	// Budget bounds what all streams of a node queue. Nil: each stream has one
	// of its own.
	Budget *Budget
	// QueueLimit bounds the memory in which a stream queues what it received,
	// in bytes. A single larger payload is still taken. 0: DefaultQueueLimit.
	QueueLimit int
	// StallTimeout is how long the application may take nothing, or too little
	// for another payload, of a queue that is in the way of others. 0:
	// DefaultStallTimeout.
	StallTimeout time.Duration
	// HalfCloseGrace is how long a dialed stream holds its Disconnect back,
	// counted from the last byte in either direction, when CloseWrite is called
	// while an answer may still come; a quarter of it when the peer was the last
	// to say something. Negative: not at all. 0: DefaultHalfCloseGrace.
	HalfCloseGrace time.Duration
}

func (o Options) withDefaults() Options {
	if o.Budget == nil {
		o.Budget = new(Budget)
	}
	if o.QueueLimit <= 0 {
		o.QueueLimit = DefaultQueueLimit
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	if o.HalfCloseGrace == 0 {
		o.HalfCloseGrace = DefaultHalfCloseGrace
	}
	return o
}

// An Addr is the end of a stream as a net.Addr: for people, and for logs.
type Addr struct {
	Route tunnel.Route
	Peer  string // identifier proven by the channel; empty if none was
}

// Network returns "ockam".
func (Addr) Network() string { return "ockam" }

// String gives the route, and the identifier if there is one.
func (a Addr) String() string {
	if a.Peer != "" {
		return a.Peer + " " + a.Route.String()
	}
	return a.Route.String()
}
