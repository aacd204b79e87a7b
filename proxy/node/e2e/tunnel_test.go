//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A tunnel is the program as three processes: beside the application (app),
// the relay, and beside the target (db), each with a home of its own.
type tunnel struct {
	t      testing.TB
	setup  tunnelSetup
	relay  *host
	db     *host
	app    *host
	inlet  string // where the application connects
	listen string // where the relay listens
}

// tunnelSetup says how a tunnel differs from the plainest one. The zero
// value is a tunnel over loopback to a target that is added.
type tunnelSetup struct {
	target  string // address of the target; empty makes one, see tunnel.target
	secure  bool   // the name is registered through a channel to the relay
	listen  string // relay's listening address; empty is a free loopback port
	fromDB  string // relay's address as db dials it; empty is listen
	fromApp string // relay's address as app dials it; empty is listen
	inlet   string // empty is a free loopback port
	spaces  map[string]*namespace
	limits  map[string]int                // node name to file descriptor limit
	args    map[string][]string           // node name to more arguments of run
	home    string                        // one home for all; empty gives each its own
	edit    func(node, hcl string) string // changes a configuration
	stopped bool                          // make everything, start nothing
}

// A host is one place where the program runs.
type host struct {
	t      testing.TB
	name   string
	home   string
	file   string
	space  *namespace
	limit  int
	args   []string
	id     string
	binary string
	*process
}

