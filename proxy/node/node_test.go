package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ockam/config"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/transports/transporttest"
	"ockam/tunnel/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A run is a configuration that runs until the test ends, or stop is called.
type run struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []node.Event
	more   chan struct{} // closed and replaced when an event has come
}

func start(t *testing.T, f *config.File, store *state.Store) *run {
	t.Helper()
	return startWith(t, f, node.Options{Store: func() (*state.Store, error) { return store, nil }})
}

func startWith(t *testing.T, f *config.File, opt node.Options) *run {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: t, cancel: cancel, done: make(chan error, 1), more: make(chan struct{})}
	opt.Status = r.event
	go func() { r.done <- node.Run(ctx, f, opt, 2*time.Second) }()
	t.Cleanup(r.stop)
	return r
}

func (r *run) stop() {
	r.cancel()
	if err, ok := <-r.done; ok && err != nil {
		r.t.Errorf("run: %v", err)
	}
	close(r.done)
	r.done = make(chan error)
	close(r.done)
}

func (r *run) event(e node.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.more)
	r.more = make(chan struct{})
}

// wait returns the first event for which want is true.
func (r *run) wait(what string, want func(node.Event) bool) node.Event {
	r.t.Helper()
	return r.waitNth(what, 1, want)
}

// waitNth returns the nth event for which want is true.
func (r *run) waitNth(what string, nth int, want func(node.Event) bool) node.Event {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for seen := 0; ; {
		r.mu.Lock()
		more := r.more
		for ; seen < len(r.events); seen++ {
			if !want(r.events[seen]) {
				continue
			}
			if nth--; nth == 0 {
				defer r.mu.Unlock()
				return r.events[seen]
			}
		}
		r.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			r.t.Fatalf("no event: %s; got %+v", what, r.events)
		}
	}
}

// inletUp waits for an inlet's way, and returns where it listens.
func (r *run) inletUp(name string) string {
	r.t.Helper()
	r.wait("the way of inlet "+name, func(e node.Event) bool {
		return e.Kind == "inlet" && e.Name == name && e.Up && e.Addr == ""
	})
	return r.wait("the address of inlet "+name, func(e node.Event) bool {
		return e.Kind == "inlet" && e.Name == name && e.Addr != ""
	}).Addr
}

// load writes the text to a file and loads it, with every %[1]s a free loopback
// address for a listener.
func load(t *testing.T, text string, env map[string]string) *config.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadPaths(t, env, path)
}

func loadPaths(t *testing.T, env map[string]string, paths ...string) *config.File {
	t.Helper()
	f, err := config.Load(paths, config.Options{Env: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})
	if err != nil {
		var e *config.Error
		if errors.As(err, &e) {
			_ = e.Format(os.Stderr, false)
		}
		t.Fatal(err)
	}
	return f
}

// freePort returns a port of this machine that nobody else takes.
func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(transporttest.FreePort(t))
}

// readExample returns an example, with other ports than the ones it names.
func readExample(t *testing.T, path string, ports ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../examples", path))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(ports); i += 2 {
		if !strings.Contains(text, ports[i]) {
			t.Fatalf("%s does not name %s", path, ports[i])
		}
		text = strings.ReplaceAll(text, ports[i], ports[i+1])
	}
	return text
}

func TestQuickstart(t *testing.T) {
	text := readExample(t, "quickstart.hcl", "14000", freePort(t), "18080", freePort(t))
	f := load(t, text, nil)
	r := start(t, f, nil)
	addr := r.inletUp("page")

	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	app := r.wait("the identity of app", func(e node.Event) bool { return e.Kind == "identity" && e.Node == "app" })
	id := app.Text[strings.Index(app.Text, "I"):][:65]
	if !strings.Contains(string(body), "inlet &rarr; relay &rarr; outlet") || !strings.Contains(string(body), id) {
		t.Errorf("the page says neither the way nor who asked (%s):\n%s", id, body)
	}
}

