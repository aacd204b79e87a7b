package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"ockam/proxy/state"
)

// defaultListen is where nodes listen by default: a free port that only this
// machine reaches.
const defaultListen = "127.0.0.1:0"

// nodeOptions say what node to make and how.
type nodeOptions struct {
	name, identity, listen string
	verbosity              int // at least
	nodeSettings
}

// readyLine is what a background node prints once it answers. The one who
// started it waits for that.
const readyLine = "ready"

// checkNodeName refuses what cannot be the name of a node. The empty name
// stands for a random one where there is no argument.
func checkNodeName(name string) error {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' {
			return fmt.Errorf("Invalid value for NAME_OR_CONFIGURATION: %q is no file that is there, and no name of letters, digits, _ and -", name) //nolint:staticcheck // the words that scripts look for
		}
	}
	return nil
}

// ensureIdentity makes the identity of that name, or the default one, if it
// does not exist, and says so. It returns its name.
func (c *console) ensureIdentity(ctx context.Context, s *store, name string) (string, error) {
	id, err := s.Named(ctx, name)
	if err == nil {
		return id.Name, nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return "", err
	}
	if name == "" {
		if name, err = s.freeName(ctx); err != nil {
			return "", err
		}
	}
	id, created, err := s.create(ctx, name)
	if err != nil || !created {
		return name, err
	}
	c.sayCreated(id)
	return name, nil
}

