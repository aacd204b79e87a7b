package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/transports/transporttest"
)

// processesOf returns the processes that have a home in their environment.
func processesOf(t *testing.T, home string) (all []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ")) // it may have ended, or be another user's
		if err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == "OCKAM_HOME="+home }) {
			all = append(all, pid)
		}
	}
	return all
}

// wantNothingLeft checks that no process of the home runs any more, and that of
// its nodes nothing but what every home has is left.
func wantNothingLeft(t *testing.T, h *home) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); len(processesOf(t, h.dir)) > 0; {
		if time.Now().After(late) {
			t.Fatalf("processes that are left: %v", processesOf(t, h.dir))
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, folder := range []string{"nodes", "locks"} {
		left, err := os.ReadDir(filepath.Join(h.dir, folder))
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		for _, e := range left {
			t.Errorf("left over: %s/%s", folder, e.Name())
		}
	}
	if out, err := h.command([]string{"node", "list"}, h.dir).Output(); err != nil || string(out) != "[]" {
		t.Errorf("node list: %q, %v", out, err)
	}
}

// must runs a command that succeeds, and returns what it prints.
func (h *home) must(t *testing.T, args ...string) string {
	t.Helper()
	cmd := h.command(args, t.TempDir())
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%q: %v\n%s%s", args, err, out, errs.String())
	}
	return string(out)
}

// TestManyNodes makes 200 nodes in one home, lists and deletes them.
func TestManyNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts 200 processes")
	}
	count := 200
	if transporttest.RaceEnabled {
		count = 20 // a process of the race detector needs a multiple of the memory
	}
	h := &home{dir: filepath.Join(t.TempDir(), "home")}
	t.Cleanup(func() { endNodes(t, h.dir) })
	h.must(t, "identity", "create", "-q")
	names := make(chan string)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for name := range names {
				h.must(t, "node", "create", name, "-q")
			}
		})
	}
	for i := range count {
		names <- fmt.Sprintf("n%d", i)
	}
	close(names)
	wg.Wait()
	var shown []struct {
		Name   string `json:"node_name"`
		Status struct{ Status string }
	}
	if err := json.Unmarshal([]byte(h.must(t, "node", "list")), &shown); err != nil || len(shown) != count {
		t.Errorf("%d nodes are listed, %v", len(shown), err)
	}
	for _, n := range shown {
		if n.Status.Status != "running" {
			t.Errorf("%s is %s", n.Name, n.Status.Status)
		}
	}
	if out := h.must(t, "message", "send", "hello", "--to", "/node/n0/secure/api/service/uppercase", "--from", "n19"); out != "HELLO" {
		t.Errorf("a message among them: %q", out)
	}
	h.must(t, "node", "delete", "--all", "--yes", "-q")
	wantNothingLeft(t, h) // nor a port: it goes with its process, and may be somebody else's by now
}

// TestKillAtRandom kills commands, and the nodes that they start, at moments that
// nobody chose. In what they leave behind every later command works.
func TestKillAtRandom(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := &home{dir: filepath.Join(t.TempDir(), "home")}
	t.Cleanup(func() {
		for _, pid := range processesOf(t, h.dir) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by now
		}
	})
	h.must(t, "node", "create", "stays", "-q")
	for round := range rounds {
		// What the killed command leaves begins with a node that runs, one that was
		// stopped, or none.
		action := []string{"create", "start", "delete", "stop"}[round%4]
		if action != "create" {
			h.must(t, "node", "create", "n", "-q")
		}
		if action == "start" {
			h.must(t, "node", "stop", "n", "-q")
		}
		args := []string{"node", action, "n", "-q"}
		if action == "delete" {
			args = append(args, "--yes")
		}
		cmd := h.command(args, t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(60 * time.Millisecond))))
		victims := []int{cmd.Process.Pid}
		if random.IntN(2) == 0 { // and the node, wherever it is
			for _, pid := range processesOf(t, h.dir) {
				if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.HasSuffix(string(line), "\x00n\x00") {
					victims = append(victims, pid)
				}
			}
		}
		for _, pid := range victims {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		_ = cmd.Wait()
		h.must(t, "node", "list")
		h.must(t, "status", "-q")
		h.must(t, "message", "send", "hello", "--to", "/node/stays/service/echo")
		if slices.ContainsFunc(nodesOf(t, h.dir), func(n state.Node) bool { return n.Name == "n" }) {
			h.must(t, "node", "show", "n")
			h.must(t, "node", "delete", "n", "--yes", "-q")
		}
		h.must(t, "node", "create", "n", "-q")
		if out := h.must(t, "message", "send", "hello", "--to", "/node/n/secure/api/service/uppercase"); out != "HELLO" {
			t.Errorf("round %d, %s: %q", round, action, out)
		}
		if t.Failed() {
			log, _ := os.ReadFile(strings.TrimSpace(h.must(t, "node", "logs", "n"))) // if there is one
			t.Logf("%+v\n%s", nodesOf(t, h.dir), log)
		}
		h.must(t, "node", "delete", "n", "--yes", "-q")
		if t.Failed() {
			t.Fatalf("after the command %s of round %d was killed", action, round)
		}
	}
	h.must(t, "node", "delete", "--all", "--yes", "-q")
	wantNothingLeft(t, h)
}
