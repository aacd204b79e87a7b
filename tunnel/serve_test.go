package tunnel_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/service"
)

// A scripted listener returns errors before it accepts.
type scripted struct {
	transports.Listener
	mu   sync.Mutex
	errs []error
}

func (l *scripted) Accept() (transports.Conn, error) {
	l.mu.Lock()
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		l.mu.Unlock()
		return nil, err
	}
	l.mu.Unlock()
	return l.Listener.Accept()
}

// exchange sends to echo over the link and waits for the answer.
func exchange(t *testing.T, r *tunnel.Router, l *tunnel.Link) {
	t.Helper()
	got := make(chan string, 1)
	reg, err := r.Handle(tunnel.RandomAddress(), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		got <- string(m.Payload)
		return discard(m)
	}), tunnel.Access{Open: []tunnel.Source{l.Origin()}})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	m := message("echo")
	m.Return, m.Payload = tunnel.NewRoute(reg.Address()), []byte("hello")
	err = l.Send(m)
	m.Release()
	if err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "hello" {
		t.Errorf("echo answered %q", s)
	}
}

func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network transporttest.Network
		group := &tunnel.Group{Name: "server"}
		r := tunnel.NewRouter()
		handle(t, r, "echo", service.Echo{Router: r, Self: tunnel.LocalAddress("echo")}, group)
		lis, err := network.Listen(t.Context(), "here")
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 10)
		s := &tunnel.Server{
			Router: r, Traits: network.Traits(), Group: group,
			Closed: func(_ *tunnel.Link, err error) { closed <- err },
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- s.Serve(ctx, lis) }()

		client := tunnel.NewRouter()
		var wg sync.WaitGroup
		var links []*tunnel.Link
		for range 3 {
			l, err := tunnel.Dial(t.Context(), client, &network, "here")
			if err != nil {
				t.Fatal(err)
			}
			links = append(links, l)
			wg.Go(func() { _ = l.Serve(t.Context()) })
			exchange(t, client, l)
		}
		links[0].Close()
		if err := <-closed; !errors.Is(err, tunnel.ErrPeerClosed) {
			t.Errorf("Closed is told %v", err)
		}
		_ = lis.Close() // the links go on
		synctest.Wait()
		exchange(t, client, links[1])
		if _, err := tunnel.Dial(t.Context(), client, &network, "here"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial after the listener closed: %v", err)
		}
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if len(closed) != 2 || <-closed != nil || <-closed != nil {
			t.Error("links of a server that ends are not closed by it")
		}
		wg.Wait()
	})
}

func TestServerAcceptErrors(t *testing.T) {
	permanent := errors.New("permanent")
	many := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	for _, tt := range []struct {
		name     string
		errs     []error
		min, max time.Duration // until the first connection is accepted
		want     error
	}{
		{"none", nil, 0, 0, nil},
		{"no file descriptors", []error{many, many, many}, 35 * time.Millisecond, 35 * time.Millisecond, nil},
		{"for long", append(make([]error, 0), many, many, many, many, many, many, many, many, many, many), 2 * time.Second, 4 * time.Second, nil},
		{"gone before it was accepted", []error{syscall.ECONNABORTED}, 0, 5 * time.Millisecond, nil},
		{"permanent", []error{permanent}, 0, 0, permanent},
		{"permanent after others", []error{many, permanent}, 0, 5 * time.Millisecond, permanent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var network transporttest.Network
				lis, err := network.Listen(t.Context(), "here")
				if err != nil {
					t.Fatal(err)
				}
				defer lis.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				start := time.Now()
				opened := make(chan struct{}, 1)
				s := &tunnel.Server{
					Router: tunnel.NewRouter(), Traits: network.Traits(),
					Opened: func(*tunnel.Link) { opened <- struct{}{} },
				}
				served := make(chan error, 1)
				go func() { served <- s.Serve(ctx, &scripted{Listener: lis, errs: tt.errs}) }()
				c, err := network.Dial(ctx, "here")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if tt.want == nil {
					<-opened
					if d := time.Since(start); d < tt.min || d > tt.max {
						t.Errorf("accepted after %v, want %v to %v", d, tt.min, tt.max)
					}
					cancel()
				}
				if err := <-served; !errors.Is(err, tt.want) {
					t.Errorf("Serve: %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestTemporary(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{syscall.EMFILE, true},
		{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.ENFILE)}, true},
		{os.ErrDeadlineExceeded, true},
		{net.ErrClosed, false},
		{errLost, false},
	} {
		if got := tunnel.Temporary(tt.err); got != tt.want {
			t.Errorf("Temporary(%v) is %v", tt.err, got)
		}
	}
}
