//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package cli

import "os"

// singleKeys leaves the terminal as it is: it gives lines.
func singleKeys(*os.File) (restore func()) { return func() {} }
