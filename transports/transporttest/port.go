package transporttest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports from firstPort to before lastPort are given to nobody who asks for any port:
// Linux takes those from 32768 on by default, others from 49152 on.
const firstPort, lastPort = 10000, 32768

// given are the ports that FreePort has returned.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// FreePort returns a TCP port of the loopback address where nothing listens, for
// something that listens there later, perhaps again and again. Meanwhile it is not
// taken by who asks for any port, be it another process, and FreePort does not
// return it a second time.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if !give(port) {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil { // it is in use
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// FreeAddress returns the loopback address with a port of FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// give reports whether a port has not been returned before, and remembers that it is.
func give(port int) bool {
	given.Lock()
	defer given.Unlock()
	if given.ports == nil || len(given.ports) > (lastPort-firstPort)/2 { // after hundreds of runs
		given.ports = make(map[int]bool)
	}
	if given.ports[port] {
		return false
	}
	given.ports[port] = true
	return true
}
