//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// patience is how long a client waits for anything before it gives up.
const patience = 20 * time.Second

// open connects to addr and sends r. The connection has a deadline of
// patience.
func open(addr string, r request) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(slow(patience)))
	if _, err := c.Write(r.encode()); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// echo sends text on c and demands it back.
func echo(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != text {
		return fmt.Errorf("echo: got %q, want %q", got, text)
	}
	return nil
}

// checkEcho opens a connection, makes one round trip and closes it.
func checkEcho(addr, text string) error {
	c, err := open(addr, request{op: opEcho})
	if err != nil {
		return err
	}
	defer c.Close()
	return echo(c, text)
}

// probeEcho is checkEcho that gives up after limit.
func probeEcho(addr string, limit time.Duration) error {
	c, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write(request{op: opEcho}.encode()); err != nil {
		return err
	}
	return echo(c, "probe")
}

// checkSource reads n bytes that the target sends before it closes at once,
// and the end of stream behind them.
func checkSource(addr string, n int) error {
	seed := rand.Uint64()
	c, err := open(addr, request{op: opSource, n: n, seed: seed})
	if err != nil {
		return err
	}
	defer c.Close()
	if got, err := checkStream(c, seed, n); err != nil {
		return fmt.Errorf("after %d bytes: %w", got, err)
	}
	return wantEOF(c)
}

// wantEOF demands the end of stream next.
func wantEOF(c net.Conn) error {
	var b [1]byte
	switch n, err := c.Read(b[:]); {
	case n > 0:
		return errors.New("more bytes than were sent")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("instead of the end of stream: %w", err)
	}
	return nil
}

// checkSink sends n bytes and has the target check them.
func checkSink(addr string, n int) error {
	seed := rand.Uint64()
	c, err := open(addr, request{op: opSink, n: n, seed: seed})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.CopyN(c, stream(seed), int64(n)); err != nil {
		return err
	}
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer[0] != sinkOK {
		return errors.New("the target read other bytes than were sent")
	}
	return nil
}

// checkHalfClose sends a request, ends its own direction and wants the answer
// that the target gives a while later.
func checkHalfClose(addr string) error {
	body := pattern(100 << 10)
	c, err := open(addr, request{op: opHalf, n: len(body)})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(body); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("half-close: %w", err)
	}
	if want := sha256.Sum256(body); !bytes.Equal(answer, want[:]) {
		return fmt.Errorf("half-close: answer of %d bytes, want the digest of what was sent", len(answer))
	}
	return nil
}

// isReset tells whether err is what an application sees of a reset.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
