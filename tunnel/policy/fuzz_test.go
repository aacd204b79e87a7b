package policy_test

import (
	"testing"

	"ockam/tunnel/policy"
)

// seed adds all recorded expressions.
func seed(f *testing.F) {
	f.Helper()
	n := 0
	add := func(text string) {
		if text != "" {
			f.Add(text)
			n++
		}
	}
	for _, name := range recordings {
		for _, item := range readRecordings(f, name) {
			add(item.Expression)
			add(item.StoredAs)
		}
	}
	for _, row := range table(f, "conformance.txt", 3) {
		add(row[1])
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
}

func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text string) { checkRoundTrip(t, text) })
}

func FuzzParseExpr(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := policy.ParseExpr(text)
		if err != nil {
			return
		}
		checkExpr(t, e)
	})
}
