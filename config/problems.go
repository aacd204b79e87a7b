package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Problems are errors or warnings with the text that they point to.
type Problems struct {
	// Diagnostics are in the order of files and lines, those without a place
	// first.
	Diagnostics hcl.Diagnostics

	files map[string]*hcl.File
}

// An Error holds everything that is wrong with a configuration, and the
// warnings as well.
type Error struct {
	Problems
}

// Error returns one line: the first mistake, and how many there are. Format
// writes them all.
func (e *Error) Error() string {
	var first *hcl.Diagnostic
	n := 0
	for _, d := range e.Diagnostics {
		if d.Severity == hcl.DiagError {
			if first == nil {
				first = d
			}
			n++
		}
	}
	if first == nil {
		return "config: no error"
	}
	s := "config: " + place(first) + first.Summary
	if n > 1 {
		s += fmt.Sprintf(" (and %d more errors)", n-1)
	}
	return s
}

// place returns "file:line:column: ", or nothing for a problem without one.
func place(d *hcl.Diagnostic) string {
	if d.Subject == nil || d.Subject.Filename == "" {
		return ""
	}
	if d.Subject.Start.Line == 0 {
		return d.Subject.Filename + ": "
	}
	return fmt.Sprintf("%s:%d:%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column)
}

// Format writes every problem for a reader at a terminal: one line with its
// place, the line of the file with a mark below, and what to do. With color
// it uses ANSI escape sequences.
func (p Problems) Format(w io.Writer, color bool) error {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	var b bytes.Buffer
	for i, d := range p.Diagnostics {
		if i > 0 {
			b.WriteByte('\n')
		}
		kind := paint("1;31", "error:")
		if d.Severity == hcl.DiagWarning {
			kind = paint("1;33", "warning:")
		}
		fmt.Fprintf(&b, "%s%s %s\n", paint("1", place(d)), kind, paint("1", d.Summary))
		if line, mark, ok := p.snippet(d.Subject); ok && d.Extra != secretLine {
			number := fmt.Sprintf("%5d", d.Subject.Start.Line)
			fmt.Fprintf(&b, "%s %s\n", paint("2", number+" |"), line)
			fmt.Fprintf(&b, "%s %s\n", paint("2", "      |"), paint("1;31", mark))
		}
		for _, line := range wrap(d.Detail, 76) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// snippet returns the line that r begins on, and a line with carets below r.
func (p Problems) snippet(r *hcl.Range) (line, mark string, ok bool) {
	if r == nil || r.Start.Line == 0 {
		return "", "", false
	}
	f := p.files[r.Filename]
	if f == nil || r.Start.Byte > len(f.Bytes) || r.End.Byte > len(f.Bytes) || r.End.Byte < r.Start.Byte {
		return "", "", false
	}
	begin := bytes.LastIndexByte(f.Bytes[:r.Start.Byte], '\n') + 1
	end := len(f.Bytes)
	if n := bytes.IndexByte(f.Bytes[r.Start.Byte:], '\n'); n >= 0 {
		end = r.Start.Byte + n
	}
	stop := min(r.End.Byte, end) // a range of several lines is marked on its first
	var b strings.Builder
	for _, c := range string(f.Bytes[begin:r.Start.Byte]) {
		if c == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	marked := strings.TrimRight(string(f.Bytes[r.Start.Byte:stop]), " \t\r")
	b.WriteString(strings.Repeat("^", max(1, len([]rune(marked)))))
	return strings.TrimRight(string(f.Bytes[begin:end]), " \t\r"), b.String(), true
}

// wrap breaks text into lines of about width characters, at spaces only.
func wrap(text string, width int) []string {
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// compareDiagnostics orders by file and place; problems without a place come
// first.
func compareDiagnostics(a, b *hcl.Diagnostic) int {
	ra, rb := subject(a), subject(b)
	return cmp.Or(
		cmp.Compare(ra.Filename, rb.Filename),
		cmp.Compare(ra.Start.Byte, rb.Start.Byte),
		cmp.Compare(a.Summary, b.Summary),
		cmp.Compare(a.Detail, b.Detail),
	)
}

// sameDiagnostic reports whether b says what a says. It happens when a block
// with for_each makes the same mistake for each of its keys.
func sameDiagnostic(a, b *hcl.Diagnostic) bool {
	return compareDiagnostics(a, b) == 0
}

func subject(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

// errorf records an error; the zero range stands for no place.
func (l *loader) errorf(at hcl.Range, summary, detail string, args ...any) {
	l.report(hcl.DiagError, at, summary, fmt.Sprintf(detail, args...))
}

// warnf records a warning.
func (l *loader) warnf(at hcl.Range, summary, detail string, args ...any) {
	l.report(hcl.DiagWarning, at, summary, fmt.Sprintf(detail, args...))
}

// secretLine is in the place for extras of a diagnostic about a line that may
// hold a secret: it is not shown, as what is shown goes to logs.
const secretLine = "secret"

// secretf records an error about a place that may hold a secret.
func (l *loader) secretf(at hcl.Range, summary, detail string, args ...any) {
	l.errorf(at, summary, detail, args...)
	l.diags[len(l.diags)-1].Extra = secretLine
}

func (l *loader) report(severity hcl.DiagnosticSeverity, at hcl.Range, summary, detail string) {
	d := &hcl.Diagnostic{Severity: severity, Summary: summary, Detail: detail}
	if at.Filename != "" {
		d.Subject = &at
	}
	l.diags = append(l.diags, d)
}
