//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A side is a home of a command, ours or the reference's, that runs nodes with UDP.
type side struct {
	t      testing.TB
	name   string
	binary string
	env    []string
}

func newSide(t testing.TB, name, binary, rendezvous string) *side {
	home := filepath.Join(openDir(t), "home")
	return &side{t: t, name: name, binary: binary, env: []string{
		"OCKAM_HOME=" + home, "HOME=" + home, "OCKAM_DISABLE_UPGRADE_CHECK=true", "OCKAM_OPENTELEMETRY_EXPORT=false",
		"OCKAM_CONTROLLER_ADDR=/dnsaddr/127.0.0.1/tcp/1/service/none", "OCKAM_RENDEZVOUS_SERVER=" + rendezvous,
	}}
}

func (s *side) command(args ...string) command {
	return command{name: s.name + " " + strings.Join(args, " "), argv: append([]string{s.binary}, args...), env: s.env}
}

func (s *side) run(args ...string) {
	s.t.Helper()
	mustRun(s.t, slow(60*time.Second), s.command(args...))
}

// node runs a node with UDP and returns where it listens.
func (s *side) node(name string) string {
	s.t.Helper()
	addr := freePort(s.t)
	c := s.command("node", "create", name, "-f", "-t", addr, "--udp")
	c.name = s.name + "-" + name
	waitListening(s.t, start(s.t, c), addr)
	// A command that does not find the node yet would make another one.
	eventually(s.t, slow(20*time.Second), func() error {
		shown, err := runFor(s.t, slow(20*time.Second), s.command("node", "show", name, "--output", "json"))
		if err == nil && (shown.code != 0 || !strings.Contains(shown.stdout, `"running"`)) {
			err = fmt.Errorf("the node %s does not run: %s%s", name, shown.stdout, tail(shown.stderr, 500))
		}
		return err
	})
	return addr
}

// rendezvous runs a rendezvous server of a binary and returns where it is.
func rendezvous(t testing.TB, name, binary string) string {
	t.Helper()
	udp, health := freePort(t), freePort(t)
	c := newSide(t, name, binary, "").command("rendezvous", "create", "--udp", udp, "--healthcheck", health)
	c.name = name + "-rendezvous"
	waitListening(t, start(t, c), health)
	return udp
}

// TestReferenceUDP has inlets and outlets of both programs find a path over UDP
// to each other, with a rendezvous server of either.
func TestReferenceUDP(t *testing.T) {
	ref := newReference(t).binary
	mine := program(t)
	for _, tt := range []struct{ name, rendezvous, inlet, outlet string }{
		{"our inlet", ref, mine, ref},
		{"our outlet", mine, ref, mine},
		{"both ours", ref, mine, mine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := rendezvous(t, "rendezvous", tt.rendezvous)
			in, out := newSide(t, "inlet", tt.inlet, server), newSide(t, "outlet", tt.outlet, server)
			for _, s := range []*side{in, out} {
				got, err := runFor(t, slow(10*time.Second), s.command("rendezvous", "get-my-address", server))
				if err != nil || got.code != 0 || !strings.Contains(got.stderr, "127.0.0.1:") {
					t.Errorf("%s: get-my-address: %+v, %v", s.name, got, err)
				}
			}
			at := out.node("bob")
			tg := newTarget(t)
			out.run("tcp-outlet", "create", "--at", "bob", "--to", tg.addr)
			in.node("alice")
			_, port, err := net.SplitHostPort(at)
			if err != nil {
				t.Fatal(err)
			}
			addr := freePort(t)
			in.run("tcp-inlet", "create", "--at", "alice", "--udp", "--no-tcp-fallback", "--from", addr,
				"--to", "/ip4/127.0.0.1/tcp/"+port+"/secure/api/service/outlet")
			eventually(t, slow(30*time.Second), func() error {
				return probeEcho(addr, slow(2*time.Second))
			})
			for i := range 20 {
				if err := checkEcho(addr, fmt.Sprintf("message %d over UDP", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
