package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a whole number with d, h, m, s or ms; a bare number counts
// seconds (Ockam protocol, command line, durations). Options of commands have the
// same form, and its errors say what that is.
func ParseDuration(s string) (time.Duration, error) {
	digits := strings.TrimRight(s, "dhms")
	unit, ok := map[string]time.Duration{
		"": time.Second, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
	}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !ok {
		return 0, errors.New("a whole number with d, h, m, s or ms, such as 10s")
	}
	if d := time.Duration(n) * unit; d/unit == time.Duration(n) {
		return d, nil
	}
	return 0, errors.New("too long")
}
