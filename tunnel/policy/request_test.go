package policy_test

import (
	"testing"

	"ockam/tunnel/policy"
)

func TestRequest(t *testing.T) {
	full := policy.Request{
		Resource:   "outlet",
		Action:     policy.HandleMessage,
		Subject:    "Iabc",
		Authority:  true,
		Credential: true,
		Attributes: map[string]string{
			"role":           "db",
			"identifier":     "evil",
			"has_credential": "no",
			"raw":            "\xff",
			"\xff":           "raw",
		},
	}
	alone := full
	alone.Authority = false
	expired := full
	expired.Credential = false
	nobody := full
	nobody.Subject = ""
	tests := []struct {
		name    string
		request policy.Request
		text    string
		want    string
	}{
		{"resource", full, `(= resource.id "outlet")`, "true"},
		{"action", full, `(= action.id "handle_message")`, "true"},
		{"subject", full, `(= subject.identifier "Iabc")`, "true"},
		{"attribute cannot be the identifier", full, `(= subject.identifier "evil")`, "false"},
		{"credential", full, `(= subject.has_credential true)`, "true"},
		{"attribute", full, `(= subject.role "db")`, "true"},
		{"value is not UTF-8", full, `(exists? subject.raw)`, "false"},
		{"other names", full, `(exists? role)`, "false"},
		{"prefix alone", full, `(exists? subject.)`, "false"},
		{"no authority, subject", alone, `(= subject.identifier "Iabc")`, "true"},
		{"no authority, credential", alone, `(= subject.has_credential true)`, "EE unbound"},
		{"no authority, attribute", alone, `(= subject.role "db")`, "EE unbound"},
		{"expired, credential", expired, `(= subject.has_credential true)`, "false"},
		{"expired, attribute", expired, `(= subject.role "db")`, "EE unbound"},
		{"nobody", nobody, `(= subject.identifier "Iabc")`, "EE unbound"},
		{"nobody, named by an attribute", nobody, `(= subject.identifier "evil")`, "EE unbound"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := policy.ParseExpr(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, e, &tt.request, tt.want)
		})
	}
	if got, want := policy.Default().String(), "(= subject.has_credential true)"; got != want {
		t.Errorf("default is %s, want %s", got, want)
	}
}

// TestNumbers pins what messages to a node carry.
func TestNumbers(t *testing.T) {
	types := []string{"tcp-inlet", "tcp-outlet", "echoer", "kafka-consumer", "kafka-producer", "relay", "lessor"}
	if got := len(policy.ResourceTypes()); got != len(types) {
		t.Fatalf("%d types, want %d", got, len(types))
	}
	for i, name := range types {
		got, err := policy.ParseResourceType(name)
		if err != nil || int(got) != i+1 || got.String() != name || !got.Valid() || policy.ResourceTypes()[i] != got {
			t.Errorf("%s is %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "outlet", "TCP-INLET", "resource type 0"} {
		if got, err := policy.ParseResourceType(name); err == nil {
			t.Errorf("%q is %v", name, got)
		}
	}
	if policy.ResourceType(0).Valid() || policy.ResourceType(8).Valid() || policy.Action(0).Valid() || policy.Action(2).Valid() {
		t.Error("unknown numbers are valid")
	}
	if got, err := policy.ParseAction("handle_message"); err != nil || got != 1 {
		t.Errorf("handle_message is %d, %v", got, err)
	}
	if got, err := policy.ParseAction("open"); err == nil {
		t.Errorf("open is %v", got)
	}
	kinds := []policy.Kind{policy.String, policy.Int, policy.Float, policy.Bool, policy.Ident, policy.Seq, policy.List}
	for i, kind := range kinds {
		if int(kind) != i+1 {
			t.Errorf("%v is %d, want %d", kind, kind, i+1)
		}
	}
	formulas := []policy.FormulaKind{policy.FormulaName, policy.FormulaOr, policy.FormulaAnd, policy.FormulaNot, policy.FormulaEmpty}
	for i, kind := range formulas {
		if int(kind) != i {
			t.Errorf("formula kind %d, want %d", kind, i)
		}
	}
}

func TestNeedsAuthority(t *testing.T) {
	for text, want := range map[string]bool{
		`(= subject.identifier "I1")`:                                false,
		`(= resource.id "outlet")`:                                   false,
		`(= subject.has_credential true)`:                            true,
		`(or (= subject.identifier "I1") (not (exists? subject.x)))`: true,
		`(member? subject.identifier ["subject.x"])`:                 false,
	} {
		e, err := policy.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.NeedsAuthority(); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}
