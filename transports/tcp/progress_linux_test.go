package tcp_test

import (
	"errors"
	"io"
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
	const stall, rate = time.Second, 128 << 10 // bytes that are read in each
	c, accepted := raw(t, tcp.Transport{StallTimeout: stall})
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))

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
	// The rate is kept also where each sleep takes long: the kernel tells the writer's
	// of room only once a segment, of 64 KiB, fits.
	read := int64(0)
	for begin := time.Now(); time.Since(begin) < 6*stall; time.Sleep(stall / 24) {
		due := int64(time.Since(begin) * rate / stall)
		n, err := io.CopyN(io.Discard, c, due-read)
		if read += n; err != nil {
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
