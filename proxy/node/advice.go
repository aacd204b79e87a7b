package node

import (
	"errors"
	"syscall"
)

// advice says what to do about an error of listening, if we know.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return " (another program has it: stop that, or choose another address; port 0 takes a free one)"
	case errors.Is(err, syscall.EACCES):
		return " (ports below 1024 need CAP_NET_BIND_SERVICE; a Unix socket needs a folder that may be written)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return " (this machine does not have that address)"
	}
	return ""
}
