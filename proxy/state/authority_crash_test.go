package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
	"ockam/tunnel/identity"
)

const (
	crashHome  = "OCKAM_TEST_CRASH_HOME"
	crashRound = "OCKAM_TEST_CRASH_ROUND"
	crashUses  = 3 // of each token
)

// TestCrash has another process redeem tokens, kills it, and looks whether all that
// it had reported is there, and each token as often used as there are members by
// it. Some rounds, in the same home.
func TestCrash(t *testing.T) {
	if dir := os.Getenv(crashHome); dir != "" {
		redeemUntilKilled(t, dir)
		return
	}
	dir := home(t)
	open(t, dir)
	reported := map[int]bool{}
	for round := range 5 {
		before := len(reported)
		crash(t, dir, round, reported)
		s, err := state.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		checkCrash(t, s, reported)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("round %d: %d redemptions were reported", round, len(reported)-before)
	}
	if len(reported) == 0 {
		t.Error("nothing was redeemed")
	}
}

// crash runs the other process for a moment.
func crash(t *testing.T, dir string, round int, reported map[int]bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestCrash$", "-test.v")
	cmd.Env = append(os.Environ(), crashHome+"="+dir, crashRound+"="+strconv.Itoa(round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var member int
		if _, err := fmt.Sscanf(lines.Text(), "redeemed %d.", &member); err != nil {
			continue
		}
		reported[member] = true
		if timer == nil {
			timer = time.AfterFunc(50*time.Millisecond+rand.N(300*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || timer == nil {
		t.Fatalf("the process has ended by itself: %v", err)
	}
	timer.Stop()
}

// redeemUntilKilled makes tokens with three uses, for each of which four members
// come, and reports what has succeeded.
func redeemUntilKilled(t *testing.T, dir string) {
	round, err := strconv.Atoi(os.Getenv(crashRound))
	if err != nil {
		t.Fatal(err)
	}
	a := open(t, dir).Authority(authoritytest.ID(1))
	ctx := context.Background()
	for token := round * 1_000_000; ; token += crashUses + 1 {
		if err := a.PutToken(ctx, authoritytest.Token(token, crashUses)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range crashUses + 1 {
			wg.Go(func() {
				_, err := a.Redeem(ctx, authoritytest.Code(token), authoritytest.ID(token+i), tokenTime)
				if err == nil {
					_, err = fmt.Fprintf(os.Stdout, "redeemed %d.\n", token+i)
				}
				if err != nil && !errors.Is(err, authority.ErrUnknownCode) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
}

func checkCrash(t *testing.T, s *state.Store, reported map[int]bool) {
	t.Helper()
	a := s.Authority(authoritytest.ID(1))
	for member := range reported {
		if _, err := a.Member(t.Context(), authoritytest.ID(member)); err != nil {
			t.Errorf("member %d: %v", member, err)
		}
	}
	members, err := a.Members(t.Context(), identity.Identifier{}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	for _, m := range members {
		used[m.Attributes["n"]]++
	}
	for token, n := range used {
		number, err := strconv.Atoi(token)
		if err != nil {
			t.Fatal(err)
		}
		left, err := s.UsesLeft(t.Context(), authoritytest.Code(number))
		if err != nil || n+left != crashUses {
			t.Errorf("token %s: %d members, and %d uses are left, %v", token, n, left, err)
		}
	}
}
