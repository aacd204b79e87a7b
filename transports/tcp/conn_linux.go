package tcp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ockam/transports"
)

const (
	readSize  = 64 << 10 // read at once when frames are small
	bulkFrame = 16 << 10 // from this size on a frame's body is read into its own buffer
	bulkSpill = 4 << 10  // and this much of what follows it
	maxIovecs = 64       // buffers handed to the kernel at once
	stashSize = 64
)

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// A conn reads and writes with readv and writev on the raw socket. While it
// waits for bytes it holds no buffer (measured: 4-8 KiB a connection instead of
// 62-67): a buffer is borrowed inside the callback of RawConn.Read, when the
// socket is readable, and given back when it turns out to be empty.
type conn struct {
	c     *net.TCPConn
	raw   syscall.RawConn
	stall time.Duration

	// Read state, owned by the caller of Receive.
	started bool // the peer's version byte has been read
	total   int  // bytes received, saturating at MaxFrame
	bulk    bool // the frame before was large: do not read much of the next with its head
	buf     *[readSize]byte
	r, w    int             // buf[r:w] is unread; while buf is nil, stash[r:w] is
	stash   [stashSize]byte // a few bytes of a frame's head while there is no buf
	body    []byte          // where the read in progress puts bytes first
	spill   int             // and how much it may take beyond
	got     int
	readErr error
	readFn  func(fd uintptr) bool
	readIov [2]unix.Iovec

	// Write state, owned by the caller of Write or TryWrite.
	writeIov [maxIovecs]unix.Iovec
	iovs     int
	wait     bool // the callback is to wait for room
	wrote    int
	writeErr error
	writeFn  func(fd uintptr) bool
	outq     int
	outqFn   func(fd uintptr)
}

func (t Transport) newConn(c *net.TCPConn) (*conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := setNotSentLowAt(raw); err != nil {
		return nil, err
	}
	conn := &conn{c: c, raw: raw, stall: t.stallTimeout()}
	conn.readFn, conn.writeFn, conn.outqFn = conn.readReady, conn.writeReady, conn.readOutq
	return conn, nil
}

// setNotSentLowAt keeps what waits in the kernel short, so that what waits does
// so where it can still be ordered.
func setNotSentLowAt(raw syscall.RawConn) error {
	var err error
	cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 128<<10)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

func (c *conn) RemoteAddr() net.Addr { return c.c.RemoteAddr() }

func (c *conn) Close() error { return c.c.Close() }

// CloseWrite ends the direction to the peer; see transports.WriteCloser.
func (c *conn) CloseWrite() error { return c.c.CloseWrite() }

// Receive returns the next frame; see transports.Conn.
func (c *conn) Receive(borrow func(n int) []byte) ([]byte, error) {
	if !c.started {
		if err := c.start(); err != nil {
			return nil, err
		}
	}
	if err := c.fill(lengthBytes); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(c.unread()))
	c.r += lengthBytes
	if n > transports.MaxFrame {
		return nil, fmt.Errorf("tcp: %w: %d bytes", transports.ErrFrameTooLarge, n)
	}
	c.bulk = n >= bulkFrame
	body := borrow(min(n, max(c.total, 1<<10)))
	got := copy(body[:min(len(body), n)], c.unread())
	c.consume(got)
	for got < n {
		if got == len(body) { // believe as much again as has come
			more := borrow(min(n, 2*got))
			copy(more, body)
			body = more
		}
		spill := c.spillSize()
		end := min(len(body), n)
		if end < n {
			spill = 0
		}
		m, err := c.read(body[got:end], spill)
		if err != nil {
			return nil, unexpected(err)
		}
		got += m
	}
	return body[:n], nil
}

func (c *conn) spillSize() int {
	if c.bulk {
		return bulkSpill
	}
	return readSize
}

// start reads the peer's version byte.
func (c *conn) start() error {
	if err := c.fill(1); err != nil {
		return versionError(err)
	}
	if v := c.unread()[0]; v != version {
		return fmt.Errorf("tcp: %w: %d", transports.ErrVersion, v)
	}
	c.consume(1)
	c.started = true
	return c.c.SetReadDeadline(time.Time{})
}

func (c *conn) unread() []byte {
	if c.buf != nil {
		return c.buf[c.r:c.w]
	}
	return c.stash[c.r:c.w]
}

// consume drops n unread bytes and the buffer with the last of them.
func (c *conn) consume(n int) {
	if c.r += n; c.r == c.w {
		c.r, c.w = 0, 0
		c.giveBack()
	}
}

func (c *conn) giveBack() {
	if c.buf != nil {
		readBuffers.Put(c.buf)
		c.buf = nil
	}
}

