package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ockam/config"
	"ockam/proxy/state"
)

// configurationFlags are the options of node create about a configuration.
type configurationFlags struct {
	text, ticket string
	variables    []string
	values       map[string]string // of variables
	twice        string            // a variable that is given twice
}

// register gives cmd the options.
func (o *configurationFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.text, "configuration", "", "what the node has, as YAML")
	f.Var(f.Lookup("configuration").Value, "node-config", "another name of --configuration")
	f.Lookup("node-config").Hidden = true
	f.StringVar(&o.ticket, "enrollment-ticket", "", "ticket to enroll the node with: a path, a URL or hex (environment: ENROLLMENT_TICKET)")
	f.StringArrayVar(&o.variables, "variable", nil, "value of a variable of the configuration, NAME=VALUE; may be given again")
}

// checkVariables takes the values of variables apart.
func (o *configurationFlags) checkVariables(cmd *cobra.Command) error {
	o.values = map[string]string{}
	for _, v := range o.variables {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return &usageError{cmd: cmd, text: fmt.Sprintf("invalid value '%s' for '--variable <VARIABLE>': NAME=VALUE", v)}
		}
		if _, twice := o.values[name]; twice {
			o.twice = name
		}
		o.values[name] = value
	}
	return nil
}

// A nodeSource is the configuration of a node: YAML, or the path of a file of
// ours. Its name is that of the node as the command line has it, may be empty.
type nodeSource struct {
	recipeSource
	hcl  bool
	name string
}

// source returns the configuration that the arguments of node create mean, nil
// if they mean none.
func (o *createFlags) source(cmd *cobra.Command, args []string) (*nodeSource, error) {
	if o.twice != "" {
		return nil, fmt.Errorf("the variable %s is given twice", o.twice)
	}
	if !cmd.Flags().Changed("enrollment-ticket") {
		o.ticket = getenv("ENROLLMENT_TICKET")
	}
	name := strings.Join(args, "")
	if cmd.Flags().Changed("configuration") || cmd.Flags().Changed("node-config") {
		return &nodeSource{recipeSource: recipeSource{text: o.text}, name: name}, checkNodeName(name)
	}
	if url, ok := configurationURL(name); isFile(name) || ok {
		if isFile(name) {
			if filepath.Ext(name) == ".hcl" {
				return &nodeSource{recipeSource: recipeSource{file: name}, hcl: true}, nil
			}
			src, err := readRecipeFile(name)
			if err != nil {
				return nil, err
			}
			return &nodeSource{recipeSource: *src}, nil
		}
		src, err := fetchRecipe(cmd.Context(), url)
		if err != nil {
			return nil, err
		}
		return &nodeSource{recipeSource: *src}, nil
	}
	if o.ticket != "" {
		return &nodeSource{name: name}, checkNodeName(name)
	}
	return nil, nil
}

// readNodeRecipe reads a configuration of a node.
func (c *console) readNodeRecipe(src *nodeSource, o *createFlags) (*recipe, error) {
	for _, v := range o.variables {
		if name, value, _ := strings.Cut(v, "="); value == "" {
			return nil, fmt.Errorf("Empty value for variable '%s'", name) //nolint:staticcheck // the words that scripts look for
		}
	}
	opt := config.RecipeOptions{File: src.file, Variables: o.values}
	if !src.hcl {
		r, err := config.ReadNodeRecipe(src.text, opt)
		if src.file == "" {
			src.file = "configuration"
		}
		return &recipe{r, c, src.file}, err
	}
	f, err := c.loadConfig([]string{src.file}, config.Options{Env: opt.Lookup})
	if err != nil {
		return nil, err
	}
	r, err := f.NodeRecipe()
	return &recipe{r, c, src.file}, c.mistakes(err)
}

