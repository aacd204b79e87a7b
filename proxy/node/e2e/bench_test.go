//go:build linux

package e2e_test

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A rig is one way from a client to the target of the benchmark, over three
// processes.
type rig struct {
	name      string
	addr      string
	processes []*process
}

// rigs are what the benchmark compares, the yardstick first.
var rigs = []struct {
	name string
	make func(t testing.TB, target string) rig
}{
	{"plain pipe", func(t testing.TB, target string) rig {
		addr, processes := startPlainPipe(t, target)
		return rig{addr: addr, processes: processes}
	}},
	{"ockam, name over TCP", func(t testing.TB, target string) rig { return ockamRig(t, target, false) }},
	{"ockam, name through a channel", func(t testing.TB, target string) rig { return ockamRig(t, target, true) }},
}

func ockamRig(t testing.TB, target string, secure bool) rig {
	tn := newTunnel(t, tunnelSetup{target: target, secure: secure})
	tn.waitUp(30 * time.Second)
	r := rig{addr: tn.inlet}
	for _, h := range tn.hosts() {
		r.processes = append(r.processes, h.process)
	}
	return r
}

// cpu sums the processor time of the three processes.
func (r rig) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, p := range r.processes {
		d, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// A measure is a row of the table.
type measure struct {
	name string
	unit string
	// run measures; load scales it down in a trial run.
	run func(r rig, load benchLoad) (float64, error)
}

// benchLoad bounds what the benchmark does.
type benchLoad struct {
	bytes    int // of a throughput measurement
	requests int
	conns    int
}

// measures are run in this order on each rig before the next one starts.
var measures = []measure{
	{"8 streams, to the target", "MiB/s", func(r rig, l benchLoad) (float64, error) { return throughput(r, opDiscard, 8, l.bytes) }},
	{"8 streams, from the target", "MiB/s", func(r rig, l benchLoad) (float64, error) { return throughput(r, opZeros, 8, l.bytes) }},
	{"1 stream, to the target", "MiB/s", func(r rig, l benchLoad) (float64, error) { return throughput(r, opDiscard, 1, l.bytes) }},
	{"1 stream, from the target", "MiB/s", func(r rig, l benchLoad) (float64, error) { return throughput(r, opZeros, 1, l.bytes) }},
	{"CPU, 8 streams, to the target", "s/GiB", func(r rig, l benchLoad) (float64, error) { return cpuPerGiB(r, opDiscard, l.bytes) }},
	{"CPU, 8 streams, from the target", "s/GiB", func(r rig, l benchLoad) (float64, error) { return cpuPerGiB(r, opZeros, l.bytes) }},
	{"512-byte round trip, p50", "µs", func(r rig, l benchLoad) (float64, error) { return roundTrip(r, l.requests, 0.50) }},
	{"512-byte round trip, p99", "µs", func(r rig, l benchLoad) (float64, error) { return roundTrip(r, l.requests, 0.99) }},
	{"new connections, 32 workers", "1/s", func(r rig, l benchLoad) (float64, error) { return newConnections(r, l.conns) }},
}

// throughput moves total bytes over count streams and returns MiB/s.
func throughput(r rig, op operation, count, total int) (float64, error) {
	begin := time.Now()
	if err := move(r, op, count, total); err != nil {
		return 0, err
	}
	return float64(total) / (1 << 20) / time.Since(begin).Seconds(), nil
}

// cpuPerGiB moves total bytes over 8 streams.
func cpuPerGiB(r rig, op operation, total int) (float64, error) {
	before, err := r.cpu()
	if err != nil {
		return 0, err
	}
	if err := move(r, op, 8, total); err != nil {
		return 0, err
	}
	after, err := r.cpu()
	return (after - before).Seconds() / (float64(total) / (1 << 30)), err
}

func move(r rig, op operation, count, total int) error {
	errs := make([]error, count)
	eachParallel(count, count, func(i int) { errs[i] = moveOne(r.addr, op, total/count) })
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

func moveOne(addr string, op operation, n int) error {
	c, err := open(addr, request{op: op, n: n})
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	if op == opZeros {
		got, err := discard{}.ReadFrom(c)
		if err == nil && got != int64(n) {
			err = fmt.Errorf("%d bytes of %d arrived", got, n)
		}
		return err
	}
	buf := make([]byte, 128<<10)
	for left := n; left > 0; left -= len(buf) {
		if _, err := c.Write(buf[:min(left, len(buf))]); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(c, buf[:1])
	return err
}

// roundTrip returns a quantile of n requests of 512 bytes, in microseconds.
func roundTrip(r rig, n int, quantile float64) (float64, error) {
	c, err := open(r.addr, request{op: opEcho})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 512)
	took := make([]time.Duration, 0, n)
	for i := range n + n/10 {
		begin := time.Now()
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			return 0, err
		}
		if i >= n/10 { // the first ones warm up
			took = append(took, time.Since(begin))
		}
	}
	slices.Sort(took)
	return float64(took[int(quantile*float64(n-1))].Nanoseconds()) / 1000, nil
}

// newConnections opens n connections from 32 workers, with a byte sent and
// echoed on each, and returns how many there were in a second.
func newConnections(r rig, n int) (float64, error) {
	var failed atomic.Int64
	var first error
	var once sync.Once
	begin := time.Now()
	eachParallel(n, 32, func(int) {
		c, err := open(r.addr, request{op: opEcho})
		if err == nil {
			err = echo(c, "x")
			_ = c.Close()
		}
		if err != nil {
			failed.Add(1)
			once.Do(func() { first = err })
		}
	})
	if k := failed.Load(); k > 0 {
		return 0, fmt.Errorf("%s: %d of %d connections failed: %w", r.name, k, n, first)
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// idleMemory returns the KiB of resident memory that the three processes of a
// fresh rig need for each of count idle connections.
func idleMemory(t testing.TB, r rig, count int) float64 {
	sum := func() (kib int64) {
		for _, p := range r.processes {
			n, err := p.residentKiB()
			if err != nil {
				t.Fatal(err)
			}
			kib += n
		}
		return kib
	}
	for range 20 {
		if err := checkEcho(r.addr, "warm"); err != nil {
			t.Fatal(err)
		}
	}
	before := sum()
	conns := openMany(t, r.addr, count)
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	time.Sleep(3 * time.Second) // lets collectors and time-outs do their work
	return float64(sum()-before) / float64(count)
}

// idleCount is 5,000, or fewer where this process may not open the two
// sockets that it holds for each.
func idleCount(t testing.TB) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Log("file descriptor limit:", err)
		}
	}
	const want = 5000
	if most := int(min(limit.Cur, 1<<20)) - 500; most < 2*want {
		t.Logf("%d idle connections instead of %d: file descriptor limit %d", most/2, want, limit.Cur)
		return most / 2
	}
	return want
}

