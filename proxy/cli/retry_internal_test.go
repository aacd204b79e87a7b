package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
)

func TestRetry(t *testing.T) {
	down := errors.New("no route to host")
	for _, tt := range []struct {
		name, args   string
		env          map[string]string
		err          error // of each attempt; nil succeeds
		wantAttempts int
		wantTime     time.Duration // with the largest extra
	}{
		{"not asked for", "", nil, passing(down), 1, 0},
		{"success", "--retry-count 5", nil, nil, 1, 0},
		{"nothing that passes", "--retry-count 5", nil, down, 1, 0},
		{"count only", "--retry-count 3", nil, passing(down), 3, 15 * time.Second},
		{"other name", "--retry 2", nil, passing(down), 2, 7500 * time.Millisecond},
		{"delay only", "--retry-delay 2", nil, passing(down), 3, 6 * time.Second},
		{"longest extra", "--retry-count 2 --retry-delay 1m", nil, passing(down), 2, 65 * time.Second},
		{"no delay", "--retry-count 4 --retry-delay 0", nil, passing(down), 4, 0},
		{"none", "--retry-count 0", nil, passing(down), 1, 0},
		{"--no-retry", "--no-retry --retry-count 4", nil, passing(down), 1, 0},
		{"environment", "", map[string]string{"OCKAM_COMMAND_RETRY_COUNT": "2", "OCKAM_COMMAND_RETRY_DELAY": "100ms"}, passing(down), 2, 150 * time.Millisecond},
		{"option over environment", "--retry-count 1", map[string]string{"OCKAM_COMMAND_RETRY_COUNT": "9"}, passing(down), 1, 0},
		{"bad count", "", map[string]string{"OCKAM_COMMAND_RETRY_COUNT": "x"}, down, 0, 0},
		{"bad delay", "", map[string]string{"OCKAM_COMMAND_RETRY_DELAY": "x"}, down, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			r := retryOptions(t, tt.args)
			synctest.Test(t, func(t *testing.T) {
				attempts, begin := 0, time.Now()
				err := newConsole(nil, io.Discard, io.Discard).retry(t.Context(), r, func(context.Context) error {
					attempts++
					return tt.err
				})
				if attempts != tt.wantAttempts || time.Since(begin) != tt.wantTime {
					t.Errorf("%d attempts in %s, want %d in %s", attempts, time.Since(begin), tt.wantAttempts, tt.wantTime)
				}
				if (err != nil) != (tt.err != nil) || attempts > 0 && !errors.Is(err, tt.err) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
			})
		})
	}
}

// retryOptions parses the options of a command; what is added at random is
// always the most there can be.
func retryOptions(t *testing.T, args string) *retries {
	t.Helper()
	cmd := &cobra.Command{Use: "send"}
	r := retryFlags(cmd)
	onceOnly(cmd)
	if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	r.randomly = func(d time.Duration) time.Duration { return d }
	return r
}

func TestRetryEndsWithContext(t *testing.T) {
	r := retryOptions(t, "--retry-count 3 --retry-delay 1h")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		attempts, begin := 0, time.Now()
		err := newConsole(nil, io.Discard, io.Discard).retry(ctx, r, func(context.Context) error {
			attempts++
			return passing(io.ErrClosedPipe)
		})
		if !errors.Is(err, io.ErrClosedPipe) || attempts != 1 || time.Since(begin) != time.Minute {
			t.Errorf("%d attempts, %v after %s", attempts, err, time.Since(begin))
		}
	})
}

func TestTwoNamesOfAnOption(t *testing.T) {
	cmd := &cobra.Command{Use: "send"}
	retryFlags(cmd)
	onceOnly(cmd)
	if err := cmd.ParseFlags([]string{"--retry", "1", "--retry-count", "2"}); !errors.Is(err, errTwice) {
		t.Errorf("got %v, want %v", err, errTwice)
	}
	cmd = &cobra.Command{Use: "issue"}
	attributes := cmd.Flags().StringArrayP("attribute", "a", nil, "")
	onceOnly(cmd)
	if err := cmd.ParseFlags([]string{"-a", "k=v", "-a", "l=m"}); err != nil || len(*attributes) != 2 {
		t.Errorf("%v, %q: an option that collects was refused", err, *attributes)
	}
}

func TestDefaultTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 120 * time.Second, "5": 5 * time.Second, " 2m ": 2 * time.Minute, "x": -1} {
		t.Setenv("OCKAM_DEFAULT_TIMEOUT", text)
		if got, err := defaultTimeout(); got != want && want >= 0 || (err != nil) != (want < 0) {
			t.Errorf("%q gave %s, %v, want %s", text, got, err, want)
		}
	}
}
