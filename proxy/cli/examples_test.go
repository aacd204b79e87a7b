package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ockam/proxy/cli"
)

// notRun are parts of examples that cannot run here, and why.
var notRun = map[string]string{
	"ockam run ": "runs until it is ended; the quick start has a test of its own",
	"/etc/ockam": "is a folder of a host that runs the service",
	"source <(":  "is for bash; the scripts are tested beside the command",
}

// before are what the examples of a command take for granted.
var before = map[string]string{
	"ockam identity show": "ockam identity create database -q",
}

// commands returns every command that does something and that help shows.
func commands(cmd *cobra.Command) (all []*cobra.Command) {
	if !cmd.HasSubCommands() && !cmd.Hidden {
		all = append(all, cmd)
	}
	for _, child := range cmd.Commands() {
		all = append(all, commands(child)...)
	}
	return all
}

// examples returns the examples of a command: a comment, then lines to type.
func examples(cmd *cobra.Command) (all []string) {
	for block := range strings.SplitSeq(cmd.Example, "\n\n") {
		if strings.Contains(block, "ockam ") {
			all = append(all, block)
		}
	}
	return all
}

// TestExamples demands two examples of every command, in the same form, and
// runs those that can be run here.
func TestExamples(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Log("no shell: the examples are not run")
	}
	ran := 0
	for _, cmd := range commands(cli.Tree()) {
		all := examples(cmd)
		if len(all) < 2 {
			t.Errorf("%s has %d examples, want 2", cmd.CommandPath(), len(all))
		}
		for _, example := range all {
			checkForm(t, cmd, example)
			if shell != "" && runExample(t, shell, cmd.CommandPath(), example) {
				ran++
			}
		}
	}
	if shell != "" && ran < 8 {
		t.Errorf("only %d examples ran", ran)
	}
}

func checkForm(t *testing.T, cmd *cobra.Command, example string) {
	t.Helper()
	lines := strings.Split(example, "\n")
	if !strings.HasPrefix(lines[0], "  # ") {
		t.Errorf("an example of %s does not begin with what it does:\n%s", cmd.CommandPath(), example)
	}
	if !slices.ContainsFunc(lines[1:], func(line string) bool { return strings.Contains(line, cmd.CommandPath()) }) {
		t.Errorf("an example of %s is not about it:\n%s", cmd.CommandPath(), example)
	}
}

// runExample reports whether it could run the example, in a folder and a home
// of its own.
func runExample(t *testing.T, shell, path, example string) (ran bool) {
	for part := range notRun {
		if strings.Contains(example, part) {
			return false
		}
	}
	t.Run(path, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
			t.Fatal(err)
		}
		script := exec.Command(shell, "-e", "-c", before[path]+"\n"+example)
		script.Dir = dir
		script.Env = append(os.Environ(), "HOME="+dir, "OCKAM_HOME="+filepath.Join(dir, "home"))
		if out, err := script.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s\n%s", err, example, out)
		}
	})
	return true
}
