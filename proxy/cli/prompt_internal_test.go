package cli

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// onTerminal returns a console whose user types keys; questions are read and
// dropped.
func onTerminal(t *testing.T, keys string) *console {
	t.Helper()
	ours, theirs := OpenTerminal(t)
	if _, err := ours.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, ours) }() // ends when the test closes it
	return newConsole(theirs, io.Discard, theirs)
}

func TestConfirm(t *testing.T) {
	for _, tt := range []struct {
		name, keys string
		yes        bool
		want       error
	}{
		{"yes", "y", false, nil},
		{"no", "n", false, errNotConfirmed},
		{"other keys do not count", "x Y", false, nil},
		{"as a line", "n\n", false, errNotConfirmed},
		{"--yes", "n", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := onTerminal(t, tt.keys)
			if err := c.confirm(tt.yes, "Delete it?"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	for name, deaf := range map[string]func(*console){
		"quiet": func(c *console) { c.quiet = true }, "no input": func(c *console) { c.noInput = true },
		"no terminal": func(c *console) { c.errTTY = false }, "no keys": func(c *console) { c.inFile = nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := onTerminal(t, "y")
			deaf(c)
			if err := c.confirm(false, "Delete it?"); c.exit(err) != exitFailure {
				t.Errorf("got %v, want a failure", err)
			}
		})
	}
}

// TestConfirmEverybody shows that who can be asked is asked, and that scripts need
// no --yes.
func TestConfirmEverybody(t *testing.T) {
	for keys, want := range map[string]error{"y": nil, "n": errNotConfirmed} {
		if err := onTerminal(t, keys).confirmEverybody(false); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", keys, err, want)
		}
	}
	c := onTerminal(t, "n")
	if err := c.confirmEverybody(true); err != nil {
		t.Errorf("--yes: %v", err)
	}
	c.errTTY = false
	if err := c.confirmEverybody(false); err != nil {
		t.Errorf("nobody can be asked: %v", err)
	}
}

func TestAskAndPick(t *testing.T) {
	c := onTerminal(t, "blue\n\n")
	if got, err := c.ask("Name", ""); got != "blue" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := c.ask("Name", "default"); got != "default" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	names := []string{"a", "b", "c"}
	for keys, want := range map[string][]string{
		"2\n": {"b"}, "3, 1 1\n": {"c", "a"}, "all\n": names, "\n": nil, "4\nx\n0\n1\n": {"a"},
	} {
		c := onTerminal(t, keys)
		if got, err := c.pick("Which", names); !slices.Equal(got, want) || err != nil {
			t.Errorf("%q gave %q, %v, want %q", keys, got, err, want)
		}
	}
	c = onTerminal(t, "")
	if got, err := c.pick("Which", names[:1]); !slices.Equal(got, names[:1]) || err != nil {
		t.Errorf("got %q, %v: there was nothing to ask", got, err)
	}
	c = newConsole(strings.NewReader("x\n"), io.Discard, io.Discard)
	if got, err := c.ask("Name", "default"); got != "default" || err != nil {
		t.Errorf("got %q, %v: nobody can be asked", got, err)
	}
}

func TestSelection(t *testing.T) {
	names := []string{"a", "b"}
	first := func() (string, error) { return "a", nil }
	for _, tt := range []struct {
		name    string
		show    bool
		s       selection
		want    []string
		output  string
		failure string
	}{
		{"show, none", true, selection{name: "x"}, nil, "[]", ""},
		{"show a name", true, selection{names: names, name: "b"}, []string{"b"}, "", ""},
		{"show the default", true, selection{names: names, fallback: first}, []string{"a"}, "", ""},
		{"show without a default", true, selection{names: names}, nil, "", "say which node to show: there is a, b"},
		{"show an unknown name", true, selection{names: names, name: "x"}, nil, "", `the node "x" was not found; there is a, b`},
		{"delete, none", false, selection{all: true}, nil, "[]", ""},
		{"delete without a name", false, selection{names: names, yes: true}, nil, "", ""},
		{"delete an unknown name", false, selection{names: names, name: "x", yes: true}, nil, "", `the node "x" was not found; there is a, b`},
		{"delete a name", false, selection{names: names, name: "b", yes: true}, []string{"b"}, "", ""},
		{"delete, not confirmed", false, selection{names: names, name: "b"}, nil, "", "this needs a confirmation, and nobody can be asked"},
		{"delete all", false, selection{names: names, all: true, yes: true}, names, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			c := newConsole(nil, &out, io.Discard)
			tt.s.kind = "node"
			choose := c.toDelete
			if tt.show {
				choose = c.toShow
			}
			got, err := choose(tt.s)
			if !slices.Equal(got, tt.want) || out.String() != tt.output {
				t.Errorf("got %q, printed %q, want %q, %q", got, out.String(), tt.want, tt.output)
			}
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.failure {
				t.Errorf("error is %q, want %q", text, tt.failure)
			}
		})
	}
}

func TestSelectionOnTerminal(t *testing.T) {
	names := []string{"a", "b"}
	c := onTerminal(t, "2\n")
	if got, err := c.toShow(selection{kind: "vault", names: names}); err != nil || !slices.Equal(got, names[1:]) {
		t.Errorf("got %q, %v", got, err)
	}
	c = onTerminal(t, "all\ny")
	if got, err := c.toDelete(selection{kind: "vault", names: names}); err != nil || !slices.Equal(got, names) {
		t.Errorf("got %q, %v", got, err)
	}
	c = onTerminal(t, "n")
	if got, err := c.toDelete(selection{kind: "vault", names: names[:1]}); !errors.Is(err, errNotConfirmed) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestForEach(t *testing.T) {
	broken := errors.New("in use")
	f := func(name string) error {
		if name == "a" {
			return broken
		}
		return nil
	}
	var out strings.Builder
	c := newConsole(nil, &out, io.Discard)
	if err := c.forEach([]string{"a", "b"}, true, f); err != nil || out.String() != "  ! in use" {
		t.Errorf("%v, printed %q", err, out.String())
	}
	if err := c.forEach([]string{"a"}, false, f); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestVerboseLines(t *testing.T) {
	var out, errs strings.Builder
	c := newConsole(nil, &out, &errs)
	c.verbosity = 1
	if err := c.startLines(); err != nil {
		t.Fatal(err)
	}
	c.say(markOK, "made")
	if err := c.print(result{json: []int{1}}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 5 || !strings.HasSuffix(lines[0], "INFO  made") || !strings.HasSuffix(lines[2], "INFO    1") || errs.Len() > 0 {
		t.Errorf("got %q and %q", out.String(), errs.String())
	}
}
