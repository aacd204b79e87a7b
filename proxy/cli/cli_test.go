package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ockam/config"
	"ockam/proxy/cli"
	"ockam/proxy/node"
	"ockam/proxy/state"
	"ockam/transports/transporttest"
)

// A run of the tests looks for data races also in the nodes that they leave in the
// background.
type catching struct{ *testing.M }

func (c catching) Run() int { return transporttest.RunCatchingRaces(c.M) }

func TestMain(m *testing.M) {
	testscript.Main(catching{m}, map[string]func(){
		"ockam": func() {
			if os.Getenv("FAKE_NODES") != "" {
				cli.SetRunNodes(fakeNodes)
			}
			os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// fakeNodes stands for the node runtime in the scripts that are about the
// command around it. The variable FAKE_NODES says how it ends: "drain" as it
// should, "hang" never, "fail" with an error.
func fakeNodes(ctx context.Context, f *config.File, opt node.Options, drain time.Duration) error {
	opt.Log.Info("nodes start")
	opt.Log.Debug("details")
	for _, n := range f.Nodes {
		opt.Status(node.Event{Node: n.Name, Kind: "identity", Text: "is I00, for this run", Up: true})
		for _, in := range n.TCPInlets {
			opt.Status(node.Event{Node: n.Name, Kind: "inlet", Name: in.Name, Text: "listens on " + in.From.String(), Addr: in.From.String(), Up: true})
			opt.Status(node.Event{Node: n.Name, Kind: "inlet", Name: in.Name, Text: "is connected to its outlet", Up: true})
		}
	}
	switch os.Getenv("FAKE_NODES") {
	case "fail":
		return errors.New("node app: inlet db: 127.0.0.1:1 is in use")
	case "hang":
		select {}
	}
	<-ctx.Done()
	opt.Status(node.Event{Node: "all", Kind: "nodes", Text: "drained within " + drain.String()})
	return nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("OCKAM_HOME", home)
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Defer(func() {
				if left := endNodes(t, home); len(left) > 0 {
					t.Errorf("nodes were left running: %v", left)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "kill9": kill9, "http": askHTTP},
	})
}

// nodesOf returns the nodes of a home, none if there is no home.
func nodesOf(t testing.TB, home string) []state.Node {
	if _, err := os.Stat(filepath.Join(home, "database.sqlite3")); err != nil {
		return nil
	}
	s, err := state.Open(context.Background(), home)
	if err != nil {
		t.Error(err)
		return nil
	}
	all, err := s.Nodes(context.Background())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Error(err)
	}
	return all
}

// endNodes ends the processes of the nodes of a home and returns the names of
// those that ran.
func endNodes(t testing.TB, home string) (left []string) {
	for _, n := range nodesOf(t, home) {
		if p, err := os.FindProcess(n.Process.PID); err == nil && n.Running() {
			left = append(left, n.Name)
			_ = p.Kill() // it may have ended by now
		}
	}
	return left
}

// kill9 is "kill9 NODE": it kills the process of a node without a warning.
func kill9(ts *testscript.TestScript, _ bool, args []string) {
	s, err := state.Open(context.Background(), ts.Getenv("OCKAM_HOME"))
	ts.Check(err)
	n, err := s.NamedNode(context.Background(), args[0])
	ts.Check(errors.Join(err, s.Close()))
	p, err := os.FindProcess(n.Process.PID)
	ts.Check(err)
	ts.Check(p.Kill())
	for late := time.Now().Add(5 * time.Second); n.Running(); {
		if time.Now().After(late) {
			ts.Fatalf("the process %d does not end", p.Pid)
		}
		time.Sleep(time.Millisecond) // it is no child: there is nothing to wait for
	}
}

// until is "until PATTERN SIGNALS ARGUMENT…": it runs ockam with the
// arguments and sends the first of the signals ("term", "int", "term,int")
// when a line of standard output matches, the second when the first has been
// understood. It leaves what was printed in the files out and err, and fails
// if the exit status is not 0; "! until" if it is.
func until(ts *testscript.TestScript, neg bool, args []string) {
	pattern, signals := regexp.MustCompile(args[0]), strings.Split(args[1], ",")
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "ockam"))
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"PATH", "OCKAM_HOME", "FAKE_NODES", "OCKAM_LOG_LEVEL", "GORACE"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var late atomic.Bool
	kill := time.AfterFunc(20*time.Second, func() {
		late.Store(true)
		_ = cmd.Process.Kill()
	})
	var wg sync.WaitGroup
	var errs string
	wg.Go(func() {
		var second []string
		if len(signals) > 1 {
			second = signals[1:]
		}
		errs, _ = signalAt(cmd.Process, stderr, regexp.MustCompile("Ending"), second)
	})
	out, seen := signalAt(cmd.Process, stdout, pattern, signals[:1])
	wg.Wait()
	err = cmd.Wait()
	kill.Stop()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs), 0o600))
	switch {
	case !seen:
		ts.Fatalf("no line matches %s; standard output:\n%sstandard error:\n%s", args[0], out, errs)
	case late.Load():
		ts.Fatalf("still running 20 s after it was started; standard error:\n%s", errs)
	case neg != (err != nil):
		ts.Fatalf("%v; standard error:\n%s", err, errs)
	}
}

// signalAt reads r to its end and sends the signals when a line matches. It
// returns what it read and whether a line matched.
func signalAt(p *os.Process, r io.Reader, pattern *regexp.Regexp, signals []string) (string, bool) {
	var all strings.Builder
	seen := false
	for s := bufio.NewScanner(r); s.Scan(); {
		all.WriteString(s.Text() + "\n")
		if seen || !pattern.MatchString(s.Text()) {
			continue
		}
		seen = true
		for _, name := range signals {
			sig := map[string]os.Signal{"term": syscall.SIGTERM, "int": os.Interrupt}[name]
			if err := p.Signal(sig); err != nil {
				all.WriteString(err.Error() + "\n")
			}
		}
	}
	return all.String(), seen
}

// TestMainInProcess calls Main as another program would.
func TestMainInProcess(t *testing.T) {
	var out, errs bytes.Buffer
	if code := cli.Main([]string{"version", "--output", "json", "--compact-output"}, nil, &out, &errs); code != 0 {
		t.Errorf("exit status %d: %s", code, &errs)
	}
	if !bytes.HasPrefix(out.Bytes(), []byte(`{"compiled_from":`)) {
		t.Errorf("got %q", out.String())
	}
	if code := cli.Main([]string{"version", "x"}, nil, io.Discard, &errs); code != 64 {
		t.Errorf("exit status %d, want 64", code)
	}
}
