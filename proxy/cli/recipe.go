package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ockam/config"
)

// A recipe is a configuration that is carried out by commands, in this process
// and with this console.
type recipe struct {
	*config.Recipe
	c    *console
	file string // what messages call it
}

// laterSteps are steps of which this version knows the name only.
var laterSteps = map[string]string{
	config.KafkaInletStep:     "Kafka inlets are",
	config.KafkaOutletStep:    "Kafka outlets are",
	config.InfluxDBInletStep:  "InfluxDB inlets are",
	config.InfluxDBOutletStep: "InfluxDB outlets are",
}

// stepCommand returns the command of a step, nil if this version has none.
func (r *recipe) stepCommand(s config.Step) *cobra.Command {
	switch s.Command {
	case config.VaultStep:
		return newVaultCreate(r.c)
	case config.IdentityStep:
		return newIdentityCreate(r.c)
	case config.TicketStep:
		return newProjectEnroll(r.c)
	case config.NodeStep:
		return nodeCreate(r.c, &createFlags{inRecipe: true})
	case config.TCPListenerStep:
		return newListenerCreate(r.c)
	case config.PolicyStep:
		return newPolicyCreate(r.c)
	case config.RelayStep:
		return newRelayCreate(r.c)
	case config.TCPOutletStep:
		return newOutletCreate(r.c)
	case config.TCPInletStep:
		return newInletCreate(r.c)
	}
	return nil
}

// check tells everything that is wrong with the options of all steps, before
// any has an effect.
func (r *recipe) check(ctx context.Context) error {
	var all []error
	for _, s := range r.Steps {
		if err := r.checkStep(ctx, s); err != nil {
			all = append(all, r.in(s, err))
		}
	}
	return errors.Join(all...)
}

func (r *recipe) checkStep(ctx context.Context, s config.Step) error {
	if what := laterSteps[s.Command]; what != "" {
		return fmt.Errorf("%s not possible in this version; leave it out", what)
	}
	if s.Command == config.NodeStep {
		if err := checkNodeName(s.Name); err != nil {
			return err
		}
	}
	for _, name := range []string{"help", "h"} {
		if s.Options.Has(name) {
			return fmt.Errorf("unknown option --%s", name)
		}
	}
	cmd := r.stepCommand(s)
	cmd.RunE = func(*cobra.Command, []string) error { return nil }
	return runStep(ctx, cmd, s)
}

// apply runs steps in their order; each prints its own result. It returns those
// that have succeeded.
func (r *recipe) apply(ctx context.Context, steps []config.Step) (done []config.Step, err error) {
	for i, s := range steps {
		if err := ctx.Err(); err != nil {
			return steps[:i], err
		}
		if err := runStep(ctx, r.stepCommand(s), s); err != nil {
			return steps[:i], r.in(s, err)
		}
		r.gap()
	}
	return steps, nil
}

// gap separates what a step has said from what the next one says.
func (r *recipe) gap() {
	if r.c.lines == nil {
		r.c.say("", "")
	}
}

// in says which step failed. Wrong options are failures like others: they stand
// in no command line.
func (r *recipe) in(s config.Step, err error) error {
	name := s.Name
	if s.Secret() {
		name = ""
	}
	for _, option := range []string{"alias", "from"} {
		if name == "" {
			name = s.Options.Value(option)
		}
	}
	if name != "" {
		name = " " + name
	}
	where := s.Command + name
	if s.Line > 0 {
		where += fmt.Sprintf(" (%s:%d)", r.file, s.Line)
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		return &failure{err: fmt.Errorf("%s: %s", where, usage.text), help: "Its options: " + usage.cmd.CommandPath() + " --help"}
	}
	return fmt.Errorf("%s: %w", where, err)
}

// runStep runs cmd as the command line of a step would.
func runStep(ctx context.Context, cmd *cobra.Command, s config.Step) error {
	words := s.Words()
	parent := &cobra.Command{Use: words[0]}
	parent.AddCommand(cmd)
	root := &cobra.Command{Use: "ockam", SilenceErrors: true, SilenceUsage: true}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(parent)
	root.SetFlagErrorFunc(flagError)
	onceOnly(root)
	root.SetArgs(append([]string{words[0], cmd.Name()}, s.Args()...))
	return root.ExecuteContext(ctx)
}

// warn tells what the reader of the recipe has noticed.
func (r *recipe) warn() {
	for _, w := range r.Warnings {
		r.c.say(markWarning, "%s", w)
	}
}

// runRecipe is what run does with a configuration of the reference.
func (c *console) runRecipe(ctx context.Context, src *recipeSource) error {
	read, err := config.ReadRunRecipe(src.text, config.RecipeOptions{File: src.file})
	if err != nil {
		return err
	}
	r := &recipe{read, c, src.file}
	r.warn()
	for _, s := range r.Steps {
		if s.Command == config.NodeStep && (s.Options.Has("foreground") || s.Options.Has("f")) {
			return r.in(s, errors.New("nodes that run sets up are in the background; for one in this process: ockam node create --foreground"))
		}
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	_, err = r.apply(ctx, r.Steps)
	return err
}
