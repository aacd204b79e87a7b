package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/tunnel/multiaddr"
)

// runRendezvous runs a rendezvous server until the test ends and returns where
// its service and its health check are.
func runRendezvous(t *testing.T) (udp, health string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan [2]string, 1), make(chan error, 1)
	go func() {
		done <- node.RunRendezvous(ctx, node.RendezvousOptions{
			UDP: "127.0.0.1:0", Health: "127.0.0.1:0",
			Ready: func(u, h net.Addr) { ready <- [2]string{u.String(), h.String()} },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case at := <-ready:
		return at[0], at[1]
	case err := <-done:
		done <- err
		t.Fatal(err)
		return "", ""
	}
}

func backgroundNode(t *testing.T, name, rendezvous string) *node.Background {
	t.Helper()
	return loggingNode(t, name, rendezvous, nil)
}

// loggingNode is backgroundNode with a log.
func loggingNode(t *testing.T, name, rendezvous string, log *zap.Logger) *node.Background {
	t.Helper()
	s, err := state.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b, err := node.StartBackground(t.Context(), node.BackgroundOptions{
		Name: name, Listen: "127.0.0.1:0", Store: s, Rendezvous: rendezvous, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func placeOf(t *testing.T, b *node.Background, rest string) multiaddr.Addr {
	t.Helper()
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	a, err := multiaddr.Parse("/ip4/127.0.0.1/tcp/" + port + rest)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// comesBack sends n bytes through an inlet and wants them back.
func comesBack(t *testing.T, addr string, n int) {
	t.Helper()
	if err := tryComesBack(addr, n); err != nil {
		t.Fatal(err)
	}
}

// comesBackOverUDP is comesBack where a datagram may get lost, if only since a busy
// machine has no room for it. That resets the connection, at the latest when pings
// tell, and the next one finds another path.
func comesBackOverUDP(t *testing.T, addr string, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		err := tryComesBack(addr, n)
		if err == nil {
			return
		}
		lost := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded)
		if !lost || time.Now().After(end) {
			t.Fatal(err)
		}
		t.Log(err)
	}
}

func tryComesBack(addr string, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	want := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- err
	}()
	got := make([]byte, len(want))
	_, err = io.ReadFull(c, got)
	if err != nil {
		_ = c.Close() // so that the writing ends
	}
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes did not come back: %w", n, err)
	}
	return nil
}

// TestInletOverUDP: a path over UDP is found and used, and nothing else if
// nothing else may be.
func TestInletOverUDP(t *testing.T) {
	rdv, _ := runRendezvous(t)
	core, logged := observer.New(zap.InfoLevel)
	a, b := loggingNode(t, "a", rdv, zap.New(core)), backgroundNode(t, "b", rdv)
	if _, err := b.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	for _, only := range []bool{true, false} {
		in, err := a.CreateInlet(t.Context(), node.InletOptions{
			Alias: "only " + map[bool]string{true: "yes", false: "no"}[only], From: "127.0.0.1:0",
			To: placeOf(t, b, "/secure/api/service/outlet"), UDP: true, UDPOnly: only, Wait: 20 * time.Second,
		})
		if err != nil || !in.Up {
			t.Fatalf("%+v, %v", in, err)
		}
		comesBackOverUDP(t, in.Bind, 1<<20)
		if !only { // in the end it takes the path over UDP, too
			until(t, func() bool {
				return logged.FilterMessage("has a path over UDP to the far end").FilterField(zap.String("name", in.Alias)).Len() > 0
			})
			comesBackOverUDP(t, in.Bind, 1<<16)
		}
	}
	if all := strings.Join(b.Workers(), " "); !strings.Contains(all, " udp ") {
		t.Errorf("workers: %s", all)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("not within a minute")
}

// TestInletWithoutUDPAtTheOutlet goes on over TCP, or not at all.
func TestInletWithoutUDPAtTheOutlet(t *testing.T) {
	rdv, _ := runRendezvous(t)
	a, b := backgroundNode(t, "a", rdv), backgroundNode(t, "b", "")
	if _, err := b.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	o := node.InletOptions{
		Alias: "i", From: "127.0.0.1:0", To: placeOf(t, b, "/secure/api/service/outlet"), UDP: true, Wait: 20 * time.Second,
	}
	in, err := a.CreateInlet(t.Context(), o)
	if err != nil || !in.Up {
		t.Fatalf("%+v, %v", in, err)
	}
	comesBack(t, in.Bind, 1<<16)
	o.Alias, o.UDPOnly, o.Wait = "only", true, 300*time.Millisecond
	if in, err := a.CreateInlet(t.Context(), o); err != nil || in.Up {
		t.Errorf("without a path over UDP: %+v, %v", in, err)
	}
	o.Alias = "refused"
	if _, err := b.CreateInlet(t.Context(), o); !errors.Is(err, node.ErrBadRequest) {
		t.Errorf("at a node without UDP: %v", err)
	}
}

func TestRendezvousHealth(t *testing.T) {
	_, health := runRendezvous(t)
	ask := func(addr string) string {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.WriteString(c, "anything\r\n")
		b, err2 := io.ReadAll(c)
		if err := errors.Join(err, err2); err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if got, want := ask(health), "HTTP/1.1 200 OK\r\n\r\nAlive\n"; got != want { // as recorded from the reference implementation
		t.Errorf("%q, want %q", got, want)
	}
	if r, err := http.Get("http://" + health); err != nil || r.StatusCode != 200 {
		t.Errorf("%v, %v", r, err)
	} else {
		_ = r.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()

	nobody, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- node.ServeHealth(ctx, l, nobody.LocalAddr().String()) }()
	if got := ask(l.Addr().String()); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("without a service: %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRendezvousCannotListen(t *testing.T) {
	udp, health := runRendezvous(t)
	for _, o := range []node.RendezvousOptions{{UDP: udp, Health: "127.0.0.1:0"}, {UDP: "127.0.0.1:0", Health: health}} {
		if err := node.RunRendezvous(t.Context(), o); err == nil {
			t.Errorf("%+v: runs twice at one address", o)
		}
	}
}
