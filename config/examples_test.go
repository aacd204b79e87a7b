package config_test

import (
	"path/filepath"
	"testing"

	"ockam/config"
)

// TestExamples loads what the examples folder teaches, as it stands there.
func TestExamples(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{
			"RELAY_HOST": "relay.example.com", "RELAY_ID": one, "DATABASE_ID": two, "APPLICATION_ID": three,
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
	if seen < 4 {
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