// newHost makes a home and the identity of the node name in it.
func newHost(t testing.TB, s tunnelSetup, name string) *host {
	t.Helper()
	dir := openDir(t)
	home := s.home
	if home == "" {
		home = filepath.Join(dir, "home")
	}
	h := &host{
		t: t, name: name, home: home, file: filepath.Join(dir, name+".hcl"),
		space: s.spaces[name], limit: s.limits[name], args: s.args[name], binary: program(t),
	}
	if err := os.MkdirAll(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	h.command("identity", "create", name)
	h.id = h.identifier(name)
	return h
}

// openDir makes a folder that other users can enter, unlike t.TempDir.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(buildDir, "host") //nolint:usetesting // t.TempDir is closed to others, and long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

var identifierForm = regexp.MustCompile(`\bI[0-9a-f]{64}\b`)

// identifier asks the program for the identifier of the identity name.
func (h *host) identifier(name string) string {
	h.t.Helper()
	out := h.command("identity", "show", name)
	id := identifierForm.FindString(out)
	if id == "" {
		h.t.Fatalf("identity show %s prints no identifier: %q", name, out)
	}
	return id
}

func (h *host) env() []string { return []string{"OCKAM_HOME=" + h.home} }

// command runs the program with args to its end and returns what it printed
// on standard output.
func (h *host) command(args ...string) string {
	h.t.Helper()
	return mustRun(h.t, slow(20*time.Second), command{
		name: "ockam " + strings.Join(args, " "),
		argv: append([]string{h.binary}, args...),
		env:  h.env(),
	})
}

// configure writes the host's configuration file.
func (h *host) configure(hcl string) {
	h.t.Helper()
	if err := os.WriteFile(h.file, []byte(hcl), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// runCommand is the command that runs the host's configuration.
func (h *host) runCommand() command {
	argv := append([]string{h.binary, "run"}, h.args...)
	argv = append(argv, h.file)
	if h.limit > 0 {
		argv = append([]string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, h.limit), "sh"}, argv...)
	}
	if h.space != nil {
		argv = h.space.wrap(argv)
	}
	return command{name: h.name, argv: argv, env: h.env()}
}

// run starts the host's node.
func (h *host) run() {
	h.t.Helper()
	h.process = start(h.t, h.runCommand())
}

// newTunnel makes a tunnel, starts it and waits until a connection made at
// its inlet reaches the target.
func newTunnel(t testing.TB, s tunnelSetup) *tunnel {
	t.Helper()
	tn := &tunnel{t: t, listen: s.listen, inlet: s.inlet}
	if tn.listen == "" {
		tn.listen = freePort(t)
	}
	if tn.inlet == "" {
		tn.inlet = freePort(t)
	}
	if s.fromDB == "" {
		s.fromDB = tn.listen
	}
	if s.fromApp == "" {
		s.fromApp = tn.listen
	}
	tn.setup = s
	tn.relay, tn.db, tn.app = newHost(t, s, "relay"), newHost(t, s, "db"), newHost(t, s, "app")
	tn.configure()
	if !s.stopped {
		tn.start()
	}
	return tn
}

// multiAddr turns host:port into the place of a node.
func multiAddr(t testing.TB, addr string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return "/dnsaddr/" + host + "/tcp/" + port
}

func (tn *tunnel) configure() {
	t, s := tn.t, tn.setup
	t.Helper()
	registrars, register := `"anyone"`, ""
	if s.secure {
		registrars, register = fmt.Sprintf("[%q]", tn.db.id), "/secure/api"
	}
	tn.write(tn.relay, fmt.Sprintf(`
node "relay" {
  listener "tcp" {
    address = %q
  }
  relay_service {
    allow = %s
  }
}
`, tn.listen, registrars))
	tn.write(tn.db, fmt.Sprintf(`
node "db" {
  relay "db" {
    at = %q
  }
  tcp_outlet "service" {
    to    = %q
    allow = %q
  }
}
`, multiAddr(t, s.fromDB)+register, s.target, tn.app.id))
	tn.write(tn.app, fmt.Sprintf(`
node "app" {
  tcp_inlet "service" {
    from  = %q
    to    = %q
    allow = %q
  }
}
`, tn.inlet, multiAddr(t, s.fromApp)+"/service/forward_to_db/secure/api/service/service", tn.db.id))
}

// write configures h, after the change that the test asks for.
func (tn *tunnel) write(h *host, hcl string) {
	tn.t.Helper()
	if tn.setup.edit != nil {
		hcl = tn.setup.edit(h.name, hcl)
	}
	h.configure(hcl)
}

func (tn *tunnel) start() {
	tn.t.Helper()
	tn.relay.run()
	tn.db.run()
	tn.app.run()
}

// hosts returns the three places in the order of a request.
func (tn *tunnel) hosts() []*host { return []*host{tn.app, tn.relay, tn.db} }

// waitUp waits until a connection at the inlet is answered by a target.
func (tn *tunnel) waitUp(limit time.Duration) time.Duration {
	tn.t.Helper()
	return eventually(tn.t, limit, func() error {
		for _, h := range tn.hosts() {
			if !h.running() {
				tn.t.Fatalf("%s has ended: %s", h.name, tail(h.output(), 3000))
			}
		}
		return probeEcho(tn.inlet, 2*time.Second)
	})
}

// newEchoTunnel makes a target and a tunnel to it, and waits until it works.
func newEchoTunnel(t testing.TB, s tunnelSetup) (*tunnel, *target) {
	t.Helper()
	program(t)
	tg := newTarget(t)
	s.target = tg.addr
	tn := newTunnel(t, s)
	if took := tn.waitUp(slow(20 * time.Second)); took > slow(2*time.Second) {
		t.Logf("the tunnel worked only %v after the start", took.Round(time.Millisecond))
	}
	return tn, tg
}

// residentKiB sums the resident memory of the three processes.
func (tn *tunnel) residentKiB() int64 {
	tn.t.Helper()
	var sum int64
	for _, h := range tn.hosts() {
		n, err := h.residentKiB()
		if err != nil {
			tn.t.Fatalf("memory of %s: %v", h.name, err)
		}
		sum += n
	}
	return sum
}

// stop ends the three processes as an operator does. Nobody uses the tunnel any
// more, so there is nothing to wait for.
func (tn *tunnel) stop() {
	tn.t.Helper()
	begin := time.Now()
	for _, h := range tn.hosts() {
		h.signal(syscall.SIGTERM)
	}
	for _, h := range tn.hosts() {
		if code, err := h.wait(slow(12 * time.Second)); err != nil || code != 0 {
			tn.t.Errorf("%s after SIGTERM: exit code %d, %v", h.name, code, err)
		} else if took := time.Since(begin); took > slow(5*time.Second) {
			tn.t.Errorf("%s ended only %v after SIGTERM, without a connection to wait for", h.name, took.Round(time.Millisecond))
		}
	}
}
