package config

import (
	"strconv"
	"strings"
	"time"
)

// parseDuration reads a whole number with d, h, m, s or ms; a bare number counts
// seconds (Ockam protocol, command line, durations).
func parseDuration(s string) (time.Duration, bool) {
	digits := strings.TrimRight(s, "dhms")
	unit, ok := map[string]time.Duration{
		"": time.Second, "d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond,
	}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !ok {
		return 0, false
	}
	d := time.Duration(n) * unit
	return d, d/unit == time.Duration(n)
}
