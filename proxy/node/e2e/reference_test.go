//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A reference is a home of the reference implementation's command.
type reference struct {
	t      testing.TB
	binary string
	home   string
	id     string // of its identity "r", which its nodes and messages use
}

// newReference makes a home, or skips where there is no reference binary.
func newReference(t testing.TB) *reference {
	t.Helper()
	binary := os.Getenv("OCKAM_REFERENCE")
	if binary == "" {
		t.Skip("OCKAM_REFERENCE names no reference binary")
	}
	r := &reference{t: t, binary: binary, home: filepath.Join(openDir(t), "home")}
	r.command("identity", "create", "r")
	r.id = identifierForm.FindString(r.command("identity", "show", "r"))
	if r.id == "" {
		t.Fatal("the reference shows no identifier")
	}
	return r
}

func (r *reference) env() []string {
	return []string{
		"OCKAM_HOME=" + r.home, "HOME=" + r.home, "OCKAM_DISABLE_UPGRADE_CHECK=true", "OCKAM_OPENTELEMETRY_EXPORT=false",
		"OCKAM_CONTROLLER_ADDR=/dnsaddr/127.0.0.1/tcp/1/service/none",
	}
}

// command runs the reference's command to its end.
func (r *reference) command(args ...string) string {
	r.t.Helper()
	return strings.TrimSpace(mustRun(r.t, slow(60*time.Second), command{
		name: "reference " + strings.Join(args, " "),
		argv: append([]string{r.binary}, args...), env: r.env(),
	}))
}

// node runs a node of the reference and returns where it listens.
func (r *reference) node(name string) string {
	r.t.Helper()
	addr := freePort(r.t)
	p := start(r.t, command{
		name: "reference-" + name,
		argv: []string{r.binary, "node", "create", name, "-f", "-t", addr, "--identity", "r"},
		env:  r.env(),
	})
	waitListening(r.t, p, addr)
	return addr
}

// send is the reference's message command.
func (r *reference) send(text, to string) (result, error) {
	return runFor(r.t, slow(30*time.Second), command{
		name: "reference message send",
		argv: []string{r.binary, "message", "send", text, "--to", to, "--identity", "r"}, env: r.env(),
	})
}

// wantSend demands an answer to a message, at last.
func (r *reference) wantSend(t *testing.T, text, to, want string) {
	t.Helper()
	eventually(t, slow(40*time.Second), func() error {
		res, err := r.send(text, to)
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(res.stdout); res.code != 0 || got != want {
			return fmt.Errorf("message to %s: exit code %d, answer %q, want %q: %s", to, res.code, got, want, tail(res.stderr, 1500))
		}
		return nil
	})
}

// peer is one side of an interoperation: a program with an identity.
type peer interface {
	// identifier is what the other side admits.
	identifier() string
	// outlet opens target to the peer who, registers name at the relay and
	// returns the place below the relay.
	outlet(relay, target, who, name string) (place string)
	// inlet listens for clients of place below the relay, where who is.
	inlet(relay, place, who string) (addr string)
}

// ours is the program under test as a peer.
type ours struct {
	t testing.TB
	*host
}

func newOurs(t testing.TB, name string) *ours {
	return &ours{t: t, host: newHost(t, tunnelSetup{}, name)}
}

func (o *ours) identifier() string { return o.id }

func (o *ours) outlet(relay, target, who, name string) string {
	o.configure(fmt.Sprintf(`
node %q {
  services = ["echo", "uppercase"]
  relay %q {
    at = %q
  }
  tcp_outlet "service" {
    to    = %q
    allow = %q
  }
}
`, o.name, name, multiAddr(o.t, relay), target, who))
	o.run()
	return "/service/forward_to_" + name + "/secure/api/service/service"
}

func (o *ours) inlet(relay, place, who string) string {
	addr := freePort(o.t)
	o.configure(fmt.Sprintf(`
node %q {
  tcp_inlet "service" {
    from  = %q
    to    = %q
    allow = %q
  }
}
`, o.name, addr, multiAddr(o.t, relay)+place, who))
	o.run()
	waitListening(o.t, o.process, addr)
	return addr
}

// theirs is the reference as a peer.
type theirs struct {
	*reference
	name string
}

