package transporttest_test

import (
	"fmt"
	"net"
	"testing"

	"ockam/transports/transporttest"
)

// TestFreePort: each port can be listened at, and is returned once.
func TestFreePort(t *testing.T) {
	given := make(map[int]bool)
	for range 100 {
		port := transporttest.FreePort(t)
		if given[port] {
			t.Errorf("port %d was returned twice", port)
		}
		given[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
}
