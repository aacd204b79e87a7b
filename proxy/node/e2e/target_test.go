//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A target is the service behind an outlet. It does what the first bytes of
// a connection, a request, ask for, so that one target serves every test.
type target struct {
	addr string
	l    *net.TCPListener
	wg   sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	given  map[uint64]bool  // connections that the client gave up
	ends   map[uint64]error // how an echo (nil: end of stream) or a check (nil: all was right) ended, by seed
	alien  []string         // what arrived and was sent by no client
}

// An operation is what a request asks the target to do.
type operation byte

const (
	opEcho    operation = 'e' // send back what comes, until the end
	opSource  operation = 's' // send n bytes of the seed's stream and close at once
	opSlow    operation = 'l' // the same, spread over slowSource; n is a multiple of 30
	opSink    operation = 'k' // read n bytes of the seed's stream, answer sinkOK
	opHalf    operation = 'h' // read n bytes, wait halfPause, answer their digest
	opFlood   operation = 'f' // send until that fails
	opHold    operation = 'n' // never read again
	opReset   operation = 'r' // send n bytes, wait for one byte, reset
	opDuplex  operation = 'd' // send n bytes of the stream of seed+1 while checking that of seed, then sinkOK
	opDiscard operation = 'z' // read n bytes without a look, answer sinkOK
	opZeros   operation = 'Z' // send n bytes that cost nothing to make
)

const (
	slowSource = 3 * time.Second
	halfPause  = 300 * time.Millisecond
	sinkOK     = 'k'
)

// A request opens a connection to a target.
type request struct {
	op   operation
	n    int
	seed uint64
}

const (
	requestMagic = "ockam-e2e-request"
	requestLen   = len(requestMagic) + 1 + 8 + 8 + 4
)

func (r request) encode() []byte {
	b := append([]byte(requestMagic), byte(r.op))
	b = binary.BigEndian.AppendUint64(b, uint64(r.n))
	b = binary.BigEndian.AppendUint64(b, r.seed)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

var errAlien = errors.New("not a request of these tests")

func parseRequest(b []byte) (request, error) {
	body, sum := b[:requestLen-4], binary.BigEndian.Uint32(b[requestLen-4:])
	if !bytes.HasPrefix(b, []byte(requestMagic)) || crc32.ChecksumIEEE(body) != sum {
		return request{}, errAlien
	}
	b = body[len(requestMagic):]
	return request{
		op:   operation(b[0]),
		n:    int(binary.BigEndian.Uint64(b[1:])),
		seed: binary.BigEndian.Uint64(b[9:]),
	}, nil
}

// newTarget starts a target on a free loopback port.
func newTarget(t testing.TB) *target { return serveTarget(t, listenFree(t)) }

// newTargetAt starts a target at addr and ends it with the test.
func newTargetAt(t testing.TB, addr string) *target {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return serveTarget(t, l.(*net.TCPListener))
}

// serveTarget serves l, which it owns from then on.
func serveTarget(t testing.TB, l *net.TCPListener) *target {
	tg := &target{
		addr: l.Addr().String(), l: l,
		conns: map[net.Conn]struct{}{}, ends: map[uint64]error{}, given: map[uint64]bool{},
	}
	tg.wg.Go(tg.accept)
	t.Cleanup(func() {
		tg.close()
		tg.mu.Lock()
		defer tg.mu.Unlock()
		for _, a := range tg.alien {
			t.Errorf("target %s: %s", tg.addr, a)
		}
	})
	return tg
}

func (tg *target) accept() {
	for {
		c, err := tg.l.Accept()
		if err != nil {
			return
		}
		tg.mu.Lock()
		tg.conns[c] = struct{}{}
		if tg.closed {
			_ = c.Close()
		}
		tg.mu.Unlock()
		tg.wg.Go(func() {
			tg.serve(c.(*net.TCPConn))
			_ = c.Close()
			tg.mu.Lock()
			delete(tg.conns, c)
			tg.mu.Unlock()
		})
	}
}

// close ends the target and all its connections.
func (tg *target) close() {
	_ = tg.l.Close()
	tg.mu.Lock()
	tg.closed = true
	for c := range tg.conns {
		_ = c.Close()
	}
	tg.mu.Unlock()
	tg.wg.Wait()
}

// open returns how many connections the target serves now.
func (tg *target) open() int {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return len(tg.conns)
}

// end returns how the connection that was opened with seed ended.
func (tg *target) end(seed uint64) (ended bool, how error) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	how, ended = tg.ends[seed]
	return ended, how
}

func (tg *target) record(seed uint64, how error) {
	tg.mu.Lock()
	tg.ends[seed] = how
	tg.mu.Unlock()
}

// giveUp says that a client is about to close the connection that it opened
// with seed, before its stream's end.
func (tg *target) giveUp(seed uint64) {
	tg.mu.Lock()
	tg.given[seed] = true
	tg.mu.Unlock()
}

func (tg *target) givenUp(seed uint64) bool {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	return tg.given[seed]
}

func (tg *target) complain(format string, args ...any) {
	tg.mu.Lock()
	tg.alien = append(tg.alien, fmt.Sprintf(format, args...))
	tg.mu.Unlock()
}