// createFrom makes a node and what its configuration says. What fails is
// undone.
func (c *console) createFrom(cmd *cobra.Command, src *nodeSource, o *createFlags) error {
	r, err := c.readNodeRecipe(src, o)
	if err != nil {
		return err
	}
	if o.ticket != "" {
		r.withTicket(o.ticket)
	}
	node, _ := r.Node()
	override(node, cmd.LocalNonPersistentFlags())
	if err := r.memberBy(cmd.Context(), node); err != nil {
		return err
	}
	name := src.name
	if name == "" {
		name = node.Name
	}
	if name == "" {
		name = randomName()
	}
	r.ForNode(name)
	r.warn()
	if err := r.check(cmd.Context()); err != nil {
		return err
	}
	return withStore(cmd.Context(), func(ctx context.Context, s *store) error {
		foreground := node.Options.Has("foreground") || node.Options.Has("f")
		if !foreground || !node.Options.Has("skip-is-running-check") && !node.Options.Has("s") {
			if err := c.mayCreate(ctx, s, name); err != nil {
				return err
			}
		}
		was, err := s.before(ctx, name)
		if err != nil {
			return err
		}
		if foreground {
			return r.runHere(ctx, s, was)
		}
		return c.untilSignal(ctx, func(ctx context.Context) error { return r.makeNode(ctx, s, was) }, syscall.SIGHUP)
	})
}

// withTicket puts a ticket in the place of the one of the configuration.
func (r *recipe) withTicket(ticket string) {
	for i := range r.Steps {
		if r.Steps[i].Command == config.TicketStep {
			r.Steps[i].Name = ticket
			return
		}
	}
	r.Steps = append([]config.Step{{Command: config.TicketStep, Name: ticket}}, r.Steps...)
}

// memberBy has the identity of a node use the ticket, if there is one, and the
// node be a member of its project.
func (r *recipe) memberBy(ctx context.Context, node *config.Step) error {
	for i := range r.Steps {
		if r.Steps[i].Command != config.TicketStep {
			continue
		}
		t, err := readTicket(ctx, r.Steps[i].Name)
		if err != nil {
			return r.in(r.Steps[i], err)
		}
		if r.Steps[i].Name, err = t.Text(); err != nil { // it may be a file or URL that is gone when it is its turn
			return r.in(r.Steps[i], err)
		}
		if id := node.Options.Value("identity"); id != "" {
			r.Steps[i].Options = config.StepOptions{"identity": {id}}
		}
		if !node.Options.Has("project") {
			node.Options["project"] = []string{t.Project.Name}
		}
	}
	return nil
}

// notOfNode are options of node create that say nothing about the node.
var notOfNode = map[string]bool{"configuration": true, "node-config": true, "enrollment-ticket": true, "variable": true}

// override puts the options that are given on the command line in the place of
// those of a configuration.
func override(node *config.Step, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) { // Visit knows only of those that the set itself has parsed
		if !f.Changed {
			return
		}
		name := mainName(f)
		if strings.HasPrefix(name, "http-server") { // one excludes the other
			delete(node.Options, "http-server")
			delete(node.Options, "http-server-port")
		}
		switch {
		case notOfNode[name]:
		case f.Value.Type() == "bool" && f.Value.String() == "true":
			node.Options[name] = nil
		case f.Value.Type() == "bool":
			delete(node.Options, name)
		default:
			node.Options[name] = []string{f.Value.String()}
		}
	})
}

// makeNode makes a node in the background and what it has.
func (r *recipe) makeNode(ctx context.Context, s *store, was *nodeBefore) error {
	at := 0
	for i, step := range r.Steps {
		if step.Command == config.NodeStep {
			at = i + 1
		}
	}
	if _, err := r.apply(ctx, r.Steps[:at]); err != nil {
		return err // it has left nothing
	}
	done, err := r.apply(ctx, r.Steps[at:])
	if err == nil {
		return nil
	}
	return errors.Join(err, r.undo(context.WithoutCancel(ctx), s, done, was))
}

// A lateError is why something could not be made at a node that runs.
type lateError struct {
	error
	done []config.Step // what has been made by then
}

