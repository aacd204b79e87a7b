package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ockam/config"
)

// A choice is the value of an option that takes one of a few words.
type choice struct {
	value string
	of    []string
	set   bool // by the user
}

// Set takes one of the words.
func (v *choice) Set(s string) error {
	if !slices.Contains(v.of, s) {
		return fmt.Errorf("possible values: %s", strings.Join(v.of, ", "))
	}
	v.value, v.set = s, true
	return nil
}

// String returns the word.
func (v *choice) String() string { return v.value }

// Type returns what the help calls the value.
func (v *choice) Type() string { return "word" }

// A duration is the value of an option: a whole number with d, h, m, s or ms;
// a bare number counts seconds (Ockam protocol, command line, durations).
type duration time.Duration

// Set reads the text form.
func (d *duration) Set(s string) error {
	v, err := config.ParseDuration(s)
	*d = duration(v)
	return err
}

// String returns the duration as Set reads it.
func (d *duration) String() string {
	v := time.Duration(*d)
	if v%time.Second == 0 {
		return fmt.Sprintf("%ds", v/time.Second)
	}
	return fmt.Sprintf("%dms", v/time.Millisecond)
}

// Type returns what the help calls the value.
func (d *duration) Type() string { return "duration" }

var errTwice = errors.New("given more than once")

// once refuses an option that is given a second time.
type once struct {
	pflag.Value
	given bool
}

// Set takes the first value.
func (v *once) Set(s string) error {
	if v.given {
		return errTwice
	}
	v.given = true
	return v.Value.Set(s)
}

// onceOnly wraps the options of cmd and all below it, but for those that
// count or collect. Two names of one option are one option.
func onceOnly(cmd *cobra.Command) {
	wrapped := map[pflag.Value]*once{}
	wrap := func(f *pflag.Flag) {
		if _, collects := f.Value.(pflag.SliceValue); collects || f.Value.Type() == "count" {
			return
		}
		if _, done := f.Value.(*once); done {
			return
		}
		if wrapped[f.Value] == nil {
			wrapped[f.Value] = &once{Value: f.Value}
		}
		f.Value = wrapped[f.Value]
	}
	cmd.LocalNonPersistentFlags().VisitAll(wrap)
	cmd.PersistentFlags().VisitAll(wrap)
	for _, child := range cmd.Commands() {
		onceOnly(child)
	}
}

// alias gives an option another name, which help does not show.
func alias(f *pflag.FlagSet, name, other string) {
	of := f.Lookup(name)
	f.AddFlag(&pflag.Flag{
		Name: other, Usage: "another name of --" + name, Value: of.Value, DefValue: of.DefValue,
		NoOptDefVal: of.NoOptDefVal, Hidden: true, Annotations: map[string][]string{aliasOf: {name}},
	})
}

const aliasOf = "alias of"

// mainName returns the name of an option that f may be another name of.
func mainName(f *pflag.Flag) string {
	if of := f.Annotations[aliasOf]; len(of) > 0 {
		return of[0]
	}
	return f.Name
}

// suggestWords lets shells complete the options that take one of a few words.
func suggestWords(cmd *cobra.Command) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { suggest(cmd, f) })
	cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { suggest(cmd, f) })
	for _, child := range cmd.Commands() {
		suggestWords(child)
	}
}

func suggest(cmd *cobra.Command, f *pflag.Flag) {
	if words, ok := f.Value.(*choice); ok {
		// It fails for options that are not there or have been registered.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words.of, cobra.ShellCompDirectiveNoFileComp))
	}
}
