package config_test

import (
	"slices"
	"strings"
	"testing"

	"ockam/config"
)

// lines returns a line for each step: its command and arguments.
func lines(r *config.Recipe) string {
	var all []string
	for _, s := range r.Steps {
		all = append(all, strings.TrimSpace(s.Command+" "+strings.Join(s.Args(), " ")))
	}
	return strings.Join(all, "\n")
}

func recipeEnvironment(name string) (string, bool) {
	v, ok := map[string]string{"SET": "env", "X_Y": "v10", "BIG": strings.Repeat("x", 1<<19), "EMPTY": ""}[name]
	return v, ok
}

// A recipeCase is a text and the steps that it stands for, or what the error
// says. Those with "recorded" in their name are inputs recorded from the
// reference implementation, revision fb8fb64cd, with the outcome that it had.
type recipeCase struct {
	name, text, want string
	fails            string
	variables        map[string]string
}

func (tt recipeCase) run(t *testing.T, read func(string, config.RecipeOptions) (*config.Recipe, error)) {
	t.Run(tt.name, func(t *testing.T) {
		r, err := read(tt.text, config.RecipeOptions{Env: recipeEnvironment, Variables: tt.variables})
		switch {
		case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
			t.Errorf("got %v, want an error with %q", err, tt.fails)
		case tt.fails != "":
		case err != nil:
			t.Error(err)
		case lines(r) != tt.want:
			t.Errorf("got\n%s\nwant\n%s", lines(r), tt.want)
		}
	})
}

