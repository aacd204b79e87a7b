package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// canAsk reports whether there is somebody to answer a question: on standard
// error, as standard output holds the result.
func (c *console) canAsk() bool {
	return c.errTTY && c.inFile != nil && !c.quiet && !c.noInput
}

// errNotConfirmed ends a command that the user has not let go on: with
// status 0, as asked.
var errNotConfirmed = errors.New("not confirmed")

// confirm asks a question that one key answers, y or n, unless yes says that
// it is answered already. It returns errNotConfirmed after n, and fails where
// nobody can be asked.
func (c *console) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !c.canAsk() {
		return &failure{err: errors.New("this needs a confirmation, and nobody can be asked"), help: "Use --yes to confirm"}
	}
	c.write(markWarning + question + " [y/n] ")
	for {
		key, err := c.readKey()
		if err != nil {
			c.write("\n")
			return err
		}
		switch key {
		case 'y', 'Y':
			c.write("y\n")
			return nil
		case 'n', 'N':
			c.write("n\n")
			return errNotConfirmed
		case 3: // Ctrl+C, which does not end the process while keys are read
			c.write("\n")
			return &signalError{status: 130}
		}
	}
}

// readKey returns the next key, without waiting for a line if the terminal
// can do that.
func (c *console) readKey() (byte, error) {
	restore := singleKeys(c.inFile)
	defer restore()
	key, err := c.stdin.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, errNotConfirmed
	}
	return key, err
}

// ask returns the line that the user answers a question with; def if it is
// empty or nobody can be asked.
func (c *console) ask(question, def string) (string, error) {
	if !c.canAsk() {
		return def, nil
	}
	if def != "" {
		question += " [" + def + "]"
	}
	c.write(markInfo + question + ": ")
	line, err := c.readLine()
	if line == "" {
		line = def
	}
	return line, err
}

// pick lets the user choose from names; a single one is taken at once.
func (c *console) pick(question string, names []string) ([]string, error) {
	if len(names) == 1 {
		return names, nil
	}
	for i, name := range names {
		c.write(fmt.Sprintf("%s%d  %s\n", markText, i+1, name))
	}
	for {
		line, err := c.ask(question+" (numbers, or all)", "")
		if err != nil || line == "" {
			return nil, err
		}
		if line == "all" {
			return names, nil
		}
		var chosen []string
		for _, field := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' }) {
			n, err := strconv.Atoi(field)
			if err != nil || n < 1 || n > len(names) {
				c.write(fmt.Sprintf("%s%q is no number from 1 to %d\n", markError, field, len(names)))
				chosen = nil
				break
			}
			if !slices.Contains(chosen, names[n-1]) {
				chosen = append(chosen, names[n-1])
			}
		}
		if chosen != nil {
			return chosen, nil
		}
	}
}

// write prints on standard error as it is.
func (c *console) write(text string) {
	_, _ = io.WriteString(c.stderr, text) // as errorLine
}
