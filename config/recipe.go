package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// A Recipe is a list of commands that set up nodes: what the reference's
// configurations say (Ockam protocol, command line, configuration files), and
// what a file of ours says when it is to run in the background.
type Recipe struct {
	Steps    []Step   // in the order in which they are to be run
	Warnings []string // what is possible but not what it looks like, a sentence each
}

// A Step is one command of a Recipe.
type Step struct {
	Command string // one of the commands below
	// Name is the command's argument, empty if it has none: what the file calls
	// the thing, unless there is an option for that.
	Name    string
	Options StepOptions
	Line    int // where it stands in the file, from 1; 0 if in none

	lines map[string]int // of options that stand elsewhere
}

// The commands of a Recipe: each makes one of these. TicketStep is
// becoming a member of a project with the ticket in Name, which is a secret.
const (
	VaultStep          = "vault"
	IdentityStep       = "identity"
	TicketStep         = "ticket"
	NodeStep           = "node"
	TCPListenerStep    = "tcp-listener"
	PolicyStep         = "policy"
	RelayStep          = "relay"
	TCPOutletStep      = "tcp-outlet"
	TCPInletStep       = "tcp-inlet"
	InfluxDBInletStep  = "influxdb-inlet"
	InfluxDBOutletStep = "influxdb-outlet"
	KafkaInletStep     = "kafka-inlet"
	KafkaOutletStep    = "kafka-outlet"
)

// The orders in which steps are run: for one node, and for anything (Ockam
// protocol, command line, node configuration and run).
var (
	nodeOrder = []string{
		TicketStep, NodeStep, TCPListenerStep, PolicyStep, RelayStep, TCPInletStep, TCPOutletStep, InfluxDBInletStep, InfluxDBOutletStep,
		KafkaInletStep, KafkaOutletStep,
	}
	runOrder = []string{
		VaultStep, IdentityStep, TicketStep, NodeStep, RelayStep, PolicyStep, TCPOutletStep, TCPInletStep, KafkaInletStep, KafkaOutletStep,
	}
)

// sortSteps brings steps into an order; those of one command stay as they are.
func sortSteps(steps []Step, order []string) {
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Compare(slices.Index(order, a.Command), slices.Index(order, b.Command))
	})
}

// StepOptions are options of a command by their long names, or one letter, without
// dashes: the values that each is given, none for one that is only switched on.
type StepOptions map[string][]string

// Value returns the first value of an option, empty if there is none.
func (o StepOptions) Value(name string) string {
	if v := o[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has reports whether an option is given.
func (o StepOptions) Has(name string) bool {
	_, ok := o[name]
	return ok
}

// Words returns the words of the step's command.
func (s Step) Words() []string {
	if s.Command == TicketStep {
		return []string{"project", "enroll"}
	}
	return []string{s.Command, "create"}
}

// Secret reports whether the step's Name belongs in no message.
func (s Step) Secret() bool { return s.Command == TicketStep }

// Args returns the arguments of the step's command, without its words: options
// in alphabetical order, then the name.
func (s Step) Args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(s.Options)) {
		dashes := "--"
		if len(name) == 1 {
			dashes = "-"
		}
		values := s.Options[name]
		if len(values) == 0 {
			args = append(args, dashes+name)
		}
		for _, v := range values {
			if v == "" {
				args = append(args, dashes+name, "") // "-k=" is the value "="
			} else {
				args = append(args, dashes+name+"="+v) // a value may begin with a dash
			}
		}
	}
	if s.Name != "" {
		args = append(args, "--", s.Name)
	}
	return args
}

// Node returns the step that makes the node of a recipe for one node, and
// whether there is one.
func (r *Recipe) Node() (*Step, bool) {
	for i := range r.Steps {
		if r.Steps[i].Command == NodeStep {
			return &r.Steps[i], true
		}
	}
	return nil, false
}

// ForNode gives the node of a recipe for one node a name, and has everything
// that names no node be made at that one. (A policy that names none is that of
// the default node.)
func (r *Recipe) ForNode(name string) {
	for i := range r.Steps {
		switch s := &r.Steps[i]; s.Command {
		case NodeStep:
			s.Name = name
		case RelayStep:
			s.setDefault("to", name)
		case PolicyStep, TicketStep:
		default:
			s.setDefault("at", name)
		}
	}
}

// setDefault gives a step an option that it does not have.
func (s *Step) setDefault(name, value string) {
	if s.Options == nil {
		s.Options = StepOptions{}
	}
	if !s.Options.Has(name) {
		s.Options[name] = []string{value}
	}
}

// At returns the node that a step is about, empty for the default one.
func (s Step) At() string {
	option := "at"
	switch s.Command {
	case NodeStep:
		return s.Name
	case RelayStep:
		option = "to"
	}
	return strings.TrimPrefix(s.Options.Value(option), "/node/")
}
