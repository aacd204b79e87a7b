package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/itchyny/gojq"
	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
)

// A console is where a command reads and prints, and what the user has asked
// about how.
type console struct {
	stdin          *bufio.Reader
	stdout, stderr io.Writer
	inFile         *os.File // standard input, when it is a terminal
	outFile        *os.File // standard output, when it is a terminal
	outTTY, errTTY bool

	quiet, noColor   bool
	noInput, compact bool
	parseOnly        bool // --test-argument-parser
	pretty           bool // --pretty, which does nothing
	verbosity        int
	output           choice
	jq               string
	query            *gojq.Code  // of jq
	lines            *zap.Logger // with -v, results and messages are log lines
	log              *zap.Logger // in files; nil: there is none
	logFile          *logFile    // of log
	endLog           func(error) // ends log when the command has ended, with an error or nil; nil: the process does
}

func newConsole(stdin io.Reader, stdout, stderr io.Writer) *console {
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	return &console{
		stdin: bufio.NewReader(stdin), inFile: terminal(stdin), outFile: terminal(stdout),
		stdout: &lockedWriter{w: stdout}, stderr: &lockedWriter{w: stderr},
		outTTY: terminal(stdout) != nil, errTTY: terminal(stderr) != nil,
		quiet: envBool("QUIET"), noColor: envBool("NO_COLOR"), noInput: envBool("NO_INPUT"),
		output: choice{value: "plain", of: []string{"plain", "json"}},
	}
}

// terminal returns v as a file if it is a terminal.
func terminal(v any) *os.File {
	if f, ok := v.(*os.File); ok && f != nil && isatty.IsTerminal(f.Fd()) {
		return f
	}
	return nil
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

// A result is what a command has to say, in up to three forms (Ockam
// protocol, command line, what goes where).
type result struct {
	plain   string // for people
	machine string // one bare value, for scripts
	json    any    // anything that encoding/json takes; keys are sorted when it is printed
}

// print writes the form that fits where standard output goes, without a line
// end if that is not a terminal, as scripts expect it.
func (c *console) print(r result) error {
	text, err := c.choose(r)
	text = strings.TrimRight(text, " \t\r\n")
	if err != nil || text == "" {
		return err
	}
	if c.lines != nil {
		for line := range strings.Lines(text) {
			c.lines.Info(unmarked(line))
		}
		return nil
	}
	if c.outTTY {
		text += "\n"
	}
	_, err = io.WriteString(c.stdout, text)
	return err
}

func (c *console) choose(r result) (string, error) {
	implied := (c.compact || c.query != nil) && !c.output.set
	switch {
	case c.output.value == "json", implied:
		return c.json(r.json)
	case c.outTTY && r.plain != "":
		return r.plain, nil
	case r.machine != "":
		return r.machine, nil
	case r.json != nil:
		return c.json(r.json)
	}
	return r.plain, nil
}

// say prints a line for people, on standard error, unless they want quiet.
// The mark is one of those below.
func (c *console) say(mark, format string, args ...any) {
	line := mark + fmt.Sprintf(format, args...)
	if c.log != nil {
		c.log.Info(unmarked(line))
	}
	switch {
	case c.quiet:
	case c.lines != nil:
		c.lines.Info(unmarked(line))
	default:
		c.errorLine(line)
	}
}

// The marks that lines for people begin with.
const (
	markText    = "    "
	markOK      = "  ✔ "
	markWarning = "  ! "
	markError   = "  ✗ "
	markInfo    = "  > "
	markItem    = "  │ "
)

// unmarked returns a line without its icon and its end.
func unmarked(line string) string {
	for _, mark := range []string{markOK, markWarning, markError, markInfo, markItem} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			line = rest
			break
		}
	}
	return strings.TrimRight(line, "\r\n")
}

// heading returns a heading with a rule below it.
func heading(text string) string {
	return "\n" + markText + text + "\n" + markText + strings.Repeat("─", len([]rune(text))) + "\n"
}

// list returns the lines of each item behind the mark of items, with an empty
// line between two; without items it says that there are none of the kind.
func list(kind string, items [][]string) string {
	if len(items) == 0 {
		return markInfo + "There are no " + plural(kind)
	}
	var b strings.Builder
	for i, lines := range items {
		if i > 0 {
			b.WriteString("\n")
		}
		for _, line := range lines {
			b.WriteString(markItem + line + "\n")
		}
	}
	return b.String()
}

// errorLine prints a line on standard error, also when it is quiet.
func (c *console) errorLine(line string) {
	// Nobody is left to tell when standard error cannot be written.
	_, _ = io.WriteString(c.stderr, line+"\n")
}
