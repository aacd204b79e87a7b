package transporttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// noSleep keeps programs built with the race detector from sleeping for a second
// when they end: tests run hundreds of them.
const noSleep = "atexit_sleep_ms=0"

// CatchRaces has the processes that this one starts, and those that they start,
// report data races to files: of those that run in the background nobody reads the
// output. It sets GORACE for that, which the processes are to be given. The function
// that it returns is called when they have ended; it returns what they reported, and
// removes the files.
func CatchRaces() (reports func() (string, error), err error) {
	dir, err := os.MkdirTemp("", "ockam-races")
	if err != nil {
		return nil, err
	}
	// Processes of other users write here, too.
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		return nil, err
	}
	options := strings.TrimSpace(os.Getenv("GORACE") + " " + noSleep + " log_path=" + filepath.Join(dir, "race"))
	if err := os.Setenv("GORACE", options); err != nil {
		return nil, err
	}
	return func() (string, error) {
		defer os.RemoveAll(dir)
		files, err := filepath.Glob(filepath.Join(dir, "race.*"))
		var all strings.Builder
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&all, "process %s:\n%s\n", strings.TrimPrefix(filepath.Ext(name), "."), b)
		}
		return all.String(), err
	}, nil
}

// RunCatchingRaces runs the tests of a package, and fails if a process of theirs had
// a data race. It returns the exit code. Reports that go to files already, such as
// those of a test that runs itself again, are left to whoever looks at these.
func RunCatchingRaces(m interface{ Run() int }) int {
	if strings.Contains(os.Getenv("GORACE"), "log_path=") {
		return m.Run()
	}
	reports, err := CatchRaces()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		return 1
	}
	code := m.Run()
	text, err := reports()
	if err != nil || text != "" {
		fmt.Fprintln(os.Stderr, "FAIL: data races in processes that tests started", err)
		fmt.Fprintln(os.Stderr, text)
		return 1
	}
	return code
}
