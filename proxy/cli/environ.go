package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"ockam/config"
)

// getenv is the value of a variable, trimmed.
func getenv(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// envBool reads a variable that is true or false. Anything but a clear no is
// a yes, as with NO_COLOR elsewhere.
func envBool(name string) bool {
	switch strings.ToLower(getenv(name)) {
	case "", "0", "f", "false", "n", "no", "off":
		return false
	}
	return true
}

// envDuration reads a variable that holds a duration; without it, def.
func envDuration(name string, def time.Duration) (time.Duration, error) {
	text := getenv(name)
	if text == "" {
		return def, nil
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, which is no duration: %w", name, text, err)
	}
	return d, nil
}

// envNumber reads a variable that holds a whole number of 1 or more; without
// it, def.
func envNumber(name string, def int) (int, error) {
	text := getenv(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s is %q; it must be a whole number of 1 or more", name, text)
	}
	return int(n), nil
}

// defaultTimeout bounds what a command asks a node for, unless it has a
// --timeout of its own.
func defaultTimeout() (time.Duration, error) {
	return envDuration("OCKAM_DEFAULT_TIMEOUT", 120*time.Second)
}
