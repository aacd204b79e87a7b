package proxy

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ockam/tunnel"
	"ockam/tunnel/portal"
)

const (
	// flushTimeout is how long an application may take nothing of what is on
	// its way when the socket is to be reset.
	flushTimeout = 5 * time.Second
	flushPoll    = 100 * time.Millisecond // at the longest
	// watchDelay spares those whose stream opens quickly the watching.
	watchDelay = 50 * time.Millisecond
)

// A rawSocket reads when there is something to read, and holds no memory until
// then: it is borrowed inside the callback of RawConn.Read, and given back when
// the socket turns out to be empty. It tries to write without blocking.
type rawSocket struct {
	plainSocket
	raw syscall.RawConn

	// Read state, owned by the caller of ReadReady.
	borrow   func() []byte
	giveBack func()
	got      int
	readErr  error
	readFn   func(fd uintptr) bool

	// Write state, owned by the caller of TryWrite or WriteSome: the stream
	// calls one at a time.
	out      []byte
	wait     bool // the callback is to wait for room
	wrote    int
	writeErr error
	writeFn  func(fd uintptr) bool
}

var (
	_ portal.ReadyReader = (*rawSocket)(nil)
	_ portal.TryWriter   = (*rawSocket)(nil)
	_ portal.SomeWriter  = (*rawSocket)(nil)
	_ portal.Pender      = (*rawSocket)(nil)
)

func newSocket(c net.Conn) socket {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return plainSocket{c}
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return plainSocket{c}
	}
	s := &rawSocket{plainSocket: plainSocket{c}, raw: raw}
	s.readFn, s.writeFn = s.readReady, s.writeReady
	return s
}

// ReadReady reads into borrowed memory; see portal.ReadyReader.
func (s *rawSocket) ReadReady(borrow func() []byte, giveBack func()) (int, error) {
	s.borrow, s.giveBack, s.got, s.readErr = borrow, giveBack, 0, nil
	err := s.raw.Read(s.readFn)
	if err == nil {
		err = s.readErr
	}
	return s.got, err
}

// readReady is called when the socket may be readable; it must try, or it would
// hang. False means: wait.
func (s *rawSocket) readReady(fd uintptr) bool {
	b := s.borrow()
	for {
		n, err := unix.Read(int(fd), b)
		switch err {
		case nil:
			if s.got = n; n == 0 {
				s.readErr = io.EOF
			}
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			s.giveBack()
			return false
		default:
			s.readErr = os.NewSyscallError("read", err)
			return true
		}
	}
}

// TryWrite writes what the socket takes now; see portal.TryWriter.
func (s *rawSocket) TryWrite(p []byte) (int, error) { return s.write(p, false) }

// WriteSome waits until the socket takes something; see portal.SomeWriter.
func (s *rawSocket) WriteSome(p []byte) (int, error) { return s.write(p, true) }

func (s *rawSocket) write(p []byte, wait bool) (int, error) {
	s.out, s.wait, s.wrote, s.writeErr = p, wait, 0, nil
	err := s.raw.Write(s.writeFn)
	s.out = nil
	if err == nil {
		err = s.writeErr
	}
	return s.wrote, err
}

// writeReady is called when the socket may take bytes.
func (s *rawSocket) writeReady(fd uintptr) bool {
	for {
		n, err := unix.Write(int(fd), s.out)
		switch err {
		case nil:
			s.wrote = n
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return !s.wait
		default:
			s.writeErr = os.NewSyscallError("write", err)
			return true
		}
	}
}

// ResetFlushed resets the socket when nothing is on its way any more.
func (s *rawSocket) ResetFlushed(ctx context.Context) {
	last, since := -1, time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, flushPoll) {
		left := s.Pending()
		if left <= 0 {
			break
		}
		if left != last {
			last, since = left, time.Now()
		}
		if time.Since(since) > flushTimeout || !tunnel.Sleep(ctx, wait) {
			break
		}
	}
	s.Reset()
}

// Pending returns how many bytes the application's machine has not confirmed;
// see portal.Pender.
func (s *rawSocket) Pending() int {
	n := 0
	_ = s.raw.Control(func(fd uintptr) {
		if v, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ); err == nil {
			n = v
		}
	})
	return n
}

// Watch calls gone if the application resets the connection; see socket.
func (s *rawSocket) Watch(gone func()) (stop func()) {
	done := make(chan struct{})
	t := time.AfterFunc(watchDelay, func() {
		defer close(done)
		s.peek(gone)
	})
	var once sync.Once
	return func() {
		once.Do(func() {
			if t.Stop() {
				return
			}
			_ = s.SetReadDeadline(longAgo)
			<-done
			_ = s.SetReadDeadline(time.Time{})
		})
	}
}

// peek waits until there is something to read, and calls gone if it is an error.
// An end of stream is none: the application may only listen.
func (s *rawSocket) peek(gone func()) {
	var b [1]byte
	_ = s.raw.Read(func(fd uintptr) bool {
		for {
			_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
			switch err {
			case unix.EINTR:
				continue
			case unix.EAGAIN:
				return false
			case nil:
			default:
				gone()
			}
			return true
		}
	})
}
