// Package tcp is the TCP transport: each side sends one version byte, then
// frames of a 32-bit big-endian length and that many bytes. It does not know
// what the frames mean, and does not encrypt: secure channels do.
package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"ockam/transports"
)

const (
	version     = 1 // of the protocol; the first byte in each direction
	lengthBytes = 4

	// versionTimeout is VersionTimeout if that is zero.
	versionTimeout = 10 * time.Second
)

// keepAlive notices a peer whose machine vanished within a minute. The
// reference implementation waits 300 s, and only on the connecting side.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// Transport opens TCP connections. The zero value is ready.
type Transport struct {
	// StallTimeout replaces transports.StallTimeout if it is not zero.
	StallTimeout time.Duration
	// VersionTimeout bounds the wait for the peer's version byte, which each
	// side sends at once; 0: 10 s. A connection that says nothing else then
	// ends.
	VersionTimeout time.Duration
}

// Traits describes TCP: ordered, reliable, frames of up to 16 MiB.
func (Transport) Traits() transports.Traits {
	return transports.Traits{
		Name: "tcp", Type: 1, LengthBytes: lengthBytes, MaxFrame: transports.MaxFrame,
		Ordered: true, Reliable: true,
	}
}

// Dial connects to addr, host:port. All addresses of a host are tried.
func (t Transport) Dial(ctx context.Context, addr string) (transports.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return t.open(c.(*net.TCPConn))
}

// Listen listens on addr, ip:port; port 0 takes a free one.
func (t Transport) Listen(ctx context.Context, addr string) (transports.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return t.Wrap(l), nil
}

// Wrap makes a transport's listener of l, which must be a TCP listener: one
// that a service manager opened and handed over, for example.
func (t Transport) Wrap(l net.Listener) transports.Listener { return &listener{l, t} }

type listener struct {
	net.Listener
	t Transport
}

func (l *listener) Accept() (transports.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, fmt.Errorf("tcp: %w", err)
		}
		conn, err := l.t.open(c.(*net.TCPConn))
		if err == nil {
			return conn, nil
		}
		// The peer is gone already; the listener is fine.
	}
}

func (t Transport) stallTimeout() time.Duration {
	if t.StallTimeout > 0 {
		return t.StallTimeout
	}
	return transports.StallTimeout
}

func (t Transport) versionTimeout() time.Duration {
	if t.VersionTimeout > 0 {
		return t.VersionTimeout
	}
	return versionTimeout
}

// open sends the version byte, which fits into the empty socket buffer, and
// sets the socket's options. It closes c if it fails.
func (t Transport) open(c *net.TCPConn) (transports.Conn, error) {
	conn, err := t.newConn(c)
	if err == nil {
		_, err = c.Write([]byte{version})
	}
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(t.versionTimeout()))
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return conn, nil
}

// versionError turns what a failed read of the version byte says into what it means.
func versionError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("tcp: no version byte in time: %w", transports.ErrVersion)
	}
	return err
}

// unexpected is for the end of the stream within a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
