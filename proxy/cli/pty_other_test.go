//go:build !linux

package cli

import (
	"os"
	"testing"
)

// OpenTerminal skips the test: pseudo-terminals are opened on Linux only.
func OpenTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	t.Skip("pseudo-terminals are opened on Linux only")
	return nil, nil
}
