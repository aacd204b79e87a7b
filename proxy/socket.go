package proxy

import (
	"context"
	"net"
	"time"
)

// A socket is the application's connection.
type socket interface {
	net.Conn
	CloseWrite() error
	// Reset closes the socket so that the application sees an error.
	Reset()
	// ResetFlushed is Reset once the application's machine has everything that
	// was written, when ctx ends, or when it takes nothing for long.
	ResetFlushed(ctx context.Context)
	// Watch calls gone if the application resets the connection before stop is
	// called, if that can be seen without reading.
	Watch(gone func()) (stop func())
}

// A plainSocket is a socket of any kind: a net.Pipe, a TLS connection.
type plainSocket struct{ net.Conn }

// CloseWrite ends the sending direction, or the connection if it has no
// directions.
func (s plainSocket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.Close()
}

// Reset closes the socket so that the application sees an error.
func (s plainSocket) Reset() {
	reset(s.Conn)
}

func reset(c net.Conn) {
	if inner, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = inner.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// ResetFlushed is Reset: what is on its way cannot be seen.
func (s plainSocket) ResetFlushed(context.Context) { s.Reset() }

// Watch sees nothing.
func (plainSocket) Watch(func()) (stop func()) { return func() {} }

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)
