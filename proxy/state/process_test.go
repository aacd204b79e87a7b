package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// The test program runs itself as another process: childTask says what that
// shall do in the home given.
const childTask = "OCKAM_STATE_TEST_TASK"

func TestMain(m *testing.M) {
	task, dir, _ := strings.Cut(os.Getenv(childTask), "@")
	if task == "" {
		os.Exit(m.Run())
	}
	if err := runChild(task, dir); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func runChild(task, dir string) error {
	ctx := context.Background()
	s, err := state.Open(ctx, dir)
	if err != nil {
		return err
	}
	if name, ok := strings.CutPrefix(task, "run-node "); ok {
		return runNode(ctx, s, name)
	}
	if task == "change-for-ever" {
		return change(ctx, s)
	}
	n := 10
	if task == "write-for-ever" {
		n = 1 << 30
	}
	for i := range n {
		name := fmt.Sprintf("child-%d-%d", os.Getpid(), i)
		made, err := s.CreateIdentity(ctx, name, identity.CreateOptions{})
		if err != nil {
			return err
		}
		fmt.Println(name, made.Identifier) // it is done
	}
	return s.Close()
}

// runNode runs a node until it is killed, or its parent ends.
func runNode(ctx context.Context, s *state.Store, name string) error {
	unlock, err := s.LockNode(name)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := s.NodeStarted(ctx, name, nil); err != nil {
		return err
	}
	fmt.Println("runs")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// change makes, moves and deletes vaults, identities and nodes until it is
// killed, and says before each step which it is.
func change(ctx context.Context, s *state.Store) error {
	for i := range 1 << 30 {
		name := fmt.Sprintf("c-%d-%d", os.Getpid(), i)
		fmt.Println(name)
		resource, err := state.NewResource(state.KindTCPOutlet, name, i)
		_, err2 := s.CreateVault(ctx, name, "")
		_, err3 := s.CreateIdentityIn(ctx, name, name, identity.CreateOptions{})
		_, err4 := s.MoveVault(ctx, name, filepath.Join(filepath.Dir(s.Path()), name))
		_, err5 := s.CreateNode(ctx, state.Node{Name: name, Identity: name})
		err6 := s.AddResource(ctx, name, resource)
		_, err7 := s.RotateIdentity(ctx, name, identity.RotateOptions{})
		if err := errors.Join(err, err2, err3, err4, err5, err6, err7); err != nil {
			return err
		}
		if i%3 != 0 {
			continue
		}
		if err := errors.Join(s.DeleteNode(ctx, name), s.DeleteIdentity(ctx, name), s.DeleteVault(ctx, name)); err != nil {
			return err
		}
	}
	return nil
}

// startChild starts a child; stop kills it and waits for its end.
func startChild(t *testing.T, cmd *exec.Cmd) (lines *bufio.Scanner, stop func()) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // open as long as this process lives
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(out), func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	}
}

