//go:build linux

package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A middle sits on the wire between a node and the relay. It sees every
// byte, and when it is armed it does to whole frames what a hostile network
// or relay can do.
type middle struct {
	t     testing.TB
	l     net.Listener
	next  string
	armed atomic.Pointer[attack]

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
	wg    sync.WaitGroup

	seen     atomic.Int64 // bytes
	frames   atomic.Int64
	struck   atomic.Int64 // frames that an attack was made on
	betrayed atomic.Int64 // times the plaintext pattern was seen
}

// An attack is made on some of the frames of one direction.
type attack struct {
	name  string
	up    bool // from the node to the relay
	every int  // on average one in so many
	// strike returns what is sent instead of frame. It may keep frames in
	// held; what it keeps is its own.
	strike func(held *[][]byte, frame []byte) [][]byte
	// end, if set, closes the connection after what strike returned.
	end bool
}

// attacks are what a hostile network can do to frames. A frame begins with
// its length of four bytes, which stays true.
func attacks() []attack {
	keep := func(held *[][]byte, frame []byte) {
		if *held = append(*held, bytes.Clone(frame)); len(*held) > 200 {
			*held = (*held)[1:]
		}
	}
	return []attack{
		{name: "alter a bit anywhere", strike: func(_ *[][]byte, f []byte) [][]byte {
			flip(f, 4+rand.IntN(len(f)-4))
			return [][]byte{f}
		}},
		{name: "alter a bit near the end", strike: func(_ *[][]byte, f []byte) [][]byte {
			flip(f, len(f)-1-rand.IntN(min(40, len(f)-4)))
			return [][]byte{f}
		}},
		{name: "duplicate", strike: func(_ *[][]byte, f []byte) [][]byte { return [][]byte{f, f} }},
		{name: "replay an old one", strike: func(held *[][]byte, f []byte) [][]byte {
			out := [][]byte{f}
			if len(*held) > 0 {
				out = append(out, (*held)[rand.IntN(len(*held))])
			}
			keep(held, f)
			return out
		}},
		{name: "drop", strike: func(*[][]byte, []byte) [][]byte { return nil }},
		{name: "re-order", strike: func(held *[][]byte, f []byte) [][]byte {
			if len(*held) == 0 {
				keep(held, f)
				return nil
			}
			out := append([][]byte{f}, *held...)
			*held = nil
			return out
		}},
		{name: "delay far", strike: func(held *[][]byte, f []byte) [][]byte {
			keep(held, f)
			if len(*held) < 40 {
				return nil
			}
			out := *held
			*held = nil
			rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
			return out
		}},
		{name: "close between frames", end: true, strike: func(_ *[][]byte, f []byte) [][]byte { return [][]byte{f} }},
	}
}

func flip(b []byte, at int) { b[at] ^= 1 << rand.IntN(8) }

// newMiddle starts a middle that passes everything to next.
func newMiddle(t testing.TB, next string) *middle {
	t.Helper()
	l := listenFree(t)
	m := &middle{t: t, l: l, next: next, conns: map[net.Conn]struct{}{}}
	m.wg.Go(m.accept)
	t.Cleanup(func() {
		_ = l.Close()
		m.mu.Lock()
		m.over = true
		for c := range m.conns {
			_ = c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

func (m *middle) addr() string { return m.l.Addr().String() }

func (m *middle) accept() {
	for {
		in, err := m.l.Accept()
		if err != nil {
			return
		}
		m.wg.Go(func() {
			defer in.Close()
			out, err := net.Dial("tcp", m.next)
			if err != nil {
				return
			}
			defer out.Close()
			if !m.hold(in, out) {
				return
			}
			both(
				func() { m.carry(out, in, true) },
				func() { m.carry(in, out, false) },
			)
			m.mu.Lock()
			delete(m.conns, in)
			delete(m.conns, out)
			m.mu.Unlock()
		})
	}
}

func (m *middle) hold(conns ...net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range conns {
		m.conns[c] = struct{}{}
	}
	return !m.over
}

// carry moves one direction and ends both when it ends.
func (m *middle) carry(dst, src net.Conn, up bool) {
	err := m.carryFrames(dst, src, up)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !isReset(err) &&
		!errors.Is(err, io.ErrUnexpectedEOF) {
		m.t.Errorf("middle: %v", err)
	}
	_ = dst.Close()
	_ = src.Close()
}

var errEndHere = fmt.Errorf("ended by the attack: %w", io.EOF)

func (m *middle) carryFrames(dst io.Writer, src io.Reader, up bool) error {
	r := bufio.NewReaderSize(src, 64<<10)
	version, err := r.ReadByte()
	if err != nil {
		return err
	}
	if version != 1 {
		return fmt.Errorf("a connection begins with %#x, want 1", version)
	}
	if _, err := dst.Write([]byte{version}); err != nil {
		return err
	}
	var held [][]byte
	for {
		frame, err := readFrame(r)
		if err != nil {
			return err
		}
		m.look(frame)
		out, end := [][]byte{frame}, false
		if a := m.armed.Load(); a != nil && a.up == up && len(frame) > 4 && rand.IntN(a.every) == 0 {
			m.struck.Add(1)
			out, end = a.strike(&held, frame), a.end
		}
		if _, err := dst.Write(bytes.Join(out, nil)); err != nil {
			return err
		}
		if end {
			return errEndHere
		}
	}
}

// look counts a frame and searches it for the plaintext.
func (m *middle) look(frame []byte) {
	m.frames.Add(1)
	m.seen.Add(int64(len(frame)))
	if bytes.Contains(frame, []byte(patternPart)) {
		m.betrayed.Add(1)
	}
}

const frameLimit = 16 << 20

// readFrame reads a frame with its length.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > frameLimit {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := append(head[:], make([]byte, n)...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}
