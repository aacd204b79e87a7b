package state_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// The test program runs itself as another process: childTask says what that
// shall do in the home given.
const childTask = "OCKAM_STATE_TEST_TASK"

func TestMain(m *testing.M) {
	task, dir, _ := strings.Cut(os.Getenv(childTask), " ")
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

func child(t *testing.T, task, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childTask+"="+task+" "+dir)
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
