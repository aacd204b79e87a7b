package secure_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel/secure"
)

// TestFlood sends 65,536 first messages over one link. What they cost is
// bounded, and others get their channels meanwhile.
func TestFlood(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	l := bob.listenChannels(newListener())
	_, far := bob.far(bob.links)
	go func() { _, _ = io.Copy(io.Discard, far.conn) }() // ends with far
	link := alice.joinTo(bob)

	goroutines, heap := runtime.NumGoroutine(), heapAlloc()
	first := frame{api, route("flood"), newHand(t, make([]byte, 32), nil).message1(nil)}.bytes()
	const floods, batch = 65536, 256
	most := 0
	slowest := time.Duration(0)
	for i := 0; i < floods; i += batch {
		far.writeRaw(bytes.Repeat(first, batch))
		most = max(most, l.Handshakes())
		if i%8192 == 0 {
			began := time.Now()
			c := alice.connect(link)
			alice.works(c)
			c.Close()
			slowest = max(slowest, time.Since(began))
		}
	}
	if most > secure.MaxHandshakesPerOrigin+1 {
		t.Errorf("%d handshakes under way", most)
	}
	if most < secure.MaxHandshakesPerOrigin {
		t.Errorf("only %d handshakes under way: no flood", most)
	}
	if n := runtime.NumGoroutine() - goroutines; n > secure.MaxHandshakesPerOrigin+10 {
		t.Errorf("%d goroutines more", n)
	}
	if n := heapAlloc() - heap; n > 16<<20 && !transporttest.RaceEnabled {
		t.Errorf("%d KiB more", n>>10)
	}
	t.Logf("most %d handshakes; another link's channel took %v at most; %d KiB", most, slowest, (heapAlloc()-heap)>>10)
	_ = far.conn.Close()
	within(t, "the flood's handshakes end with its link", func() bool { return l.Handshakes() == 0 })
	if l.Waiting() != 0 {
		t.Errorf("%d bytes wait for nothing", l.Waiting())
	}
}

func heapAlloc() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestGarbageFlood has handshakes begun and spoiled as fast as one link carries
// them: nothing is held, and others get their channels meanwhile.
func TestGarbageFlood(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	l := bob.listenChannels(newListener())
	_, far := bob.far(bob.links)
	link := alice.joinTo(bob)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // begins and, with each answer, spoils
		begin := frame{api, route("flood"), newHand(t, make([]byte, 32), nil).message1(nil)}.bytes()
		for range 64 {
			if far.conn.Write(net.Buffers{begin}) != nil {
				return
			}
		}
		for {
			b, err := receive(far.conn)
			if err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
			spoil := frame{parseFrame(t, b).ret, route("flood"), make([]byte, 64)}.bytes()
			if far.conn.Write(net.Buffers{bytes.Repeat(spoil, secure.MaxBadMessages+1), begin}) != nil {
				return
			}
		}
	})
	slowest := time.Duration(0)
	for range 20 {
		began := time.Now()
		c := alice.connect(link)
		alice.works(c)
		c.Close()
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("another link's channel took %v at most", slowest)
	close(stop)
	_ = far.conn.Close()
	wg.Wait()
	within(t, "nothing is left", func() bool { return l.Handshakes() == 0 && l.Waiting() == 0 })
}

// TestRelayShare has one of a relay's peers begin handshakes that it does not
// finish: the others behind the same link go on.
func TestRelayShare(t *testing.T) {
	bob := newNode(t)
	l := bob.listenChannels(newListener())
	_, far := bob.far(bob.links)
	h := newHand(t, make([]byte, 32), nil).message1(nil)
	for range 2 * secure.MaxHandshakesPerHop {
		far.write(frame{api, route("hostile", "x"), h})
	}
	far.write(frame{api, route("friendly", "y"), h})
	answers := map[string]int{}
	for range secure.MaxHandshakesPerHop + 1 {
		answers[far.read().onward.String()]++
	}
	if answers["0#hostile => 0#x"] != secure.MaxHandshakesPerHop || answers["0#friendly => 0#y"] != 1 {
		t.Errorf("answers %v", answers)
	}
	if n := l.Handshakes(); n != secure.MaxHandshakesPerHop+1 {
		t.Errorf("%d handshakes under way", n)
	}
}

// TestLongFirstMessages sends first messages that would hold much memory.
func TestLongFirstMessages(t *testing.T) {
	bob := newNode(t)
	l := bob.listenChannels(newListener())
	_, far := bob.far(bob.links)
	h := newHand(t, make([]byte, 32), nil).message1(nil)
	for _, f := range []frame{
		{api, route(strings.Repeat("x", secure.MaxRoute), "me"), h},
		{api, route("me"), make([]byte, 1<<20)},
	} {
		far.write(f)
	}
	far.write(frame{api, route("me"), h}) // is dealt with after those
	far.read()
	if n := l.Handshakes(); n != 1 {
		t.Errorf("%d handshakes under way, want the last one", n)
	}
}

// TestSlowPeer has a peer that begins handshakes and takes no answers.
func TestSlowPeer(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	l := bob.listenChannels(newListener())
	a, slow := transporttest.Pipe(transporttest.PipeOptions{Buffer: 2 << 10, StallTimeout: 300 * time.Millisecond})
	bob.link(a, bob.links)
	defer func() { _ = slow.Close() }()
	link := alice.joinTo(bob)
	first := frame{api, route("slow"), newHand(t, make([]byte, 32), nil).message1(nil)}.bytes()
	for range 100 {
		if slow.Write(net.Buffers{first}) != nil {
			break
		}
	}
	for range 5 {
		alice.works(alice.connect(link))
	}
	within(t, "the slow link and its handshakes end", func() bool { return l.Handshakes() == 0 })
}
