package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ockam/proxy/state"
)

// askHTTP is "http METHOD PATH NODE": it asks the HTTP server of a node, which is
// where the node's record says, or the one at the address in the file NODE, and
// leaves the status and the body in the file answer; "! http" wants that nobody
// answers.
func askHTTP(ts *testscript.TestScript, neg bool, args []string) {
	addr := ""
	if b, err := os.ReadFile(ts.MkAbs(args[2])); err == nil {
		addr = strings.Trim(strings.TrimSpace(string(b)), `"`)
	} else {
		s, err := state.Open(context.Background(), ts.Getenv("OCKAM_HOME"))
		ts.Check(err)
		n, err := s.NamedNode(context.Background(), args[2])
		ts.Check(errors.Join(err, s.Close()))
		addr = n.HTTPAddress
	}
	answer, err := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, args[0], "http://"+addr+args[1], nil)
		if err != nil {
			return "", err
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		a, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer func() { _ = a.Body.Close() }()
		body, err := io.ReadAll(a.Body)
		return fmt.Sprintf("%d\n%s\n", a.StatusCode, body), err
	}()
	if neg != (err != nil) {
		ts.Fatalf("%s: %q, %v", addr, answer, err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("answer"), []byte(answer), 0o600))
}
