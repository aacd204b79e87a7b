//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bulkBytes is the size of the dump and of the COPY: 1 GiB in continuous
// integration, less at a desk and with the race detector.
func bulkBytes(t testing.TB) int64 {
	t.Helper()
	if s := os.Getenv("OCKAM_E2E_BYTES"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatalf("OCKAM_E2E_BYTES: %v", err)
		}
		return n
	}
	switch {
	case raceEnabled:
		return 16 << 20
	case inCI():
		return 1 << 30
	}
	return 64 << 20
}

// TestPostgresHarness runs the checks of TestPostgres without a tunnel, in
// small: what fails here is the fault of the tests or of the machine.
func TestPostgresHarness(t *testing.T) {
	findPostgres(t)
	n := newNetworks(t)
	db := newDatabase(t, n.db)
	checkPostgres(t, db.local, db.local, postgresLoad{seconds: 1, bytes: 4 << 20})
}

// TestPostgres is the program's main job: clients in one network use a
// server in another that opens no port to the outside, through a relay.
func TestPostgres(t *testing.T) {
	findPostgres(t)
	tests := []struct {
		name   string
		secure bool
		load   postgresLoad
	}{
		{"name over TCP", false, postgresLoad{seconds: 10, bytes: bulkBytes(t)}},
		{"name through a channel", true, postgresLoad{seconds: 3, bytes: bulkBytes(t) / 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			program(t)
			n := newNetworks(t)
			db := newDatabase(t, n.db)
			tn := newTunnel(t, tunnelSetup{
				secure:  tt.secure,
				target:  db.local.addr,
				listen:  "0.0.0.0:4000",
				fromDB:  relayForDB + ":4000",
				fromApp: relayForApp + ":4000",
				inlet:   "127.0.0.1:15432",
				spaces:  map[string]*namespace{"app": n.app, "relay": n.relay, "db": n.db},
			})
			remote := endpoint{db: db, space: n.app, addr: tn.inlet}
			up := eventually(t, slow(20*time.Second), func() error {
				r, err := runFor(t, 5*time.Second, remote.psql("-c", "select 1"))
				if err == nil && r.code != 0 {
					err = fmt.Errorf("psql: %s", r.stderr)
				}
				return err
			})
			t.Logf("first query answered %v after the start", up.Round(time.Millisecond))
			checkUnreachable(t, n)
			checkPostgres(t, remote, db.local, tt.load)
			for _, h := range tn.hosts() {
				if !h.running() {
					t.Errorf("%s has ended", h.name)
				}
			}
			tn.stop()
		})
	}
}

// checkUnreachable shows that the tunnel is the only way to the database.
func checkUnreachable(t *testing.T, n *networks) {
	t.Helper()
	if found, err := n.db.listensOutside(); err != nil || len(found) > 0 {
		t.Errorf("the database host listens outside: %v, %v", found, err)
	}
	for name, from := range map[string]*namespace{"relay": n.relay, "app": n.app} {
		if c, err := from.dial(dbOutside+":"+databasePort, 500*time.Millisecond); err == nil {
			_ = c.Close()
			t.Errorf("%s reaches the database without the tunnel", name)
		}
	}
}

// postgresLoad is how much checkPostgres does.
type postgresLoad struct {
	seconds int
	bytes   int64
}

// checkPostgres does at remote what people do, and compares with local.
func checkPostgres(t *testing.T, remote, local endpoint, load postgresLoad) {
	t.Run("query", func(t *testing.T) {
		if got := remote.query(t, "select sum(i) from generate_series(1, 1000) i"); got != "500500" {
			t.Errorf("got %q, want 500500", got)
		}
	})
	t.Run("pgbench", func(t *testing.T) {
		mustRun(t, slow(time.Minute), remote.client("pgbench", "-i", "-s", "2", "-q"))
		checkPgbench(t, remote, load.seconds, "-c", "20")
	})
	t.Run("pgbench reconnecting", func(t *testing.T) {
		checkPgbench(t, remote, (load.seconds+1)/2, "-C", "-c", "4", "-S")
	})
	t.Run("copy in", func(t *testing.T) { checkCopy(t, remote, local, load.bytes) })
	t.Run("dump", func(t *testing.T) { checkDump(t, remote, local, load.bytes) })
	t.Run("cancel", func(t *testing.T) { checkCancel(t, remote) })
	t.Run("TLS", func(t *testing.T) { checkTLS(t, remote) })
}