func envInt(t testing.TB, name string, standard int) int {
	s := os.Getenv(name)
	if s == "" {
		return standard
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s: want a positive number, got %q", name, s)
	}
	return n
}

// BenchmarkE2E compares the program with the plain pipe, in rounds that
// alternate between the two, and prints the table of docs/performance.md:
//
//	go test -run '^$' -bench E2E -benchtime 1x ./proxy/node/e2e
//
// OCKAM_BENCH_OUT names a file for the table, OCKAM_BENCH_ROUNDS and
// OCKAM_BENCH_MIB set how much is done.
func BenchmarkE2E(b *testing.B) {
	load := benchLoad{bytes: envInt(b, "OCKAM_BENCH_MIB", 512) << 20, requests: 5000, conns: 3000}
	for range b.N {
		table := compare(b, load, envInt(b, "OCKAM_BENCH_ROUNDS", 3), idleCount(b), len(rigs))
		for _, row := range table.rows {
			for i, v := range row.medians {
				name := strings.NewReplacer(" ", "_", ",", "").Replace(row.name + "/" + rigs[i].name)
				b.ReportMetric(v, name+"_"+row.unit)
			}
		}
		b.ReportMetric(0, "ns/op")
		text := table.markdown()
		if path := os.Getenv("OCKAM_BENCH_OUT"); path != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				b.Error(err)
			}
		} else {
			fmt.Print("\n" + text)
		}
	}
}