func TestReadNodeRecipe(t *testing.T) {
	for _, tt := range []recipeCase{
		{name: "recorded: named outlet", text: `{name: n, tcp-outlets: {db-outlet: {to: 5432, at: n}}}`, want: "node -- n\ntcp-outlet --at=n --from=db-outlet --to=5432"},
		{name: "recorded: single unnamed outlet", text: `{tcp-outlets: {to: 8080}}`, want: "node\ntcp-outlet --to=8080"},
		{name: "recorded: empty mapping", text: `{}`, want: "node"},
		{name: "recorded: empty text", text: ``, want: "node"},
		{name: "comment only", text: "# nothing\n", want: "node"},
		{name: "recorded: null", text: `null`, fails: "is a mapping"},
		{name: "recorded: list", text: `[]`, fails: "is a mapping"},
		{name: "recorded: scalar", text: `just text`, fails: "is a mapping"},
		{name: "recorded: not YAML", text: `{name: n`, fails: "not valid YAML: line 1"},
		{name: "two documents", text: "{}\n---\n{}", fails: "second document"},
		{name: "recorded: unknown key", text: `{name: e2, bogus: 1}`, want: "node -- e2"},
		{name: "recorded: number as name", text: `{name: 5}`, fails: "configuration:1:8: name: "},
		{name: "number in quotes", text: `{name: "5"}`, want: "node -- 5"},
		{name: "recorded: outlets: list of bare names", text: `{name: f4, tcp-outlets: [a, b]}`, fails: "1:29: tcp-outlets: a list of options"},
		{name: "recorded: outlets: number", text: `{name: f5, tcp-outlets: 5}`, fails: "this is a whole number"},
		{name: "recorded: outlets: bare name, which the command refuses", text: `{name: f3, tcp-outlets: o}`, want: "node -- f3\ntcp-outlet -- o"},
		{name: "recorded: outlets: named scalar, an option then", text: `{name: f6, tcp-outlets: {o: 5}}`, want: "node -- f6\ntcp-outlet -o=5"},
		{name: "recorded: outlets: list of options", text: `{name: l1, tcp-outlets: [{to: 5001, from: z}, {to: 5002, from: y}]}`, want: "node -- l1\ntcp-outlet --from=z --to=5001\ntcp-outlet --from=y --to=5002"},
		{name: "recorded: outlets: order of names", text: `{name: u4, tcp_outlets: {"1": {to: 5001}, "2": {to: 5002}, "10": {to: 5003}}}`, want: "node -- u4\ntcp-outlet --from=1 --to=5001\ntcp-outlet --from=10 --to=5003\ntcp-outlet --from=2 --to=5002"},
		{name: "recorded: outlets: the option wins over the name", text: `{name: l3, tcp-outlet: {aa: {to: 5001, from: bb}}}`, want: "node -- l3\ntcp-outlet --from=bb --to=5001"},
		{name: "recorded: outlets: list of named", text: `{name: l4, tcp-outlets: [{a: {to: 5001}}, {b: {to: 5002}}]}`, fails: "a: a text, a whole number, true, false, or a list; this is a mapping"},
		{name: "recorded: no outlets", text: `{tcp-outlet: {}, tcp-inlets: [], relay: , policies: []}`, want: "node"},
		{name: "inlets before outlets, after policies and relays", text: `{kafka-inlet: {from: a}, tcp-outlet: {to: 1}, tcp-inlet: {b: {from: 2}, a: {from: 1}}, influxdb_outlets: {x: {to: 3}}, relays: r, policy: {allow: a}, ticket: t, name: n}`, want: "ticket -- t\nnode -- n\npolicy --allow=a\nrelay -- r\ntcp-inlet --alias=a --from=1\ntcp-inlet --alias=b --from=2\ntcp-outlet --to=1\ninfluxdb-outlet --from=x --to=3\nkafka-inlet --from=a"},
		{name: "recorded: relays: list of named", text: `{relays: [{r-a: {at: /node/n}}, {r-b: {at: n}}]}`, want: "node\nrelay --at=/node/n -- r-a\nrelay --at=n -- r-b"},
		{name: "recorded: policies: list", text: `{policies: [{resource: x, allow: a}, {resource-type: relay, allow: b}]}`, want: "node\npolicy --allow=a --resource=x\npolicy --allow=b --resource-type=relay"},
		{name: "recorded: policies: named", text: `{policies: {a: {resource: x, allow: a}}}`, fails: "configuration:1:16: a: "},
		{name: "recorded: policies: text", text: `{policies: x}`, fails: "this is a text"},
		{name: "recorded: node options", text: `{identity: alice, http-server: true, tcp-listener-address: "127.0.0.1:1", launch_config: x, foreground: false}`, want: "node --http-server --identity=alice --launch-configuration=x --tcp-listener-address=127.0.0.1:1"},
		{name: "recorded: underscores", text: `{http_server: true}`, want: "node --http-server"},
		{name: "two words for one option", text: `{http_server: true, enable-http-server: false}`, fails: `another word for "http_server"`},
		{name: "identity is that of the node", text: `{identity: {a: {}}}`, fails: "this is a mapping"},
		{name: "recorded: udp is not available", text: `{name: o5, udp: true}`, want: "node -- o5"},
		{name: "recorded: http-server: text, which the command refuses", text: `{http-server: "yes"}`, want: "node --http-server=yes"},
		{name: "recorded: version", text: `{version: x}`, want: "node"},
		{name: "recorded: JSON", text: `{"name": "j1", "tcp-outlets": {"o": {"to": 5432}}}`, want: "node -- j1\ntcp-outlet --from=o --to=5432"},
		{name: "recorded: option false and true", text: `{tcp-outlet: [{to: 5001, tls: false}, {to: 1, tls: true}]}`, want: "node\ntcp-outlet --to=5001\ntcp-outlet --tls --to=1"},
		{name: "recorded: option list", text: `{kafka-inlet: {encrypted-field: [a, 2]}}`, want: "node\nkafka-inlet --encrypted-field=a --encrypted-field=2"},
		{name: "one letter, and values like options", text: `{relay: {r: {v: true, t: -x, to: ""}}}`, want: "node\nrelay -t=-x --to  -v -- r"},
		{name: "decimal, null and list in a list", text: `{tcp-outlet: [{to: 1.5}, {to: }, {to: [[]]}]}`, fails: "1:20: to: a text, a whole number, true, false, or a list; this is a decimal number\nconfig: configuration:1:31: to: a text, a whole number, true, false, or a list; this is nothing\nconfig: configuration:1:40: to: a list of texts and whole numbers; this is a list"},
		{name: "YAML 1.2: what is a number", text: `{tcp-outlet: [{to: 0x10}, {to: 012}, {to: yes}, {to: 1_000}, {to: 2001-01-01}, {to: +7}]}`, want: "node\ntcp-outlet --to=16\ntcp-outlet --to=012\ntcp-outlet --to=yes\ntcp-outlet --to=1_000\ntcp-outlet --to=2001-01-01\ntcp-outlet --to=7"},
		{name: "recorded: key and its alias", text: `{tcp-outlet: {to: 5001}, tcp-outlets: {to: 5002}}`, fails: `"tcp-outlets" is another word for "tcp-outlet"`},
		{name: "recorded: key twice", text: `{name: u9, name: u10}`, fails: `"name" is given twice`},
		{name: "option twice", text: `{tcp-outlet: {to: 1, to: 2}}`, fails: `"to" is given twice`},
		{name: "option with dashes", text: `{tcp-outlet: {--to: 1}}`, fails: "is not the name of an option"},
		{name: "alias", text: "x: &o {to: 1}\ntcp-outlets: {a: *o, b: *o}", want: "node\ntcp-outlet --from=a --to=1\ntcp-outlet --from=b --to=1"},
		{name: "merge", text: "x: &o {to: 1}\ntcp-outlets: {<<: *o, from: a}", fails: "not merged"},
		{name: "an alias of itself", text: "tcp-outlets: &o [*o]", fails: "this is a list"},
		{name: "too large", text: "# " + strings.Repeat("x", 1<<20), fails: "larger than 1 MiB"},
		{name: "aliases that stand for very much", text: "x: &o {to: [" + strings.Repeat("1,", 1000) + "]}\nrelays: [" + strings.Repeat("*o,", 1000) + "]", fails: "too many values"},
	} {
		tt.run(t, config.ReadNodeRecipe)
	}
}

