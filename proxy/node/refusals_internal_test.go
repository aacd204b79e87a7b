package node

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func observed() (*refusals, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	return newRefusals(zap.New(core)), logs
}

// counts returns how many refusals are logged one by one, and how many are summed up.
func counts(logs []observer.LoggedEntry) (lines, sum int) {
	for _, e := range logs {
		if e.Message == "more refusals" {
			sum += int(e.ContextMap()["count"].(int64))
		} else {
			lines++
		}
	}
	return lines, sum
}

func TestRefusals(t *testing.T) {
	db := refused{"connection refused", "tcp_outlet", "db"}
	say := func(r *refusals, what refused, peer string, n int) {
		for range n {
			r.say(zap.WarnLevel, what, peer, zap.String("peer", peer))
		}
	}
	for _, tt := range []struct {
		name       string
		refuse     func(*refusals)
		lines, sum int
		says       string // the first sum
	}{
		{"few", func(r *refusals) { say(r, db, "a", refusalLinesPerPeer) }, refusalLinesPerPeer, 0, ""},
		{
			"flood of one", func(r *refusals) { say(r, db, "a", 10000) },
			refusalLinesPerPeer, 10000 - refusalLinesPerPeer,
			"map[count:9997 kind:tcp_outlet name:db peers:1 what:connection refused within:10s]",
		},
		{"another during the flood of one", func(r *refusals) {
			say(r, db, "a", 10000)
			say(r, db, "b", 1)
		}, refusalLinesPerPeer + 1, 10000 - refusalLinesPerPeer, ""},
		{"another resource during a flood of many", func(r *refusals) {
			for i := range 1000 {
				say(r, db, fmt.Sprint(i), 1)
			}
			say(r, refused{db.message, db.kind, "other"}, "a", 1)
		}, refusalLines + 1, 1000 - refusalLines, "map[count:980 kind:tcp_outlet more_peers:true name:db peers:256 what:connection refused within:10s]"},
		{"many resources", func(r *refusals) {
			for i := range 1000 {
				say(r, refused{db.message, db.kind, fmt.Sprint(i)}, "a", 1)
			}
		}, maxRefusalKinds + refusalLinesPerPeer, 1000 - maxRefusalKinds - refusalLinesPerPeer, ""},
		{"not logged at all", func(r *refusals) {
			for range 1000 {
				r.say(zap.DebugLevel, db, "a")
			}
		}, 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, logs := observed()
				tt.refuse(r)
				time.Sleep(refusalPeriod)
				synctest.Wait()
				if lines, sum := counts(logs.All()); lines != tt.lines || sum != tt.sum {
					t.Errorf("%d lines, and %d more; want %d and %d", lines, sum, tt.lines, tt.sum)
				}
				if all := logs.FilterMessage("more refusals").All(); tt.says != "" && (len(all) == 0 || fmt.Sprint(all[0].ContextMap()) != tt.says) {
					t.Errorf("says %v, want %s", all, tt.says)
				}
				time.Sleep(3 * refusalPeriod) // of the flood, and a quiet one
				synctest.Wait()
				if n := len(r.floods); n != 0 {
					t.Errorf("%d kinds are remembered, want none", n)
				}
				r.close()
			})
		})
	}
}

// TestRefusalsForLong: a flood of a day with a new peer each time is a bounded
// number of lines, which count all of it.
func TestRefusalsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, logs := observed()
		n := 0
		for began := time.Now(); time.Since(began) < 24*time.Hour; time.Sleep(time.Second) {
			r.say(zap.WarnLevel, refused{message: "refused"}, fmt.Sprint(n))
			n++
		}
		r.close()
		lines, sum := counts(logs.All())
		if lines+sum != n {
			t.Errorf("%d lines, and %d more; want %d together", lines, sum, n)
		}
		if all := logs.Len(); all > 160*(refusalLines+1) {
			t.Errorf("%d lines in a day", all)
		}
		for range 1000 { // what ends a node refuses once more
			r.say(zap.WarnLevel, refused{message: "ended"}, "a")
		}
		if n := logs.FilterMessage("ended").Len(); n != refusalLinesPerPeer {
			t.Errorf("%d lines after the end", n)
		}
	})
}