// table holds the medians of all measures.
type table struct {
	rounds int
	rows   []tableRow
}

type tableRow struct {
	measure
	medians []float64 // one a rig
}

// compare measures the first count rigs in interleaved rounds.
func compare(t testing.TB, load benchLoad, rounds, idle, count int) table {
	target := newTarget(t)
	values := make([][][]float64, len(measures)) // measure, rig, round
	for i := range values {
		values[i] = make([][]float64, count)
	}
	out := table{rounds: rounds}
	memory := tableRow{measure: measure{name: fmt.Sprintf("memory a connection, %d idle", idle), unit: "KiB"}}
	for _, kind := range rigs[:count] { // each alone and fresh
		memory.medians = append(memory.medians, idleMemoryOf(t, kind.name, kind.make, target.addr, idle))
	}
	all := make([]rig, count)
	for i, kind := range rigs[:count] {
		all[i] = kind.make(t, target.addr)
		all[i].name = kind.name
	}
	for range rounds {
		for m, ms := range measures {
			for i, r := range all {
				v, err := ms.run(r, load)
				if err != nil {
					t.Fatalf("%s: %s: %v", r.name, ms.name, err)
				}
				t.Logf("%s: %s: %.1f %s", ms.name, r.name, v, ms.unit)
				values[m][i] = append(values[m][i], v)
			}
		}
	}
	for m, ms := range measures {
		row := tableRow{measure: ms}
		for _, v := range values[m] {
			slices.Sort(v)
			row.medians = append(row.medians, v[len(v)/2])
		}
		out.rows = append(out.rows, row)
	}
	out.rows = append(out.rows, memory)
	return out
}

// idleMemoryOf measures a rig of its own and ends it.
func idleMemoryOf(t testing.TB, name string, build func(testing.TB, string) rig, target string, idle int) float64 {
	r := build(t, target)
	kib := idleMemory(t, r, idle)
	t.Logf("memory a connection: %s: %.1f KiB", name, kib)
	for _, p := range r.processes {
		p.kill()
	}
	return kib
}

// markdown writes the table with the ratio of each rig to the plain pipe.
func (tb table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d interleaved rounds; %s, %d processors, %s.\n\n", tb.rounds, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	count := len(tb.rows[0].medians)
	b.WriteString("| measure | unit |")
	for _, kind := range rigs[:count] {
		b.WriteString(" " + kind.name + " |")
	}
	for _, kind := range rigs[1:count] {
		b.WriteString(" ratio: " + kind.name + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---:|", 2*count-1) + "\n")
	for _, row := range tb.rows {
		fmt.Fprintf(&b, "| %s | %s |", row.name, row.unit)
		for _, v := range row.medians {
			b.WriteString(" " + figure(v) + " |")
		}
		for _, v := range row.medians[1:] {
			fmt.Fprintf(&b, " %.2f |", v/row.medians[0])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// figure prints v with three digits that mean something.
func figure(v float64) string {
	digits := 2 - int(math.Floor(math.Log10(math.Max(math.Abs(v), 0.01))))
	return strconv.FormatFloat(v, 'f', max(digits, 0), 64)
}

// TestCompareSmall keeps the benchmark itself working, on the plain pipe
// alone and with little load.
func TestCompareSmall(t *testing.T) {
	text := compare(t, benchLoad{bytes: 8 << 20, requests: 200, conns: 200}, 1, 50, 1).markdown()
	for _, ms := range measures {
		if !strings.Contains(text, ms.name) {
			t.Errorf("no row for %q in\n%s", ms.name, text)
		}
	}
}