func TestReadRunRecipe(t *testing.T) {
	for _, tt := range []recipeCase{
		{name: "recorded: empty text", text: "", want: ""},
		{name: "recorded: one bare node", text: `{nodes: n1}`, want: "node -- n1"},
		{name: "recorded: list of bare nodes", text: `{nodes: [n2, n3]}`, want: "node -- n2\nnode -- n3"},
		{name: "recorded: named nodes", text: `{node: {n4: {identity: alice, http-server: true}, n5: {}}}`, want: "node --http-server --identity=alice -- n4\nnode -- n5"},
		{name: "recorded: mixed list, of which the command refuses the last", text: `{nodes: [n6, {n7: {identity: bob}}, {name: n8}]}`, want: "node -- n6\nnode --identity=bob -- n7\nnode --name=n8"},
		{name: "recorded: vault and identity", text: `{identity: {i3: {vault: v3}}, vault: v3}`, want: "vault -- v3\nidentity --vault=v3 -- i3"},
		{name: "recorded: everything", text: `{nodes: [a, b], tcp-inlets: {in1: {at: b, to: /x}}, tcp-outlets: {o1: {to: 5001, at: a}}, kafka-outlet: {bootstrap-server: x}, relays: {r1: {at: /node/a, to: b}}, policies: {resource: o1, allow: x.y, at: a}, ticket: t, vaults: v}`, want: "vault -- v\nticket -- t\nnode -- a\nnode -- b\nrelay --at=/node/a --to=b -- r1\npolicy --allow=x.y --at=a --resource=o1\ntcp-outlet --at=a --from=o1 --to=5001\ntcp-inlet --alias=in1 --at=b --to=/x\nkafka-outlet --bootstrap-server=x"},
		{name: "recorded: influxdb is ignored", text: `{influxdb-outlet: {to: "127.0.0.1:8086", fixed-token: t}}`, want: ""},
		{name: "recorded: unknown key", text: `{bogus: 1, name: x}`, want: ""},
		{name: "recorded: numbers are no names", text: `{vaults: [1]}`, fails: "vaults: a list of names and options; this is a whole number"},
		{name: "recorded: two names in one item", text: `{vaults: [{b: {}, a: {}}]}`, want: "vault -- a\nvault -- b"},
	} {
		tt.run(t, config.ReadRunRecipe)
	}
}

// TestRecipeVariables holds the rules of variables; the name of the node shows
// what becomes of them.
func TestRecipeVariables(t *testing.T) {
	for _, tt := range []recipeCase{
		{name: "recorded: variables", text: `{variables: {P: 5001, N: v1}, name: $N, tcp-outlet: {to: $P}}`, want: "node -- v1\ntcp-outlet --to=5001"},
		{name: "recorded: default", text: `{variables: {N: v2}, name: "${N}", tcp-outlet: {to: "${P:-5002}"}}`, want: "node -- v2\ntcp-outlet --to=5002"},
		{name: "recorded: unknown", text: `{name: v3, tcp-outlet: {to: $NOPE}}`, fails: "line 1: the variable 'NOPE' was not found"},
		{name: "recorded: empty value", text: `{variables: {N: ""}, name: v4}`, fails: "Empty value for variable 'N'"},
		{name: "recorded: list", text: `{variables: {N: [a]}}`, fails: "a list or mapping"},
		{name: "recorded: null", text: `{variables: {N: }}`, fails: "is nothing"},
		{name: "recorded: decimal", text: `{variables: {N: 1.5}}`, fails: "a decimal number"},
		{name: "recorded: list of variables", text: `{variables: [a]}`, fails: "a mapping of names to values"},
		{name: "recorded: no variables", text: `{variables: }`, want: "node"},
		{name: "recorded: boolean and integer", text: `{variables: {N: true, M: -5}, name: "v${M}$N"}`, want: "node -- v-5true"},
		{name: "recorded: environment wins", text: `{variables: {SET: v5}, name: $SET}`, want: "node -- env"},
		{name: "recorded: --variable wins", text: `{variables: {SET: v7}, name: $SET}`, want: "node -- v8", variables: map[string]string{"SET": "v8"}},
		{name: "recorded: any environment variable", text: `{name: $X_Y}`, want: "node -- v10"},
		{name: "recorded: dollar sign", text: `{name: a$$b}`, want: "node -- a$b"},
		{name: "recorded: key and value", text: `{variables: {P: "to: 5001"}, name: v12, tcp-outlet: {$P}}`, want: "node -- v12\ntcp-outlet --to=5001"},
		{name: "recorded: in a comment", text: "name: v13\n# $COMMENT\n", fails: "line 2: the variable 'COMMENT' was not found"},
		{name: "recorded: a variable in a variable", text: `{variables: {A: v14, B: $A}, name: $B}`, want: "node -- $A"},
		{name: "recorded: nothing else is a variable", text: `name: "a$(x)$-b${x end$"`, want: "node -- a$(x)$-b${x end$"},
		{name: "recorded: digits are a name", text: `{variables: {1: x}, name: "w$1"}`, want: "node -- wx"},
		{name: "recorded: default that is empty, or like a variable", text: `{name: "a${x:-}${x:-$HOME}"}`, want: "node -- a$HOME"},
		{name: "recorded: no name", text: `{name: "${}"}`, fails: "'' was not found"},
		{name: "recorded: no name but a default", text: `{name: "${:-zy}"}`, fails: "':-zy' was not found"},
		{name: "recorded: another sign", text: `{name: "${x-b}"}`, fails: "'x-b' was not found"},
		{name: "recorded: spaces in a name", text: `{name: "${A B:-zz}"}`, want: "node -- zz"},
		{name: "set, and empty", text: `{name: "a${EMPTY:-x}"}`, want: "node -- a"},
		{name: "not YAML before", text: `{name: $X_Y`, fails: "not valid YAML"},
		{name: "much of it", text: `{name: "$BIG$BIG$BIG$BIG"}`, fails: "larger than 1 MiB"},
		{name: "all that are unknown", text: "a: $A\nb: $B", fails: "line 2: the variable 'B'"},
	} {
		tt.run(t, config.ReadNodeRecipe)
	}
}

