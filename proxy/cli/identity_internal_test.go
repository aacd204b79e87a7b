package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ockam/tunnel/identity"
)

// TestIdentityShow compares what is printed of a history with what the
// reference implementation prints of it.
func TestIdentityShow(t *testing.T) {
	b, err := os.ReadFile("testdata/identity-show.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Name    string `json:"name"`
			History string `json:"change_history"`
			Outputs []struct {
				Arguments string `json:"arguments"`
				Output    string `json:"standard_output"`
			} `json:"outputs"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, tc := range golden.Cases {
		h, err := identity.ParseHistoryText(tc.History)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range tc.Outputs {
			t.Run(tc.Name+"/"+o.Arguments, func(t *testing.T) {
				var out strings.Builder
				c := newConsole(nil, &out, &out)
				if strings.Contains(o.Arguments, "--output json") {
					c.output.value = "json"
				}
				full, hex := strings.Contains(o.Arguments, "--full"), strings.Contains(o.Arguments, "--encoding hex")
				if err := c.print(showResult(h, full, hex)); err != nil {
					t.Fatal(err)
				}
				if out.String() != o.Output {
					t.Errorf("got\n%s\nwant\n%s", out.String(), o.Output)
				}
			})
		}
	}
}

func TestPrint(t *testing.T) {
	all := result{plain: "for people\n", machine: "value", json: map[string]int{"b": 1, "a": 2}}
	for _, tt := range []struct {
		name    string
		tty     bool
		output  string
		compact bool
		r       result
		want    string
	}{
		{"pipe", false, "plain", false, all, "value"},
		{"terminal", true, "plain", false, all, "for people\n"},
		{"json", false, "json", false, all, "{\n  \"a\": 2,\n  \"b\": 1\n}"},
		{"json on a terminal", true, "json", false, all, "{\n  \"a\": 2,\n  \"b\": 1\n}\n"},
		{"compact", false, "json", true, all, `{"a":2,"b":1}`},
		{"compact implies json", false, "", true, all, `{"a":2,"b":1}`},
		{"no machine value", false, "plain", false, result{plain: "x", json: []int{}}, "[]"},
		{"no json", false, "json", false, result{plain: "x"}, ""},
		{"text only", false, "plain", false, result{plain: "x\n\n"}, "x"},
		{"keys of structs", false, "json", true, result{json: struct {
			B int
			A string `json:"a"`
		}{1, "<&>"}}, `{"B":1,"a":"<&>"}`},
		{"large number", false, "json", true, result{json: uint64(18446744073709551615)}, "18446744073709551615"},
		{"machine on a terminal", true, "plain", false, result{machine: "value", json: 1}, "value\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			c := newConsole(nil, &out, &out)
			c.outTTY, c.compact = tt.tty, tt.compact
			if tt.output != "" {
				if err := c.output.Set(tt.output); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.print(tt.r); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]string{
		"10": "10s", "10s": "10s", "2m": "120s", "1h": "3600s", "1d": "86400s", "1500ms": "1500ms", "0": "0s",
		"": "", "s": "", "-1s": "", "+1s": "", "1.5s": "", "1us": "", "1m30s": "", "10 s": "", "99999999999": "", "2147483647d": "",
	} {
		var d duration
		err := d.Set(text)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was accepted as %s", text, &d)
		case want != "" && (err != nil || d.String() != want):
			t.Errorf("%q gave %s, %v, want %s", text, &d, err, want)
		}
	}
}
