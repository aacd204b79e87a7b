package config_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ockam/config"
)

func TestMembersResolve(t *testing.T) {
	f, err := load("testdata/good/project.hcl")
	if err != nil {
		t.Fatal(format(err))
	}
	members := f.Node("relay").Project.Members
	if got := members.Nodes(); !slices.Equal(got, []string{"app"}) {
		t.Errorf("needs the identifiers of %v", got)
	}
	all, err := members.Resolve(map[string]string{"app": three})
	if err != nil || len(all) != 3 || all[three]["team"] != "web" || all[one]["ockam-role"] != "enroller" {
		t.Errorf("got %v, %v", all, err)
	}
	all[three]["team"] = "other"
	if again, err := members.Resolve(map[string]string{"app": three}); err != nil || again[three]["team"] != "web" {
		t.Errorf("what Resolve returns is not the caller's own: %v, %v", again, err)
	}
	for _, tt := range []struct {
		name, app, want string
	}{
		{"unknown", "", "not known"},
		{"no identifier", "I12", "not known"},
		{"written out as well", one, "given twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if all, err := members.Resolve(map[string]string{"app": tt.app}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want %q", all, err, tt.want)
			}
		})
	}
	var none config.Members
	if all, err := none.Resolve(nil); err != nil || len(all) != 0 || len(none.Nodes()) != 0 {
		t.Errorf("the zero Members: %v, %v", all, err)
	}
}

// loadText loads a text.
func loadText(t *testing.T, text string) (*config.File, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return load(path)
}

func TestLifetime(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration // 0: refused
	}{
		{"5m", 5 * time.Minute},
		{"90", 90 * time.Second},
		{"1m", time.Minute},
		{"60500ms", 60500 * time.Millisecond},
		{"30d", 30 * 24 * time.Hour},
		{"", 0},
		{"m", 0},
		{"5 m", 0},
		{"-5m", 0},
		{"+5m", 0},
		{"1.5m", 0},
		{"5M", 0},
		{"59s", 0},
		{"721h", 0},
		{"2147483648d", 0},
		{"2000000000d", 0},
	} {
		t.Run(tt.text, func(t *testing.T) {
			f, err := loadText(t, fmt.Sprintf("node \"n\" {\n  project \"p\" {\n    listen = \"127.0.0.1:4000\"\n    authority { lifetime = %q }\n  }\n}\n", tt.text))
			switch {
			case tt.want == 0 && err == nil:
				t.Errorf("accepted: %v", f.Nodes[0].Project.Lifetime)
			case tt.want != 0 && err != nil:
				t.Error(format(err))
			case tt.want != 0 && f.Nodes[0].Project.Lifetime != tt.want:
				t.Errorf("got %v", f.Nodes[0].Project.Lifetime)
			}
		})
	}
}

// TestMemberAttributes holds how much fits into a credential.
func TestMemberAttributes(t *testing.T) {
	for _, tt := range []struct {
		size int
		ok   bool
	}{{60 << 10, true}, {60<<10 + 1, false}, {64 << 10, false}} {
		_, err := loadText(t, fmt.Sprintf("node \"n\" {\n  project \"p\" {\n    listen = \"127.0.0.1:4000\"\n    members = { %q = { a = %q } }\n  }\n}\n", one, strings.Repeat("x", tt.size-1)))
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "Too many attributes") {
			t.Errorf("%d bytes: %v", tt.size, err)
		}
	}
}

// TestTicketCut wants an error for a ticket of which the end is missing,
// wherever it was cut: nobody can be enrolled by it. What is altered within is
// for those to find who use the ticket.
func TestTicketCut(t *testing.T) {
	text, err := os.ReadFile("testdata/good/ticket.txt")
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.TrimSpace(string(text))
	file := func(ticket string) string {
		return fmt.Sprintf("node \"n\" {\n  ticket = %q\n  relay \"r\" {}\n}\n", ticket)
	}
	plain, err := hex.DecodeString(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{whole, strings.ToUpper(whole), whole[:100] + "\n" + whole[100:] + "\n", string(plain), ""} {
		if _, err := loadText(t, file(good)); err != nil {
			t.Error(format(err))
		}
	}
	for i := 1; i < len(whole); i += 7 {
		_, err := loadText(t, file(whole[:i]))
		if err == nil || !strings.Contains(err.Error(), "Bad ticket") {
			t.Fatalf("%d of %d digits: %v", i, len(whole), err)
		}
		if i > 20 && strings.Contains(format(err), whole[:20]) {
			t.Fatalf("the error shows the ticket: %s", format(err))
		}
	}
}

func TestStepWords(t *testing.T) {
	for command, want := range map[string]string{
		config.TicketStep: "project enroll", config.RelayStep: "relay create", config.NodeStep: "node create",
	} {
		s := config.Step{Command: command}
		if got := strings.Join(s.Words(), " "); got != want || s.Secret() != (command == config.TicketStep) {
			t.Errorf("%s: %q, secret %v", command, got, s.Secret())
		}
	}
}
