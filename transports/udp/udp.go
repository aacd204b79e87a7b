// Package udp is the UDP transport: messages in parts, one part a datagram. It
// does not know what the messages mean, repeats nothing, and keeps no order:
// secure channels notice what is missing.
//
// A connection is nothing but a peer's address at a socket of ours: there is no
// greeting and no end. Whoever listens accepts a connection with the first
// datagram from an address, and it is over when nothing has come for a while.
package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"ockam/transports"
)

const (
	// lengthBytes stand in front of each frame that Write is given. They are not
	// sent.
	lengthBytes = 4

	// Defaults of Transport.
	idleTimeout = 2 * time.Minute
	maxPeers    = 1024
	maxMemory   = 64 << 20

	// maxQueue is how much of a peer waits to be received, or one message.
	maxQueue = 1 << 20
	// partTimeout is how long the next part of a message is waited for.
	partTimeout = 5 * time.Second
	// backlog is how many new peers wait to be accepted.
	backlog = 128
	// socketBuffer is what the kernel is asked to keep for us; it may keep less.
	socketBuffer = 4 << 20
)

// ErrIdle is why an accepted connection ended from whose peer nothing came.
var ErrIdle = errors.New("udp: the peer has been silent for too long")

// ErrCrowded is why an accepted connection ended that had to make room: of all
// peers it had been silent for the longest.
var ErrCrowded = errors.New("udp: made room for another peer")

// Transport opens UDP connections. The zero value is ready.
type Transport struct {
	// IdleTimeout is how long nothing may come from a peer that this side did not
	// dial before its connection ends; 0: 2 minutes.
	IdleTimeout time.Duration
	// MaxPeers bounds the accepted connections of a socket; a further peer takes
	// the place of the one that has been silent for the longest. 0: 1,024.
	MaxPeers int
	// MaxMemory bounds the bytes that a socket keeps of messages that are not
	// complete or not received yet; 0: 64 MiB.
	MaxMemory int
	// StallTimeout replaces transports.StallTimeout if it is not zero.
	StallTimeout time.Duration
}

// Traits describe UDP: neither ordered nor reliable, messages of up to 16 MiB.
func (Transport) Traits() transports.Traits {
	return transports.Traits{Name: "udp", Type: 2, LengthBytes: lengthBytes, MaxFrame: transports.MaxFrame}
}

// Dial makes a connection to addr, host:port, over a socket of its own, which
// takes nothing from anybody else. That it succeeds does not say that somebody
// is there.
func (t Transport) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	peer, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	local := "0.0.0.0:0"
	if peer.Addr().Is6() {
		local = "[::]:0"
	}
	s, err := t.Open(ctx, local)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(peer)
	_ = s.Close() // ends with the connection
	return c, err
}

// Listen binds a socket to addr, ip:port; port 0 takes a free one.
func (t Transport) Listen(ctx context.Context, addr string) (transports.Listener, error) {
	return t.Bind(ctx, addr)
}

// Bind is Listen, for whoever also wants to dial from the socket.
func (t Transport) Bind(ctx context.Context, addr string) (*Socket, error) {
	s, err := t.bind(ctx, addr)
	if err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

// Open binds a socket to addr that only dials: what comes from others is dropped.
func (t Transport) Open(ctx context.Context, addr string) (*Socket, error) {
	s, err := t.bind(ctx, addr)
	if err != nil {
		return nil, err
	}
	s.deaf = true
	s.start()
	return s, nil
}

// withDefaults returns t with its zero fields filled in.
func (t Transport) withDefaults() Transport {
	if t.IdleTimeout <= 0 {
		t.IdleTimeout = idleTimeout
	}
	if t.MaxPeers <= 0 {
		t.MaxPeers = maxPeers
	}
	if t.MaxMemory <= 0 {
		t.MaxMemory = maxMemory
	}
	if t.StallTimeout <= 0 {
		t.StallTimeout = transports.StallTimeout
	}
	return t
}

// resolve looks up where addr is. The reference implementation knows IPv4 only,
// so that is what a name of both kinds stands for.
func resolve(ctx context.Context, addr string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("udp: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("udp: %q is no port to send to", port)
	}
	if err := ctx.Err(); err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("udp: %w", err)
	}
	chosen := ips[0].Unmap()
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			chosen = ip
			break
		}
	}
	return netip.AddrPortFrom(chosen, uint16(n)), nil
}
