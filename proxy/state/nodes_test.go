package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// createNode makes a node, and an identity for it if there is none.
func createNode(t testing.TB, s *state.Store, name string) *state.Node {
	t.Helper()
	if _, err := s.Named(t.Context(), ""); errors.Is(err, state.ErrNotFound) {
		createIdentity(t, s, "own")
	}
	n, err := s.CreateNode(t.Context(), state.Node{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantItem checks kind and name of an error, and that it says what to do.
func wantItem(t *testing.T, err, is error, kind, name string) {
	t.Helper()
	item, ok := errors.AsType[*state.ItemError](err)
	if !errors.Is(err, is) || !ok || item.Kind != kind || item.Name != name {
		t.Errorf("got %v, want %v of %s %q", err, is, kind, name)
	}
	if err != nil && name != "" && !strings.Contains(err.Error(), name) {
		t.Errorf("%q does not name %s", err, name)
	}
}

func defaultNode(t *testing.T, s *state.Store) string {
	t.Helper()
	all, err := s.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := ""
	for _, n := range all {
		if n.Default && name != "" {
			t.Errorf("two defaults: %s and %s", name, n.Name)
		} else if n.Default {
			name = n.Name
		}
	}
	return name
}

func TestNodes(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	_, err := s.NamedNode(ctx, "")
	wantItem(t, err, state.ErrNotFound, "node", "")
	_, err = s.CreateNode(ctx, state.Node{Name: "a"})
	wantItem(t, err, state.ErrNotFound, "identity", "")
	createIdentity(t, s, "app")
	_, err = s.CreateNode(ctx, state.Node{Name: "a", Identity: "nobody"})
	wantItem(t, err, state.ErrNotFound, "identity", "nobody")
	if all, err := s.Nodes(ctx); err != nil || len(all) != 0 {
		t.Errorf("after failures: %v, %v", all, err)
	}
	if len(s.Path()) == 0 {
		t.Error("no path")
	}

	full := state.Node{
		Name: "a", Identity: "app", Authority: true, ListenerAddress: "127.0.0.1:4000", HTTPAddress: "127.0.0.1:80",
		Verbosity: 2, Options: json.RawMessage(`{"udp":true}`), Process: state.Self(), Created: time.Unix(7, 0), Started: time.Unix(8, 0),
	}
	made, err := s.CreateNode(ctx, full)
	if err != nil {
		t.Fatal(err)
	}
	full.Default = true // the first one
	for _, got := range []func() (*state.Node, error){
		func() (*state.Node, error) { return made, nil },
		func() (*state.Node, error) { return s.NamedNode(ctx, "a") },
		func() (*state.Node, error) { return open(t, dir).NamedNode(ctx, "") },
	} {
		n, err := got()
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.ValueOf(*n)
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !reflect.DeepEqual(v.Field(i).Interface(), reflect.ValueOf(full).Field(i).Interface()) {
				t.Errorf("%s is %v", f.Name, v.Field(i))
			}
		}
	}
	_, err = s.CreateNode(ctx, state.Node{Name: "a"})
	wantItem(t, err, state.ErrExists, "node", "a")
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "a\n", strings.Repeat("x", 201)} {
		if _, err := s.CreateNode(ctx, state.Node{Name: name}); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	if _, err := s.CreateNode(ctx, state.Node{Name: "json", Options: json.RawMessage("{")}); err == nil {
		t.Error("options that are no JSON were accepted")
	}

	b := createNode(t, s, "b")
	if !b.Default || // commands do not talk to a, which is an authority
		b.Identity != "app" || b.Running() || time.Since(b.Created) > time.Minute || !b.Started.IsZero() {
		t.Errorf("b: %+v", b)
	}
	all, err := s.Nodes(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Errorf("%v, %v", all, err)
	}
}

func TestUpdateNode(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createNode(t, s, "a")
	createIdentity(t, s, "other")
	n, err := s.UpdateNode(ctx, "", func(n *state.Node) error {
		n.Name, n.Default, n.Identity, n.ListenerAddress = "ignored", false, "other", "127.0.0.1:1"
		return nil
	})
	if err != nil || n.Name != "a" || !n.Default || n.Identity != "other" || n.ListenerAddress != "127.0.0.1:1" {
		t.Errorf("%+v, %v", n, err)
	}
	failed := errors.New("failed")
	if _, err := s.UpdateNode(ctx, "a", func(n *state.Node) error { n.Verbosity = 9; return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	_, err = s.UpdateNode(ctx, "a", func(n *state.Node) error { n.Identity, n.Verbosity = "nobody", 9; return nil })
	wantItem(t, err, state.ErrNotFound, "identity", "nobody")
	if n, err := s.NamedNode(ctx, "a"); err != nil || n.Verbosity != 0 || n.Identity != "other" {
		t.Errorf("%+v, %v", n, err)
	}
	_, err = s.UpdateNode(ctx, "nope", func(*state.Node) error { t.Error("called"); return nil })
	wantItem(t, err, state.ErrNotFound, "node", "nope")
}

func TestDefaultNode(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createIdentity(t, s, "app")
	if _, err := s.CreateNode(ctx, state.Node{Name: "memory", InMemory: true, Process: state.Self()}); err != nil {
		t.Fatal(err)
	}
	if d := defaultNode(t, s); d != "" {
		t.Errorf("a node in memory is the default: %s", d)
	}
	if err := s.SetDefaultNode(ctx, "memory"); err == nil {
		t.Error("a node in memory was made the default")
	}
	for _, name := range []string{"a", "b", "c"} {
		createNode(t, s, name)
	}
	for _, tt := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "a"},
		{func() error { return s.SetDefaultNode(ctx, "c") }, "c"},
		{func() error { return s.SetDefaultNode(ctx, "c") }, "c"},
		{func() error {
			wantItem(t, s.SetDefaultNode(ctx, "nope"), state.ErrNotFound, "node", "nope")
			return nil
		}, "c"},
		{func() error { return s.DeleteNode(ctx, "c") }, "a"},
		{func() error { return s.DeleteNode(ctx, "b") }, "a"},
		{func() error { return s.DeleteNode(ctx, "") }, ""},
		{func() error { createNode(t, s, "d"); return nil }, "d"},
	} {
		if err := tt.do(); err != nil {
			t.Error(err)
		}
		if d := defaultNode(t, s); d != tt.want {
			t.Errorf("the default is %q, want %q", d, tt.want)
		}
	}
	wantItem(t, s.DeleteNode(ctx, "a"), state.ErrNotFound, "node", "a")
}

func TestProcess(t *testing.T) {
	self := state.Self()
	if self.PID != os.Getpid() || !self.Running() {
		t.Errorf("%+v does not run", self)
	}
	if (state.Process{}).Running() || state.FindProcess(-1).Running() || state.FindProcess(0) != (state.Process{}) {
		t.Error("no process runs")
	}
	reused := self
	reused.Start += "0"
	if reused.Running() {
		t.Error("another process with the same number counts as running")
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := state.FindProcess(cmd.Process.Pid)
	if !p.Running() {
		t.Errorf("%+v does not run", p)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Until Wait it is a zombie, as soon as the signal has done its work.
	for end := time.Now().Add(10 * time.Second); p.Running(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("a zombie counts as running")
			break
		}
	}
	if err := cmd.Wait(); err == nil || p.Running() {
		t.Errorf("%v", err)
	}
}

func TestNodeStartsAndStops(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	createNode(t, s, "a")
	_, err := s.NodeStarted(ctx, "nope", nil)
	wantItem(t, err, state.ErrNotFound, "node", "nope")
	for range 2 { // twice in one process is no matter of the record
		n, err := s.NodeStarted(ctx, "a", func(n *state.Node) error { n.ListenerAddress = "127.0.0.1:5"; return nil })
		if err != nil || !n.Running() || n.Process != state.Self() || n.ListenerAddress != "127.0.0.1:5" || time.Since(n.Started) > time.Minute {
			t.Errorf("%+v, %v", n, err)
		}
	}
	if err := s.NodeStopped(ctx, "a", state.Process{PID: 7}); err != nil {
		t.Error(err)
	}
	if n, err := s.NamedNode(ctx, "a"); err != nil || !n.Running() {
		t.Errorf("stopped as another process: %+v, %v", n, err)
	}
	if err := s.NodeStopped(ctx, "a", state.Self()); err != nil {
		t.Error(err)
	}
	if n, err := s.NamedNode(ctx, "a"); err != nil || n.Running() || n.Process.PID != 0 {
		t.Errorf("%+v, %v", n, err)
	}

	cmd := child(t, "run-node a", dir)
	lines, stop := startChild(t, cmd)
	if !lines.Scan() {
		t.Fatal("the child has not started")
	}
	n, err := s.NamedNode(ctx, "a")
	if err != nil || !n.Running() || n.Process.PID != cmd.Process.Pid {
		t.Errorf("%+v, %v", n, err)
	}
	_, err = s.NodeStarted(ctx, "a", nil)
	wantItem(t, err, state.ErrRunning, "node", "a")
	wantItem(t, s.DeleteNode(ctx, "a"), state.ErrRunning, "node", "a")
	if _, err := s.LockNode("a"); !errors.Is(err, state.ErrRunning) {
		t.Errorf("lock: %v", err)
	}
	if err := state.Reset(ctx, dir); !errors.Is(err, state.ErrRunning) {
		t.Errorf("Reset: %v, want ErrRunning", err)
	}
	stop() // by SIGKILL
	if n, err := s.NamedNode(ctx, "a"); err != nil || n.Running() || n.Process.PID != cmd.Process.Pid {
		t.Errorf("one that died: %+v, %v", n, err)
	}
	unlock, err := s.LockNode("a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := s.NodeStarted(ctx, "a", nil); err != nil {
		t.Error(err)
	}
	if err := s.DeleteNode(ctx, "a"); err != nil {
		t.Error(err)
	}
}

// TestKilledCommand: the node in memory of a command that was killed goes, and
// keeps nothing from being deleted.
func TestKilledCommand(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createIdentity(t, s, "app")
	dead := state.Self()
	dead.Start = "long ago"
	n := state.Node{Name: "m", InMemory: true, Identity: "app", Process: dead}
	for range 2 {
		if _, err := s.CreateNode(ctx, n); err != nil { // takes the place of the dead one
			t.Fatal(err)
		}
	}
	if err := s.DeleteIdentity(ctx, "app"); err != nil {
		t.Error(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	n.Identity, n.Process = "", state.Self()
	if made, err := s.CreateNode(ctx, n); err != nil || made.Identity != "" {
		t.Errorf("without a stored identity: %+v, %v", made, err)
	}
	if err := s.DeleteNode(ctx, "m"); err != nil {
		t.Error(err)
	}
}

func TestResources(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createNode(t, s, "a")
	createNode(t, s, "b")
	type inlet struct{ From, To string }
	r, err := state.NewResource(state.KindTCPInlet, "web", inlet{"127.0.0.1:80", "/service/outlet"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddResource(ctx, "", r); err != nil {
		t.Fatal(err)
	}
	wantItem(t, s.AddResource(ctx, "a", r), state.ErrExists, state.KindTCPInlet, "web")
	wantItem(t, s.AddResource(ctx, "nope", r), state.ErrNotFound, "node", "nope")
	for _, bad := range []state.Resource{{}, {Kind: "k", Version: 1}, {Kind: "k", Settings: r.Settings}} {
		if err := s.PutResource(ctx, "a", bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	hop := state.Resource{Kind: state.KindService, Name: "hop", Version: 3, Settings: json.RawMessage(`"x"`)}
	for _, node := range []string{"a", "b"} {
		if err := s.AddResource(ctx, node, hop); err != nil {
			t.Error(err)
		}
	}
	r.Settings = json.RawMessage(`{"From":"127.0.0.1:81","To":"/service/outlet"}`)
	if err := s.PutResource(ctx, "a", r); err != nil {
		t.Error(err)
	}
	all, err := s.NodeResources(ctx, "a", "")
	if err != nil || !reflect.DeepEqual(all, []state.Resource{r, hop}) {
		t.Errorf("%+v, %v", all, err)
	}
	var in inlet
	if err := all[0].Decode(1, &in); err != nil || in.From != "127.0.0.1:81" {
		t.Errorf("%+v, %v", in, err)
	}
	var text string
	if err := all[1].Decode(2, &text); !errors.Is(err, state.ErrNewer) {
		t.Errorf("a newer form: %v", err)
	}
	if all, err := s.NodeResources(ctx, "a", state.KindService); err != nil || !reflect.DeepEqual(all, []state.Resource{hop}) {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.DeleteResource(ctx, "a", state.KindTCPInlet, "web"); err != nil {
		t.Error(err)
	}
	wantItem(t, s.DeleteResource(ctx, "a", state.KindTCPInlet, "web"), state.ErrNotFound, state.KindTCPInlet, "web")
	if err := s.DeleteNode(ctx, "a"); err != nil {
		t.Error(err)
	}
	createNode(t, s, "a")
	if all, err := s.NodeResources(ctx, "a", ""); err != nil || len(all) != 0 {
		t.Errorf("after delete and create: %+v, %v", all, err)
	}
	if all, err := s.NodeResources(ctx, "b", ""); err != nil || len(all) != 1 {
		t.Errorf("the other node: %+v, %v", all, err)
	}
}

func TestPolicies(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	createNode(t, s, "a")
	ofType := state.Policy{Resource: "tcp-outlet", OfType: true, Action: "handle_message", Expression: "(= subject.has_credential true)"}
	echo := state.Policy{Resource: "echoer", OfType: true, Action: "handle_message", Expression: "true"}
	named := state.Policy{Resource: "zzz", Action: "handle_message", Expression: "false"}
	same := state.Policy{Resource: "tcp-outlet", Action: "handle_message", Expression: "named like a type"}
	if err := s.PutDefaultPolicies(ctx, "a", []state.Policy{ofType, echo}); err != nil {
		t.Fatal(err)
	}
	changed := echo
	changed.Expression = "changed"
	for _, p := range []state.Policy{named, changed, same} {
		if err := s.PutPolicy(ctx, "", p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutDefaultPolicies(ctx, "a", []state.Policy{ofType, echo}); err != nil { // keeps what was set
		t.Fatal(err)
	}
	want := []state.Policy{same, named, changed, ofType}
	if all, err := s.Policies(ctx, "a"); err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("%+v, %v", all, err)
	}
	if e, err := s.Policy(ctx, "a", state.Policy{Resource: "echoer", OfType: true, Action: "handle_message"}); err != nil || e != "changed" {
		t.Errorf("%q, %v", e, err)
	}
	if err := s.DeletePolicy(ctx, "a", same); err != nil {
		t.Error(err)
	}
	wantItem(t, s.DeletePolicy(ctx, "a", same), state.ErrNotFound, "policy", "tcp-outlet")
	_, err := s.Policy(ctx, "a", same)
	wantItem(t, err, state.ErrNotFound, "policy", "tcp-outlet")
	if all, err := s.Policies(ctx, "a"); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := s.DeleteNode(ctx, "a"); err != nil {
		t.Error(err)
	}
	_, err = s.Policies(ctx, "a")
	wantItem(t, err, state.ErrNotFound, "node", "a")
	createNode(t, s, "a")
	if all, err := s.Policies(ctx, "a"); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestCredentials(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	a, b := createIdentity(t, s, "a").Identifier, createIdentity(t, s, "b").Identifier
	createNode(t, s, "n")
	var all []state.StoredCredential
	for i, k := range []state.CredentialKey{
		{Node: "n", Issuer: a, Subject: b, Scope: "s"},
		{Node: "n", Issuer: a, Subject: b, Scope: ""},
		{Node: "n", Issuer: b, Subject: a, Scope: "s"},
		{Node: "", Issuer: a, Subject: b, Scope: "s"},
	} {
		c := state.StoredCredential{CredentialKey: k, Credential: []byte{byte(i), 1}, ExpiresAt: identity.Timestamp(i)}
		_, err := s.Credential(ctx, k)
		wantItem(t, err, state.ErrNotFound, "credential", k.Scope)
		for _, v := range []byte{9, 1} { // the second takes the place of the first
			c.Credential[1] = v
			if err := s.PutCredential(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := open(t, dir).Credential(ctx, k); err != nil || !reflect.DeepEqual(*got, c) {
			t.Errorf("%+v, %v", got, err)
		}
		all = append(all, c)
	}
	if got, err := s.Credentials(ctx, "n"); err != nil || !reflect.DeepEqual(got, all[:3]) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := s.Credentials(ctx, "unknown"); err != nil || len(got) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.DeleteCredential(ctx, all[0].CredentialKey); err != nil {
		t.Error(err)
	}
	wantItem(t, s.DeleteCredential(ctx, all[0].CredentialKey), state.ErrNotFound, "credential", "s")
	if err := s.DeleteNode(ctx, "n"); err != nil {
		t.Error(err)
	}
	if got, err := s.Credentials(ctx, "n"); err != nil || len(got) != 0 {
		t.Errorf("after the node: %+v, %v", got, err)
	}
	if got, err := s.Credentials(ctx, ""); err != nil || len(got) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestNodesAtOnce: several stores on one home create, change, default and
// delete nodes at once; there is one default at any time.
func TestNodesAtOnce(t *testing.T) {
	dir := home(t)
	first := open(t, dir)
	createNode(t, first, "shared")
	var wait sync.WaitGroup
	created := make(chan string, 4)
	for i := range 4 {
		s := open(t, dir)
		wait.Go(func() {
			ctx := t.Context()
			if _, err := s.CreateNode(ctx, state.Node{Name: "race"}); err == nil {
				created <- "race"
			} else if !errors.Is(err, state.ErrExists) {
				t.Error(err)
			}
			for j := range 10 {
				name := fmt.Sprintf("n-%d-%d", i, j)
				_, err := s.CreateNode(ctx, state.Node{Name: name})
				_, updated := s.UpdateNode(ctx, "shared", func(n *state.Node) error { n.Verbosity++; return nil })
				err = errors.Join(err, updated, s.SetDefaultNode(ctx, name))
				all, listed := s.Nodes(ctx)
				defaults := 0
				for _, n := range all {
					if n.Default {
						defaults++
					}
				}
				if err = errors.Join(err, listed, s.DeleteNode(ctx, name)); err != nil || defaults != 1 {
					t.Errorf("%d defaults, %v", defaults, err)
				}
			}
		})
	}
	wait.Wait()
	if len(created) != 1 {
		t.Errorf("%d stores have created the same node", len(created))
	}
	if n, err := first.NamedNode(t.Context(), "shared"); err != nil || n.Verbosity != 40 {
		t.Errorf("%+v, %v: want every change", n, err)
	}
	if d := defaultNode(t, first); d != "shared" {
		t.Errorf("the default is %q", d)
	}
}
