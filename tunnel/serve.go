package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"ockam/transports"
)

// A Server accepts links. Its zero value but for Router serves everybody.
type Server struct {
	Router *Router
	Traits transports.Traits
	Group  *Group // of the links; what is open to it is reachable over all of them
	// Opened and Closed, if set, are told of each link, Closed with why it
	// ended. They are called on the link's goroutine and must return soon.
	Opened func(*Link)
	Closed func(*Link, error)
	// Linger bounds how long a link may take to end in good order once the
	// server is to end; see Link.Shutdown. 0: it is closed at once.
	Linger time.Duration
}

// acceptBackOff is the longest wait when accepting fails for want of file
// descriptors or memory.
const acceptBackOff = time.Second

// Serve accepts connections on lis and serves each as a link until ctx ends; then
// it closes lis and all links and returns nil once they have ended. If somebody
// closes lis before, the links go on until they or ctx end.
func (s *Server) Serve(ctx context.Context, lis transports.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = lis.Close() })
	defer stop()
	var wait time.Duration
	for {
		conn, err := lis.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
			wait = 0
			wg.Go(func() { s.serveConn(ctx, conn) })
		case errors.Is(err, net.ErrClosed):
			wg.Wait()
			return nil
		case !Temporary(err):
			return err
		default:
			wait = min(max(2*wait, 5*time.Millisecond), acceptBackOff)
			if !Sleep(ctx, wait) {
				return nil
			}
		}
	}
}

func (s *Server) serveConn(ctx context.Context, conn transports.Conn) {
	l, err := NewLink(s.Router, conn, s.Traits, s.Group)
	if err != nil { // the random address was taken; NewLink closed conn
		return
	}
	if s.Opened != nil {
		s.Opened(l)
	}
	err = s.serveLink(ctx, l)
	if s.Closed != nil {
		s.Closed(l, err)
	}
}

func (s *Server) serveLink(ctx context.Context, l *Link) error {
	if s.Linger == 0 {
		return l.Serve(ctx)
	}
	life := context.WithoutCancel(ctx)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(life, s.Linger)
		defer cancel()
		l.Shutdown(ctx)
	})
	err := l.Serve(life)
	if !stop() {
		<-ended
	}
	return err
}

// Temporary reports whether accepting may succeed later: a connection that was
// gone before it was accepted, or no file descriptor or memory left.
func Temporary(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPROTO,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Sleep waits for d and reports whether ctx is still live.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// Dial opens a connection and makes a link of it. The caller serves or closes it.
func Dial(ctx context.Context, r *Router, t transports.Transport, addr string) (*Link, error) {
	conn, err := t.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return NewLink(r, conn, t.Traits(), nil)
}
