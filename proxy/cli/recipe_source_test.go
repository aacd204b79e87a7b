package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecipeFromServer fetches configurations. Those that are no mapping are
// refused with the words for that, once they have been fetched.
func TestRecipeFromServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/node.yaml":
			fmt.Fprint(w, "name: from-url\ntcp-outlet: {to: 5432}\n")
		case "/list.yaml":
			fmt.Fprint(w, "[]")
		case "/moved.yaml":
			http.Redirect(w, r, "/list.yaml", http.StatusFound)
		case "/large.yaml":
			fmt.Fprint(w, "#", strings.Repeat("x", 1<<20))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	h := &home{dir: filepath.Join(dir, "home")}
	defer endNodes(t, h.dir)
	bare := strings.TrimPrefix(server.URL, "http://")
	for _, tt := range []struct{ name, arg, want string }{
		{"URL", server.URL + "/list.yaml", "a configuration is a mapping"},
		{"host, port and path", bare + "/list.yaml", "a configuration is a mapping"},
		{"redirect", server.URL + "/moved.yaml", "a configuration is a mapping"},
		{"not there", server.URL + "/x.yaml", "the server answered 404"},
		{"large", server.URL + "/large.yaml", "larger than 1 MiB"},
		{"no path", bare, "Invalid value for NAME_OR_CONFIGURATION"},
		{"another scheme", "ftp://" + bare + "/list.yaml", "Invalid value for NAME_OR_CONFIGURATION"},
		{"a node", bare + "/node.yaml", "/service/outlet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := h.command([]string{"node", "create", tt.arg}, dir).CombinedOutput()
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("got %v and\n%s\nwant %q", err, out, tt.want)
			}
		})
	}
}
