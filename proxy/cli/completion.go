package cli

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletion(c *console) *cobra.Command {
	shell := choice{of: []string{"bash", "elvish", "fish", "powershell", "zsh"}}
	cmd := &cobra.Command{
		Use:   "completion [SHELL]",
		Short: "Print a script that completes commands in a shell",
		Long: `Prints a script for bash, elvish, fish, powershell or zsh. A shell that has run it
completes the commands and options of this program when TAB is pressed.`,
		Example: `  # In this bash
  source <(ockam completion bash)

  # In every fish that is started from now on
  mkdir -p ~/.config/fish/completions
  ockam completion --shell fish > ~/.config/fish/completions/ockam.fish`,
		Args:      arguments(0, 1),
		ValidArgs: shell.of,
	}
	cmd.Flags().VarP(&shell, "shell", "s", "the shell: bash, elvish, fish, powershell or zsh")
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && !shell.set:
			return helpInstead(cmd)
		case len(args) > 0 && shell.set:
			return &usageError{cmd: cmd, text: "the shell is given twice: as an argument and with --shell"}
		case len(args) > 0:
			if err := shell.Set(args[0]); err != nil {
				return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '[SHELL]': %v", args[0], err)}
			}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var b bytes.Buffer
		var err error
		switch root := cmd.Root(); shell.value {
		case "bash":
			err = root.GenBashCompletionV2(&b, true)
		case "fish":
			err = root.GenFishCompletion(&b, true)
		case "powershell":
			err = root.GenPowerShellCompletionWithDesc(&b)
		case "zsh":
			err = root.GenZshCompletion(&b)
		case "elvish":
			b.WriteString(elvishCompletion)
		}
		if err != nil {
			return fmt.Errorf("the script for %s cannot be made: %w", shell.value, err)
		}
		_, err = c.stdout.Write(b.Bytes())
		return err
	}
	return cmd
}

// elvishCompletion asks the program itself what fits, as the scripts for the
// other shells do.
const elvishCompletion = `use str
set edit:completion:arg-completer[ockam] = {|@words|
  var answer = [(try { e:ockam __completeNoDesc (all $words[1..]) 2>/dev/null } catch e { nop })]
  for line $answer {
    if (not (or (eq $line '') (str:has-prefix $line ':') (str:has-prefix $line '_activeHelp_'))) {
      put $line
    }
  }
}
`
