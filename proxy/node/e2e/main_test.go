//go:build linux

package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ockam/transports/transporttest"
)

// roleVariable tells a re-executed test binary which part of the plain pipe
// it plays; see pipe_test.go.
const roleVariable = "OCKAM_E2E_ROLE"

// buildDir is where the program is built, removed at the end of the run.
var buildDir string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(pipeMain(role))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ockam-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Processes of other users (the database) read files below.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	buildDir = dir
	// Tests that run in parallel wait more than they work.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	return transporttest.RunCatchingRaces(m)
}

// build makes the program; the result is kept for the whole run.
var build = sync.OnceValues(func() (string, error) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	out := filepath.Join(buildDir, "ockam")
	args := []string{"build", "-o", out}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "ockam")...)
	cmd.Dir = filepath.Dir(string(bytes.TrimSpace(gomod)))
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ockam: %w\n%s", err, b)
	}
	return out, nil
})

// program returns the path of the binary under test.
func program(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// slow stretches a time limit for the race detector and busy machines of
// continuous integration.
func slow(d time.Duration) time.Duration {
	if raceEnabled {
		return 3 * d
	}
	if inCI() {
		return 2 * d
	}
	return d
}

func inCI() bool { return os.Getenv("CI") == "true" }