func newTheirs(t testing.TB, name string) *theirs {
	r := newReference(t)
	th := &theirs{reference: r, name: name}
	r.node(name)
	return th
}

func (th *theirs) identifier() string { return th.id }

func (th *theirs) outlet(relay, target, _, name string) string {
	// It admits everyone: without a project it knows nobody.
	th.command("tcp-outlet", "create", "--at", th.name, "--to", target, "--from", "service")
	th.command("relay", "create", name, "--at", multiAddr(th.t, relay), "--to", th.name)
	return "/service/forward_to_" + name + "/secure/api/service/service"
}

func (th *theirs) inlet(relay, place, who string) string {
	addr := freePort(th.t)
	th.command("tcp-inlet", "create", "--at", th.name, "--from", addr,
		"--to", multiAddr(th.t, relay)+place, "--authorized", who, "--identity", "r")
	return addr
}

// ourRelay runs a relay of ours that everyone may register at, and that the
// peer who may open a channel to.
func ourRelay(t testing.TB, who string) string {
	t.Helper()
	h := newHost(t, tunnelSetup{}, "relay")
	addr := freePort(t)
	h.configure(fmt.Sprintf(`
node "relay" {
  services = ["echo", "uppercase"]
  listener "tcp" {
    address = %q
  }
  relay_service {
    allow = "anyone"
  }
  tcp_outlet "door" {
    to    = "127.0.0.1:9"
    allow = %q
  }
}
`, addr, who))
	h.run()
	waitListening(t, h.process, addr)
	return addr
}

// TestReferenceMessages sends messages of the reference to services of ours.
func TestReferenceMessages(t *testing.T) {
	r := newReference(t)
	relay := ourRelay(t, r.id)
	db := newOurs(t, "db")
	db.outlet(relay, "127.0.0.1:9", r.id, "db")
	base := multiAddr(t, relay)
	for _, route := range []struct{ name, at string }{
		{"directly", ""},
		{"over a channel", "/secure/api"},
		{"over a channel through the relay", "/service/forward_to_db/secure/api"},
	} {
		t.Run(route.name, func(t *testing.T) {
			r.wantSend(t, "hello", base+route.at+"/service/uppercase", "HELLO")
			r.wantSend(t, "hello", base+route.at+"/service/echo", "hello")
		})
	}
}

// TestReferencePortals joins inlets and outlets of both, through relays of
// both.
func TestReferencePortals(t *testing.T) {
	our := func(t testing.TB, name string) peer { return newOurs(t, name) }
	their := func(t testing.TB, name string) peer { return newTheirs(t, name) }
	theirRelay := func(t testing.TB, _ string) string { return newReference(t).node("relay") }
	tests := []struct {
		name          string
		inlet, outlet func(testing.TB, string) peer
		relay         func(t testing.TB, who string) string
	}{
		{"reference alone", their, their, theirRelay}, // what fails here is no fault of ours
		{"its inlet, our relay, our outlet", their, our, ourRelay},
		{"its inlet, its relay, our outlet", their, our, theirRelay},
		{"our inlet, our relay, its outlet", our, their, ourRelay},
		{"our inlet, its relay, its outlet", our, their, theirRelay},
		{"our inlet, its relay, our outlet", our, our, theirRelay},
		{"its inlet, our relay, its outlet", their, their, ourRelay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newReference(t) // skips before anything starts
			tg := newTarget(t)
			in, out := tt.inlet(t, "app"), tt.outlet(t, "db")
			relay := tt.relay(t, in.identifier())
			place := out.outlet(relay, tg.addr, in.identifier(), "db")
			addr := in.inlet(relay, place, out.identifier())
			took := eventually(t, slow(60*time.Second), func() error { return probeEcho(addr, 3*time.Second) })
			t.Logf("first round trip after %v", took.Round(time.Millisecond))
			for _, n := range []int{1, 48 << 10, 4 << 20} {
				if err := checkSource(addr, n); err != nil {
					t.Errorf("target sends %d bytes and closes: %v", n, err)
				}
				if err := checkSink(addr, n); err != nil {
					t.Errorf("client sends %d bytes: %v", n, err)
				}
			}
			checkDuplex(t, addr, 4, 1<<20)
		})
	}
}
