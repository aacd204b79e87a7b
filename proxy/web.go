package proxy

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"ockam/tunnel/portal"
)

// A web serves HTTP on streams: a stream is a net.Conn, so no socket is needed.
type web struct {
	server  http.Server
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newWeb(h http.Handler) *web {
	w := &web{streams: make(chan net.Conn), closed: make(chan struct{})}
	w.server = http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // a peer's mistakes
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, c.(*webConn).Origin().Peer)
		},
	}
	return w
}

func (w *web) serve() { _ = w.server.Serve(w) }

// stop ends idle connections, and the others after their answer.
func (w *web) stop() { w.server.SetKeepAlivesEnabled(false) }

func (w *web) close() { _ = w.server.Close() }

// Accept returns the next stream; see net.Listener.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.streams:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (w *web) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// Addr returns a name.
func (w *web) Addr() net.Addr { return portal.Addr{} }

// A webConn is a stream that tells when the server has closed it.
type webConn struct {
	*portal.Stream
	once sync.Once
	done chan struct{}
}

// Close closes the stream.
func (c *webConn) Close() error {
	err := c.Stream.Close()
	c.once.Do(func() { close(c.done) })
	return err
}

func (o *Outlet) openWeb(ctx context.Context, r *portal.Request) {
	info := Connection{Peer: r.Origin().Peer, Client: r.RemoteAddr(), Opened: time.Now()}
	if err := o.admit(r); err != nil {
		_ = r.Refuse()
		o.Events.refused(info, err)
		return
	}
	s, err := r.Accept()
	if err != nil {
		o.Events.refused(info, err)
		return
	}
	c := &webConn{Stream: s, done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	info.Stream = s
	o.Events.opened(info)
	select {
	case o.web.streams <- c:
		<-c.done
	case <-ctx.Done():
		_ = c.Close()
	}
	info.To, info.From = s.Moved()
	o.Events.closed(info, nil)
}

type peerKey struct{}

// Peer returns the identifier that the channel of a request to Outlet.Handler
// proved; empty if there was no channel.
func Peer(ctx context.Context) string {
	peer, _ := ctx.Value(peerKey{}).(string)
	return peer
}
