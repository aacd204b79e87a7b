package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/api"
)

func TestQuery(t *testing.T) {
	value := []map[string]any{{"name": "b", "pid": 7, "x": nil}, {"name": "a<", "pid": 9007199254740993}}
	for _, tt := range []struct {
		name, query, output string
		compact             bool
		want                string
	}{
		{"several results", ".[].name", "", false, "\"b\"\n\"a<\""},
		{"sorted keys", ".[0]", "", false, "{\n  \"name\": \"b\",\n  \"pid\": 7,\n  \"x\": null\n}"},
		{"compact", ".[0]|{pid,name}", "", true, `{"name":"b","pid":7}`},
		{"large number", ".[1].pid", "json", false, "9007199254740993"},
		{"arithmetic", ".[0].pid * 2", "", false, "14"},
		{"nothing", "empty", "", false, ""},
		{"standard library", `map(.name) | join("-")`, "", false, `"b-a<"`},
		{"fails while it runs", `.[0].name, (.[0].name | error), 1`, "", false, `"b"`},
		{"plain was asked for", ".[].name", "plain", false, "machine"},
		{"stops", `1, ("x" | halt_error), 2`, "", false, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			c := newConsole(nil, &out, io.Discard)
			c.jq, c.compact = tt.query, tt.compact
			if tt.output != "" {
				if err := c.output.Set(tt.output); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.compileQuery(); err != nil {
				t.Fatal(err)
			}
			if err := c.print(result{plain: "plain", machine: "machine", json: value}); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
	for _, query := range []string{".[", "nosuch(1)", "$x"} {
		c := newConsole(nil, io.Discard, io.Discard)
		if c.jq = query; c.compileQuery() == nil {
			t.Errorf("the query %q was accepted", query)
		}
	}
	c := newConsole(nil, io.Discard, io.Discard)
	if err := c.output.Set("json"); err != nil {
		t.Fatal(err)
	}
	if err := c.print(result{json: func() {}}); err == nil {
		t.Error("a function has no JSON form")
	}
}

func TestExit(t *testing.T) {
	other := errors.New("disk full")
	for _, tt := range []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"success", nil, 0, ""},
		{"the user said no", errNotConfirmed, 0, ""},
		{"other", other, 70, "Error: disk full\nError code: OCK500\n"},
		{"not found", notFound("node", "x", "there is y"), 70, "Error: the node \"x\" was not found; there is y\nError code: OCK404\n"},
		{"state", errors.Join(other, state.ErrExists), 70, "Error: disk full\n  > state: exists already\nError code: OCK409\n"},
		{"forbidden", &failure{code: codeForbidden, err: other, help: "Ask for it"}, 70, "Error: disk full\n    Ask for it\nError code: OCK401\n"},
		{"refused", fmt.Errorf("the authority: %w", &api.Error{Status: 403, Message: "no"}), 70, "Error: the authority: no\nError code: OCK401\n"},
		{"refused as unreadable", &api.Error{Status: 400, Message: "no"}, 70, "Error: no\nError code: OCK500\n"},
		{"arguments", &usageError{cmd: newVersion(nil), text: "no"}, 64, "Error: no\nTry: version --help\n"},
		{"a second signal", &signalError{130}, 130, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var errs strings.Builder
			c := newConsole(nil, io.Discard, &errs)
			c.quiet = true // errors are told all the same
			if got := c.exit(tt.err); got != tt.status || errs.String() != tt.want {
				t.Errorf("got %d, %q, want %d, %q", got, errs.String(), tt.status, tt.want)
			}
		})
	}
}

func TestLists(t *testing.T) {
	if got, want := list("policy", nil), "  > There are no policies"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := list("relay", [][]string{{"a", "b"}, {"c"}}), "  │ a\n  │ b\n\n  │ c\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := heading("Nodes"), "\n    Nodes\n    ─────\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := count(2, "identity")+count(1, "relay")+count(0, "relay"), "2 identities1 relay0 relays"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := enumerate(strings.Fields("a b c d e f g")), "a, b, c, d, e and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
