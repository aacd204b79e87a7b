package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-isatty"
)

// A console is where a command reads and prints, and what the user has asked
// about how.
type console struct {
	stdin            io.Reader
	stdout, stderr   io.Writer
	outTTY, errTTY   bool
	quiet, noColor   bool
	noInput, compact bool
	verbosity        int
	output           choice
}

func newConsole(stdin io.Reader, stdout, stderr io.Writer) *console {
	return &console{
		stdin: stdin, stdout: &lockedWriter{w: stdout}, stderr: &lockedWriter{w: stderr},
		outTTY: isTerminal(stdout), errTTY: isTerminal(stderr),
		quiet: isSet("QUIET"), noColor: isSet("NO_COLOR"), noInput: isSet("NO_INPUT"),
		output: choice{value: "plain", of: []string{"plain", "json"}},
	}
}

// isSet reads a variable that is true or false. Anything but a clear no is a
// yes, as with NO_COLOR elsewhere.
func isSet(name string) bool {
	switch strings.ToLower(getenv(name)) {
	case "", "0", "f", "false", "n", "no", "off":
		return false
	}
	return true
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// color reports whether what goes to standard error may be colored.
func (c *console) color() bool { return c.errTTY && !c.noColor }

// A lockedWriter lets several goroutines print lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// A result is what a command has to say, in up to three forms.
type result struct {
	plain   string // for people
	machine string // one bare value, for scripts
	json    any    // keys in alphabetical order
}

// print writes the form that fits where standard output goes, without a line
// end if that is not a terminal, as scripts expect it.
func (c *console) print(r result) error {
	text, err := c.choose(r)
	if err != nil || text == "" {
		return err
	}
	text = strings.TrimRight(text, " \t\r\n")
	if c.outTTY {
		text += "\n"
	}
	_, err = io.WriteString(c.stdout, text)
	return err
}

func (c *console) choose(r result) (string, error) {
	asJSON := func() (string, error) {
		if r.json == nil {
			return "", nil
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if !c.compact {
			e.SetIndent("", "  ")
		}
		err := e.Encode(r.json)
		return b.String(), err
	}
	switch {
	case c.output.value == "json", c.compact && !c.output.set:
		return asJSON()
	case c.outTTY && r.plain != "":
		return r.plain, nil
	case r.machine != "":
		return r.machine, nil
	case r.json != nil:
		return asJSON()
	}
	return r.plain, nil
}

// say prints a line for people, on standard error, unless they want quiet.
// The mark is one of those below.
func (c *console) say(mark, format string, args ...any) {
	if !c.quiet {
		c.errorLine(mark + fmt.Sprintf(format, args...))
	}
}

const (
	markText    = "    "
	markOK      = "  ✔ "
	markWarning = "  ! "
	markInfo    = "  > "
	markItem    = "  │ "
)

// errorLine prints a line on standard error, also when it is quiet.
func (c *console) errorLine(line string) {
	// Nobody is left to tell when standard error cannot be written.
	_, _ = io.WriteString(c.stderr, line+"\n")
}

// exit prints why a command failed and returns the status to exit with.
func (c *console) exit(err error) int {
	if err == nil {
		return exitOK
	}
	var usage *usageError
	if errors.As(err, &usage) {
		if usage.text != "" {
			c.errorLine("Error: " + usage.text)
			c.errorLine("Try: " + usage.cmd.CommandPath() + " --help")
		}
		return exitUsage
	}
	var signaled *signalError
	if errors.As(err, &signaled) {
		return signaled.status
	}
	c.errorLine("Error: " + strings.TrimRight(err.Error(), "\n"))
	return exitFailure
}
