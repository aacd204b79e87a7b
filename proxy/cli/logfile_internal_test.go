package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// testLog is a log whose clock stands at noon of a day.
func testLog(t *testing.T, folder string, limits logLimits) *logFile {
	t.Helper()
	l := &logFile{folder: folder, limits: limits}
	l.on(t, "2026-11-24")
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// on has the clock stand at noon of a day.
func (l *logFile) on(t *testing.T, date string) {
	t.Helper()
	noon, err := time.Parse(time.DateOnly, date)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = func() time.Time { return noon.Add(12 * time.Hour) }
}

func (l *logFile) line(t *testing.T, text string) {
	t.Helper()
	if n, err := l.Write([]byte(text + "\n")); n != len(text)+1 || err != nil {
		t.Fatalf("%d bytes of %q: %v", n, text, err)
	}
}

// contents returns what is in a folder, "NAME: LINES joined by a space".
func contents(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name()+": "+strings.Join(strings.Fields(string(b)), " "))
	}
	return all
}

func wantContents(t *testing.T, folder string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := contents(t, folder); !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestLogFileDays(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "nodes", "n")
	l := testLog(t, folder, logLimits{size: 100, files: 3})
	for _, day := range []string{"2026-11-24", "2026-11-24", "2026-11-30", "2026-12-01", "2027-01-01"} {
		l.on(t, day)
		l.line(t, "on-"+day)
	}
	wantContents(t, folder, "stdout.2026-11-30.log: on-2026-11-30", "stdout.2026-12-01.log: on-2026-12-01", "stdout.2027-01-01.log: on-2027-01-01")
	for path, want := range map[string]os.FileMode{folder: 0o700, filepath.Dir(folder): 0o700, l.path(): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Write([]byte("late")); err == nil {
		t.Error("written after Close")
	}
}

func TestLogFileSize(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "stdout.notes.log"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := testLog(t, folder, logLimits{size: 8, files: 12})
	for i := range 24 { // two lines a file
		l.line(t, fmt.Sprintf("%03d", i))
	}
	l.line(t, "longer than a file may be")
	l.line(t, "end")
	want := []string{"stdout.notes.log: mine", "stdout.2026-11-24.13.log: longer than a file may be", "stdout.2026-11-24.log: end"}
	for n := 3; n <= 12; n++ { // the oldest are gone, by number and not by name
		want = append(want, fmt.Sprintf("stdout.2026-11-24.%d.log: %03d %03d", n, 2*n-2, 2*n-1))
	}
	wantContents(t, folder, want...)

	// What was there before counts, and is not written over.
	again := testLog(t, folder, l.limits)
	again.line(t, "more-than-eight")
	wantContents(t, folder, append(slices.DeleteFunc(want, func(s string) bool {
		return strings.HasPrefix(s, "stdout.2026-11-24.3.") || strings.HasPrefix(s, "stdout.2026-11-24.log")
	}), "stdout.2026-11-24.14.log: end", "stdout.2026-11-24.log: more-than-eight")...)
}

// TestLogFileShared has two processes write to the same files: a file that one
// has put aside is not put aside by the other.
func TestLogFileShared(t *testing.T) {
	folder := t.TempDir()
	a := testLog(t, folder, logLimits{size: 1000, files: 1000})
	a.line(t, "0")
	b := testLog(t, folder, a.limits)
	var wg sync.WaitGroup
	for _, l := range []*logFile{a, b} {
		wg.Go(func() {
			for i := range 2000 {
				if _, err := fmt.Fprintf(l, "%08d\n", i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	lines := 0
	for _, file := range contents(t, folder) {
		name, text, _ := strings.Cut(file, ": ")
		fields := strings.Fields(text)
		lines += len(fields)
		if len(fields) > 2*1000/9+2 {
			t.Errorf("%s has %d lines", name, len(fields))
		}
		for _, f := range fields {
			if len(f) != 8 && f != "0" {
				t.Errorf("%s has the line %q", name, f)
			}
		}
	}
	if lines != 4001 {
		t.Errorf("%d lines, want 4001", lines)
	}
}

// TestLogFileGone checks that the log goes on where a new file cannot be begun.
func TestLogFileGone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "n")
	l := testLog(t, folder, logLimits{size: 4, files: 3})
	l.line(t, "one")
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	l.line(t, "two")
	l.on(t, "2026-11-25")
	l.line(t, "three")
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder of a deleted node is there again: %v", err)
	}
}

// TestLogFileCrash checks that a crash is told in the file of the day.
func TestLogFileCrash(t *testing.T) {
	if folder := os.Getenv("CRASH_IN"); folder != "" {
		l := testLog(t, folder, logLimits{size: 100, files: 3})
		l.crashes = true
		l.on(t, "2026-11-25")
		l.line(t, "the last line")
		go func() { panic("as asked") }()
		select {}
	}
	folder := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLogFileCrash$")
	cmd.Env = append(os.Environ(), "CRASH_IN="+folder)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "as asked") {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.Join(contents(t, folder), "\n"); !strings.Contains(got, "stdout.2026-11-25.log: the last line panic: as asked") {
		t.Errorf("got %s", got)
	}
}

func TestLogLimits(t *testing.T) {
	for _, tc := range []struct {
		name, size, files string
		want              logLimits
		bad               string
	}{
		{"none", "", "", logLimits{100 << 20, 60}, ""},
		{"both", "1", "2", logLimits{1 << 20, 2}, ""},
		{"no number", "big", "", logLimits{}, "OCKAM_LOG_MAX_SIZE_MB"},
		{"none at all", "", "0", logLimits{}, "OCKAM_LOG_MAX_FILES"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OCKAM_LOG_MAX_SIZE_MB", tc.size)
			t.Setenv("OCKAM_LOG_MAX_FILES", tc.files)
			got, err := logLimitsFromEnv()
			if tc.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tc.bad) {
					t.Errorf("%v", err)
				}
			} else if err != nil || got != tc.want {
				t.Errorf("%+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}
