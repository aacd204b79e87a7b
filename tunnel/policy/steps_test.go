package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ockam/tunnel/policy"
)

func TestSteps(t *testing.T) {
	env := &policy.Request{
		Resource: "db", Action: policy.HandleMessage, Subject: "Iabc", Authority: true, Credential: true,
		Attributes: map[string]string{"role": "web"},
	}
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"one", `(= subject.role "web")`, []string{`(= subject.role "web"): true`, `  subject.role: "web"`}},
		{"unbound", `(not (= subject.x "a"))`, []string{
			`(not (= subject.x "a")): identifier "subject.x" is unbound`,
			`  (= subject.x "a"): identifier "subject.x" is unbound`,
			`    subject.x: identifier "subject.x" is unbound`,
		}},
		{"or stops", `(or (= subject.role "web") (exists? subject.x) true)`, []string{
			`(or (= subject.role "web") (exists? subject.x) true): true`,
			`  (= subject.role "web"): true`,
			`    subject.role: "web"`,
			`  (exists? subject.x): false, skipped`,
			`    subject.x: identifier "subject.x" is unbound, skipped`,
		}},
		{"and goes on", `(and subject.has_credential (exists? subject.role))`, []string{
			`(and subject.has_credential (exists? subject.role)): true`,
			`  subject.has_credential: true`,
			`  (exists? subject.role): true`,
			`    subject.role: "web"`,
		}},
		{"if", `(if (exists? subject.x) (exists? a) (exists? b))`, []string{
			`(if (exists? subject.x) (exists? a) (exists? b)): false`,
			`  (exists? subject.x): false`,
			`    subject.x: identifier "subject.x" is unbound`,
			`  (exists? a): false, skipped`,
			`    a: identifier "a" is unbound, skipped`,
			`  (exists? b): false`,
			`    b: identifier "b" is unbound`,
		}},
		{"sequence", `(member? subject.role ["web" "db"])`, []string{
			`(member? subject.role ["web" "db"]): true`, `  subject.role: "web"`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := policy.ParseExpr(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range e.Steps(env, 100) {
				line := fmt.Sprintf("%s%v: ", strings.Repeat("  ", s.Depth), s.Expr)
				if s.Err != nil {
					line += s.Err.Error()
				} else {
					line += s.Value.String()
				}
				if s.Skipped {
					line += ", skipped"
				}
				got = append(got, line)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestStepsBounded checks that an expression with more parts than wanted, or as
// deep as can be, costs little.
func TestStepsBounded(t *testing.T) {
	deep := "(exists? a)"
	for range policy.MaxDepth - 2 {
		deep = "(not " + deep + ")"
	}
	for _, text := range []string{"(and " + strings.Repeat("(exists? a) ", 5000) + ")", deep} {
		e, err := policy.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(e.Steps(new(policy.Request), 50)); n != 50 {
			t.Errorf("%d steps", n)
		}
	}
}
