package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ockam/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// environment is what env() sees in these tests.
func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"RELAY":   "/dnsaddr/relay.example.com/tcp/4000",
		"EMPTY":   "",
		"DB_NODE": one, "APP_NODE": two, "RELAY_NODE": three,
	}[name]
	return v, ok
}

const (
	one   = "I1111111111111111111111111111111111111111111111111111111111111111"
	two   = "I2222222222222222222222222222222222222222222222222222222222222222"
	three = "I3333333333333333333333333333333333333333333333333333333333333333"
)

func load(paths ...string) (*config.File, error) {
	return config.Load(paths, config.Options{Env: environment})
}

// cases returns the files and folders in a folder of testdata, but for golden
// output.
func cases(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".golden" && ext != ".txt" {
			all = append(all, filepath.Join(folder, e.Name()))
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s holds no cases", folder)
	}
	return all
}

// golden compares got with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func goldenName(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".golden"
}

// TestBad loads one mistake a file; the golden files hold what the user sees.
func TestBad(t *testing.T) {
	for _, path := range cases(t, "testdata/bad") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := load(path)
			var ce *config.Error
			if !errors.As(err, &ce) {
				t.Fatalf("got %v, %v, want a *config.Error", f, err)
			}
			if f != nil {
				t.Error("an error, and yet a configuration")
			}
			if !strings.HasPrefix(err.Error(), "config: ") {
				t.Errorf("Error() = %q", err)
			}
			var b bytes.Buffer
			if err := ce.Format(&b, false); err != nil {
				t.Fatal(err)
			}
			golden(t, goldenName(path), b.String())
		})
	}
}

// TestGood loads what is right; the golden files hold what was understood,
// and the warnings.
func TestGood(t *testing.T) {
	for _, path := range cases(t, "testdata/good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := load(path)
			if err != nil {
				t.Fatal(format(err))
			}
			var b strings.Builder
			dump(&b, f)
			if len(f.Warnings.Diagnostics) > 0 {
				b.WriteString("\n")
			}
			if err := f.Warnings.Format(&b, false); err != nil {
				t.Fatal(err)
			}
			golden(t, goldenName(path), b.String())
		})
	}
}

// dump writes what a file says, a line a block.
func dump(b *strings.Builder, f *config.File) {
	allow := func(a config.Allow) string {
		if a.Anyone() {
			return "anyone"
		}
		if p := a.Policy(); p != nil {
			return fmt.Sprintf("policy %q: %v", p.Text, p.Expr)
		}
		ids := map[string]string{}
		for _, n := range a.Nodes() {
			ids[n] = one
		}
		list, err := a.Resolve(ids)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%v nodes %v", short(list.Identifiers), a.Nodes())
	}
	for _, n := range f.Nodes {
		fmt.Fprintf(b, "node %s: identity %q, ephemeral %v, %s\n", n.Name, n.Identity, n.Ephemeral, n.Range)
		if n.Authority != nil {
			fmt.Fprintf(b, "  authority: %s…\n", n.Authority.Identifier().String()[:5])
		}
		if m := n.Membership; m != nil {
			fmt.Fprintf(b, "  member of %s: project %.20q, ticket %.10q, %s\n", m.Name, m.Project, m.Ticket, m.Range)
		}
		if p := n.Project; p != nil {
			fmt.Fprintf(b, "  project %s, id %s: listen %s, address %q, authority %s for %s in %q\n", p.Name, p.ID, p.Listen, p.Address, p.AuthorityIdentity, p.Lifetime, p.Database)
			members, err := p.Members.Resolve(map[string]string{"app": three})
			fmt.Fprintf(b, "    members %v, %v; account authority %v, enforce %v\n", members, err, p.AccountAuthority != nil, p.EnforceAdminChecks)
		}
		if len(n.Services) > 0 {
			fmt.Fprintf(b, "  services: %v\n", n.Services)
		}
		for _, l := range n.Listeners {
			fmt.Fprintf(b, "  listener %s: %s\n", l.Transport, l.Address)
		}
		for _, r := range n.Relays {
			fmt.Fprintf(b, "  relay %s: at %s, allow %s\n", r.Name, r.At, allow(r.Allow))
		}
		if n.RelayService != nil {
			fmt.Fprintf(b, "  relay_service: allow %s\n", allow(n.RelayService.Allow))
		}
		for _, in := range n.TCPInlets {
			fmt.Fprintf(b, "  tcp_inlet %s: from %s %s, to %s, allow %s, max %d\n", in.Name, in.From.Network, in.From.Address, in.To, allow(in.Allow), in.MaxConnections)
		}
		for _, out := range n.TCPOutlets {
			fmt.Fprintf(b, "  tcp_outlet %s: to %s %s, allow %s, max %d\n", out.Name, out.To.Network, out.To.Address, allow(out.Allow), out.MaxConnections)
		}
	}
}

