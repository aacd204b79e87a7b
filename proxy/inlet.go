package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// tlsTimeout bounds the handshake with an application, for which a certificate may
// have to be asked for first.
const tlsTimeout = 40 * time.Second

// An Inlet joins each connection that it accepts to a stream that it opens. It
// is for one Serve.
type Inlet struct {
	// Dial opens a stream, within a bounded time.
	Dial func(context.Context) (*portal.Stream, error)
	// MaxConnections bounds the connections that are open at a time; further
	// ones wait to be accepted. 0: no bound.
	MaxConnections int
	// TLS, if set, is what applications are spoken to with.
	TLS    *tls.Config
	Events Events

	run run
}

// Serve accepts connections on l until ctx ends, Shutdown is called or l is
// closed. Then it closes l and returns nil when all connections have ended:
// when ctx ends they are reset. It fails, and resets them, if accepting fails,
// but not for want of file descriptors or memory: then it waits and tries again.
func (in *Inlet) Serve(ctx context.Context, l net.Listener) error {
	ctx, quit, err := in.run.begin(ctx)
	if err != nil {
		_ = l.Close()
		return err
	}
	defer in.run.end()
	var wg sync.WaitGroup
	defer wg.Wait()
	accepting, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		select {
		case <-quit:
		case <-accepting.Done():
		}
		stop()
		_ = l.Close()
	})
	err = in.accept(accepting, l, func(c net.Conn, release func()) {
		wg.Go(func() {
			defer release()
			in.serveConn(ctx, c)
		})
	})
	if err != nil {
		in.run.cancel() // nothing will come of this any more: say so
	}
	stop()
	return err
}

// accept reserves a place for each connection before it accepts it.
func (in *Inlet) accept(ctx context.Context, l net.Listener, serve func(net.Conn, func())) error {
	reserve, release := places(in.MaxConnections)
	for wait := time.Duration(0); reserve(ctx); {
		c, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			serve(c, release)
			continue
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case !tunnel.Temporary(err):
			return fmt.Errorf("proxy: inlet %v: %w", l.Addr(), err)
		}
		release()
		wait = min(max(2*wait, 5*time.Millisecond), acceptBackOff)
		if !tunnel.Sleep(ctx, wait) {
			return nil
		}
	}
	return nil
}

// places returns how to take one of n places, and how to give it back.
func places(n int) (reserve func(context.Context) bool, release func()) {
	if n <= 0 {
		return func(ctx context.Context) bool { return ctx.Err() == nil }, func() {}
	}
	free := make(chan struct{}, n)
	reserve = func(ctx context.Context) bool {
		select {
		case free <- struct{}{}:
			return ctx.Err() == nil
		case <-ctx.Done():
			return false
		}
	}
	return reserve, func() { <-free }
}

// Shutdown stops accepting and waits until the connections have ended and Serve
// has returned. When ctx ends it resets those that are left, and returns the
// context's error.
func (in *Inlet) Shutdown(ctx context.Context) error { return in.run.shutdown(ctx) }

func (in *Inlet) serveConn(ctx context.Context, c net.Conn) {
	shake := func(context.Context) error { return nil }
	if in.TLS != nil {
		sealed := tls.Server(c, in.TLS)
		c, shake = sealed, sealed.HandshakeContext
	}
	sock := newSocket(c)
	info := Connection{Client: c.RemoteAddr(), Opened: time.Now()}
	s, err := in.dial(ctx, sock, shake)
	if err != nil {
		sock.Reset()
		in.Events.refused(info, err)
		return
	}
	info.Target, info.Peer, info.Stream = s.RemoteAddr(), s.Origin().Peer, s
	in.Events.opened(info)
	err = join(ctx, sock, s)
	info.To, info.From = s.Moved()
	in.Events.closed(info, err)
}

// dial opens a stream once the application has shaken hands, unless it goes away
// meanwhile.
func (in *Inlet) dial(ctx context.Context, sock socket, shake func(context.Context) error) (*portal.Stream, error) {
	shaking, done := context.WithTimeout(ctx, tlsTimeout)
	err := shake(shaking)
	done()
	if err != nil {
		return nil, fmt.Errorf("proxy: TLS with the application: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := sock.Watch(func() { cancel(ErrClientGone) })
	defer stop()
	return in.Dial(ctx)
}
