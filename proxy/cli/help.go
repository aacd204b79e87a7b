package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// help prints the help of a command: the short form for -h, the long form
// otherwise. On a terminal it goes through the user's pager.
func (c *console) help(cmd *cobra.Command, args []string) {
	args = beforeDashes(args)
	short := slices.Contains(args, "-h") && !slices.Contains(args, "--help")
	text := helpText(cmd, !short)
	if cmd.OutOrStdout() == c.stdout && c.page(text) {
		return
	}
	_, _ = io.WriteString(cmd.OutOrStdout(), text) // as errorLine
}

// helpInstead prints the help of a command that cannot do anything without
// arguments, on standard error, and returns the error of such a use.
func helpInstead(cmd *cobra.Command) error {
	cmd.SetOut(cmd.ErrOrStderr())
	return errors.Join(cmd.Help(), &usageError{cmd: cmd})
}

// helpText is what there is to say about a command. The short form leaves out
// the description and the options that every command has.
func helpText(cmd *cobra.Command, long bool) string {
	var b strings.Builder
	about := cmd.Short
	if long && cmd.Long != "" {
		about = cmd.Long
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", about, usageLine(cmd))
	if children := shownCommands(cmd); len(children) > 0 {
		b.WriteString("\nAvailable Commands:\n")
		width := 0
		for _, child := range children {
			width = max(width, len(child.Name()))
		}
		for _, child := range children {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, child.Name(), child.Short)
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if options := cmd.LocalFlags().FlagUsages(); options != "" {
		b.WriteString("\nOptions:\n" + options)
	}
	if global := cmd.InheritedFlags().FlagUsages(); long && global != "" {
		b.WriteString("\nOptions of every command:\n" + global)
	}
	if cmd.HasSubCommands() {
		fmt.Fprintf(&b, "\nMore about a command: %s COMMAND --help\n", cmd.CommandPath())
	}
	return b.String()
}

// usageLine shows how a command is called.
func usageLine(cmd *cobra.Command) string {
	if cmd.HasSubCommands() {
		return cmd.CommandPath() + " [command]"
	}
	line := cmd.CommandPath()
	if _, arguments, ok := strings.Cut(cmd.Use, " "); ok {
		line += " " + arguments
	}
	return line + " [options]"
}

// shownCommands are the commands in a group that its help lists: the hidden
// ones too if the user wants to see them.
func shownCommands(cmd *cobra.Command) []*cobra.Command {
	all := envBool("OCKAM_HELP_SHOW_HIDDEN")
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(child *cobra.Command) bool {
		return child.Hidden && !all || child.Name() == "no-help"
	})
}

// page shows a text in the program that PAGER names. It reports whether that
// worked: only on a terminal, and not with an empty PAGER.
func (c *console) page(text string) bool {
	if c.outFile == nil {
		return false
	}
	words := []string{"less"}
	if pager, given := os.LookupEnv("PAGER"); given {
		words = strings.Fields(pager)
	}
	if len(words) == 0 {
		return false
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return false
	}
	pager := exec.Command(path, words[1:]...)
	pager.Stdin, pager.Stdout, pager.Stderr = strings.NewReader(text), c.outFile, os.Stderr
	if filepath.Base(path) == "less" && os.Getenv("LESS") == "" {
		pager.Env = append(os.Environ(), "LESS=FRX") // stay only for more than a screen
	}
	return pager.Run() == nil
}
