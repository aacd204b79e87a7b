//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is one running program whose output is kept in a file. It is
// ended, by its own id, when the test ends.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has been waited for
	err  error         // result of the wait, valid after done
}

// command describes a process to start.
type command struct {
	name string
	argv []string
	env  []string // added to a small fixed environment
	dir  string
	cred *syscall.Credential

	// For runFor only; nil means no input, and output kept in the result.
	stdin  io.Reader
	stdout io.Writer
	// interrupt, if not nil, is called meanwhile; SIGINT is sent when it returns.
	interrupt func()
}

// start runs c in the background.
func start(t testing.TB, c command) *process {
	t.Helper()
	p, err := startProcess(t, c)
	if err != nil {
		t.Fatalf("starting %s: %v", c.name, err)
	}
	return p
}

func startProcess(t testing.TB, c command) (*process, error) {
	log, err := os.CreateTemp(t.TempDir(), filepath.Base(c.name)+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(baseEnv(), c.env...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.cred}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{t: t, name: c.name, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		p.check()
	})
	return p, nil
}

// baseEnv is the environment of every process: nothing of the caller's own
// settings except what finds programs and temporary files.
func baseEnv() []string {
	env := []string{"LC_ALL=C", "NO_COLOR=true", "HOME=/nonexistent"}
	for _, name := range []string{"PATH", "TMPDIR", "GORACE", "GOMAXPROCS"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// pid returns the process id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// signal sends sig to the process alone.
func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// running tells whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process as a crash would and waits for it.
func (p *process) kill() {
	if p.running() {
		_ = p.cmd.Process.Kill()
	}
	<-p.done
}

// wait waits for the process to end by itself and returns its exit code; a
// signal counts as -1.
func (p *process) wait(limit time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("%s still runs after %v", p.name, limit)
	}
}

// terminate sends SIGTERM and demands exit code 0 within limit.
func (p *process) terminate(limit time.Duration) {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	code, err := p.wait(limit)
	if err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	} else if code != 0 {
		p.t.Errorf("%s: exit code %d after SIGTERM, want 0", p.name, code)
	}
}

// output returns what the process has printed so far.
func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// check fails the test when the output tells of a crash or a data race, and
// shows the end of the output of every process of a failed test.
func (p *process) check() {
	out := p.output()
	for _, bad := range []string{"WARNING: DATA RACE", "\npanic:", "fatal error:", "goroutine 1 ["} {
		if i := strings.Index(out, bad); i >= 0 {
			p.t.Errorf("%s crashed:\n%s", p.name, out[i:min(len(out), i+6000)])
			return
		}
	}
	if p.t.Failed() {
		p.t.Logf("output of %s (pid %d, %v):\n%s", p.name, p.pid(), p.cmd.ProcessState, tail(out, 4000))
	}
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// residentKiB returns the resident memory of the process in KiB.
func (p *process) residentKiB() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmRSS:")); ok {
			f := bytes.Fields(rest)
			if len(f) > 0 {
				return strconv.ParseInt(string(f[0]), 10, 64)
			}
		}
	}
	return 0, errors.New("no VmRSS")
}

// cpu returns the user and system time the process has used, in steps of the
// kernel's clock tick (10 ms).
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0, err
	}
	// The command name, in parentheses, may hold spaces.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("short stat line of %s", p.name)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

// result is what a finished command printed.
type result struct {
	stdout, stderr string
	code           int
}

// runFor runs c to its end, at most limit, and returns its output.
func runFor(t testing.TB, limit time.Duration, c command) (result, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, &stdout, &stderr
	if c.stdout != nil {
		cmd.Stdout = c.stdout
	}
	cmd.Env = append(baseEnv(), c.env...)
	cmd.Dir = c.dir
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.cred}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	if c.interrupt != nil {
		defer wait(func() {
			c.interrupt()
			_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		})()
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	late := !timer.Stop()
	r := result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if late {
		return r, fmt.Errorf("%s: not finished after %v", c.name, limit)
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return r, err
	}
	return r, nil
}

// mustRun is runFor that demands exit code 0 and returns standard output.
func mustRun(t testing.TB, limit time.Duration, c command) string {
	t.Helper()
	r, err := runFor(t, limit, c)
	if err != nil || r.code != 0 {
		t.Fatalf("%s: exit code %d, %v\nstdout: %s\nstderr: %s", c.name, r.code, err, tail(r.stdout, 2000), tail(r.stderr, 4000))
	}
	return r.stdout
}

// eventually tries f until it returns nil, at most limit, and returns how
// long that took.
func eventually(t testing.TB, limit time.Duration, f func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := f()
		if err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > limit {
			t.Fatalf("not within %v: %v", limit, err)
		}
		time.Sleep(20 * time.Millisecond) // polls another process: nothing to wait on
	}
}
