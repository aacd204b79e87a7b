package control_test

import (
	"strings"
	"testing"

	"ockam/proxy/control"
	"ockam/tunnel/api"
)

// TestPaths asks for paths that are endpoints or nearly.
func TestPaths(t *testing.T) {
	for _, tt := range []struct {
		method control.Method
		path   string
		ok     bool
	}{
		{api.MethodPost, "/node/services/hop", true},
		{api.MethodPost, "node/services/hop", true},
		{api.MethodPost, "//node/services/hop", true},
		{api.MethodPost, "/node//services/hop", false},
		{api.MethodPost, "/node/services/hop/", false},
		{api.MethodPost, "/node/services/hop/x", false},
		{api.MethodPost, "/node/services/api", false},
		{api.MethodPost, "/node/services", false},
		{api.MethodPut, "/node/services/hop", false},
		{api.MethodPatch, "/node/services/hop", false},
		{0, "/node/services/hop", false},
		{api.MethodPost, "", false},
		{api.MethodPost, "/", false},
		{api.MethodGet, "/node/inlet/", false},
		{api.MethodGet, "/node/inlet/a/b", false},
		{api.MethodDelete, "/node/portal", false},
		{api.MethodPost, "/node/" + strings.Repeat("x", 100000), false},
	} {
		node := &fake{}
		c := serve(t, control.NewServer(nil, node))
		r, err := c.Do(t.Context(), control.Request{
			Method: tt.method, Path: tt.path, HasBody: true, Body: unhex(t, "a10163686f70"),
		})
		if err != nil {
			t.Fatal(err)
		}
		e := api.ParseError(r)
		switch {
		case tt.ok && (r.Status != api.StatusOK || r.HasBody || len(node.called) != 1 || node.called[0] != "hop hop"):
			t.Errorf("%v %s: %+v, called %q", tt.method, tt.path, r, node.called)
		case !tt.ok && (r.Status != api.StatusBadRequest || !strings.HasPrefix(e.Message, "Invalid endpoint: ") || len(node.called) != 0):
			t.Errorf("%v %s: %+v, called %q", tt.method, tt.path, e, node.called)
		case len(r.Body) > 4096:
			t.Errorf("%v: an answer of %d bytes", tt.method, len(r.Body))
		}
	}
}
