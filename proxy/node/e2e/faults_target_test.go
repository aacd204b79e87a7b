//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// ended waits for c to end and returns how long that took; bytes are an
// error.
func ended(c net.Conn, limit time.Duration) (time.Duration, error) {
	begin := time.Now()
	_ = c.SetReadDeadline(begin.Add(limit))
	n, err := c.Read(make([]byte, 1))
	switch {
	case n > 0:
		return 0, errors.New("a byte arrived that nobody sent")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, fmt.Errorf("still open after %v", limit)
	}
	return time.Since(begin), nil
}

// TestTargetRefuses closes the client's connection at once when the target
// takes no connections, and works again when it does.
func TestTargetRefuses(t *testing.T) {
	tn, tg := newEchoTunnel(t, tunnelSetup{})
	tg.close()
	for range 5 {
		c, err := net.Dial("tcp", tn.inlet)
		if errors.Is(err, syscall.ECONNRESET) {
			continue // so soon that there was no connection yet
		} else if err != nil {
			t.Fatal(err)
		}
		took, err := ended(c, slow(3*time.Second))
		if err != nil {
			t.Errorf("connection whose target refuses: %v", err)
		}
		t.Logf("closed after %v", took.Round(time.Millisecond))
		_ = c.Close()
	}
	newTargetAt(t, tg.addr)
	if err := checkEcho(tn.inlet, "the target is back"); err != nil {
		t.Errorf("after the target is back: %v", err)
	}
}

// TestTargetHangs gives up on a target that answers no connection request.
func TestTargetHangs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for a time-out")
	}
	tn, tg := newEchoTunnel(t, tunnelSetup{})
	tg.close()
	fullBacklog(t, tg.addr)
	c, err := net.Dial("tcp", tn.inlet)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	took, err := ended(c, slow(45*time.Second))
	if err != nil {
		t.Errorf("connection whose target hangs: %v", err)
	}
	t.Logf("closed after %v", took.Round(time.Millisecond))
}

// fullBacklog listens at addr and accepts nothing, with a queue that is full:
// a further connection request gets no answer.
func fullBacklog(t *testing.T, addr string) {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			return // full
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Skip("this kernel takes connections beyond the queue's length")
}

func TestFullBacklog(t *testing.T) {
	addr := freePort(t)
	fullBacklog(t, addr)
	if c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond); err == nil {
		_ = c.Close()
		t.Error("the full queue took a connection")
	}
}

// TestWrongIdentity shows that neither end serves somebody else.
func TestWrongIdentity(t *testing.T) {
	for _, node := range []string{"app", "db"} {
		t.Run("unknown at "+node, func(t *testing.T) {
			t.Parallel()
			program(t)
			tg := newTarget(t)
			stranger := newHost(t, tunnelSetup{}, "stranger")
			tn := newTunnel(t, tunnelSetup{target: tg.addr, stopped: true, edit: func(name, hcl string) string {
				if name == node {
					return identifierForm.ReplaceAllString(hcl, stranger.id)
				}
				return hcl
			}})
			tn.start()
			waitListening(t, tn.relay.process, tn.listen)
			// Nothing tells that a path will never come: try for a while.
			for begin := time.Now(); time.Since(begin) < slow(4*time.Second); {
				if err := probeEcho(tn.inlet, time.Second); err == nil {
					t.Fatal("a connection works although the far end is not the one allowed")
				}
			}
			if n := tg.open(); n > 0 {
				t.Errorf("the target got %d connections", n)
			}
		})
	}
}
