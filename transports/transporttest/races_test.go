package transporttest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const raceVariable = "TRANSPORTTEST_RACE"

// TestCatchRaces: a data race in a process whose output nobody reads is found.
func TestCatchRaces(t *testing.T) {
	if os.Getenv(raceVariable) != "" {
		n := 0
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { n++ })
		}
		wg.Wait()
		t.Log(n)
		return // it is the detector that says so
	}
	if !RaceEnabled {
		t.Skip("needs the race detector")
	}
	t.Setenv("GORACE", os.Getenv("GORACE")) // back afterwards
	for _, racy := range []string{"", "yes"} {
		reports, err := CatchRaces()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestCatchRaces$")
		if racy == "" {
			cmd.Args[1] = "-test.run=^$"
		}
		cmd.Env = append(os.Environ(), raceVariable+"=yes")
		err = cmd.Run()
		if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		text, err := reports()
		if err != nil || strings.Contains(text, "DATA RACE") != (racy != "") {
			t.Errorf("racy: %q; got %q, %v", racy, text, err)
		}
	}
}
