package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A timedCommand is a command whose time is taken; {n} is the number of the round.
type timedCommand struct {
	name, args string
	empty      bool // each time in a home where nothing is yet
}

var timedCommands = []timedCommand{
	{"node-create-empty-home", "node create n{n}", true},
	{"node-create", "node create n{n}", false},
	{"node-list", "node list", false},
	{"node-show", "node show a", false},
	{"identity-create-empty-home", "identity create i{n}", true},
	{"identity-create", "identity create i{n}", false},
	{"message-send", "message send hello --to /node/b/service/uppercase", false},
	{"message-send-from", "message send hello --from a --to /node/b/service/uppercase", false},
	{"message-send-channel", "message send hello --to /node/b/secure/api/service/uppercase", false},
	{"secure-channel-create", "secure-channel create --from a --to /node/b/service/api", false},
	{"tcp-outlet-create", "tcp-outlet create --at a --from o{n} --to 127.0.0.1:5000", false},
	{"node-stop-start", "node start c", false},
	{"node-delete", "node delete n{n} --yes", false},
	{"help", "--help", false},
}

// BenchmarkCommands takes the wall time of commands, ours and, if OCKAM_REFERENCE
// names it, the reference implementation's, one after the other in each round:
//
//	OCKAM_REFERENCE=… go test -run - -bench Commands -benchtime 11x ./proxy/cli
//
// The metrics are medians. Ours is built as it is shipped.
func BenchmarkCommands(b *testing.B) {
	dir := b.TempDir()
	our := filepath.Join(dir, "ockam")
	build := exec.Command("go", "build", "-o", our, "ockam")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	programs := []*timedProgram{{label: "ours", path: our, home: filepath.Join(dir, "ours")}}
	if reference := os.Getenv("OCKAM_REFERENCE"); reference != "" {
		programs = append(programs, &timedProgram{label: "reference", path: reference, home: filepath.Join(dir, "reference")})
	}
	for _, p := range programs {
		b.Cleanup(func() { _, _ = p.run(p.home, "node delete --all --yes") }) // what is left is in the way of nobody
		for _, args := range []string{"identity create i", "node create a", "node create b", "node create c"} {
			if _, err := p.run(p.home, args); err != nil {
				b.Fatal(err)
			}
		}
	}
	rounds := 0
	for _, c := range timedCommands {
		b.Run(c.name, func(b *testing.B) {
			all := make([][]time.Duration, len(programs))
			for range b.N {
				rounds++ // also over the calls with another N
				for i, p := range programs {
					all[i] = append(all[i], p.time(b, &c, rounds))
				}
			}
			for i, p := range programs {
				slices.Sort(all[i])
				b.ReportMetric(float64(all[i][len(all[i])/2].Microseconds())/1000, p.label+"-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

type timedProgram struct{ label, path, home string }

func (p *timedProgram) run(home, args string) (time.Duration, error) {
	cmd := exec.Command(p.path, strings.Fields(args)...)
	cmd.Dir = filepath.Dir(home)
	cmd.Env = append(os.Environ(), "OCKAM_HOME="+home, "HOME="+filepath.Dir(home), "QUIET=true",
		"OCKAM_DISABLE_UPGRADE_CHECK=true", "OCKAM_OPENTELEMETRY_EXPORT=false")
	began := time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", p.label, args, err, out)
	}
	return took, err
}

// time takes the time of a command, and removes what it made when that would be
// in the way.
func (p *timedProgram) time(b *testing.B, c *timedCommand, n int) time.Duration {
	number := strconv.Itoa(n)
	home, args := p.home, strings.ReplaceAll(c.args, "{n}", number)
	if c.empty {
		home = filepath.Join(b.TempDir(), "home")
		defer func() { _, _ = p.run(home, "node delete --all --yes") }() // as above
	}
	before := map[string]string{"node-stop-start": "node stop c", "node-delete": "node create n" + number}[c.name]
	if before != "" {
		if _, err := p.run(home, before); err != nil {
			b.Fatal(err)
		}
	}
	took, err := p.run(home, args)
	if err != nil {
		b.Fatal(err)
	}
	return took
}