// fill reads until at least n bytes, at most stashSize, are unread.
func (c *conn) fill(n int) error {
	for c.w-c.r < n {
		if _, err := c.read(nil, c.spillSize()); err != nil {
			if c.w > c.r {
				return unexpected(err)
			}
			return err
		}
	}
	return nil
}

// read waits for bytes and reads them, first into body, then up to spill bytes
// behind what is unread. It returns how many went into body.
func (c *conn) read(body []byte, spill int) (int, error) {
	c.body, c.spill, c.got, c.readErr = body, spill, 0, nil
	err := c.raw.Read(c.readFn)
	c.body = nil
	if err == nil {
		err = c.readErr
	}
	if err != nil {
		return 0, err
	}
	c.total = min(c.total+c.got, transports.MaxFrame)
	n := min(c.got, len(body))
	c.w += c.got - n
	if c.r == c.w {
		c.consume(0)
	}
	return n, nil
}

// readReady is called when the socket may be readable; it must try, or it would
// hang. False means: wait.
func (c *conn) readReady(fd uintptr) bool {
	iov := c.readIov[:0]
	if len(c.body) > 0 {
		iov = append(iov, vec(c.body))
	}
	if c.spill > 0 {
		c.makeRoom()
		iov = append(iov, vec(c.buf[c.w:min(readSize, c.w+c.spill)]))
	}
	for {
		n, _, errno := unix.Syscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			if c.got = int(n); n == 0 {
				c.readErr = io.EOF
			}
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			c.stashUnread()
			return false
		default:
			c.readErr = os.NewSyscallError("readv", errno)
			return true
		}
	}
}

// makeRoom borrows a buffer, or moves what is unread to the start of the one
// there is.
func (c *conn) makeRoom() {
	if c.buf == nil {
		c.buf = readBuffers.Get().(*[readSize]byte)
		c.w = copy(c.buf[:], c.stash[c.r:c.w])
		c.r = 0
	} else if c.r > 0 {
		c.w = copy(c.buf[:], c.buf[c.r:c.w])
		c.r = 0
	}
}

// stashUnread gives the buffer back if what is unread is short, so that a peer
// who sends half a length does not hold 64 KiB.
func (c *conn) stashUnread() {
	if c.buf != nil && c.w-c.r <= stashSize {
		c.w = copy(c.stash[:], c.buf[c.r:c.w])
		c.r = 0
		c.giveBack()
	}
}

func vec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// TryWrite writes what the socket takes now; see transports.TryWriter.
func (c *conn) TryWrite(batch net.Buffers) (int, error) {
	c.wait = false
	return c.write(batch)
}

// stallLooks is how often a Write that waits looks for progress within a
// StallTimeout.
const stallLooks = 4

// Write writes all of batch; see transports.Conn. The kernel wakes a writer not
// before a third of what is queued has left, which a slow network may need long
// for: what counts as progress is that the peer acknowledges bytes.
func (c *conn) Write(batch net.Buffers) error {
	c.wait = true
	progress, queued := time.Now(), c.unacknowledged()
	for len(batch) > 0 {
		if err := c.c.SetWriteDeadline(time.Now().Add(c.stall / stallLooks)); err != nil {
			return err
		}
		n, err := c.write(batch)
		left := c.unacknowledged()
		switch {
		case err != nil && !os.IsTimeout(err):
			return err
		case n > 0 || left < queued:
			progress = time.Now()
		case time.Since(progress) >= c.stall:
			return fmt.Errorf("tcp: %w", transports.ErrStalled)
		}
		queued = left
		batch = transports.Advance(batch, n)
	}
	return c.c.SetWriteDeadline(time.Time{})
}

// unacknowledged returns how many bytes the kernel queues that the peer's has
// not acknowledged; 0 if it does not say.
func (c *conn) unacknowledged() int {
	c.outq = 0
	_ = c.raw.Control(c.outqFn) // fails on a closed connection, as the write then does
	return c.outq
}

func (c *conn) readOutq(fd uintptr) {
	if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
		c.outq = n
	}
}

func (c *conn) write(batch net.Buffers) (int, error) {
	c.iovs, c.wrote, c.writeErr = 0, 0, nil
	for _, b := range batch {
		if len(b) == 0 {
			continue
		}
		if c.iovs == maxIovecs {
			break
		}
		c.writeIov[c.iovs] = vec(b)
		c.iovs++
	}
	if c.iovs == 0 {
		return 0, nil
	}
	err := c.raw.Write(c.writeFn)
	clear(c.writeIov[:c.iovs])
	if err == nil {
		err = c.writeErr
	}
	return c.wrote, err
}

// writeReady is called when the socket may take bytes.
func (c *conn) writeReady(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&c.writeIov[0])), uintptr(c.iovs))
		switch errno {
		case 0:
			c.wrote = int(n)
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return !c.wait
		default:
			c.writeErr = os.NewSyscallError("writev", errno)
			return true
		}
	}
}
