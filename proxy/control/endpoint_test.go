package control_test

import (
	"strings"
	"testing"

	"ockam/proxy/control"
)

// TestPaths asks for paths that are endpoints or nearly.
func TestPaths(t *testing.T) {
	for _, tt := range []struct {
		method control.Method
		path   string
		ok     bool
	}{
		{control.MethodPost, "/node/services/hop", true},
		{control.MethodPost, "node/services/hop", true},
		{control.MethodPost, "//node/services/hop", true},
		{control.MethodPost, "/node//services/hop", false},
		{control.MethodPost, "/node/services/hop/", false},
		{control.MethodPost, "/node/services/hop/x", false},
		{control.MethodPost, "/node/services/api", false},
		{control.MethodPost, "/node/services", false},
		{control.MethodPut, "/node/services/hop", false},
		{control.MethodPatch, "/node/services/hop", false},
		{0, "/node/services/hop", false},
		{control.MethodPost, "", false},
		{control.MethodPost, "/", false},
		{control.MethodGet, "/node/inlet/", false},
		{control.MethodGet, "/node/inlet/a/b", false},
		{control.MethodDelete, "/node/portal", false},
		{control.MethodPost, "/node/" + strings.Repeat("x", 100000), false},
	} {
		node := &fake{}
		c := serve(t, &control.Server{Node: node})
		r, err := c.Do(t.Context(), control.Request{
			Method: tt.method, Path: tt.path, HasBody: true, Body: unhex(t, "a10163686f70"),
		})
		if err != nil {
			t.Fatal(err)
		}
		e := control.ParseError(r)
		switch {
		case tt.ok && (r.Status != control.StatusOK || r.HasBody || len(node.called) != 1 || node.called[0] != "hop hop"):
			t.Errorf("%v %s: %+v, called %q", tt.method, tt.path, r, node.called)
		case !tt.ok && (r.Status != control.StatusBadRequest || !strings.HasPrefix(e.Message, "Invalid endpoint: ") || len(node.called) != 0):
			t.Errorf("%v %s: %+v, called %q", tt.method, tt.path, e, node.called)
		case len(r.Body) > 4096:
			t.Errorf("%v: an answer of %d bytes", tt.method, len(r.Body))
		}
	}
}