func short(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id[:5]+"…")
	}
	return out
}

func format(err error) string {
	var ce *config.Error
	if !errors.As(err, &ce) {
		return err.Error()
	}
	var b strings.Builder
	_ = ce.Format(&b, false) // a strings.Builder does not fail
	return "\n" + b.String()
}

func TestLoadPaths(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("d/a.hcl", "node \"a\" {\n  listener \"tcp\" { address = \"127.0.0.1:0\" }\n}\n")
	write("d/b.hcl", "node \"b\" {\n  listener \"tcp\" { address = \"127.0.0.1:0\" }\n}\n")
	write("d/.hidden.hcl", `broken {`)
	write("d/notes.txt", `broken {`)
	write("d/sub/c.hcl", `broken {`)
	write("e/notes.txt", "")
	yaml := write("node.yaml", "tcp-outlets: {}")

	f, err := load(filepath.Join(dir, "d"), a)
	if err != nil {
		t.Fatal(format(err))
	}
	if len(f.Nodes) != 2 || f.Nodes[0].Name != "a" || f.Nodes[1].Name != "b" {
		t.Errorf("got %d nodes", len(f.Nodes))
	}
	if f.Node("b") != f.Nodes[1] || f.Node("c") != nil {
		t.Error("File.Node finds the wrong node")
	}
	for _, tt := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"none", nil, "Name a file"},
		{"missing", []string{filepath.Join(dir, "x.hcl")}, "No such file or directory"},
		{"empty folder", []string{filepath.Join(dir, "e")}, "no file whose name ends in .hcl"},
		{"yaml", []string{yaml}, "Files of the reference implementation stand alone"},
		{"two wrong", []string{filepath.Join(dir, "x.hcl"), filepath.Join(dir, "e")}, "x.hcl: error: Cannot read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.paths...)
			if err == nil || !strings.Contains(strings.Join(strings.Fields(format(err)), " "), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	f, err := load("testdata/good/allow.hcl")
	if err != nil {
		t.Fatal(format(err))
	}
	outlets := map[string]*config.TCPOutlet{}
	for _, o := range f.Node("db").TCPOutlets {
		outlets[o.Name] = o
	}
	identifiers := map[string]string{"app": two, "db": strings.ToUpper(three[1:])}
	list, err := outlets["mixed"].Allow.Resolve(identifiers)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{one, two}; !reflect.DeepEqual(list.Identifiers, want) || list.Anyone {
		t.Errorf("got %v, want %v", list, want)
	}
	if !list.Permits(one) || !list.Permits(two) || list.Permits(three) || list.Permits("") {
		t.Errorf("%v permits the wrong ones", list)
	}
	if list, err := outlets["open"].Allow.Resolve(nil); err != nil || !list.Permits("") || !list.Permits(three) {
		t.Errorf("anyone: %v, %v", list, err)
	}
	if _, err := outlets["mixed"].Allow.Resolve(nil); err == nil || !strings.Contains(err.Error(), `node "app" is not known`) {
		t.Errorf("no identifier: %v", err)
	}
	if _, err := outlets["itself"].Allow.Resolve(identifiers); err == nil {
		t.Error("a bad identifier was accepted")
	}
	var zero config.Allow
	if list, err := zero.Resolve(nil); err != nil || list.Permits(one) || list.Permits("") {
		t.Errorf("the zero Allow permits somebody: %v, %v", list, err)
	}
}

func TestFormatColor(t *testing.T) {
	_, err := load("testdata/bad/unknown-argument.hcl")
	var ce *config.Error
	if !errors.As(err, &ce) {
		t.Fatal(err)
	}
	var plain, color strings.Builder
	if err := errors.Join(ce.Format(&plain, false), ce.Format(&color, true)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(color.String(), "\x1b[1;31merror:\x1b[0m") {
		t.Errorf("plain %q, color %q", plain.String(), color.String())
	}
}

// FuzzLoad wants an error or a configuration, never a panic.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.hcl", "testdata/bad/*.hcl"} {
		seeds, err := filepath.Glob(pattern)
		if err != nil || len(seeds) == 0 {
			f.Fatalf("%s: no seeds, %v", pattern, err)
		}
		for _, name := range seeds {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "fuzz.hcl")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := load(path)
		if err == nil {
			return
		}
		var ce *config.Error
		if !errors.As(err, &ce) {
			t.Fatalf("%T: %v", err, err)
		}
		if err := ce.Format(&strings.Builder{}, true); err != nil {
			t.Fatal(err)
		}
	})
}
