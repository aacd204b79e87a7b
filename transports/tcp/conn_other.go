//go:build !linux

package tcp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"ockam/transports"
)

// A conn without readv and writev: correct everywhere, fast on Linux only.
type conn struct {
	c       *net.TCPConn
	r       *bufio.Reader
	stall   time.Duration
	started bool
	total   int
}

func (t Transport) newConn(c *net.TCPConn) (*conn, error) {
	return &conn{c: c, r: bufio.NewReader(c), stall: t.stallTimeout()}, nil
}

func (c *conn) RemoteAddr() net.Addr { return c.c.RemoteAddr() }

func (c *conn) Close() error { return c.c.Close() }

// CloseWrite ends the direction to the peer; see transports.WriteCloser.
func (c *conn) CloseWrite() error { return c.c.CloseWrite() }

// Receive returns the next frame; see transports.Conn.
func (c *conn) Receive(borrow func(n int) []byte) ([]byte, error) {
	if !c.started {
		v, err := c.r.ReadByte()
		if err != nil {
			return nil, versionError(err)
		}
		if v != version {
			return nil, fmt.Errorf("tcp: %w: %d", transports.ErrVersion, v)
		}
		c.started = true
		if err := c.c.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
	}
	var head [lengthBytes]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > transports.MaxFrame {
		return nil, fmt.Errorf("tcp: %w: %d bytes", transports.ErrFrameTooLarge, n)
	}
	body, got := borrow(min(n, max(c.total, 1<<10))), 0
	for got < n {
		if got == len(body) {
			more := borrow(min(n, 2*got))
			copy(more, body)
			body = more
		}
		m, err := c.r.Read(body[got:min(len(body), n)])
		if err != nil {
			return nil, unexpected(err)
		}
		got += m
		c.total = min(c.total+m, transports.MaxFrame)
	}
	return body[:n], nil
}

// Write writes all of batch; see transports.Conn.
func (c *conn) Write(batch net.Buffers) error {
	for len(batch) > 0 {
		if err := c.c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return err
		}
		n, err := c.c.Write(batch[0])
		if os.IsTimeout(err) && n == 0 {
			return fmt.Errorf("tcp: %w", transports.ErrStalled)
		}
		if err != nil && !os.IsTimeout(err) {
			return err
		}
		batch = transports.Advance(batch, n)
	}
	return c.c.SetWriteDeadline(time.Time{})
}
