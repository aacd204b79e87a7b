//go:build !race

package transporttest

// RaceEnabled reports whether the race detector is on, which makes pools drop
// objects: tests that count allocations skip.
const RaceEnabled = false
