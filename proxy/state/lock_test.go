package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ockam/proxy/state"
)

func TestLockNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	first, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := state.Open(t.Context(), dir) // as another process has it
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()

	unlock, err := first.LockNode("db")
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.LockNode("db")
	if !errors.Is(err, state.ErrRunning) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("a second lock: %v, want ErrRunning and the process that has it", err)
	}
	other, err := second.LockNode("app")
	if err != nil {
		t.Errorf("another node's lock: %v", err)
	} else {
		other()
	}
	unlock()
	again, err := second.LockNode("db")
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	again()
}

// TestLocksGoWithNodes: nodes that were deleted leave no lock behind, but one
// that is held stays.
func TestLocksGoWithNodes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	s := open(t, dir)
	createNode(t, s, "a")
	unlock, err := s.LockNode("a")
	if err != nil {
		t.Fatal(err)
	}
	locks := filepath.Join(dir, "locks")
	if err := s.DeleteNode(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, locks, "a")
	if _, err := s.LockNode("a"); !errors.Is(err, state.ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	unlock()
	createNode(t, s, "a")
	if err := s.DeleteNode(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, locks)
}

// TestLockOfKilled checks that a node whose process counts as ended can be run:
// that one is killed while some of its threads still end.
func TestLockOfKilled(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createNode(t, s, "a")
	for i := range 20 {
		cmd := child(t, "run-node a", dir)
		lines, stop := startChild(t, cmd)
		if !lines.Scan() || lines.Text() != "runs" {
			t.Fatalf("run %d: %q, %v", i, lines.Text(), lines.Err())
		}
		p := state.FindProcess(cmd.Process.Pid)
		if err := cmd.Process.Signal(os.Kill); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); p.Running(); {
			if time.Now().After(end) {
				t.Fatal("it does not end")
			}
		}
		unlock, err := s.LockNode("a")
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		unlock()
		stop()
	}
}
