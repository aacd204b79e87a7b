package policy_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"ockam/tunnel/policy"
)

// TestStricter lists what the reference implementation takes and stores as
// text that it reads back as something else, or not at all.
func TestStricter(t *testing.T) {
	for _, text := range []string{`(= a $1)`, `(= a $true)`, `(= a $$a)`, `(= a $+a)`, `(= a $nan)`} {
		if e, err := policy.Parse(text); err == nil {
			t.Errorf("%s parsed as %s", text, e)
		}
	}
	for text, want := range map[string]string{
		`(= a "\00")`:    `(= a "\u{0}")`,
		`(= a "\u{0}1")`: `(= a "\u{0}1")`,
	} {
		e, err := policy.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ParseExpr(e.String())
		if e.String() != want || err != nil || !again.Equal(e) {
			t.Errorf("%s: got %s, read back as %s, %v", text, e, again, err)
		}
	}
}

func TestParseInput(t *testing.T) {
	in, err := policy.ParseInput("a and not b")
	if err != nil {
		t.Fatal(err)
	}
	if in.Formula == nil || in.Formula.Kind != policy.FormulaAnd || in.Formula.Args[1].Kind != policy.FormulaNot {
		t.Errorf("formula is %v", in.Formula)
	}
	if got, want := in.String(), "a and not b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	in, err = policy.ParseInput("= a 1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := in.String(), "(= a 1)"; in.Formula != nil || got != want {
		t.Errorf("got %s, want %s, formula %v", got, want, in.Formula)
	}
}