func (e *lateError) Unwrap() error { return e.error }

// runHere runs a node in this process, and makes what it has once it answers.
func (r *recipe) runHere(ctx context.Context, s *store, was *nodeBefore) error {
	node, _ := r.Node()
	var first, rest []config.Step
	for _, step := range r.Steps {
		switch step.Command {
		case config.NodeStep:
		case config.TicketStep:
			first = append(first, step)
		default:
			rest = append(rest, step)
		}
	}
	if _, err := r.apply(ctx, first); err != nil {
		return err
	}
	o := &createFlags{inRecipe: true, rest: func(ctx context.Context) error {
		done, err := r.apply(ctx, rest)
		if err == nil {
			return nil
		}
		return &lateError{err, done}
	}}
	err := runStep(ctx, nodeCreate(r.c, o), *node)
	if late, ok := errors.AsType[*lateError](err); ok {
		return errors.Join(err, r.undo(context.WithoutCancel(ctx), s, late.done, was))
	}
	return err
}

// undo undoes what has been made of a node, and says what has been made
// elsewhere: that stays.
func (r *recipe) undo(ctx context.Context, s *store, done []config.Step, was *nodeBefore) error {
	told := map[string]bool{was.name: true}
	for _, step := range done {
		at := step.At()
		if rec, err := s.NamedNode(ctx, at); at == "" && err == nil { // the default one
			at = rec.Name
		}
		if at != "" && !told[at] {
			told[at] = true
			r.c.say(markWarning, "what the configuration has made at the node %s stays", at)
		}
	}
	return r.c.undo(ctx, s, was)
}

// nodeBefore is what there was of a node before a configuration was applied.
type nodeBefore struct {
	name      string
	rec       *state.Node // nil if there was none
	resources map[[2]string]bool
	policies  []state.Policy
}

func (s *store) before(ctx context.Context, name string) (*nodeBefore, error) {
	was := &nodeBefore{name: name, resources: map[[2]string]bool{}}
	rec, err := s.NamedNode(ctx, name)
	if errors.Is(err, state.ErrNotFound) {
		return was, nil
	}
	if err != nil {
		return nil, err
	}
	was.rec = rec
	all, err := s.NodeResources(ctx, name, "")
	for _, e := range all {
		was.resources[[2]string{e.Kind, e.Name}] = true
	}
	if err == nil {
		was.policies, err = s.Policies(ctx, name)
	}
	return was, err
}

// undo ends a node and leaves of it what there was before.
func (c *console) undo(ctx context.Context, s *store, was *nodeBefore) error {
	if was.rec == nil {
		err := c.deleteNode(ctx, s, was.name)
		if errors.Is(err, state.ErrNotFound) {
			return nil
		}
		return err
	}
	rec, err := s.NamedNode(ctx, was.name)
	if err != nil {
		return err
	}
	if err := c.stopProcess(ctx, s, rec); err != nil {
		return err
	}
	all, err := s.NodeResources(ctx, was.name, "")
	for _, e := range all {
		if !was.resources[[2]string{e.Kind, e.Name}] {
			err = errors.Join(err, s.DeleteResource(ctx, was.name, e.Kind, e.Name))
		}
	}
	return errors.Join(err, s.putPoliciesBack(ctx, was), s.putBack(ctx, was.name, was.rec))
}

// putPoliciesBack makes the policies of a node what they were.
func (s *store) putPoliciesBack(ctx context.Context, was *nodeBefore) error {
	now, err := s.Policies(ctx, was.name)
	for _, p := range now {
		if !slices.ContainsFunc(was.policies, func(b state.Policy) bool { return b.Resource == p.Resource && b.OfType == p.OfType }) {
			err = errors.Join(err, s.DeletePolicy(ctx, was.name, p))
		}
	}
	for _, p := range was.policies {
		err = errors.Join(err, s.PutPolicy(ctx, was.name, p))
	}
	return err
}
