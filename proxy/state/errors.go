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

// explain wraps an error of SQLite or of the file system with the path and
// with what to do. Other errors, those of this package and of the packages
// whose data it keeps, stay as they are.
func explain(path string, err error) error {
	advice := ""
	switch code := primary(err); {
	case code == sqlite3.SQLITE_FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "no room is left on the disk: free some; nothing was changed"
	case code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN, code == sqlite3.SQLITE_PERM,
		errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		advice = "this user must be able to write the folder and the files in it: change that, or set OCKAM_HOME to another folder"
	case code == sqlite3.SQLITE_BUSY, code == sqlite3.SQLITE_LOCKED:
		advice = "another process has been writing for too long: try again, or end it"
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		advice = "the database is damaged: put a copy of it in its place"
	case code == sqlite3.SQLITE_IOERR:
		advice = "the disk reports an error"
	case code == 0 && !isFileError(err):
		return err
	default:
		return fmt.Errorf("state: %s: %w", path, err)
	}
	return fmt.Errorf("state: %s: %s: %w", path, advice, err)
}

func isFileError(err error) bool {
	_, ok := errors.AsType[*fs.PathError](err)
	return ok || strings.HasPrefix(err.Error(), "sql: ")
}
