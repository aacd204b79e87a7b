package tunnel_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"ockam/transports/tcp"
	"ockam/tunnel"
)

// shutting is a server that sends to a peer, which does not read yet, as much as
// the link takes, and is then told to end.
type shutting struct {
	peer net.Conn
	sent chan int      // how many messages the link took
	over chan struct{} // Serve has returned
}

func startShutting(t *testing.T, linger time.Duration) *shutting {
	t.Helper()
	lis, err := tcp.Transport{}.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &shutting{sent: make(chan int, 1), over: make(chan struct{})}
	accepted := make(chan struct{})
	var wg sync.WaitGroup
	server := &tunnel.Server{Router: tunnel.NewRouter(), Traits: tcp.Transport{}.Traits(), Linger: linger}
	server.Opened = func(l *tunnel.Link) {
		close(accepted)
		wg.Go(func() {
			for n := 0; ; n++ {
				m := message("me")
				m.Payload = make([]byte, 10_000)
				err := l.Send(m)
				m.Release()
				if err != nil {
					if !errors.Is(err, tunnel.ErrClosed) {
						t.Errorf("send: %v", err)
					}
					s.sent <- n
					return
				}
			}
		})
	}
	go func() {
		defer close(s.over)
		if err := server.Serve(ctx, lis); err != nil {
			t.Errorf("serve: %v", err)
		}
		wg.Wait()
	}()
	if s.peer, err = net.Dial("tcp", lis.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.peer.Close()
		cancel()
		<-s.over
	})
	<-accepted                         // a server that ends does not accept who has dialed
	time.Sleep(200 * time.Millisecond) // the link is full
	cancel()
	return s
}

// TestShutdown checks that what a link took arrives when it is shut down, even at
// a peer that reads late and goes on to send.
func TestShutdown(t *testing.T) {
	s := startShutting(t, 10*time.Second)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // a close of the socket with this unread would be a reset
		_, _ = s.peer.Write([]byte{1})
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := s.peer.Write(frame(t, []string{"nobody"}, nil, make([]byte, 100))); err != nil {
					return
				}
			}
		}
	})
	time.Sleep(100 * time.Millisecond)
	in, got := bufio.NewReader(s.peer), 0
	_, err := in.Discard(1)
	for ; err == nil; got++ {
		var head [4]byte
		if _, err = io.ReadFull(in, head[:]); err != nil {
			break
		}
		_, err = io.CopyN(io.Discard, in, int64(binary.BigEndian.Uint32(head[:])))
	}
	if sent := <-s.sent; !errors.Is(err, io.EOF) || got != sent {
		t.Errorf("%d of %d messages arrived, then %v", got, sent, err)
	}
	close(stop)
	_ = s.peer.Close()
	wg.Wait()
	<-s.over
}

// TestShutdownTimeout checks that a peer which takes nothing does not hold up the
// end for longer than Linger.
func TestShutdownTimeout(t *testing.T) {
	s := startShutting(t, 100*time.Millisecond)
	select {
	case <-s.over:
	case <-time.After(5 * time.Second):
		t.Error("the server has not ended")
	}
	<-s.sent
}
