//go:build linux && !race

package e2e_test

// raceEnabled says that the test binary, and so the program under test, is
// built with the race detector: sizes shrink and time limits grow.
const raceEnabled = false
