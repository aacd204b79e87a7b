// Package proxy joins sockets and streams: an Inlet accepts connections of
// applications and opens a stream for each, an Outlet accepts streams and opens
// a connection to its target for each. It does not find the way to the other
// node (proxy/node), does not know the portal's messages (tunnel/portal), and
// writes no logs: it tells Events.
//
// How one side ends is passed on to the other as well as the protocol can:
//
//   - An end of stream is passed on after everything that was sent before it,
//     and only if the far application really sent it.
//   - A lost link or channel, and everything else that is not an end, resets
//     the socket, so that the application sees an error (ECONNRESET) and not
//     what looks like complete data. On Unix sockets there is no reset: they are
//     closed.
//   - When this application resets its socket, the peer is told that the
//     stream has ended: it cannot be told more.
//   - When this application ends its sending and the peer does not answer with
//     an end of its own in time, see portal.Options.HalfCloseGrace, the socket
//     is reset once everything received has been delivered.
package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"ockam/tunnel/portal"
)

// DefaultDialTimeout bounds the connection to an outlet's target.
const DefaultDialTimeout = 10 * time.Second

// lingerTimeout is how long a socket stays open after the peer's end, for the
// application to end its side: closing at once would destroy what it has not
// yet read.
const lingerTimeout = 2 * time.Second

// acceptBackOff is the longest wait when accepting fails for want of file
// descriptors or memory.
const acceptBackOff = time.Second

var (
	// ErrShutdown is the reason of connections that were open when Serve ended.
	ErrShutdown = errors.New("proxy: shut down")
	// ErrServed is returned by Serve when it has been called before, or after Shutdown.
	ErrServed = errors.New("proxy: already served or shut down")
	// ErrClientGone is the reason when the application reset its connection
	// while the stream was being opened.
	ErrClientGone = errors.New("proxy: client gone")
)

// A Connection is what Events tell about a connection.
type Connection struct {
	Client net.Addr // of the application, at an inlet; of the stream's far end, at an outlet
	Target net.Addr // of the stream's far end, at an inlet; of the target, at an outlet; nil if it was not reached
	Peer   string   // the identifier that the channel proved; empty if there is none
	Opened time.Time
	// Stream is the stream, nil if it was never open; it counts what moves.
	Stream *portal.Stream
	// To and From are how many bytes were sent to the far end and received
	// from it; for Closed.
	To, From int64
}

// Events are functions that are told of connections, on the goroutine of the
// connection. Each may be nil.
type Events struct {
	Opened  func(Connection)
	Closed  func(Connection, error) // nil: it ended in good order
	Refused func(Connection, error) // it was never open
}

func (e *Events) opened(c Connection) {
	if e.Opened != nil {
		e.Opened(c)
	}
}

func (e *Events) closed(c Connection, err error) {
	if e.Closed != nil {
		e.Closed(c, err)
	}
}

func (e *Events) refused(c Connection, err error) {
	if e.Refused != nil {
		e.Refused(c, err)
	}
}

// A run is one Serve, which a context ends at once and a shutdown gently.
type run struct {
	mu       sync.Mutex
	quit     chan struct{} // closed by shutdown
	quitting bool
	done     chan struct{} // closed when Serve has returned; nil: it was not called
	cancel   context.CancelFunc
}

// begin returns the context of connections, and what is closed when no more are
// to be accepted.
func (r *run) begin(ctx context.Context) (context.Context, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done != nil || r.quitting {
		return nil, nil, ErrServed
	}
	ctx, r.cancel = context.WithCancel(ctx)
	r.quit, r.done = make(chan struct{}), make(chan struct{})
	return ctx, r.quit, nil
}

func (r *run) end() {
	r.cancel()
	close(r.done)
}

// shutdown has Serve stop accepting, and waits until it returns. When ctx ends
// it ends the connections.
func (r *run) shutdown(ctx context.Context) error {
	r.mu.Lock()
	if !r.quitting {
		r.quitting = true
		if r.quit != nil {
			close(r.quit)
		}
	}
	done, cancel := r.done, r.cancel
	r.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	cancel()
	<-done
	return ctx.Err()
}