func TestRecipeWarnings(t *testing.T) {
	r, err := config.ReadNodeRecipe("variables: {SET: x}\ntcp-outlet: {to: 1}\ntcp-inlte: {}\n", config.RecipeOptions{File: "n.yaml", Env: recipeEnvironment})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the variable SET is set already, by --variable or in the environment: that value is used, not the one in n.yaml",
		`n.yaml:3: "tcp-inlte" means nothing here, and is ignored; did you mean "tcp-inlet"?`,
	}
	if !slices.Equal(r.Warnings, want) {
		t.Errorf("got %q, want %q", r.Warnings, want)
	}
}

func TestRecipeForNode(t *testing.T) {
	r, err := config.ReadNodeRecipe("{relay: r, tcp-outlet: [{to: 1}, {to: 2, at: m}], tcp-inlet: {a: {from: 1}}, policy: {allow: a}}", config.RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.ForNode("n")
	want := "node -- n\npolicy --allow=a\nrelay --to=n -- r\ntcp-inlet --alias=a --at=n --from=1\ntcp-outlet --at=n --to=1\ntcp-outlet --at=m --to=2"
	if got := lines(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzReadRecipe demands that no text is too much, and that what is read can be
// written as arguments.
func FuzzReadRecipe(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", "[]", "{name: n", `{name: n, tcp-outlets: {db: {to: 5432, tls: true}}}`,
		"variables: {P: 1}\nname: n$P\nrelays: [a, {b: {at: /node/n}}, {c: {}}]", "x: &a [*a]\nvaults: *a",
		"nodes: {a: {identity: i}}\npolicies: [{allow: \"${X:-a}\"}]", "a: !!str 5\nvault: |\n  x\n", "tcp-outlet: {to: [1, 0x2, ~]}",
		"ticket: t\nname: n\nproject: p\nrelay: db\ntcp-inlet: {pg: {via: db, from: 1}}\ntcp-outlet: {pg: {to: 1, allow: a and b}}",
		"ticket: '{\"one_time_code\":\"a\",\"project\":{\"name\":\"p\"}}'\nnodes: [a, b]\nrelays: {r: {to: a}}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := config.RecipeOptions{Env: func(string) (string, bool) { return "v", true }}
		for _, read := range []func(string, config.RecipeOptions) (*config.Recipe, error){config.ReadNodeRecipe, config.ReadRunRecipe} {
			r, err := read(text, o)
			if err != nil {
				continue
			}
			for _, s := range r.Steps {
				if s.Command == "" || s.Line < 1 {
					t.Errorf("a step without a command or a line: %+v", s)
				}
				for option := range s.Options {
					if option == "" || option[0] == '-' {
						t.Errorf("an option %q", option)
					}
				}
				s.Args()
			}
		}
		out, err := config.Convert(text, o)
		if err == nil && len(out) == 0 {
			t.Error("nothing was written")
		}
	})
}
