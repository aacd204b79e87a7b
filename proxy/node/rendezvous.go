package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"ockam/proxy"
	"ockam/transports/udp"
	"ockam/tunnel"
	"ockam/tunnel/puncture"
)

const (
	// visitorIdle is how long a rendezvous server remembers who asked.
	visitorIdle = 15 * time.Second
	// healthRead bounds the wait for what a health check begins with.
	healthRead = 5 * time.Second
	// healthPatience bounds the wait for the service's own answer.
	healthPatience = 2 * time.Second
	// maxHealthChecks are under way at a time; further ones wait.
	maxHealthChecks = 64
)

// RendezvousOptions say how a rendezvous server runs.
type RendezvousOptions struct {
	UDP    string      // ip:port of the service
	Health string      // ip:port of the health check over TCP
	Log    *zap.Logger // nil: nothing is logged
	// Ready, if set, is told where both are bound.
	Ready func(udp, health net.Addr)
}

// RunRendezvous runs a server that tells nodes the UDP address under which it
// sees them, until ctx ends. Each TCP connection to the health check is answered
// like a request for a web page: 200 and "Alive" if the service, asked over UDP,
// answers; 503 if not (Ockam protocol, rendezvous service).
func RunRendezvous(ctx context.Context, o RendezvousOptions) error {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	r, group := tunnel.NewRouter(), &tunnel.Group{Name: "rendezvous"}
	self := tunnel.LocalAddress(puncture.RendezvousName)
	service := puncture.Rendezvous{Router: r, Self: self}
	if _, err := r.Handle(self, service, tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
		return err
	}
	t := udp.Transport{IdleTimeout: visitorIdle}
	lis, err := t.Listen(ctx, o.UDP)
	if err != nil {
		return fmt.Errorf("the rendezvous service cannot listen at %s: %w", o.UDP, err)
	}
	health, err := proxy.Listen(ctx, o.Health)
	if err != nil {
		return errors.Join(fmt.Errorf("the health check cannot listen at %s: %w", o.Health, err), lis.Close())
	}
	if o.Ready != nil {
		o.Ready(lis.Addr(), health.Addr())
	}
	if s, ok := lis.(*udp.Socket); ok {
		defer func() { o.Log.Info("the rendezvous server has ended", zap.Any("dropped", s.Counts())) }()
	}
	server := &tunnel.Server{Router: r, Traits: t.Traits(), Group: group}
	return serveBoth(ctx,
		func(ctx context.Context) error { return server.Serve(ctx, lis) },
		func(ctx context.Context) error {
			h := healthCheck{service: reachable(lis.Addr()), log: o.Log}
			return h.serve(ctx, health)
		})
}

// serveBoth runs both until ctx ends or one of them fails.
func serveBoth(ctx context.Context, both ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(both))
	var wg sync.WaitGroup
	for i, f := range both {
		wg.Go(func() {
			defer cancel()
			errs[i] = f(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// reachable returns where a socket bound to a can be reached from this machine.
func reachable(a net.Addr) string {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil || !p.Addr().IsUnspecified() {
		return a.String()
	}
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if p.Addr().Is6() {
		here = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(here, p.Port()).String()
}

// A healthCheck answers whether a rendezvous service does.
type healthCheck struct {
	service string // host:port
	log     *zap.Logger
}

func (h *healthCheck) serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	places := make(chan struct{}, maxHealthChecks)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := l.Accept()
		switch {
		case err == nil:
			wg.Go(func() {
				defer func() { <-places }()
				h.answer(ctx, c)
			})
			continue
		case ctx.Err() != nil:
			return nil
		case !tunnel.Temporary(err):
			return fmt.Errorf("health check: %w", err)
		}
		<-places
		if !tunnel.Sleep(ctx, 100*time.Millisecond) {
			return nil
		}
	}
}

// answer reads what there is, once, and says how the service is.
func (h *healthCheck) answer(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_ = c.SetDeadline(time.Now().Add(healthRead))
	if _, err := c.Read(make([]byte, 4<<10)); err != nil && !errors.Is(err, io.EOF) {
		return
	}
	text := "HTTP/1.1 200 OK\r\n\r\nAlive\n"
	asking, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	if err := puncture.PingRendezvous(asking, h.service); err != nil {
		h.log.Warn("the rendezvous service does not answer", zapErr(err))
		text = "HTTP/1.1 503 Service Unavailable\r\n\r\nThe rendezvous service does not answer\n"
	}
	_ = c.SetDeadline(time.Now().Add(healthRead))
	_, _ = io.WriteString(c, text) // a client that is gone does not read it
}
