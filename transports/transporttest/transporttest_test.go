package transporttest_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports"
	"ockam/transports/transporttest"
)

func TestNetwork(t *testing.T) {
	const stall = 300 * time.Millisecond
	for _, tt := range []struct {
		name    string
		options transporttest.PipeOptions
	}{
		{"plain", transporttest.PipeOptions{}},
		{"small", transporttest.PipeOptions{Buffer: 10_000}},
		{"cannot try", transporttest.PipeOptions{NoTry: true}},
		{"a little at a time", transporttest.PipeOptions{MaxWrite: 1000, MaxRead: 9973}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &transporttest.Network{Options: tt.options}
			stalling := tt.options
			stalling.StallTimeout = stall
			transporttest.Run(t, n, transporttest.Options{
				Raw: n.DialRaw, Stalling: &transporttest.Network{Options: stalling}, Stall: stall,
			})
		})
	}
}

func TestPipeFaults(t *testing.T) {
	a, b := transporttest.Pipe(transporttest.PipeOptions{Buffer: 10})
	broken := errors.New("broken")
	a.FailWrites(broken)
	if err := a.Write(net.Buffers{{1}}); !errors.Is(err, broken) {
		t.Errorf("Write: %v", err)
	}
	if _, err := a.TryWrite(net.Buffers{{1}}); !errors.Is(err, broken) {
		t.Errorf("TryWrite: %v", err)
	}
	if n, err := b.TryWrite(net.Buffers{make([]byte, 8), make([]byte, 8)}); n != 10 || err != nil {
		t.Errorf("TryWrite took %d of 10: %v", n, err)
	}
	if n := a.Unread(); n != 10 {
		t.Errorf("%d unread", n)
	}
	_ = b.Close()
	if got, err := io.ReadAll(a); len(got) != 10 || err != nil {
		t.Errorf("%d bytes after the other end closed: %v", len(got), err)
	}
	if n, calls := b.Written(); n != 10 || calls != 1 {
		t.Errorf("%d bytes in %d calls", n, calls)
	}
}

func TestPipeStallsInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := transporttest.Pipe(transporttest.PipeOptions{})
		start := time.Now()
		err := a.Write(net.Buffers{make([]byte, 1<<20)})
		if !errors.Is(err, transports.ErrStalled) || time.Since(start) != transports.StallTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
