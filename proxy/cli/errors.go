package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ockam/proxy/state"
	"ockam/tunnel/api"
)

// The statuses that the process exits with (Ockam protocol, command line,
// errors and exit codes).
const (
	exitOK           = 0
	exitUsage        = 64
	exitFailure      = 70
	exitCannotCreate = 73 // the channel listener of a launch configuration
)

// A usageError says that the arguments make no sense. Without text everything
// has been said.
type usageError struct {
	cmd  *cobra.Command
	text string
}

func (e *usageError) Error() string { return e.text }

// A failure is an error with more to say than its text.
type failure struct {
	code string // one of those below; empty is codeOther
	err  error
	help string // what to do next; may be empty

	status int // to exit with; 0: exitFailure
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

// The codes that follow the text of an error, for scripts that read it.
const (
	codeOther     = "OCK500"
	codeNotFound  = "OCK404"
	codeExists    = "OCK409"
	codeForbidden = "OCK401"
)

// codeOf returns the code of an error.
func codeOf(err error) string {
	if f, ok := errors.AsType[*failure](err); ok && f.code != "" {
		return f.code
	}
	switch {
	case errors.Is(err, state.ErrNotFound):
		return codeNotFound
	case errors.Is(err, state.ErrExists):
		return codeExists
	}
	if e, ok := errors.AsType[*api.Error](err); ok && e.Status == api.StatusForbidden {
		return codeForbidden // an authority, or a node, says so
	}
	return codeOther
}

// exit prints why a command failed and returns the status to exit with.
func (c *console) exit(err error) int {
	if err == nil || errors.Is(err, errNotConfirmed) {
		return exitOK
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		if usage.text != "" {
			c.errorLine(c.errorHeading() + usage.text)
			c.errorLine("Try: " + usage.cmd.CommandPath() + " --help")
		}
		return exitUsage
	}
	if s, ok := errors.AsType[*signalError](err); ok {
		return s.status
	}
	first, causes, _ := strings.Cut(strings.TrimRight(err.Error(), "\n"), "\n")
	c.errorLine(c.errorHeading() + first)
	for line := range strings.Lines(causes) {
		c.errorLine(markInfo + strings.TrimSpace(line))
	}
	status := exitFailure
	if f, ok := errors.AsType[*failure](err); ok {
		if f.help != "" {
			c.errorLine(markText + f.help)
		}
		if f.status != 0 {
			status = f.status
		}
	}
	c.errorLine("Error code: " + codeOf(err))
	return status
}

func (c *console) errorHeading() string {
	if c.color() {
		return "\x1b[1;31mError:\x1b[0m "
	}
	return "Error: "
}

// A signalError ends the process at once: the user has asked twice.
type signalError struct{ status int }

func (e *signalError) Error() string { return "ended by a second signal" }

// flagError turns what the flag library says into our words.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	text := err.Error()
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		text = fmt.Sprintf("unknown option -%s", unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		text = fmt.Sprintf("unknown option --%s", unknown.GetSpecifiedName())
		if near := nearFlag(cmd, unknown.GetSpecifiedName()); near != "" {
			text += fmt.Sprintf("; did you mean --%s?", near)
		}
	case errors.As(err, &missing):
		text = fmt.Sprintf("option --%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &invalid) && errors.Is(err, errTwice):
		text = fmt.Sprintf("option --%s is given more than once", invalid.GetFlag().Name)
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		text = fmt.Sprintf("invalid value '%s' for '--%s <%s>': %v", invalid.GetValue(), f.Name,
			strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")), errors.Unwrap(invalid))
	}
	return &usageError{cmd: cmd, text: text}
}

// nearFlag returns the option that differs from name in two letters at most.
func nearFlag(cmd *cobra.Command, name string) string {
	near := &cobra.Command{Use: "options"}
	near.SuggestionsMinimumDistance = 2
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			near.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if all := near.SuggestionsFor(name); len(all) > 0 {
		return all[0]
	}
	return ""
}
