package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ockam/transports/transporttest"
)

// references returns our program and that of the reference implementation, each
// with a home and no cloud, or skips.
func references(t *testing.T) (ours, theirs *program) {
	t.Helper()
	reference := os.Getenv("OCKAM_REFERENCE")
	if reference == "" {
		t.Skip("OCKAM_REFERENCE names no reference binary")
	}
	our, err := exec.LookPath("ockam") // the one that the script tests run
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OCKAM_CONTROLLER_ADDR", "/dnsaddr/127.0.0.1/tcp/1/service/api") // where nobody answers
	dir := t.TempDir()
	ours = &program{path: our, home: filepath.Join(dir, "ours", "home"), ours: true}
	theirs = &program{path: reference, home: filepath.Join(dir, "theirs", "home")}
	for _, p := range []*program{ours, theirs} {
		if err := os.MkdirAll(filepath.Dir(p.home), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return ours, theirs
}

// TestReferenceMembers makes the reference's command and nodes members of a
// project of ours, and has them reach ours through it, and ours them.
func TestReferenceMembers(t *testing.T) {
	ours, theirs := references(t)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "behind") }))
	defer page.Close()
	ours.must(t, "project", "create", "default", "--listen", "127.0.0.1:0", "-q")
	defer ours.must(t, "node", "delete", "--all", "--yes")
	theirs.must(t, "project", "enroll", ours.must(t, "project", "ticket", "--relay", "n3"))
	defer theirs.must(t, "node", "delete", "--all", "--yes")
	theirs.must(t, "node", "create", "n1")
	theirs.must(t, "node", "create", "n3")
	if got := theirs.must(t, "relay", "create", "n3", "--to", "n3"); strings.TrimSpace(got) != "/service/forward_to_n3" {
		t.Errorf("relay create prints %q", got)
	}
	ours.must(t, "node", "create", "m")
	ours.must(t, "relay", "create", "m", "--to", "m")
	at := func(relay, service string) string {
		return "/project/default/service/forward_to_" + relay + "/secure/api/service/" + service
	}
	for _, step := range []struct {
		what     string
		by       *program
		from, to string
	}{
		{"theirs to theirs", theirs, "n1", at("n3", "uppercase")},
		{"ours to theirs", ours, "m", at("n3", "uppercase")},
		{"theirs to ours", theirs, "n1", at("m", "uppercase")},
	} {
		if got := step.by.must(t, "message", "send", "hello", "--from", step.from, "--to", step.to); strings.TrimSpace(got) != "HELLO" {
			t.Errorf("%s: %q", step.what, got)
		}
	}

	target := strings.TrimPrefix(page.URL, "http://")
	ours.must(t, "tcp-outlet", "create", "--at", "m", "--to", target)
	theirs.must(t, "tcp-outlet", "create", "--at", "n3", "--to", target)
	for name, inlet := range map[string]string{
		"their inlet, our outlet": theirs.must(t, "tcp-inlet", "create", "--at", "n1", "--from", transporttest.FreeAddress(t), "--via", "m"),
		"our inlet, their outlet": ours.must(t, "tcp-inlet", "create", "--at", "m", "--from", transporttest.FreeAddress(t), "--via", "n3"),
	} {
		answer, err := http.Get("http://" + strings.TrimSpace(inlet) + "/")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || string(body) != "behind" {
			t.Errorf("%s: %q, %v", name, body, err)
		}
	}

	// The whole management of members, by their command at our authority.
	theirs.must(t, "project", "enroll", ours.must(t, "project", "ticket", "--enroller"), "--identity", enroller(t, theirs))
	guest := strings.TrimSpace(theirs.must(t, "identity", "create", "guest"))
	theirs.must(t, "project-member", "add", guest, "--identity", "enroller", "--attribute", "team=web")
	if got := theirs.must(t, "project-member", "show", guest, "--identity", "enroller"); !strings.Contains(got, "web") {
		t.Errorf("project-member show prints %s", got)
	}
	theirs.must(t, "project", "enroll", theirs.must(t, "project", "ticket", "--identity", "enroller"), "--identity", "guest")
	theirs.must(t, "project-member", "delete", guest, "--identity", "enroller")
	if _, err := theirs.run(t, "project-member", "show", guest, "--identity", "enroller"); err == nil {
		t.Error("who was deleted is shown")
	}
}

// enroller makes an identity of that name.
func enroller(t *testing.T, p *program) string {
	t.Helper()
	p.must(t, "identity", "create", "enroller")
	return "enroller"
}

// TestReferenceAuthority makes ours members by an authority of the reference, whose
// ordinary node with that authority is the project's.
func TestReferenceAuthority(t *testing.T) {
	ours, theirs := references(t)
	theirs.must(t, "identity", "create", "authority")
	theirs.must(t, "identity", "create", "project")
	theirs.must(t, "identity", "create", "enroller")
	history := strings.TrimSpace(theirs.must(t, "identity", "show", "authority", "--full", "--encoding", "hex"))
	project := strings.TrimSpace(theirs.must(t, "identity", "show", "project", "--full", "--encoding", "hex"))
	trusted := `{"` + strings.TrimSpace(theirs.must(t, "identity", "show", "enroller")) + `":{"ockam-role":"enroller"}}`
	authority, node := transporttest.FreeAddress(t), transporttest.FreeAddress(t)
	route := func(addr string) string {
		return "/dnsaddr/127.0.0.1/tcp/" + addr[strings.LastIndex(addr, ":")+1:] + "/service/api"
	}
	theirs.must(t, "authority", "create", "--tcp-listener-address", authority, "--project-identifier", "p1", "--trusted-identities", trusted)
	defer theirs.must(t, "node", "delete", "--all", "--yes")
	theirs.must(t, "node", "create", "project", "--identity", "project", "--tcp-listener-address", node, "--authority-identity", history)
	file := filepath.Join(filepath.Dir(theirs.home), "project.json")
	text := `{"id":"p1","name":"default","space_name":"","space_id":"","users":[],"user_roles":[],"access_route":"` + route(node) +
		`","identity":"` + strings.TrimSpace(theirs.must(t, "identity", "show", "project")) + `","project_change_history":"` + project +
		`","authority_access_route":"` + route(authority) + `","authority_identity":"` + history + `"}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs.must(t, "project", "import", "--project-file", file)
	ticket := theirs.must(t, "project", "ticket", "--identity", "enroller", "--relay", "n3")

	ours.must(t, "node", "create", "n3", "--enrollment-ticket", ticket)
	defer ours.must(t, "node", "delete", "--all", "--yes")
	ours.must(t, "node", "create", "n1")
	if got := ours.must(t, "relay", "create", "n3", "--to", "n3"); strings.TrimSpace(got) != "/service/forward_to_n3" {
		t.Errorf("relay create prints %q", got)
	}
	to := "/project/default/service/forward_to_n3/secure/api/service/uppercase"
	if got := ours.must(t, "message", "send", "hello", "--from", "n1", "--to", to); strings.TrimSpace(got) != "HELLO" {
		t.Errorf("%q", got)
	}
}
