package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"ockam/config"
	"ockam/proxy/node"
)

// A draining is a Run that the test cancels.
type draining struct {
	*run
	over chan struct{}
	err  error // after over
}

func runDraining(t *testing.T, f *config.File, drain time.Duration) *draining {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &draining{run: &run{t: t, cancel: cancel, more: make(chan struct{})}, over: make(chan struct{})}
	go func() {
		defer close(d.over)
		d.err = node.Run(ctx, f, node.Options{Status: d.event}, drain)
	}()
	t.Cleanup(func() {
		cancel()
		<-d.over
		if d.err != nil {
			t.Errorf("run: %v", d.err)
		}
	})
	return d
}

func (d *draining) wantOver(within time.Duration) {
	d.t.Helper()
	select {
	case <-d.over:
	case <-time.After(within):
		d.t.Errorf("Run has not returned after %v", within)
	}
}

// The relay stands first or last: the order in a file must not matter.
const (
	relayNode = `
node "relay" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  relay_service { allow = "anyone" }
}
`
	databaseNode = `
node "db" {
  ephemeral = true
  relay "db" { at = "/ip4/127.0.0.1/tcp/%[1]s/secure/api" }
  tcp_outlet "o" {
    to    = "%[2]s"
    allow = "anyone"
  }
}
`
	applicationNode = `
node "app" {
  ephemeral = true
  tcp_inlet "in" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%[1]s/service/forward_to_db/secure/api/service/o"
    allow = "anyone"
  }
}
`
)

// runThree runs three nodes, each as if it were a process of its own, and returns
// them with the address of the inlet.
func runThree(t *testing.T, target string, drain time.Duration) (map[string]*draining, string) {
	t.Helper()
	port := freePort(t)
	all := map[string]*draining{
		"relay": runDraining(t, load(t, fmt.Sprintf(relayNode, port), nil), drain),
		"db":    runDraining(t, load(t, fmt.Sprintf(databaseNode, port, target), nil), drain),
		"app":   runDraining(t, load(t, fmt.Sprintf(applicationNode, port), nil), drain),
	}
	return all, all["app"].inletUp("in")
}

// lastWords is how many bytes are said after a node has been told to end.
const lastWords = 4 << 20

// TestDrainThroughRelay checks that what goes on within the drain ends as a
// whole, though the relay which carries it is in the same process.
func TestDrainThroughRelay(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"relay first", relayNode + databaseNode + applicationNode},
		{"relay last", databaseNode + applicationNode + relayNode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := targetOf(t, 5+lastWords, nil)
			d := runDraining(t, load(t, fmt.Sprintf(tt.text, freePort(t), target), nil), 10*time.Minute)
			goesOn(t, d, d.inletUp("in"))
		})
	}
}

// TestDrainOne drains the process of one end of a connection.
func TestDrainOne(t *testing.T) {
	for _, which := range []string{"app", "db"} {
		t.Run(which, func(t *testing.T) {
			all, in := runThree(t, targetOf(t, 5+lastWords, nil), 10*time.Minute)
			goesOn(t, all[which], in)
		})
	}
}

func goesOn(t *testing.T, d *draining, in string) {
	t.Helper()
	c := connect(t, in)
	c.echo("before")
	d.cancel()
	time.Sleep(200 * time.Millisecond) // whatever is closed too early is closed by then
	sent := make([]byte, lastWords)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(sent)
	_ = c.SetDeadline(time.Now().Add(3 * patience))
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		wrote <- err
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came back, as they were: %t; then %v", len(got), len(sent), bytes.Equal(got, sent), err)
	}
	if err := receive(t, "the end of writing", wrote); err != nil {
		t.Errorf("write: %v", err)
	}
	_ = c.Close()
	d.wantOver(patience)
}

// TestDrainOver checks that what is left when the time is over is reset at both
// applications, whichever of the nodes it is that ends: nothing may look as if it
// were complete.
func TestDrainOver(t *testing.T) {
	const drain = time.Second / 2
	for _, which := range []string{"app", "db", "relay", "all"} {
		t.Run(which, func(t *testing.T) {
			end := make(chan error, 1)
			target := targetOf(t, 1<<40, end)
			var d *draining
			var in string
			if which == "all" {
				text := fmt.Sprintf(relayNode+databaseNode+applicationNode, freePort(t), target)
				d = runDraining(t, load(t, text, nil), drain)
				in = d.inletUp("in")
			} else {
				var all map[string]*draining
				all, in = runThree(t, target, drain)
				d = all[which]
			}
			c := connect(t, in)
			c.echo("before")
			began := time.Now()
			d.cancel()
			c.wantReset("the application")
			if took := time.Since(began); which != "relay" && took < drain {
				t.Errorf("it was reset after %v already", took)
			}
			if err := receive(t, "the target's end", end); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the target: %v, want a reset", err)
			}
			d.wantOver(patience)
		})
	}
}

// targetOf accepts one connection, sends back so many bytes, and ends. It tells
// end how it ended, if that is not nil.
func targetOf(t *testing.T, n int64, end chan<- error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, err = io.CopyN(c, c, n)
		_ = c.Close()
		if end != nil {
			end <- err
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}