func checkPgbench(t *testing.T, e endpoint, seconds int, args ...string) {
	t.Helper()
	c := e.client("pgbench", append(args, "-j", "2", "-n", "-T", strconv.Itoa(seconds))...)
	r, err := runFor(t, slow(time.Duration(seconds)*time.Second+30*time.Second), c)
	if err != nil || r.code != 0 {
		t.Fatalf("exit code %d, %v\n%s\n%s", r.code, err, r.stdout, tail(r.stderr, 3000))
	}
	if !strings.Contains(r.stdout, "number of failed transactions: 0 ") || strings.Contains(r.stderr, "error") {
		t.Errorf("errors:\n%s\n%s", r.stdout, r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		if strings.HasPrefix(line, "tps") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// rows makes lines of a COPY until there are n bytes: a number and text that
// does not compress.
func rows(w io.Writer, n int64) (count int64, err error) {
	source := rand.NewChaCha8([32]byte{1})
	raw, line := make([]byte, 6000), make([]byte, 0, 9000)
	for written := int64(0); written < n; count++ {
		_, _ = source.Read(raw)
		line = append(strconv.AppendInt(line[:0], count, 10), '\t')
		line = append(base64.StdEncoding.AppendEncode(line, raw), '\n')
		k, err := w.Write(line)
		written += int64(k)
		if err != nil {
			return count, err
		}
	}
	return count, nil
}

// checkCopy copies rows in at remote and compares, at local, every byte.
func checkCopy(t *testing.T, remote, local endpoint, n int64) {
	local.query(t, "drop table if exists bulk; create table bulk (id bigint, t text); alter table bulk alter t set storage external")
	r, w := io.Pipe()
	sent := sha256.New()
	var count int64
	done := make(chan error, 1)
	go func() {
		var err error
		count, err = rows(io.MultiWriter(w, sent), n)
		done <- err
		_ = w.CloseWithError(err)
	}()
	in := remote.psql("-c", "copy bulk from stdin")
	in.stdin = r
	begin := time.Now()
	res, err := runFor(t, bulkLimit(n), in)
	_ = r.Close() // ends the generator if psql ended first
	if genErr := <-done; genErr != nil || err != nil || res.code != 0 {
		t.Fatalf("copy in: exit code %d, %v, %v\n%s", res.code, err, genErr, res.stderr)
	}
	logRate(t, n, begin)
	want := fmt.Sprintf("%d|%d", count, count*(count-1)/2)
	if got := remote.query(t, "select count(*), sum(id) from bulk"); got != want {
		t.Errorf("count and sum: got %s, want %s", got, want)
	}
	stored := sha256.New()
	out := local.psql("-c", "copy bulk to stdout")
	out.stdout = stored
	mustRun(t, bulkLimit(n), out)
	if got, want := stored.Sum(nil), sent.Sum(nil); !bytes.Equal(got, want) {
		t.Errorf("the stored rows are not those sent: %x, want %x", got, want)
	}
}

// checkDump compares a dump of the table of checkCopy taken at remote with
// one taken at local.
func checkDump(t *testing.T, remote, local endpoint, n int64) {
	args := []string{"-t", "bulk"}
	if strings.Contains(mustRun(t, time.Minute, local.client("pg_dump", "--help")), "--restrict-key") {
		args = append(args, "--restrict-key=e2e") // else newer versions write a random one
	}
	dump := func(e endpoint) string {
		h := &countingHash{Writer: sha256.New()}
		c := e.client("pg_dump", args...)
		c.stdout = h
		begin := time.Now()
		mustRun(t, bulkLimit(n), c)
		logRate(t, h.n, begin)
		if h.n < n {
			t.Errorf("dump of %d bytes, want more than %d", h.n, n)
		}
		return hex.EncodeToString(h.Writer.(interface{ Sum([]byte) []byte }).Sum(nil))
	}
	if got, want := dump(remote), dump(local); got != want {
		t.Errorf("the dump through the tunnel differs: %s, want %s", got, want)
	}
}

// A countingHash counts what it passes on.
type countingHash struct {
	io.Writer
	n int64
}

func (h *countingHash) Write(b []byte) (int, error) {
	h.n += int64(len(b))
	return h.Writer.Write(b)
}

// bulkLimit allows 4 MiB a second.
func bulkLimit(n int64) time.Duration {
	return slow(30*time.Second + time.Duration(n/(4<<20))*time.Second)
}

func logRate(t *testing.T, n int64, begin time.Time) {
	t.Helper()
	d := time.Since(begin)
	t.Logf("%d MiB in %v: %.0f MiB/s", n>>20, d.Round(time.Millisecond), float64(n)/(1<<20)/d.Seconds())
}

// checkCancel interrupts psql as Ctrl-C does: it cancels over a connection of
// its own.
func checkCancel(t *testing.T, e endpoint) {
	c := e.psql("-c", "select pg_sleep(60)")
	c.interrupt = func() { // before, psql just ends
		for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(100 * time.Millisecond) {
			r, err := runFor(t, 10*time.Second, e.psql("-c", "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"))
			if err == nil && strings.TrimSpace(r.stdout) == "1" {
				return
			}
		}
	}
	begin := time.Now()
	r, err := runFor(t, 30*time.Second, c)
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.stderr, "canceling statement due to user request") {
		t.Errorf("exit code %d, no word of the cancellation: %q", r.code, r.stderr)
	}
	if took > slow(8*time.Second) {
		t.Errorf("cancelled only after %v", took)
	}
}

// checkTLS has the client check the server's certificate end to end.
func checkTLS(t *testing.T, e endpoint) {
	for _, mode := range []string{"require", "verify-ca", "verify-full"} {
		t.Run(mode, func(t *testing.T) {
			c := e.psql("-c", "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
			c.env = append(c.env, "PGSSLMODE="+mode, "PGSSLROOTCERT="+e.db.certs)
			if got := strings.TrimSpace(mustRun(t, slow(20*time.Second), c)); got != "t" {
				t.Errorf("pg_stat_ssl.ssl is %q, want t", got)
			}
		})
	}
}
