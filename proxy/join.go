package proxy

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"ockam/tunnel/portal"
)

// A joint is a socket and a stream whose bytes and ends are passed on to each
// other.
type joint struct {
	sock   socket
	stream *portal.Stream

	mu  sync.Mutex
	err error // why it did not end in good order; the first reason counts
}

// join moves bytes until both ends have ended, and closes both. When ctx ends it
// resets both. It returns nil if the connection ended in good order.
func join(ctx context.Context, sock socket, s *portal.Stream) error {
	j := &joint{sock: sock, stream: s}
	stop := context.AfterFunc(ctx, func() { s.Reset(ErrShutdown) })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { j.toSocket(ctx) })
	j.fromSocket()
	wg.Wait()
	_ = s.Close()
	_ = sock.Close()
	return j.err
}

func (j *joint) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = err
	}
}

// toSocket writes to the socket what the stream brings, until its end.
func (j *joint) toSocket(ctx context.Context) {
	_, err := j.stream.WriteTo(j.sock)
	switch {
	case err == nil:
		_ = j.sock.CloseWrite()
		_ = j.sock.SetReadDeadline(time.Now().Add(lingerTimeout))
	case errors.Is(err, portal.ErrHalfClosed):
		j.sock.ResetFlushed(ctx)
	case errors.Is(err, portal.ErrReset):
		j.fail(err)
		j.sock.Reset()
	default: // of the socket
		j.fail(err)
		j.stream.Reset(err)
		j.sock.Reset()
	}
}

// fromSocket sends what the socket brings, until its end. It returns soon after
// toSocket has.
func (j *joint) fromSocket() {
	_, err := j.stream.ReadFrom(j.sock)
	switch {
	case err == nil:
		_ = j.stream.CloseWrite()
	case errors.Is(err, portal.ErrEnded):
		// Nobody wants what the application still sends. But closing with it
		// unread would destroy what is on the way to the application.
		_, _ = io.Copy(io.Discard, struct{ io.Reader }{j.sock})
	case errors.Is(err, portal.ErrReset):
		j.fail(err)
	default: // of the socket
		j.fail(err)
		j.stream.Reset(err)
	}
}
