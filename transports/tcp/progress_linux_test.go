package tcp_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"ockam/transports"
	"ockam/transports/tcp"
)

// TestSlowPeer reads so little that the kernel does not wake the writer within
// several StallTimeouts, though bytes leave in each: that is a slow network, not
// a stall. Then nothing is read, which is one.
func TestSlowPeer(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	c, accepted := raw(t, tcp.Transport{StallTimeout: stall})
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))

	var wrote, failed time.Time
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		for err == nil {
			wrote = time.Now()
			err = accepted.Write(net.Buffers{make([]byte, 1<<20)})
		}
		failed = time.Now()
		_ = accepted.Close()
	})
	buf := make([]byte, 8<<10)
	for begin := time.Now(); time.Since(begin) < 6*stall; time.Sleep(stall / 16) {
		if _, err := c.Read(buf); err != nil {
			t.Error(err)
			break
		}
	}
	stopped := time.Now()
	wg.Wait()
	if !errors.Is(err, transports.ErrStalled) || failed.Before(stopped.Add(stall/2)) {
		t.Errorf("%v, %v before the peer stopped reading, %v after the write began",
			err, stopped.Sub(failed), failed.Sub(wrote))
	}
}