func child(t *testing.T, task, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childTask+"="+task+"@"+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// reported checks that what a child has reported as done is there and works.
func reported(t *testing.T, s *state.Store, lines []string) {
	t.Helper()
	for _, line := range lines {
		name, id, _ := strings.Cut(line, " ")
		got, err := s.Identity(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if got.Identifier().String() != id {
			t.Errorf("%s: got %v", line, got.Identifier())
		}
		if _, err := got.Vault.Sign(got.History.LatestKey().Handle(), nil); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestProcessesAtOnce lets processes make one home, and write in it, at the
// same time as this one.
func TestProcessesAtOnce(t *testing.T) {
	dir := home(t)
	outputs := make(chan string)
	const children = 3
	for range children {
		cmd := child(t, "write", dir)
		go func() {
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("child: %v: %s", err, out)
			}
			outputs <- string(out)
		}()
	}
	s := open(t, dir)
	for i := range 10 {
		createIdentity(t, s, fmt.Sprintf("parent-%d", i))
	}
	for range children {
		lines := strings.Split(strings.TrimSpace(<-outputs), "\n")
		if len(lines) != 10 {
			t.Errorf("a child has made %d identities", len(lines))
		}
		reported(t, s, lines)
	}
	all, err := s.Identities(t.Context())
	if err != nil || len(all) != 10*(children+1) {
		t.Errorf("%d identities, %v", len(all), err)
	}
	defaults := 0
	for _, n := range all {
		if n.Default {
			defaults++
		}
	}
	if defaults != 1 {
		t.Errorf("%d default identities", defaults)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// TestKilled kills a process in the middle of its writing, several times on
// the same home.
func TestKilled(t *testing.T) {
	dir := home(t)
	var all []string
	for round := range 6 {
		cmd := child(t, "write-for-ever", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			all = append(all, lines.Text())
			if n == round*7 { // what it had written by the time it dies is read as well
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || lines.Err() != nil {
			t.Fatalf("the child ended by itself: %v, %v", err, lines.Err())
		}
		s := open(t, dir)
		reported(t, s, all)
		createIdentity(t, s, fmt.Sprintf("round-%d", round))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d identities survived", len(all))
}

// TestKilledWhileChanging kills a process while it makes, moves and deletes
// vaults, identities and nodes. Whatever is there afterwards must be whole, and
// what was under way can be done again.
func TestKilledWhileChanging(t *testing.T) {
	dir := home(t)
	first := open(t, dir)
	createIdentity(t, first, "first") // has the vault in the database
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 8 {
		cmd := child(t, "change-for-ever", dir)
		lines, _ := startChild(t, cmd)
		last := ""
		for n := 0; lines.Scan(); n++ {
			last = lines.Text()
			if n == round%3 {
				// At another moment within the steps in each round.
				time.Sleep(time.Duration(round) * 3 * time.Millisecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		s := open(t, dir)
		whole(t, s)
		finish(t, s, last)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 8 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if err := state.Reset(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// whole checks that every identity works and every node has one.
func whole(t *testing.T, s *state.Store) {
	t.Helper()
	ctx := t.Context()
	all, err := s.Identities(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		id, err := s.Identity(ctx, n.Name)
		if err != nil {
			t.Errorf("%+v: %v", n, err)
			continue
		}
		if _, err := id.Vault.Sign(id.History.LatestKey().Handle(), nil); err != nil {
			t.Errorf("%+v: %v", n, err)
		}
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if _, err := s.Identity(ctx, n.Identity); err != nil || n.Identity == "" {
			t.Errorf("%+v: %v", n, err)
		}
	}
}

// finish does the steps of change that may not have been done.
func finish(t *testing.T, s *state.Store, name string) {
	t.Helper()
	ctx := t.Context()
	done := func(what string, err error) {
		if err != nil && !errors.Is(err, state.ErrExists) && !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.CreateVault(ctx, name, "")
	done("create vault", err)
	if _, err := s.NamedVault(ctx, name); err != nil {
		t.Errorf("the vault cannot be made again: %v", err)
	}
	moved := filepath.Join(filepath.Dir(s.Path()), name)
	_, err = s.CreateIdentityIn(ctx, name, name, identity.CreateOptions{})
	if errors.Is(err, os.ErrNotExist) { // it was being deleted: the keys go first
		if err := s.DeleteVault(ctx, name); err != nil {
			t.Errorf("delete vault, again: %v", err)
		}
		finish(t, s, name)
		return
	}
	done("create identity", err)
	if v, err := s.NamedVault(ctx, name); err == nil && v.Path != moved {
		if _, err := s.MoveVault(ctx, name, moved); err != nil {
			t.Errorf("the vault cannot be moved: %v", err)
		}
	}
	whole(t, s)
	done("delete node", s.DeleteNode(ctx, name))
	done("delete identity", s.DeleteIdentity(ctx, name))
	if err := s.DeleteVault(ctx, name); err != nil {
		t.Errorf("delete vault: %v", err)
	}
}
