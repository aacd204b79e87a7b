package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"ockam/config"
)

// TestExamples loads what the examples folder teaches, as it stands there.
func TestExamples(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{
			"RELAY_HOST": "relay.example.com", "RELAY_ID": one, "DATABASE_ID": two, "APPLICATION_ID": three, "ADMIN_ID": one,
		}[name]
		return v, ok
	}
	seen := 0
	for _, pattern := range []string{"../examples/*.hcl", "../examples/*/*.hcl"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			seen++
			t.Run(filepath.Base(name), func(t *testing.T) {
				f, err := config.Load([]string{name}, config.Options{Env: env})
				if err != nil {
					t.Fatal(format(err))
				}
				if n := len(f.Warnings.Diagnostics); n > 0 {
					t.Errorf("an example with %d warnings: %v", n, f.Warnings.Diagnostics)
				}
			})
		}
	}
	if seen < 7 {
		t.Errorf("%d examples found", seen)
	}
}

// TestQuickstart checks what the first example promises: it writes nothing,
// needs nothing and is open to nobody.
func TestQuickstart(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	f, err := config.Load([]string{"../examples/quickstart.hcl"}, config.Options{Env: none})
	if err != nil {
		t.Fatal(format(err))
	}
	if len(f.Nodes) != 3 {
		t.Fatalf("%d nodes, want 3", len(f.Nodes))
	}
	for _, n := range f.Nodes {
		if !n.Ephemeral {
			t.Errorf("node %s is not ephemeral", n.Name)
		}
	}
	web := f.Node("web")
	if out := web.TCPOutlets[0]; out.To.Network != "demo" || out.Allow.Anyone() {
		t.Errorf("outlet to %s, anyone %v", out.To, out.Allow.Anyone())
	}
	if in := f.Node("app").TCPInlets[0]; !in.From.Loopback() || in.From.Address != "127.0.0.1:18080" {
		t.Errorf("inlet from %s", in.From)
	}
}

// TestProjectExamples checks that the three machines of a project mean each
// other.
func TestProjectExamples(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"RELAY_HOST": "relay.example.com", "ADMIN_ID": one}[name]
		return v, ok
	}
	names := []string{"../examples/project.hcl", "../examples/project-db.hcl", "../examples/project-app.hcl"}
	f, err := config.Load(names, config.Options{Env: env}) // the outlet is looked for at the relay of that name
	if err != nil {
		t.Fatal(format(err))
	}
	p := f.Node("relay").Project
	members, err := p.Members.Resolve(nil)
	if err != nil || members[one]["ockam-role"] != "enroller" || p.Address != "relay.example.com:4000" {
		t.Errorf("address %s, members %v, %v", p.Address, members, err)
	}
	for _, name := range []string{"db", "app"} {
		if m := f.Node(name).Membership; m == nil || m.Name != p.Name || m.Ticket != "" {
			t.Errorf("node %s: %+v", name, m)
		}
	}
	outlet, inlet := f.Node("db").TCPOutlets[0], f.Node("app").TCPInlets[0]
	if outlet.Allow.Policy() == nil || inlet.Allow.Policy() == nil || !inlet.Allow.Policy().Default {
		t.Error("not for members")
	}
	if want := "/project/default/service/forward_to_db/secure/api/service/postgres"; inlet.To.String() != want {
		t.Errorf("the inlet leads to %s, want %s", inlet.To, want)
	}
}

// TestDocumentation loads what docs/configuration.md shows.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Errorf("%d blocks found", len(blocks))
	}
	for _, b := range blocks {
		if f, err := loadText(t, b[1]); err != nil {
			t.Error(format(err))
		} else if len(f.Warnings.Diagnostics) > 0 {
			t.Errorf("warnings: %v", f.Warnings.Diagnostics)
		}
	}
}
