package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A logFile writes a log to files of a folder: a new one each day (of UTC), and
// when one is full. The names are those that scripts know (Ockam protocol,
// command line, files): it writes to stdout.DATE.log; one that is full becomes
// stdout.DATE.1.log, the next stdout.DATE.2.log. Other processes may write to
// the same files. A line is never split, nor lost because a file cannot be
// begun: then it goes to the one before.
type logFile struct {
	folder string
	limits logLimits
	now    func() time.Time
	// crashes says that what the process says when it dies goes to the file that
	// is written to, not only to the one that standard error was at first.
	crashes bool

	mu   sync.Mutex
	file *os.File
	date string
	size int64
}

// logLimits bound the files of a log.
type logLimits struct {
	size  int64 // bytes of a file; one line may be longer
	files int   // that are kept
}

// logLimitsFromEnv reads the limits that the user has set.
func logLimitsFromEnv() (logLimits, error) {
	size, err := envNumber("OCKAM_LOG_MAX_SIZE_MB", 100)
	files, err2 := envNumber("OCKAM_LOG_MAX_FILES", 60)
	return logLimits{size: int64(size) << 20, files: files}, errors.Join(err, err2)
}

// openLogFile opens the log in a folder, which it makes if there is none.
func openLogFile(folder string, limits logLimits) (*logFile, error) {
	l := &logFile{folder: folder, limits: limits, now: time.Now}
	return l, l.open()
}

func (l *logFile) open() error {
	if err := os.MkdirAll(l.folder, 0o700); err != nil {
		return fmt.Errorf("the folder of the log cannot be made: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openLocked(logDate(l.now()))
}

func logDate(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// logPath is the file that a log in a folder is written to on a day.
func logPath(folder, date string) string { return filepath.Join(folder, "stdout."+date+".log") }

// path returns the file that is written to.
func (l *logFile) path() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Name()
}

// Write writes a line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, os.ErrClosed
	}
	if date := logDate(l.now()); date != l.date {
		_ = l.openLocked(date) // else it goes on in the old one
	} else if !l.fitsLocked(len(line)) {
		_ = l.turnLocked(len(line))
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

// Close closes the file. The log ends.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	f := l.file
	l.file = nil
	return f.Close()
}

// openLocked goes on in the file of a day.
func (l *logFile) openLocked(date string) error {
	f, err := os.OpenFile(logPath(l.folder, date), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the log cannot be written: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if l.file != nil {
		_ = l.file.Close() // all that was written is in the kernel
		if l.crashes {
			_ = debug.SetCrashOutput(f, debug.CrashOptions{})
		}
	}
	l.file, l.date, l.size = f, date, info.Size()
	if l.size == 0 { // a new one
		l.prune()
	}
	return nil
}

// fitsLocked reports whether a line of n bytes fits into the file, or is the
// first one.
func (l *logFile) fitsLocked(n int) bool { return l.size == 0 || l.size+int64(n) <= l.limits.size }

// turnLocked puts the file aside, if a line of n bytes does not fit into it, and
// begins a new one, unless another process has done so.
func (l *logFile) turnLocked(n int) error {
	if err := lockFile(l.file); err != nil {
		return err
	}
	defer func(f *os.File) { _ = unlockFile(f) }(l.file) // if it has not been closed
	mine, err := l.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(l.file.Name())
	if err == nil && os.SameFile(mine, there) {
		if l.size = mine.Size(); l.fitsLocked(n) {
			return nil // somebody emptied it
		}
		number := 0
		for _, old := range l.files() {
			if old.date == l.date && old.number < active {
				number = max(number, old.number)
			}
		}
		aside := filepath.Join(l.folder, fmt.Sprintf("stdout.%s.%d.log", l.date, number+1))
		if err := os.Rename(l.file.Name(), aside); err != nil {
			return err
		}
	}
	return l.openLocked(l.date)
}

// An oldLog is a file of a log.
type oldLog struct {
	name, date string
	number     int
}

// active is the number of the file of a day that has none: it is the last.
const active = int(^uint(0) >> 1)

var logName = regexp.MustCompile(`^stdout\.(\d{4}-\d\d-\d\d)(?:\.(\d{1,9}))?\.log$`)

// files lists the files of the log, the oldest first.
func (l *logFile) files() []oldLog {
	entries, err := os.ReadDir(l.folder)
	if err != nil {
		return nil
	}
	var all []oldLog
	for _, e := range entries {
		m := logName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		number := active
		if m[2] != "" {
			number, _ = strconv.Atoi(m[2]) // digits
		}
		all = append(all, oldLog{e.Name(), m[1], number})
	}
	slices.SortFunc(all, func(x, y oldLog) int {
		if c := strings.Compare(x.date, y.date); c != 0 {
			return c
		}
		return x.number - y.number
	})
	return all
}

// prune removes the oldest files beyond those that are kept.
func (l *logFile) prune() {
	all := l.files()
	for _, old := range all[:max(0, len(all)-l.limits.files)] {
		path := filepath.Join(l.folder, old.name)
		if path == l.file.Name() {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // the next time
		}
	}
}
