package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// fill puts lines of standard input into arguments that ask for one by "/-"
// or "-/": the place where the output of another command goes (Ockam
// protocol, command line, standard input in arguments). Each argument takes
// one line. A terminal is not waited for: the arguments stay as they are.
func (c *console) fill(args []string) ([]string, error) {
	if c.inFile != nil || len(args) > 0 && strings.HasPrefix(args[0], "__") { // the shell asks what fits
		return args, nil
	}
	args = slices.Clone(args)
	for i, arg := range args {
		place, end := "/-", ""
		if !strings.Contains(arg, place) {
			place, end = "-/", "/"
		}
		if !strings.Contains(arg, place) {
			continue
		}
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		args[i] = strings.ReplaceAll(arg, place, cleanRoute(line)+end)
	}
	return args, nil
}

// readLine returns the next line of standard input, empty at its end.
func (c *console) readLine() (string, error) {
	line, err := c.stdin.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("standard input cannot be read: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// cleanRoute returns the parts of a route that are not empty, each behind a
// slash.
func cleanRoute(line string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(strings.TrimSpace(line), "/") {
		if part != "" {
			b.WriteString("/" + part)
		}
	}
	return b.String()
}
