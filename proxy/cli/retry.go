package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// A passingError may be gone when the command tries again: a network that
// does not answer. retry tries again for no other.
type passingError struct{ err error }

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

// passing marks an error that may be gone at the next attempt; nil stays nil.
func passing(err error) error {
	if err == nil {
		return nil
	}
	return &passingError{err}
}

// retries are the options of a command that tries again when the network
// fails (Ockam protocol, command line, retries).
type retries struct {
	count    attempts
	delay    duration
	no       bool
	given    func(name string) bool
	randomly func(time.Duration) time.Duration // below its argument
}

// attempts is the value of --retry-count.
type attempts int

// Set reads the text form.
func (n *attempts) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return errors.New("a whole number, such as 3")
	}
	*n = attempts(v)
	return nil
}

// String returns the number as Set reads it.
func (n *attempts) String() string { return strconv.Itoa(int(*n)) }

// Type returns what the help calls the value.
func (n *attempts) Type() string { return "number" }

// retryFlags gives cmd the options of retries, which its help does not show.
func retryFlags(cmd *cobra.Command) *retries {
	r := &retries{randomly: rand.N[time.Duration]}
	flags := cmd.Flags()
	flags.Var(&r.count, "retry-count", "how often to try when the network fails")
	flags.Var(&r.count, "retry", "how often to try when the network fails")
	flags.Var(&r.delay, "retry-delay", "how long to wait between two attempts")
	flags.BoolVar(&r.no, "no-retry", false, "try once")
	for _, name := range []string{"retry-count", "retry", "retry-delay", "no-retry"} {
		flags.Lookup(name).Hidden = true
	}
	r.given = flags.Changed
	return r
}

// settings returns how often to try and how long to wait between attempts:
// by the options, else by the environment. One without the other takes 3
// attempts, or 5 s.
func (r *retries) settings() (count int, delay time.Duration, err error) {
	if r.no {
		return 1, 0, nil
	}
	count, delay = -1, -1
	if text := getenv("OCKAM_COMMAND_RETRY_COUNT"); text != "" {
		var n attempts
		if err := n.Set(text); err != nil {
			return 0, 0, fmt.Errorf("OCKAM_COMMAND_RETRY_COUNT is %q, which is no count: %w", text, err)
		}
		count = int(n)
	}
	if delay, err = envDuration("OCKAM_COMMAND_RETRY_DELAY", delay); err != nil {
		return 0, 0, err
	}
	if r.given("retry-count") || r.given("retry") {
		count = int(r.count)
	}
	if r.given("retry-delay") {
		delay = time.Duration(r.delay)
	}
	switch {
	case count < 0 && delay < 0:
		return 1, 0, nil
	case count < 0:
		count = 3
	case delay < 0:
		delay = 5 * time.Second
	}
	return max(count, 1), delay, nil
}

// longestExtra bounds what is added to a delay at random, so that many
// commands that failed together do not return together.
const longestExtra = 5 * time.Second

// retry calls f until it succeeds, fails with an error that is not passing,
// has been called as often as asked for, or ctx ends.
func (c *console) retry(ctx context.Context, r *retries, f func(context.Context) error) error {
	count, delay, err := r.settings()
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		err := f(ctx)
		if e, ok := errors.AsType[*passingError](err); !ok || e == nil || n >= count || ctx.Err() != nil {
			return err
		}
		wait := delay
		if extra := min(delay/2, longestExtra); extra > 0 {
			wait += r.randomly(extra)
		}
		c.say(markWarning, "%v; attempt %d of %d in %s", err, n+1, count, wait.Round(100*time.Millisecond))
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}
