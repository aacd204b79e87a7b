package cli

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// TestFill has the substitutions recorded from the reference implementation,
// revision fb8fb64cd.
func TestFill(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args, want  []string
	}{
		{"nothing asked for", "x\n", []string{"a", "-", "--to", "/x"}, []string{"a", "-", "--to", "/x"}},
		{"first", "/node/n1\n", []string{"-/service/uppercase"}, []string{"/node/n1/service/uppercase"}},
		{"middle", "/secure/api/\nignored\n", []string{"/node/n1/-/service/uppercase"}, []string{"/node/n1/secure/api/service/uppercase"}},
		{"last, no newline", "service/uppercase", []string{"/node/n1/-"}, []string{"/node/n1/service/uppercase"}},
		{"two arguments, two lines", "a\n/node/n1\n", []string{"-/x", "--to", "-/service/echo"}, []string{"/a/x", "--to", "/node/n1/service/echo"}},
		{"empty", "", []string{"-/service/echo"}, []string{"/service/echo"}},
		{"at its end", "", []string{"/node/n1/-"}, []string{"/node/n1"}},
		{"dash slash inside a word", "IN\n", []string{"a-/b"}, []string{"a/IN/b"}},
		{"slash dash inside a word", "IN\n", []string{"a/-b"}, []string{"a/INb"}},
		{"cleaned", "  /x//y/  \n", []string{"-/"}, []string{"/x/y/"}},
		{"with an option", "/service/a\r\n", []string{"--to=/node/n/-"}, []string{"--to=/node/n/service/a"}},
		{"the shell completes", "x\n", []string{"__complete", "-/"}, []string{"__complete", "-/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.args)
			got, err := newConsole(strings.NewReader(tt.stdin), io.Discard, io.Discard).fill(tt.args)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if !slices.Equal(tt.args, before) {
				t.Error("the arguments of the caller were changed")
			}
		})
	}
}

func TestFillFromTerminal(t *testing.T) {
	_, theirs := OpenTerminal(t)
	got, err := newConsole(theirs, io.Discard, io.Discard).fill([]string{"-/x"})
	if err != nil || got[0] != "-/x" {
		t.Errorf("got %q, %v; it must not wait for a terminal", got, err)
	}
}

func TestFillFails(t *testing.T) {
	r, w := io.Pipe()
	_ = w.CloseWithError(io.ErrUnexpectedEOF)
	if _, err := newConsole(r, io.Discard, io.Discard).fill([]string{"-/x"}); err == nil {
		t.Error("an error of standard input was not noticed")
	}
}
