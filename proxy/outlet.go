package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/portal"
)

// An Outlet joins each stream that is opened at its name to a connection to its
// target. It is for one Serve.
type Outlet struct {
	Router *tunnel.Router
	Name   string        // its address
	Access tunnel.Access // from where its address can be reached
	// Admit, if set, decides on each stream before the target is dialed. Unlike
	// a gate's, its refusal is told to the peer: the application at the inlet is
	// not left waiting.
	Admit   func(*tunnel.Origin) error
	Options portal.Options

	// Target is host:port or unix:/path.
	Target string
	// Dial, if set, connects to the target instead.
	Dial func(context.Context) (net.Conn, error)
	// Handler, if set, is the target: a web service in this process. Peer
	// tells it who asks.
	Handler http.Handler

	DialTimeout    time.Duration // 0: DefaultDialTimeout
	MaxConnections int           // streams at a time; further ones are refused. 0: no bound
	Events         Events

	run      run
	bind     sync.Once
	listener portal.Listener
	web      *web
}

// Bind registers the outlet at its name; streams that are asked for before Serve
// wait for it. Serve does this if it has not been done. It returns
// tunnel.ErrInUse if the name is taken.
func (o *Outlet) Bind() error {
	o.bind.Do(func() {
		o.listener.Router, o.listener.Name, o.listener.Access = o.Router, o.Name, o.Access
		o.listener.Options, o.listener.MaxStreams = o.Options, o.MaxConnections
		o.listener.Open = o.open
		if o.Handler != nil {
			o.web = newWeb(o.Handler)
			o.listener.Open = o.openWeb
		}
	})
	if err := o.listener.Bind(); err != nil {
		return fmt.Errorf("proxy: outlet %s: %w", o.Name, err)
	}
	return nil
}

// Serve accepts streams until ctx ends or Shutdown is called. It returns nil
// when all connections have ended: when ctx ends they are reset.
func (o *Outlet) Serve(ctx context.Context) error {
	ctx, quit, err := o.run.begin(ctx)
	if err != nil {
		return err
	}
	defer o.run.end()
	if err := o.Bind(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	served, done := context.WithCancel(ctx)
	defer done()
	wg.Go(func() {
		select {
		case <-quit:
		case <-served.Done():
		}
		o.listener.Shutdown()
		if o.web != nil {
			o.web.stop()
		}
	})
	if o.web != nil {
		wg.Go(o.web.serve)
		defer o.web.close()
	}
	if err := o.listener.Serve(ctx); err != nil && !errors.Is(err, portal.ErrListenerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting and waits until the connections have ended and Serve
// has returned. When ctx ends it resets those that are left, and returns the
// context's error.
func (o *Outlet) Shutdown(ctx context.Context) error {
	o.listener.Shutdown()
	return o.run.shutdown(ctx)
}

// Refused returns how many streams were refused because there were too many.
func (o *Outlet) Refused() uint64 { return o.listener.Refused() }

func (o *Outlet) open(ctx context.Context, r *portal.Request) {
	info := Connection{Peer: r.Origin().Peer, Client: r.RemoteAddr(), Opened: time.Now()}
	c, err := o.admitAndDial(ctx, r)
	if err != nil {
		_ = r.Refuse()
		o.Events.refused(info, err)
		return
	}
	sock := newSocket(c)
	info.Target = c.RemoteAddr()
	s, err := r.Accept()
	if err != nil { // the way back is lost
		sock.Reset()
		o.Events.refused(info, err)
		return
	}
	info.Stream = s
	o.Events.opened(info)
	err = join(ctx, sock, s)
	info.To, info.From = s.Moved()
	o.Events.closed(info, err)
}

func (o *Outlet) admit(r *portal.Request) error {
	if o.Admit == nil {
		return nil
	}
	return o.Admit(r.Origin())
}

func (o *Outlet) admitAndDial(ctx context.Context, r *portal.Request) (net.Conn, error) {
	if err := o.admit(r); err != nil {
		return nil, err
	}
	return o.dial(ctx)
}

func (o *Outlet) dial(ctx context.Context) (net.Conn, error) {
	timeout := o.DialTimeout
	if timeout <= 0 {
		timeout = DefaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if o.Dial != nil {
		return o.Dial(ctx)
	}
	return Dial(ctx, o.Target)
}
