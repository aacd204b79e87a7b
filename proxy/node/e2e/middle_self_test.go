//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"testing"
)

// TestMiddle tries the hostile network on two ends that speak frames.
func TestMiddle(t *testing.T) {
	l := listenFree(t)
	defer l.Close()
	m := newMiddle(t, l.Addr().String())
	for _, a := range append([]attack{{name: "none"}}, attacks()...) {
		t.Run(a.name, func(t *testing.T) {
			a.up, a.every = true, 1
			m.armed.Store(nil)
			if a.strike != nil {
				m.armed.Store(&a)
			}
			sent := sendFrames(t, m.addr(), 100)
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got, err := io.ReadAll(c)
			if err != nil && !isReset(err) {
				t.Fatal(err)
			}
			if same := bytes.Equal(got, sent); same != (a.strike == nil) {
				t.Errorf("%d bytes arrived of %d, the same: %v", len(got), len(sent), same)
			}
		})
	}
	if m.betrayed.Load() == 0 {
		t.Error("the pattern was sent in the clear and not found")
	}
}

// sendFrames sends n frames of text and returns what it sent.
func sendFrames(t *testing.T, addr string, n int) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := []byte{1}
	for i := range n {
		text := append(pattern(100), byte(i))
		sent = binary.BigEndian.AppendUint32(sent, uint32(len(text)))
		sent = append(sent, text...)
	}
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestSearchMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the detector's shadow memory is too large to search")
	}
	if n, size := searchMemory(t, os.Getpid()); n == 0 {
		t.Errorf("%d bytes searched, nothing found", size)
	}
	other := start(t, command{name: "sleep", argv: []string{"sleep", "60"}})
	if n, size := searchMemory(t, other.pid()); n != 0 || size == 0 {
		t.Errorf("%d bytes of another process searched, found %d", size, n)
	}
}
