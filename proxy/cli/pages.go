package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newManpages(_ *console) *cobra.Command {
	dir, plain := "", false
	cmd := &cobra.Command{
		Use:    "manpages",
		Hidden: true,
		Short:  "Write manual pages",
		Long: `Writes a manual page for each command, ockam-x-y.1.gz, into ~/.local/share/man/man1,
where man looks for it, or another folder.`,
		Example: `  # For man ockam-run
  ockam manpages

  # As text for a package
  ockam manpages --dir man1 --no-compression`,
		Args: arguments(0, 0),
	}
	cmd.Flags().StringVarP(&dir, "dir", "d", "", "folder to write into (default ~/.local/share/man/man1)")
	cmd.Flags().BoolVarP(&plain, "no-compression", "n", false, "write pages that are not compressed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return fmt.Errorf("there is no home folder, say where to write with --dir: %w", err)
			}
			dir = filepath.Join(home, ".local", "share", "man", "man1")
		}
		files := map[string][]byte{}
		for _, of := range visible(cmd.Root()) {
			name, text := pageName(of)+".1", manPage(of)
			if !plain {
				name += ".gz"
				var err error
				if text, err = compress(text); err != nil {
					return err
				}
			}
			files[name] = text
		}
		return writeFiles(dir, files)
	}
	return cmd
}

func newMarkdown(_ *console) *cobra.Command {
	dir := ""
	cmd := &cobra.Command{
		Use:    "markdown",
		Hidden: true,
		Short:  "Write the help of all commands as Markdown",
		Long: `Writes a Markdown file for each command, ockam-x-y.md, and SUMMARY.md, which lists
them, into ./ockam_markdown_pages or another folder.`,
		Example: `  # Into ./ockam_markdown_pages
  ockam markdown

  # For a site
  ockam markdown --dir site/commands`,
		Args: arguments(0, 0),
	}
	cmd.Flags().StringVarP(&dir, "dir", "d", "ockam_markdown_pages", "folder to write into")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		files := map[string][]byte{}
		var summary strings.Builder
		summary.WriteString("# Commands\n\n")
		for _, of := range visible(cmd.Root()) {
			files[pageName(of)+".md"] = markdownPage(of)
			depth := strings.Count(of.CommandPath(), " ")
			fmt.Fprintf(&summary, "%s- [%s](%s.md)\n", strings.Repeat("  ", depth), of.CommandPath(), pageName(of))
		}
		files["SUMMARY.md"] = []byte(summary.String())
		return writeFiles(dir, files)
	}
	return cmd
}

// visible returns cmd and the commands below it that are not hidden, parents
// first.
func visible(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		if !child.Hidden {
			all = append(all, visible(child)...)
		}
	}
	return all
}

// pageName is the name of a command's page: ockam-identity-create.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// about is the description of a command.
func about(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short + "."
}

// An option, as pages show it.
type option struct{ names, meaning string }

// options are the options of a command, or those that every command has.
func options(flags *pflag.FlagSet) []option {
	var all []option
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		o := option{names: "--" + f.Name, meaning: f.Usage}
		if f.Shorthand != "" {
			o.names = "-" + f.Shorthand + ", " + o.names
		}
		if f.NoOptDefVal == "" {
			o.names += " " + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		}
		if f.NoOptDefVal == "" && f.DefValue != "" && f.DefValue != "0" {
			o.meaning += " (default " + f.DefValue + ")"
		}
		all = append(all, o)
	})
	return all
}

func markdownPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), about(cmd), usageLine(cmd))
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\n## Examples\n\n```sh\n%s\n```\n", unindented(cmd.Example))
	}
	section := func(title string, all []option) {
		if len(all) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		for _, o := range all {
			fmt.Fprintf(&b, "- `%s`: %s\n", o.names, o.meaning)
		}
	}
	section("Options", options(cmd.LocalFlags()))
	section("Options of every command", options(cmd.InheritedFlags()))
	if children := visible(cmd)[1:]; len(children) > 0 {
		b.WriteString("\n## Commands\n\n")
		for _, child := range children {
			if child.Parent() == cmd {
				fmt.Fprintf(&b, "- [%s](%s.md): %s\n", child.CommandPath(), pageName(child), child.Short)
			}
		}
	}
	return b.Bytes()
}

// manPage writes a page in the macros of man(7).
func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	name := pageName(cmd)
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"ockam %s\" \"Commands\"\n", roff(strings.ToUpper(name)), roff(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n", roff(usageLine(cmd)))
	for i, paragraph := range strings.Split(about(cmd), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(unindented(cmd.Example)))
	}
	section := func(title string, all []option) {
		if len(all) == 0 {
			return
		}
		fmt.Fprintf(&b, ".SH %s\n", title)
		for _, o := range all {
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", roff(o.names), roff(o.meaning))
		}
	}
	section("OPTIONS", options(cmd.LocalFlags()))
	section("OPTIONS OF EVERY COMMAND", options(cmd.InheritedFlags()))
	var also []string
	if cmd.HasParent() {
		also = append(also, pageName(cmd.Parent())+"(1)")
	}
	for _, child := range visible(cmd)[1:] {
		if child.Parent() == cmd {
			also = append(also, pageName(child)+"(1)")
		}
	}
	if len(also) > 0 {
		fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", roff(strings.Join(also, ", ")))
	}
	return b.Bytes()
}

// roff escapes a text: no line of it is a request, a dash stays a dash, and
// everything is ASCII.
func roff(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'' || r == '`' || r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// unindented removes the two spaces before the lines of examples.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func compress(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

// writeFiles writes files into a folder, which is made if it is missing.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("the folder for the pages cannot be made: %w", err)
	}
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return fmt.Errorf("a page cannot be written: %w", err)
		}
	}
	return nil
}
