package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The forms that a section may have (Ockam protocol, command line, one or
// many). All take a mapping of options, and a list of such.
type form int

const (
	unnamed      form = iota // nothing else
	named                    // names with options, too
	namedOrMixed             // names alone, and lists of anything, too
)

// A section is a key of a configuration, with its other names.
type section struct {
	keys    []string
	command string
	nameTo  string // the option that the name fills; the argument if empty
	form    form
	only    string // "node" or "run" if the other kind of recipe has no such section
}

var sections = []section{
	{keys: []string{"vaults", "vault"}, command: VaultStep, form: namedOrMixed, only: "run"},
	{keys: []string{"identities", "identity"}, command: IdentityStep, form: namedOrMixed, only: "run"},
	{keys: []string{"nodes", "node"}, command: NodeStep, form: namedOrMixed, only: "run"},
	{keys: []string{"relays", "relay"}, command: RelayStep, form: namedOrMixed},
	{keys: []string{"policies", "policy"}, command: PolicyStep, form: unnamed},
	{keys: []string{"tcp-outlets", "tcp-outlet", "tcp_outlets"}, command: TCPOutletStep, nameTo: "from", form: named},
	{keys: []string{"tcp-inlets", "tcp-inlet", "tcp_inlets"}, command: TCPInletStep, nameTo: "alias", form: named},
	{keys: []string{"kafka-outlet", "kafka-outlets", "kafka_outlet"}, command: KafkaOutletStep, nameTo: "addr", form: named},
	{keys: []string{"kafka-inlet", "kafka-inlets", "kafka_inlet"}, command: KafkaInletStep, nameTo: "addr", form: named},
	{keys: []string{"influxdb-outlets", "influxdb-outlet", "influxdb_outlets"}, command: InfluxDBOutletStep, nameTo: "from", form: named, only: "node"},
	{keys: []string{"influxdb-inlets", "influxdb-inlet", "influxdb_inlets"}, command: InfluxDBInletStep, nameTo: "alias", form: named, only: "node"},
}

// nodeKeys are the options of the node of a recipe for one node, by their keys
// with dashes.
var nodeKeys = map[string]string{
	"identity": "identity", "project": "project", "tcp-listener-address": "tcp-listener-address", "http-server": "http-server",
	"enable-http-server": "http-server", "http-server-port": "http-server-port", "skip-is-running-check": "skip-is-running-check",
	"foreground": "foreground", "exit-on-eof": "exit-on-eof", "child-process": "child-process", "launch-config": "launch-configuration",
	"opentelemetry-context": "opentelemetry-context",
}

// ReadNodeRecipe reads the reference's configuration of one node, in YAML. The
// recipe makes a node, whose name is empty if the text has none; see ForNode.
//
// The error holds all mistakes, each with its place in the text.
func ReadNodeRecipe(text string, o RecipeOptions) (*Recipe, error) {
	return readRecipe(text, "node", o)
}

// ReadRunRecipe reads the reference's configuration of anything, in YAML: what
// its command "run" takes. Errors are as those of ReadNodeRecipe.
func ReadRunRecipe(text string, o RecipeOptions) (*Recipe, error) { return readRecipe(text, "run", o) }

// A recipeReader reads a recipe out of YAML.
type recipeReader struct {
	yamlReader
	kind   string // "node" or "run"
	recipe Recipe
}

func readRecipe(text, kind string, o RecipeOptions) (*Recipe, error) {
	r := &recipeReader{yamlReader: yamlReader{file: o.file(), left: maxNodes}, kind: kind}
	text, err := r.expand(text, o)
	if err != nil {
		return nil, err
	}
	r.left = maxNodes
	top, err := r.parseYAML(text)
	if err != nil {
		return nil, err
	}
	if kind == "node" {
		r.recipe.Steps = append(r.recipe.Steps, Step{Command: NodeStep, Options: StepOptions{}, Line: 1, lines: map[string]int{}})
	}
	if top != nil {
		r.top(top)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	order := runOrder
	if kind == "node" {
		order = nodeOrder
	}
	sortSteps(r.recipe.Steps, order)
	return &r.recipe, nil
}

// expand puts the values of variables into the text, those that it sets itself
// included.
func (r *recipeReader) expand(text string, o RecipeOptions) (string, error) {
	top, err := r.parseYAML(text)
	if err != nil {
		return "", err
	}
	own := map[string]string{}
	if top != nil {
		for _, p := range r.pairs(top) {
			if p.key == "variables" {
				r.variables(p.value, own)
			}
		}
	}
	if err := r.err(); err != nil {
		return "", err
	}
	for name := range own {
		if _, exists := o.Lookup(name); exists {
			r.warnf("the variable %s is set already, by --variable or in the environment: that value is used, not the one in %s", name, r.file)
		}
	}
	slices.Sort(r.recipe.Warnings)
	expanded, err := expand(text, func(name string) (string, bool) {
		if v, ok := o.Lookup(name); ok {
			return v, true
		}
		v, ok := own[name]
		return v, ok
	})
	if err != nil {
		return "", fmt.Errorf("config: %s: %w", r.file, err)
	}
	return expanded, nil
}

func (r *recipeReader) warnf(format string, args ...any) {
	r.recipe.Warnings = append(r.recipe.Warnings, fmt.Sprintf(format, args...))
}

// variables reads the section of that name.
func (r *recipeReader) variables(n *yaml.Node, into map[string]string) {
	if _, kind := scalar(n); kind == nullScalar {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "variables: a mapping of names to values, such as {PORT: 5000}")
		return
	}
	for _, p := range r.pairs(n) {
		text, kind := scalar(p.value)
		switch {
		case kind != textScalar && kind != intScalar && kind != boolScalar:
			r.errorf(p.value, "variables: the value of %s is %s; it may be a text, a whole number, true or false", p.key, kind)
		case text == "":
			r.errorf(p.value, "Empty value for variable '%s'", p.key)
		default:
			into[p.key] = text
		}
	}
}

// top reads the whole mapping.
func (r *recipeReader) top(n *yaml.Node) {
	seen := map[string]string{} // sections and options by their first names, as they were written
	for _, p := range r.pairs(n) {
		first, read := r.meaning(p.key)
		if read == nil {
			r.unknown(p)
			continue
		}
		if other, twice := seen[first]; twice {
			r.errorf(p.at, "%q is another word for %q, which is given already", p.key, other)
			continue
		}
		seen[first] = p.key
		read(p)
	}
}

// meaning returns the first name of a key and what reads its value, nil for a
// key that means nothing.
func (r *recipeReader) meaning(key string) (first string, read func(pair)) {
	switch key {
	case "version", "variables":
		return key, func(pair) {} // there is one version; variables have been read
	case "ticket":
		return key, r.ticket
	}
	for _, s := range sections {
		if slices.Contains(s.keys, key) && (s.only == "" || s.only == r.kind) {
			return s.keys[0], func(p pair) { r.section(s, p) }
		}
	}
	if r.kind != "node" {
		return "", nil
	}
	dashed := strings.ReplaceAll(key, "_", "-")
	if dashed == "name" {
		return dashed, r.nodeName
	}
	if option := nodeKeys[dashed]; option != "" {
		return "option " + option, func(p pair) { r.nodeOption(option, p) }
	}
	return "", nil
}

// unknown tells of a key that means nothing, which is no mistake.
func (r *recipeReader) unknown(p pair) {
	var all []string
	for _, s := range sections {
		if s.only == "" || s.only == r.kind {
			all = append(all, s.keys...)
		}
	}
	if r.kind == "node" {
		all = append(all, "name")
		for key := range nodeKeys {
			all = append(all, key)
		}
		slices.Sort(all)
	}
	mean := ""
	if near := nearest(p.key, all); near != "" {
		mean = fmt.Sprintf("; did you mean %q?", near)
	}
	r.warnf("%s:%d: %q means nothing here, and is ignored%s", r.file, p.at.Line, p.key, mean)
}

func (r *recipeReader) ticket(p pair) {
	text, kind := scalar(p.value)
	switch {
	case kind == nullScalar:
	case kind != textScalar && kind != intScalar:
		r.errorf(p.value, "ticket: a path, a URL or a ticket in hex; this is %s", kind)
	default:
		r.recipe.Steps = append(r.recipe.Steps, Step{Command: TicketStep, Name: text, Line: p.at.Line})
	}
}

func (r *recipeReader) nodeName(p pair) {
	text, kind := scalar(p.value)
	switch {
	case kind == nullScalar:
	case kind != textScalar:
		r.errorf(p.value, "name: the name of the node is a text; this is %s: write it in quotes", kind)
	default:
		node, _ := r.recipe.Node()
		node.Name = text
	}
}

func (r *recipeReader) nodeOption(option string, p pair) {
	if _, kind := scalar(p.value); kind == nullScalar {
		return
	}
	node, _ := r.recipe.Node()
	node.lines[option] = p.at.Line
	r.option(node.Options, option, p)
}

// section reads one section into steps.
func (r *recipeReader) section(s section, p pair) {
	n := p.value
	if text, kind := scalar(n); kind == nullScalar {
		return
	} else if kind == textScalar && s.form != unnamed {
		// Commands without an argument refuse it, as in a list it would be wrong.
		r.add(s, Step{Name: text, Line: n.Line})
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		r.mapping(s, n, s.form != unnamed)
	case yaml.SequenceNode:
		for _, e := range n.Content {
			if e = r.follow(e); e == nil {
				return
			}
			text, kind := scalar(e)
			switch {
			case e.Kind == yaml.MappingNode:
				r.mapping(s, e, s.form == namedOrMixed)
			case kind == textScalar && s.form == namedOrMixed:
				r.add(s, Step{Name: text, Line: e.Line})
			default:
				r.errorf(e, "%s: a list of %s; this is %s", p.key, s.listOf(), what(e))
			}
		}
	default:
		r.errorf(n, "%s: options, %sor a list of %s; this is %s", p.key, s.names(), s.listOf(), what(n))
	}
}

func (s section) names() string {
	if s.form == unnamed {
		return ""
	}
	return "names with options, "
}

func (s section) listOf() string {
	if s.form == namedOrMixed {
		return "names and options"
	}
	return "options"
}

// what says what a value is.
func what(n *yaml.Node) string {
	switch _, kind := scalar(n); {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case kind == notScalar:
		return "something else"
	default:
		return kind.String()
	}
}

// mapping reads names with options, in the order of the names, or one set of
// options.
func (r *recipeReader) mapping(s section, n *yaml.Node, mayName bool) {
	all := r.pairs(n)
	isNamed := func(p pair) bool { return p.value.Kind == yaml.MappingNode }
	if mayName && !slices.ContainsFunc(all, func(p pair) bool { return !isNamed(p) }) {
		slices.SortFunc(all, func(a, b pair) int { return strings.Compare(a.key, b.key) })
		for _, p := range all {
			step := Step{Options: r.options(p.value), Line: p.at.Line}
			if s.nameTo == "" {
				step.Name = p.key
			} else {
				step.setDefault(s.nameTo, p.key)
			}
			r.add(s, step)
		}
		return
	}
	r.add(s, Step{Options: r.options(n), Line: n.Line})
}

func (r *recipeReader) add(s section, step Step) {
	step.Command = s.command
	if step.Options == nil {
		step.Options = StepOptions{}
	}
	r.recipe.Steps = append(r.recipe.Steps, step)
}

func (r *recipeReader) options(n *yaml.Node) StepOptions {
	all := StepOptions{}
	for _, p := range r.pairs(n) {
		r.option(all, p.key, p)
	}
	return all
}

// option reads the value of one option.
func (r *recipeReader) option(into StepOptions, name string, p pair) {
	if name == "" || strings.HasPrefix(name, "-") || strings.ContainsAny(name, "= \t\n") {
		r.errorf(p.at, "%q is not the name of an option: those are written without dashes in front", name)
		return
	}
	if p.value.Kind == yaml.SequenceNode {
		var values []string
		for _, e := range p.value.Content {
			if e = r.follow(e); e == nil {
				return
			}
			text, kind := scalar(e)
			if kind != textScalar && kind != intScalar {
				r.errorf(e, "%s: a list of texts and whole numbers; this is %s", name, what(e))
				continue
			}
			values = append(values, text)
		}
		if len(values) > 0 {
			into[name] = values
		}
		return
	}
	switch text, kind := scalar(p.value); {
	case kind == boolScalar && text == "true":
		into[name] = nil
	case kind == boolScalar:
	case kind == textScalar, kind == intScalar:
		into[name] = []string{text}
	default:
		r.errorf(p.value, "%s: a text, a whole number, true, false, or a list; this is %s", name, what(p.value))
	}
}