// nodeFolder is where the logs of a node are.
func nodeFolder(name string) (string, error) {
	home, err := state.Home()
	if err != nil {
		return "", err
	}
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\`) {
		return "", fmt.Errorf("%q cannot be the name of a folder", name)
	}
	return filepath.Join(home, "nodes", name), nil
}

// newestLog is the log file of a node that was written last.
func newestLog(name string) (string, error) {
	folder, err := nodeFolder(name)
	if err != nil {
		return "", err
	}
	all, err := filepath.Glob(filepath.Join(folder, "stdout.*.log"))
	if err != nil || len(all) == 0 {
		return "", absent(fmt.Sprintf("the node %q has no log: only nodes in the background write one", name))
	}
	return slices.Max(all), nil // the date is in the name, and those put aside come before
}

// createInBackground makes a node that runs in a process of its own, waits
// until it answers and prints the result.
func (c *console) createInBackground(ctx context.Context, s *store, o *nodeOptions) (*state.Node, error) {
	if err := c.mayCreate(ctx, s, o.name); err != nil {
		return nil, err
	}
	if err := c.startProcess(ctx, s, o); err != nil {
		return nil, err
	}
	if !c.quiet {
		if err := c.printListener(o.Launch.listener()); err != nil {
			return nil, err
		}
	}
	rec, err := s.NamedNode(ctx, o.name)
	if err != nil {
		return nil, err
	}
	return rec, c.printNode(ctx, s, rec, o.name)
}

// mayCreate refuses the name of a node that runs.
func (c *console) mayCreate(ctx context.Context, s *store, name string) error {
	rec, err := s.NamedNode(ctx, name)
	switch {
	case errors.Is(err, state.ErrNotFound):
		return nil
	case err != nil:
		return err
	case rec.Running():
		return &failure{
			code: codeExists, err: fmt.Errorf("the node %q has been already created, and runs", name),
			help: "Choose another name, or end it: ockam node delete " + name,
		}
	}
	return nil
}

// startProcess starts this program again, as a node in the background, and
// waits until the node answers. It fails as soon as that process has died.
func (c *console) startProcess(ctx context.Context, s *store, o *nodeOptions) error {
	identity, err := c.ensureIdentity(ctx, s, o.identity)
	if err != nil {
		return err
	}
	timeout, err := defaultTimeout()
	if _, bad := logLimitsFromEnv(); bad != nil {
		err = errors.Join(err, bad)
	}
	if err != nil {
		return err
	}
	before, err := s.NamedNode(ctx, o.name)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	log, err := openNodeLog(o.name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the node has its own
	child, err := c.nodeCommand(o, identity)
	if err != nil {
		return err
	}
	child.Stderr = log // until the node begins another file; what is said when it dies
	written, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("the node cannot be started: %w", err)
	}
	why := awaitReady(ctx, out, timeout)
	if why == "" {
		return errors.Join(out.Close(), child.Process.Release())
	}
	_ = child.Process.Kill() // it may have ended
	_ = child.Wait()         // its end is what is reported
	failed := &failure{err: fmt.Errorf("the node %q was not started: %s%s", o.name, why, endOfLog(log.Name(), written))}
	if child.ProcessState.ExitCode() == exitCannotCreate {
		failed.status = exitCannotCreate
	}
	return errors.Join(failed, s.putBack(context.WithoutCancel(ctx), o.name, before)) // it may have been killed before it could
}

// openNodeLog opens the log of a node, to be written at its end.
func openNodeLog(name string) (*os.File, error) {
	folder, err := nodeFolder(name)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the node's log cannot be made: %w", err)
	}
	log, err := os.OpenFile(logPath(folder, logDate(time.Now())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the node's log cannot be written: %w", err)
	}
	return log, nil
}

// nodeCommand returns the command that runs a node: this program once more.
func (c *console) nodeCommand(o *nodeOptions, identity string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		program = "ockam"
		if p := getenv("OCKAM"); p != "" {
			program = p
		}
	}
	args := []string{
		"node", "create", "--foreground", "--child-process", "--no-color",
		"--tcp-listener-address", o.listen, "--identity", identity,
	}
	args = append(args, strings.Fields(strings.Repeat("-v ", max(2, o.verbosity, c.verbosity)))...)
	settings, err := o.args()
	if err != nil {
		return nil, err
	}
	child := exec.Command(program, append(append(args, settings...), "--", o.name)...)
	child.Env = os.Environ()
	if o.Rendezvous != "" { // that of when the node was made
		child.Env = append(child.Env, "OCKAM_RENDEZVOUS_SERVER="+o.Rendezvous)
	}
	if o.Server != nil {
		text, err := json.Marshal(o.Server)
		if err != nil {
			return nil, err
		}
		child.Env = append(child.Env, serverVariable+"="+string(text))
	}
	child.SysProcAttr = ownSession()
	return child, nil
}

// awaitReady waits until a node's output says that it answers, and returns why
// that is not so; empty if it is.
func awaitReady(ctx context.Context, out io.Reader, timeout time.Duration) (why string) {
	ready := make(chan error, 1)
	go func() { // ends with the pipe, at the latest when the node is killed
		line, err := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) == readyLine {
			err = nil
		} else if err == nil {
			err = fmt.Errorf("unexpected line %q", line)
		}
		ready <- err
	}()
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case err := <-ready:
		if err == nil {
			return ""
		}
		return "its process ended"
	case <-late.C:
		return fmt.Sprintf("it does not answer within %s", timeout)
	case <-ctx.Done():
		return ctx.Err().Error()
	}
}

// endOfLog returns the last lines of a log, behind what was there before.
func endOfLog(path string, from int64) string {
	b, err := os.ReadFile(path)
	if err != nil || int64(len(b)) <= from {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b[from:])), "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-6):], "\n")
}

// stopProcess ends the process of a node: it is asked to, and killed when it
// has not ended soon.
func (c *console) stopProcess(ctx context.Context, s *store, rec *state.Node) error {
	p := rec.Process
	if rec.Running() {
		process, err := os.FindProcess(p.PID)
		if err != nil {
			return err
		}
		for _, sig := range []os.Signal{syscall.SIGTERM, os.Kill} {
			if err := process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) && p.Running() {
				c.say(markWarning, "the process %d of the node %s cannot be ended: %v", p.PID, rec.Name, err)
			}
			if awaitEnd(ctx, p, 5*time.Second) {
				break
			}
		}
		if p.Running() {
			return fmt.Errorf("the process %d of the node %q does not end", p.PID, rec.Name)
		}
	}
	err := s.NodeStopped(ctx, rec.Name, p)
	if errors.Is(err, state.ErrNotFound) {
		return nil
	}
	return err
}

// awaitEnd waits until a process, which is not a child of this one, has ended.
func awaitEnd(ctx context.Context, p state.Process, patience time.Duration) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for p.Running() {
		select {
		case <-tick.C:
		case <-late.C:
			return !p.Running()
		case <-ctx.Done():
			return false
		}
	}
	return true
}