// TestPostgresExample runs the three files of examples/postgres with a home each,
// and something that answers in place of PostgreSQL; the end-to-end tests have
// the real one.
func TestPostgresExample(t *testing.T) {
	target := echoServer(t)
	relayPort := freePort(t)
	ids := map[string]string{}
	stores := map[string]*state.Store{}
	for _, name := range []string{"relay", "database", "application"} {
		s, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "home"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		if _, err := s.CreateIdentity(t.Context(), name, identity.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		id, err := s.Identity(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		stores[name], ids[name] = s, id.Identifier().String()
	}
	env := map[string]string{
		"RELAY_HOST": "localhost", "POSTGRES": target, "LISTEN": "127.0.0.1:0",
		"RELAY_ID": ids["relay"], "DATABASE_ID": ids["database"], "APPLICATION_ID": ids["application"],
	}
	var app *run
	for _, name := range []string{"application", "database", "relay"} { // the order does not matter
		ports := []string{"4000", relayPort}
		if name == "relay" {
			ports = []string{"0.0.0.0:4000", "127.0.0.1:" + relayPort}
		}
		r := start(t, load(t, readExample(t, "postgres/"+name+".hcl", ports...), env), stores[name])
		if name == "application" {
			app = r
		}
	}
	checkEcho(t, app.inletUp("postgres"))
}

func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func checkEcho(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Fatalf("echo: %q, %v", got, err)
	}
}

// pair is two nodes without a relay between them; what an inlet says about
// the far end and an outlet about who may open it is to be filled in.
const pair = `
node "db" {
  ephemeral = true
  listener "tcp" { address = "127.0.0.1:%[1]s" }
  tcp_outlet "echo_target" {
    to    = "%[2]s"
    allow = [%[3]s]
  }
  tcp_outlet "for_other" {
    to    = "%[2]s"
    allow = node.other.identifier
  }
}
node "app" {
  ephemeral = true
  tcp_inlet "in" {
    from  = "127.0.0.1:0"
    to    = "/ip4/127.0.0.1/tcp/%[1]s/secure/api/service/%[5]s"
    allow = %[4]s
  }
}
node "other" {
  ephemeral = true
  services  = ["uppercase"]
}
`

func TestAllow(t *testing.T) {
	t.Parallel() // it waits for long, as TestWayGivenUp does
	const app, db, other = "node.app.identifier", "node.db.identifier", "node.other.identifier"
	for _, tt := range []struct {
		name                    string
		outlet, farEnd, service string
		up                      bool   // the inlet gets its way
		echo                    bool   // and its streams are let through
		says                    string // what the inlet says when it has none
	}{
		{"both name each other", app, db, "echo_target", true, true, ""},
		{"the far end is somebody else", app, other, "echo_target", false, false, "is somebody else"},
		{"nothing at the far end is for us", other, db, "echo_target", false, false, "may not allow this node"},
		{"the outlet is for somebody else", app, db, "for_other", true, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf(pair, freePort(t), echoServer(t), tt.outlet, tt.farEnd, tt.service)
			r := start(t, load(t, text, nil), nil)
			if !tt.up {
				r.wait(tt.says, func(e node.Event) bool {
					return e.Kind == "inlet" && !e.Up && strings.Contains(e.Text, tt.says)
				})
				return
			}
			addr := r.inletUp("in")
			if tt.echo {
				checkEcho(t, addr)
				return
			}
			c, err := net.Dial("tcp", addr)
			if err == nil {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				_, err = c.Read(make([]byte, 1))
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("a refused stream: %v, want an end or a reset at once", err)
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	target := echoServer(t) // its address is in use
	text := fmt.Sprintf(`
node "a" {
  ephemeral = true
  listener "tcp" { address = %q }
  tcp_inlet "in" {
    from  = %q
    to    = "/ip4/127.0.0.1/tcp/1/secure/api/service/x"
    allow = "anyone"
  }
}`, "127.0.0.1:"+freePort(t), target)
	f := load(t, text, nil)
	err := node.Run(t.Context(), f, node.Options{}, time.Second)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "test.hcl:5") || !strings.Contains(err.Error(), "another program has it") {
		t.Errorf("got %v, want one error with the place, the cause and what to do", err)
	}
}
