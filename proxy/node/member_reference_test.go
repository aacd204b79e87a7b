package node_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/node"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// A reference is a home of the reference implementation's command.
type reference struct {
	t            *testing.T
	binary, home string
}

// newReference makes a home, or skips where there is no reference binary.
func newReference(t *testing.T) *reference {
	t.Helper()
	binary := os.Getenv("OCKAM_REFERENCE")
	if binary == "" {
		t.Skip("OCKAM_REFERENCE names no reference binary")
	}
	return &reference{t, binary, filepath.Join(t.TempDir(), "home")}
}

func (r *reference) command(args ...string) *exec.Cmd {
	c := exec.Command(r.binary, args...)
	c.Env = []string{
		"OCKAM_HOME=" + r.home, "HOME=" + r.home, "OCKAM_DISABLE_UPGRADE_CHECK=true", "OCKAM_OPENTELEMETRY_EXPORT=false",
		"OCKAM_CONTROLLER_ADDR=/dnsaddr/127.0.0.1/tcp/1/service/none", "CREDENTIAL_TTL_SECS=20",
	}
	return c
}

// history makes an identity and returns its history.
func (r *reference) history(name string) *identity.History {
	r.t.Helper()
	for _, args := range [][]string{{"identity", "create", name}, {"identity", "show", name, "--full", "--encoding", "hex"}} {
		var out bytes.Buffer
		c := r.command(args...)
		c.Stdout = &out
		if err := c.Run(); err != nil {
			r.t.Fatalf("%v: %v", args, err)
		}
		if h, err := identity.ParseHistoryText(strings.TrimSpace(out.String())); err == nil && args[1] == "show" {
			return h
		}
	}
	r.t.Fatal("the reference shows no history")
	return nil
}

// run runs a command that listens at addr until the test ends or stop is called.
func (r *reference) run(addr string, args ...string) (stop func()) {
	r.t.Helper()
	c := r.command(args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGKILL)
		_ = c.Wait()
		if r.t.Failed() {
			r.t.Logf("%v:\n%.4000s", args, out.String())
		}
	})
	r.t.Cleanup(stop)
	until(r.t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return stop
}

// TestReferenceProject has nodes that are members of a project of the reference
// implementation, of an authority whose credentials live for 20 seconds.
func TestReferenceProject(t *testing.T) {
	r := newReference(t)
	i, db, app, enroller := newIssuer(t, 0), newHome(t), newHome(t), newOwner(t)
	i.id.History = r.history("authority")
	hub := r.history("hub")
	hubAddr := "127.0.0.1:" + freePort(t)
	trusted := `{"` + db.id.String() + `": {"ockam-relay": "db"}, "` + enroller.String() + `": {"ockam-role": "enroller"}}`
	stop := r.run(i.addr, "authority", "create", "-f", "-s", "-t", i.addr, "--project-identifier", "p1", "--trusted-identities", trusted)
	r.run(hubAddr, "node", "create", "hub", "-f", "-t", hubAddr, "--identity", "hub", "--authority-identity", i.id.History.Text())
	projects := projectsOf(map[string]node.ProjectNode{
		"p": {mustPlace(t, "/dnsaddr/127.0.0.1/tcp/"+portOf(t, hubAddr)+"/service/api"), hub.Identifier()},
	})

	// The enroller makes a code, which the application redeems.
	p := newPeer(t, enroller)
	c := authority.Client{Router: p.router, Path: p.channel(p.link(i.addr)), Timeout: patience}
	code, err := c.CreateToken(t.Context(), map[string]string{"component": "app"}, time.Minute, 2)
	if err != nil {
		t.Fatal(err)
	}
	id, err := app.Identity(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	member := newPeer(t, &owner{id, identity.NewMemoryStore()})
	m := authority.Client{Router: member.router, Path: member.channel(member.link(i.addr)), Timeout: patience}
	if _, err := m.Issue(t.Context()); !errors.Is(err, authority.ErrNotMember) {
		t.Errorf("issues to a stranger: %v", err)
	}
	for _, want := range []error{nil, authority.ErrAlreadyMember} {
		if err := m.Redeem(t.Context(), code); !errors.Is(err, want) {
			t.Errorf("redeem: %v, want %v", err, want)
		}
	}
	if err := p.unknownCode(&c); !errors.Is(err, authority.ErrAlreadyMember) && !errors.Is(err, authority.ErrUnknownCode) {
		t.Errorf("an unknown code: %v", err)
	}
	other := newOwner(t).id.Identifier()
	if err := c.AddMember(t.Context(), other, map[string]string{"a": "b"}); err != nil {
		t.Error(err)
	}
	if e, err := c.Member(t.Context(), other); err != nil || e.Attributes["a"] != "b" || e.AttestedBy != enroller.id.Identifier() {
		t.Errorf("%+v, %v", e, err)
	}
	if err := c.DeleteMember(t.Context(), other); err != nil {
		t.Error(err)
	}
	if _, err := c.Member(t.Context(), other); !errors.Is(err, authority.ErrNotMember) {
		t.Error(err)
	}
	if all, err := c.Members(t.Context()); err != nil || all[app.id].Attributes["component"] != "app" {
		t.Errorf("%+v, %v", all, err)
	}

	// Both are at the project, and go on while credentials end.
	d := db.node(t, node.BackgroundOptions{Name: "db", Trust: i.trust(), Projects: projects})
	if _, err := d.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	relay, err := d.CreateRelay(t.Context(), node.RelayOptions{Name: "db", At: mustPlace(t, "/project/p"), Address: "db", Wait: true})
	if err != nil || !relay.Up {
		t.Fatalf("%+v, %v", relay, err)
	}
	a := app.node(t, node.BackgroundOptions{Name: "app", Trust: i.trust(), Projects: projects})
	in, err := a.CreateInlet(t.Context(), node.InletOptions{
		Alias: "in", From: "127.0.0.1:0", Authorized: db.id, Wait: patience,
		To: mustPlace(t, "/project/p/service/forward_to_db/secure/api/service/outlet"),
	})
	if err != nil || !in.Up {
		t.Fatalf("%+v, %v", in, err)
	}
	conn := connect(t, in.Bind)
	for began := time.Now(); time.Since(began) < 45*time.Second; time.Sleep(time.Second / 2) {
		conn.echo("while credentials are renewed")
	}
	stop()
	conn.wantReset("without the authority")
}

// unknownCode redeems a code that nobody has made.
func (p *peer) unknownCode(c *authority.Client) error {
	return c.Redeem(p.ctx, authority.Code{1, 2, 3})
}
