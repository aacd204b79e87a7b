package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// primary returns the primary result code of SQLite, 0 if err is none of its.
func primary(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func isNoDatabase(err error) bool {
	return primary(err) == sqlite3.SQLITE_NOTADB || primary(err) == sqlite3.SQLITE_CORRUPT
}

func isBusy(err error) bool {
	return primary(err) == sqlite3.SQLITE_BUSY || primary(err) == sqlite3.SQLITE_LOCKED
}

// explain wraps an error of SQLite or of the file system with the path and
// with what to do. Other errors, those of this package and of the packages
// whose data it keeps, stay as they are.
func explain(path string, err error) error {
	if _, ok := errors.AsType[*explained](err); ok {
		return err // it is about another file
	}
	advice := ""
	switch code := primary(err); {
	case code == sqlite3.SQLITE_FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "no room is left on the disk: free some; nothing was changed"
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM,
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		advice = "this user must be able to write the folder and the files in it: change that, or set OCKAM_HOME to another folder"
	case isBusy(err):
		advice = "another process has been writing for too long: try again, or end it"
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		advice = "the database is damaged: put a copy of it in its place"
	case code == sqlite3.SQLITE_IOERR:
		advice = "the disk reports an error"
	case code == 0 && !isFileError(err):
		return err
	default:
		return &explained{fmt.Sprintf("state: %s: %v", path, err), err}
	}
	return &explained{fmt.Sprintf("state: %s: %s: %v", path, advice, err), err}
}

// explained is an error that names its file.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

func isFileError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok || strings.HasPrefix(err.Error(), "sql: ")
}

// An ItemError says what is wrong with one of the things that are kept.
type ItemError struct {
	// Err is ErrNotFound, ErrExists, ErrInUse or ErrRunning.
	Err error
	// Kind is "identity", "vault", "node", "project", "credential", "policy", a
	// kind of resource, or "file".
	Kind string
	// Name is the name of the thing; empty means the default one.
	Name string
	// Users are the names of what needs it, with ErrInUse.
	Users []string
	// Advice says what to do next; it may be empty.
	Advice string
}

// Error returns everything in one line.
func (e *ItemError) Error() string {
	s := fmt.Sprintf("%v: %s %q", e.Err, e.Kind, e.Name)
	if e.Name == "" {
		s = fmt.Sprintf("%v: there is no default %s", e.Err, e.Kind)
	}
	if len(e.Users) > 0 {
		s += ", by " + strings.Join(e.Users, ", ")
	}
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

// Unwrap returns Err.
func (e *ItemError) Unwrap() error { return e.Err }

// A HeldError says that another process runs a node, or is starting or ending
// it. It is an ErrRunning.
type HeldError struct {
	Name string // of the node
	PID  int    // of the process; 0 if it is not known
}

// Error names the process.
func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v: %s", ErrRunning, e.Name)
	}
	return fmt.Sprintf("%v: %s, by process %d; stop that, or give this one another OCKAM_HOME", ErrRunning, e.Name, e.PID)
}

// Unwrap returns ErrRunning.
func (e *HeldError) Unwrap() error { return ErrRunning }

func notFound(kind, name string) error {
	e := &ItemError{Err: ErrNotFound, Kind: kind, Name: name}
	switch {
	case kind == kindProject && name == "":
		e.Advice = "import one: ockam project import --project-file FILE"
	case kind != kindIdentity && kind != kindVault && kind != kindNode && kind != kindProject:
	case name == "":
		e.Advice = fmt.Sprintf("make one: ockam %s create NAME", kind)
	default:
		e.Advice = fmt.Sprintf("see which there are: ockam %s list", kind)
	}
	return e
}

func exists(kind, name, advice string) error {
	return &ItemError{Err: ErrExists, Kind: kind, Name: name, Advice: advice}
}

// The kinds of things that have names and a default.
const (
	kindIdentity = "identity"
	kindVault    = "vault"
	kindNode     = "node"
	kindProject  = "project"
)
