package policy_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ockam/tunnel/policy"
)

// bindings is an Env of a few names.
type bindings map[string]policy.Expr

func (b bindings) Lookup(name string) (policy.Expr, bool) {
	e, ok := b[name]
	return e, ok
}

// member is the environment of the conformance table.
func member() bindings {
	return bindings{
		"resource.id":            policy.NewString("outlet"),
		"action.id":              policy.NewString("handle_message"),
		"subject.identifier":     policy.NewString("Iabc"),
		"subject.has_credential": policy.NewBool(true),
		"subject.component":      policy.NewString("db"),
		"subject.admin":          policy.NewString("true"),
		"subject.age":            policy.NewString("20"),
		"a":                      policy.NewInt(1),
		"b":                      policy.NewInt(2),
		"x":                      policy.NewFloat(1.5),
		"t":                      policy.NewBool(true),
		"f":                      policy.NewBool(false),
		"list":                   policy.NewSeq(policy.NewString("db"), policy.NewString("web")),
	}
}

// table reads the lines of a file in testdata, cut at tabs.
func table(t testing.TB, name string, columns int) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		row := strings.Split(line, "\t")
		if len(row) != columns {
			t.Fatalf("%s: %d columns in %q", name, len(row), line)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("%s holds nothing", name)
	}
	return rows
}

// about says by which words an error message shows its kind.
var about = map[string][]string{
	"EE unbound":  {"is unbound"},
	"EE mismatch": {"are not of the same type"},
	"EE type":     {"is not a boolean", "is not a sequence", "is not an identifier"},
	"EE arity":    {" needs "},
	"EE operator": {"unknown operator", "is not an operator"},
}

// checkResult evaluates e and compares the value, or what the error is about.
func checkResult(t *testing.T, e policy.Expr, env policy.Env, want string) {
	t.Helper()
	value, err := e.Value(env)
	got := value.String()
	if err != nil {
		got = err.Error()
		for _, words := range about[want] {
			if strings.Contains(got, words) {
				got = want
			}
		}
	}
	if got != want {
		t.Errorf("%s is %s, want %s", e, got, want)
	}
	allowed, err := e.Eval(env)
	if allowed != (want == "true") || (err == nil) != (want == "true" || want == "false") {
		t.Errorf("%s: Eval gives %v, %v, want %s", e, allowed, err, want)
	}
	err = e.Check(env)
	if (err == nil) != (want == "true") || err != nil && !errors.Is(err, policy.ErrDenied) {
		t.Errorf("%s: Check gives %v, want %s", e, err, want)
	}
}

func TestConformance(t *testing.T) {
	for _, row := range table(t, "conformance.txt", 3) {
		number, text, want := row[0], row[1], row[2]
		t.Run(number+" "+text, func(t *testing.T) {
			e, err := policy.ParseExpr(text)
			if want == "PE" {
				if err == nil {
					t.Errorf("parsed as %s", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, e, member(), want)
		})
	}
}

func TestConformanceOfInputs(t *testing.T) {
	for _, row := range table(t, "inputs.txt", 4) {
		number, text, expansion, want := row[0], row[1], row[2], row[3]
		t.Run(number+" "+text, func(t *testing.T) {
			e, err := policy.Parse(text)
			if expansion == "PE" {
				if err == nil {
					t.Errorf("parsed as %s", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := e.String(); got != expansion {
				t.Errorf("got %s, want %s", got, expansion)
			}
			if want != "-" {
				checkResult(t, e, member(), want)
			}
		})
	}
}

// A recording says what the reference implementation made of an expression.
type recording struct {
	Expression          string   `json:"expression"`
	Accepted            bool     `json:"accepted"`
	StoredAs            string   `json:"stored_as"`
	MessageContains     []string `json:"message_contains"`
	EvaluatedExpression string   `json:"evaluated_expression"`
	Evaluation          string   `json:"evaluation"`
}

var recordings = []string{"policies.json", "commands.json", "spelling.json"}

func readRecordings(t testing.TB, name string) []recording {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Items []recording `json:"items"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Items) == 0 {
		t.Fatalf("%s holds nothing", name)
	}
	return file.Items
}

func TestRecordings(t *testing.T) {
	for _, name := range recordings {
		for _, item := range readRecordings(t, name) {
			t.Run(name+" "+item.Expression, func(t *testing.T) {
				e, err := policy.Parse(item.Expression)
				if !item.Accepted {
					if err == nil {
						t.Fatalf("parsed as %s", e)
					}
					for _, words := range item.MessageContains {
						if !strings.Contains(err.Error(), words) {
							t.Errorf("error %q does not say %q", err, words)
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := e.String(); got != item.StoredAs {
					t.Errorf("got %s, want %s", got, item.StoredAs)
				}
				again, err := policy.ParseExpr(item.StoredAs)
				if err != nil || !again.Equal(e) {
					t.Errorf("stored %s reads back as %s, %v", item.StoredAs, again, err)
				}
			})
		}
	}
}

// TestRecordedDecisions evaluates what a member of the reference
// implementation was judged by.
func TestRecordedDecisions(t *testing.T) {
	env := &policy.Request{
		Resource:   "echo",
		Action:     policy.HandleMessage,
		Subject:    "Id2d4bce031e35468473eb0619f39dc7c0453ca7567b925df848efda6f210befb",
		Authority:  true,
		Credential: true,
		Attributes: map[string]string{"component": "db", "admin": "true", "age": "20"},
	}
	seen := map[string]int{}
	for _, item := range readRecordings(t, "policies.json") {
		if item.Evaluation == "" {
			continue
		}
		seen[item.Evaluation]++
		t.Run(item.EvaluatedExpression, func(t *testing.T) {
			e, err := policy.Parse(item.EvaluatedExpression)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Check(env); (err == nil) != (item.Evaluation == "allow") {
				t.Errorf("Check gives %v, want %s", err, item.Evaluation)
			}
		})
	}
	if seen["allow"] == 0 || seen["deny"] == 0 {
		t.Errorf("decisions %v, want some of each", seen)
	}
}
