package authority_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/transports/tcp"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

// TestReferenceCommand has the reference's command do with an authority of ours
// what it does with one of its own.
func TestReferenceCommand(t *testing.T) {
	binary := os.Getenv("OCKAM_REFERENCE")
	if binary == "" {
		t.Skip("OCKAM_REFERENCE names no reference binary")
	}
	g := newRig(t, nil)
	g.setClock(time.Now())
	enroller, member, second := newReference(t, binary), newReference(t, binary), newReference(t, binary)
	g.trust(map[identity.Identifier]string{enroller.id: "ockam-role=enroller"})
	project := filepath.Join(t.TempDir(), "project.json")
	if err := os.WriteFile(project, g.projectFile(g.listen()), 0o600); err != nil {
		t.Fatal(err)
	}
	enroller.must("project", "import", "--project-file", project)
	if out := enroller.must("project-member", "list-ids", "--output", "json"); !strings.Contains(out, enroller.id.String()) {
		t.Errorf("%s", out)
	}
	ticket := enroller.must("project", "ticket", "--attribute", "component=db", "--usage-count", "2", "--expires-in", "60s", "--relay", "db")
	for _, m := range []*reference{member, second, member} { // the third time: already a member
		if out := m.must("project", "enroll", ticket, "--output", "json"); !strings.Contains(out, `"component": "db"`) && !strings.Contains(out, "credential") {
			t.Errorf("%s", out)
		}
	}
	if out, err := newReference(t, binary).run("project", "enroll", ticket); err == nil {
		t.Errorf("a ticket was used three times: %s", out)
	}
	var listed []struct {
		Identifier identity.Identifier
		Attributes struct {
			Attributes map[string]string
			AttestedBy identity.Identifier `json:"attested_by"`
		}
	}
	list := func() (ids []identity.Identifier) {
		out := enroller.must("project-member", "list", "--output", "json")
		if err := json.Unmarshal([]byte(out), &listed); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		for _, m := range listed {
			ids = append(ids, m.Identifier)
		}
		return ids
	}
	if ids := list(); len(ids) != 3 || !slices.Contains(ids, member.id) || !slices.Contains(ids, second.id) {
		t.Errorf("%v", ids)
	}
	for _, m := range listed {
		if m.Identifier == member.id && (fmt.Sprint(m.Attributes.Attributes) != "map[component:db ockam-relay:db]" || m.Attributes.AttestedBy != enroller.id) {
			t.Errorf("%+v", m)
		}
	}
	if out := enroller.must("project-member", "show", member.id.String(), "--output", "json"); !strings.Contains(out, `"component": "db"`) {
		t.Errorf("%s", out)
	}
	other := newReference(t, binary)
	enroller.must("project-member", "add", other.id.String(), "--attribute", "by=hand")
	enroller.must("project-member", "delete", member.id.String())
	if ids := list(); len(ids) != 3 || slices.Contains(ids, member.id) || !slices.Contains(ids, other.id) {
		t.Errorf("%v", ids)
	}
	member.must("project", "import", "--project-file", project)
	if out, err := member.run("project", "ticket"); err == nil {
		t.Errorf("a ticket for who is no member: %s", out)
	}
}

// listen opens the authority on TCP, with echo, and returns the port.
func (g *rig) listen() int {
	g.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	g.Cleanup(func() { stop(); wg.Wait() })
	links := &tunnel.Group{Name: "tcp"}
	listener := &secure.Listener{
		Config: secure.Config{Router: g.router, Identity: g.Identity, Histories: g.known},
		Name:   "api", Open: []tunnel.Source{links}, Group: g.group,
	}
	if err := listener.Register(); err != nil {
		g.Fatal(err)
	}
	wg.Go(func() { _ = listener.Serve(ctx) })
	l, err := tcp.Transport{}.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	server := &tunnel.Server{Router: g.router, Traits: tcp.Transport{}.Traits(), Group: links}
	wg.Go(func() { _ = server.Serve(ctx, l) })
	return l.Addr().(*net.TCPAddr).Port
}

// projectFile returns a record that names the authority; the project's node is
// nobody.
func (g *rig) projectFile(port int) []byte {
	g.Helper()
	node, err := g.known.History(g.newCaller())
	if err != nil {
		g.Fatal(err)
	}
	route := fmt.Sprintf("/dnsaddr/127.0.0.1/tcp/%d/service/api", port)
	b, err := json.Marshal(map[string]any{
		"id": "p1", "name": "default", "space_name": "", "space_id": "", "users": []string{}, "user_roles": []string{},
		"access_route": "/dnsaddr/127.0.0.1/tcp/1/service/api", "identity": node.Identifier().String(), "project_change_history": hex.EncodeToString(node.Bytes()),
		"authority_access_route": route, "authority_identity": hex.EncodeToString(g.Identity.History.Bytes()),
	})
	if err != nil {
		g.Fatal(err)
	}
	return b
}

// A reference is a home of the reference's command.
type reference struct {
	t            *testing.T
	binary, home string
	id           identity.Identifier
}

func newReference(t *testing.T, binary string) *reference {
	t.Helper()
	r := &reference{t: t, binary: binary, home: t.TempDir()}
	r.must("identity", "create", "r")
	text := r.must("identity", "show", "r")
	at := strings.Index(text, "I")
	for ; at >= 0 && at+65 <= len(text); at++ {
		if id, err := identity.ParseIdentifier(text[at : at+65]); err == nil {
			r.id = id
			return r
		}
	}
	t.Fatalf("no identifier: %s", text)
	return nil
}

func (r *reference) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.binary, args...)
	cmd.Env = append(os.Environ(), "OCKAM_HOME="+r.home, "HOME="+r.home, "OCKAM_DISABLE_UPGRADE_CHECK=true",
		"OCKAM_OPENTELEMETRY_EXPORT=false", "OCKAM_DEFAULT_TIMEOUT=10s",
		"OCKAM_CONTROLLER_ADDR=/dnsaddr/127.0.0.1/tcp/1/service/none")
	cmd.WaitDelay = time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return string(out), err
}

func (r *reference) must(args ...string) string {
	r.t.Helper()
	out, err := r.run(args...)
	if err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return out
}