func (tg *target) serve(c *net.TCPConn) {
	head := make([]byte, requestLen)
	if n, err := io.ReadFull(c, head); err != nil {
		if !bytes.HasPrefix([]byte(requestMagic), head[:min(n, len(requestMagic))]) {
			tg.complain("%d bytes that no client sent: %x", n, head[:n])
		}
		return
	}
	r, err := parseRequest(head)
	if err != nil {
		tg.complain("a request that no client sent: %x", head)
		return
	}
	switch r.op {
	case opEcho:
		_, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		_ = c.CloseWrite()
		tg.record(r.seed, err)
	case opSource:
		_, _ = io.CopyN(c, stream(r.seed), int64(r.n))
	case opSlow:
		const steps = 30
		src := stream(r.seed)
		for range steps {
			if _, err := io.CopyN(c, src, int64(r.n/steps)); err != nil {
				return
			}
			time.Sleep(slowSource / steps) // the transfer that a drain must wait for
		}
	case opSink:
		answer := byte(sinkOK)
		_, err := checkStream(c, r.seed, r.n)
		if err != nil {
			answer = 'x'
		}
		tg.record(r.seed, err)
		_, _ = c.Write([]byte{answer})
	case opHalf:
		h := sha256.New()
		_, err := io.CopyN(h, c, int64(r.n))
		time.Sleep(halfPause) // the answer must find its way after the request's end
		if err == nil {
			_, _ = c.Write(h.Sum(nil))
		}
	case opFlood:
		_, _ = io.Copy(c, struct{ io.Reader }{stream(r.seed)})
	case opHold:
		tg.hold(c)
	case opReset:
		_, _ = io.CopyN(c, stream(r.seed), int64(r.n))
		_, _ = io.ReadFull(c, head[:1])
		_ = c.SetLinger(0)
	case opDuplex:
		tg.duplex(c, r)
	case opDiscard:
		if _, err := io.CopyN(discard{}, c, int64(r.n)); err == nil {
			_, _ = c.Write([]byte{sinkOK})
		}
	case opZeros:
		buf := make([]byte, 128<<10)
		for n := r.n; n > 0; n -= len(buf) {
			if _, err := c.Write(buf[:min(n, len(buf))]); err != nil {
				return
			}
		}
	default:
		tg.complain("operation %q", r.op)
	}
}

// discard drops what it is given, from a large buffer of its own.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

var discardBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// ReadFrom drops what r has.
func (discard) ReadFrom(r io.Reader) (int64, error) {
	buf := discardBuffers.Get().(*[128 << 10]byte)
	defer discardBuffers.Put(buf)
	for total := int64(0); ; {
		n, err := r.Read(buf[:])
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

// hold keeps c unread until the target or the peer ends it.
func (tg *target) hold(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	for {
		time.Sleep(50 * time.Millisecond) // looks for the end without reading
		dead := false
		if err := raw.Control(func(fd uintptr) {
			v, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
			dead = err != nil || v != 0
		}); err != nil || dead {
			return
		}
	}
}

func (tg *target) duplex(c *net.TCPConn, r request) {
	n, err := sendAndCheck(c, c, r.seed+1, r.seed, r.n)
	tg.record(r.seed, err)
	switch {
	case err == nil:
		_, _ = c.Write([]byte{sinkOK})
	case errors.Is(err, errContent), errors.Is(err, errShort) && !tg.givenUp(r.seed):
		tg.complain("stream %d: after %d of %d bytes: %v", r.seed, n, r.n, err)
	}
}

// sendAndCheck sends n bytes of the stream of mine to c while it compares n
// bytes that r reads from c with the stream of theirs; it returns how many
// were right.
func sendAndCheck(c net.Conn, r io.Reader, mine, theirs uint64, n int) (got int, err error) {
	var sendErr error
	both(
		func() { _, sendErr = io.CopyN(c, stream(mine), int64(n)) },
		func() { got, err = checkStream(r, theirs, n) },
	)
	// The kernel tells of a reset once, to whoever asks first: after a
	// reset that the sender has seen, the reader sees an end of stream.
	if errors.Is(err, errShort) && isReset(sendErr) {
		err = sendErr
	}
	return got, err
}

var (
	errContent = errors.New("a byte that was not sent here")
	errShort   = errors.New("end of stream before the stream's end")
)

// stream returns the endless stream of bytes of seed.
func stream(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// checkStream reads n bytes from r and compares them with the stream of
// seed; it returns how many were right.
func checkStream(r io.Reader, seed uint64, n int) (int, error) {
	want, buf, mine := stream(seed), make([]byte, 64<<10), make([]byte, 64<<10)
	for done := 0; done < n; {
		got, err := r.Read(buf[:min(len(buf), n-done)])
		if got > 0 {
			_, _ = io.ReadFull(want, mine[:got])
			if !bytes.Equal(mine[:got], buf[:got]) {
				return done, errContent
			}
			done += got
		}
		if errors.Is(err, io.EOF) && done < n {
			return done, errShort
		} else if err != nil && done < n {
			return done, err
		}
	}
	return n, nil
}

// pattern returns n bytes of one repeated text that no cipher leaves
// recognizable.
func pattern(n int) []byte {
	return bytes.Repeat([]byte(plainPattern), n/len(plainPattern)+1)[:n]
}

// plainPattern is what must never be seen outside the two ends.
const plainPattern = patternPart + "-relay-must-never-see\n"

// patternPart is long enough to be no accident, and whole in any piece of the
// repeated pattern that is longer than pattern and part together.
const patternPart = "plaintext-that-a"