// TestParseErrors looks for what a user is told.
func TestParseErrors(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"both readings", "a b", []string{`"a b"`, "successfully parsed: `a`, but ` b` cannot be parsed", "first identifier", "exists?"}},
		{"empty", "", []string{`""`, "expected a name", "empty expression"}},
		{"digit first", "9a", []string{`"9a"`, "expected a name", `invalid word "9a"`}},
		{"unclosed", "(= a 1", []string{"unclosed list"}},
		{"mixed kinds", `(= a [b "x"])`, []string{`b and "x" are not of the same type`}},
		{"shortened", "a " + strings.Repeat("é", 1000), []string{"…"}},
		{"nothing for the terminal", "a \x1b[1m", []string{"` \uFFFD[1m`"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Parse(tt.text)
			if err == nil {
				t.Fatal("no error")
			}
			for _, words := range tt.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("error %q does not say %q", err, words)
				}
			}
			if len(err.Error()) > 1200 || !strings.HasPrefix(err.Error(), "policy: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}

// TestTruncated cuts expressions everywhere. What is left is refused, or is an
// expression that reads back.
func TestTruncated(t *testing.T) {
	full := `(and (= subject.component "d\u{62}") (member? -1.5 [x 1e3]) (; c ;) (not false))`
	for i := range full {
		if e, err := policy.ParseExpr(full[:i]); err == nil {
			t.Errorf("ParseExpr accepted %d of %d bytes as %s", i, len(full), e)
		}
	}
	for _, name := range recordings {
		for _, item := range readRecordings(t, name) {
			for i := range item.Expression {
				checkRoundTrip(t, item.Expression[:i])
			}
		}
	}
}

// checkRoundTrip reads text in all ways. What is accepted must be valid, print
// as what reads back, and be evaluated to the same.
func checkRoundTrip(t *testing.T, text string) {
	t.Helper()
	in, err := policy.ParseInput(text)
	if err == nil {
		checkExpr(t, in.Expr)
		if in.Formula != nil {
			checkFormula(t, *in.Formula)
		}
	}
	e, err := policy.ParseExpr(text)
	if err == nil {
		checkExpr(t, e)
	}
	f, err := policy.ParseFormula(text)
	if (err == nil) != (in.Formula != nil) && len(text)*30 < policy.MaxLength {
		t.Errorf("%q: formula %s, %v, but input %v", text, f, err, in)
	}
}

func checkExpr(t *testing.T, e policy.Expr) {
	t.Helper()
	if err := e.Valid(); err != nil {
		t.Fatalf("%s: %v", e, err)
	}
	again, err := policy.ParseExpr(e.String())
	if err != nil || !again.Equal(e) || again.String() != e.String() {
		t.Fatalf("%s reads back as %s, %v", e, again, err)
	}
	env := member()
	value, err := e.Value(env)
	allowed, evalErr := e.Eval(env)
	if err == nil && allowed != value.Equal(policy.NewBool(true)) || err != nil && (allowed || evalErr == nil) {
		t.Fatalf("%s is %s, %v, but Eval gives %v, %v", e, value, err, allowed, evalErr)
	}
}

func checkFormula(t *testing.T, f policy.Formula) {
	t.Helper()
	again, err := policy.ParseFormula(f.String())
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.Expand()
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Expand()
	if err != nil || !got.Equal(want) {
		t.Fatalf("%s, of %s, reads back as %s, %v", f, want, got, err)
	}
}

func TestBounds(t *testing.T) {
	const most = policy.MaxDepth
	nest := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"deepest list", nest(most-1, "(not ", "(not 1)", ")"), true},
		{"too deep list", nest(most, "(not ", "(not 1)", ")"), false},
		{"endless list", strings.Repeat("(", policy.MaxLength), false},
		{"endless sequence", "= " + strings.Repeat("[", policy.MaxLength-2), false},
		{"endless surplus", "= 1 1" + strings.Repeat(")", policy.MaxLength-5), false},
		{"deepest parentheses", nest(2*most, "(", "a", ")"), true},
		{"too deep parentheses", nest(2*most+1, "(", "a", ")"), false},
		{"deepest not", strings.Repeat("not ", most-1) + "a", true},
		{"too deep not", strings.Repeat("not ", most) + "a", false},
		{"endless not", strings.Repeat("not", policy.MaxLength/3), false},
		{"endless broken not", strings.Repeat("not(", policy.MaxLength/4), false},
		{"longest chain", "a" + strings.Repeat(" or a", most-1), true},
		{"too long chain", "a" + strings.Repeat(" or a", most), false},
		{"nested operations around one value", nest(100, "(", "= 1 1", ")"), true},
		{"too long with parentheses", `= "` + strings.Repeat("x", policy.MaxLength-7) + `" a`, false},
		{"longest text", `(= "` + strings.Repeat("x", policy.MaxLength-8) + `" a)`, true},
		{"too long text", `(= "` + strings.Repeat("x", policy.MaxLength-7) + `" a)`, false},
		{"too long when printed", `(= "` + strings.Repeat("\u200b", policy.MaxLength/4) + `" a)`, false},
		{"deepest not in parentheses", nest(most-1, "(not ", "a", ")"), true},
		{"spaces", nest(500, "(", strings.Repeat(" ", policy.MaxLength-1001)+"a", ")"), true},
		{"endless comment", "= 1 1 " + strings.Repeat("(;", policy.MaxLength/2-3), false},
		{"endless escape", `= 1 "` + strings.Repeat(`\u{`, 20000), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			e, err := policy.Parse(tt.text)
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want success %v", err, tt.ok)
			}
			if err == nil {
				checkExpr(t, e)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestExpansionTooLong has a formula that is short by itself.
func TestExpansionTooLong(t *testing.T) {
	text := "a"
	for len(text)*2 < policy.MaxLength-10 {
		text = "(" + text + ")or(" + text + ")"
	}
	if _, err := policy.ParseFormula(text); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(text); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("Parse gives %v", err)
	}
}

func TestFormulaString(t *testing.T) {
	tests := []struct{ text, want string }{
		{"a or b or c", "a or b or c"},
		{"a or (b or c)", "a or (b or c)"},
		{"(a or b) and c", "(a or b) and c"},
		{"a or (b and c)", "a or b and c"},
		{"a and (b and c)", "a and (b and c)"},
		{"not (a and b) or c", "not (a and b) or c"},
		{"not ((a))", "not a"},
		{"notary", "not ary"},
		{"(not) and b", "(not) and b"},
		{"not.a and b", "(not.a) and b"},
		{"not not", "not (not)"},
		{"or or or", "or or or"},
	}
	for _, tt := range tests {
		f, err := policy.ParseFormula(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
		checkFormula(t, f)
	}
}

// TestFormulaFromMessage has formulas that no text makes.
func TestFormulaFromMessage(t *testing.T) {
	name := policy.Formula{Name: "a"}
	bad := map[string]policy.Formula{
		"empty":        {Kind: policy.FormulaEmpty},
		"no name":      {},
		"not a name":   {Name: `a "b"`},
		"digit":        {Name: "1"},
		"unknown kind": {Kind: 5},
		"or of one":    {Kind: policy.FormulaOr, Args: []policy.Formula{name}},
		"not of two":   {Kind: policy.FormulaNot, Args: []policy.Formula{name, name}},
		"not of empty": {Kind: policy.FormulaNot, Args: []policy.Formula{{Kind: policy.FormulaEmpty}}},
		"and without":  {Kind: policy.FormulaAnd},
		"deeper than allowed": func() policy.Formula {
			f := name
			for range policy.MaxDepth {
				f = policy.Formula{Kind: policy.FormulaNot, Args: []policy.Formula{f}}
			}
			return f
		}(),
	}
	for what, f := range bad {
		if e, err := f.Expand(); err == nil {
			t.Errorf("%s expanded to %s", what, e)
		}
		_ = f.String() // does not panic
	}
	e, err := policy.Formula{Name: "notary"}.Expand()
	if got, want := e.String(), `(= subject.notary "true")`; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestValid has trees that no text makes.
func TestValid(t *testing.T) {
	equal := func(a policy.Expr) policy.Expr {
		return policy.NewList(policy.NewIdent("="), a, policy.NewInt(1))
	}
	deep := policy.NewSeq()
	for range policy.MaxDepth {
		deep = policy.NewSeq(deep)
	}
	bad := map[string]policy.Expr{
		"nothing":               {},
		"nothing inside":        equal(policy.Expr{}),
		"unknown kind":          equal(policy.Expr{Kind: 8}),
		"empty identifier":      equal(policy.NewIdent("")),
		"identifier of two":     equal(policy.NewIdent("a b")),
		"number for identifier": equal(policy.NewIdent("1")),
		"minus for identifier":  equal(policy.NewIdent("-x")),
		"boolean as identifier": equal(policy.NewIdent("true")),
		"float as identifier":   equal(policy.NewIdent("nan:0x1")),
		"dollar":                equal(policy.NewIdent("$a")),
		"comment":               equal(policy.NewIdent("a;;")),
		"not UTF-8":             equal(policy.NewString("\xff")),
		"mixed sequence":        equal(policy.NewSeq(policy.NewInt(1), policy.NewString("a"))),
		"deep":                  equal(deep),
		"long":                  equal(policy.NewString(strings.Repeat("a", policy.MaxLength))),
		"no operator":           policy.NewList(policy.NewIdent("f"), policy.NewInt(1)),
		"literal":               policy.NewBool(true),
		"empty list":            policy.NewList(),
	}
	for what, e := range bad {
		if err := e.Valid(); err == nil {
			t.Errorf("%s: %s is valid", what, e)
		}
		if err := e.Check(member()); !errors.Is(err, policy.ErrDenied) && what != "literal" {
			t.Errorf("%s: Check gives %v", what, err)
		}
	}
	good := equal(policy.NewSeq(policy.NewFloat(math.NaN()), policy.NewFloat(math.Inf(-1)), policy.NewFloat(math.Copysign(0, -1))))
	checkExpr(t, good)
	checkExpr(t, policy.Default())
}

// TestEvaluationBounds has bindings that refer to themselves.
func TestEvaluationBounds(t *testing.T) {
	e, err := policy.ParseExpr("(= b30 a)")
	if err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]bindings{
		"loop": {"a": policy.NewIdent("b30"), "b30": policy.NewIdent("a")},
		"self": {"a": policy.NewInt(1), "b30": policy.NewSeq(policy.NewIdent("b30"), policy.NewIdent("b30"))},
	} {
		if _, err := e.Eval(env); err == nil || !strings.Contains(err.Error(), "too much") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEvaluation has what the conformance table leaves out.
func TestEvaluation(t *testing.T) {
	for text, want := range map[string]string{
		"(!= nan nan)":             "true",
		"(= [nan] [nan])":          "false",
		"(< [nan] [nan])":          "false",
		"(> [nan] [1.0])":          "false",
		"(member? nan [nan])":      "false",
		"(= -0.0 0.0)":             "true",
		"(= [] [1])":               "false",
		"(< () ())":                "false",
		"(> 3 2 1)":                "true",
		"(> true false)":           "true",
		`(exists? missing "x")`:    "EE type",
		"(!= missing)":             "EE unbound",
		`(if f missing (and t t))`: "true",
	} {
		e, err := policy.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		checkResult(t, e, member(), want)
	}
}
