//go:build unix

package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/transports/transporttest"
	"ockam/tunnel/authority"
	"ockam/tunnel/authority/authoritytest"
)

func TestPostgres(t *testing.T) {
	s := newPostgresServer(t)
	n := 0
	fresh := func(t *testing.T) string {
		t.Helper()
		n++
		return s.database(fmt.Sprintf("test%d", n))
	}
	t.Run("suite", func(t *testing.T) {
		authoritytest.Run(t, func(t *testing.T) authority.Store {
			return openPostgres(t, fresh(t)).Authority(authoritytest.ID(5000))
		})
	})
	t.Run("two authorities", func(t *testing.T) {
		url := fresh(t)
		p := openPostgres(t, url)
		apart(t, p.Authority(authoritytest.ID(1)), p.Authority(authoritytest.ID(2)))
		p = openPostgres(t, url)
		afterwards(t, p.Authority(authoritytest.ID(1)), p.Authority(authoritytest.ID(2)))
	})
	t.Run("two processes", func(t *testing.T) { postgresTwice(t, fresh(t)) })
	t.Run("old tokens", func(t *testing.T) {
		url := fresh(t)
		const version = "CREATE TABLE ockam_schema (version BIGINT NOT NULL); INSERT INTO ockam_schema VALUES (1);"
		if err := state.ExecPostgres(t.Context(), url, state.PostgresMigrations[0]+version+oldToken(`'\x%x'`)); err != nil {
			t.Fatal(err)
		}
		oldTokens(t, openPostgres(t, url).Authority(authoritytest.ID(1)))
	})
	t.Run("versions", func(t *testing.T) { postgresVersions(t, fresh(t), fresh(t)) })
	for name, sig := range map[string]syscall.Signal{"restart": syscall.SIGINT, "crash": syscall.SIGQUIT} {
		t.Run(name, func(t *testing.T) { postgresRestarts(t, s, fresh(t), sig) })
	}
	t.Run("damaged", func(t *testing.T) {
		url := fresh(t)
		a := openPostgres(t, url).Authority(authoritytest.ID(1))
		if err := a.SetPreTrusted(t.Context(), []authority.Member{{Identifier: authoritytest.ID(1)}}); err != nil {
			t.Fatal(err)
		}
		if err := state.ExecPostgres(t.Context(), url, "UPDATE authority_member SET attributes = 'x'"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if m, err := a.Member(t.Context(), authoritytest.ID(1)); err == nil || time.Since(begun) > 5*time.Second {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("commit", func(t *testing.T) { postgresCommit(t, s, fresh(t)) })
	t.Run("away", func(t *testing.T) { postgresAway(t, s, fresh(t)) })
}

// postgresTwice opens an empty database by many at once, who then share tokens.
func postgresTwice(t *testing.T, url string) {
	const processes, uses = 6, 20
	var stores [processes]authority.Store
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			p, err := state.OpenPostgres(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = p.Close() })
			stores[i] = p.Authority(authoritytest.ID(1))
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if err := stores[0].PutToken(t.Context(), authoritytest.Token(1, uses)); err != nil {
		t.Fatal(err)
	}
	var enrolled atomic.Int64
	for i := range processes {
		for n := range 2 * uses {
			wg.Go(func() { // the same members come to all processes
				switch _, err := stores[i].Redeem(t.Context(), authoritytest.Code(1), authoritytest.ID(n), tokenTime); {
				case err == nil:
					enrolled.Add(1)
				case !errors.Is(err, authority.ErrAlreadyMember) && !errors.Is(err, authority.ErrUnknownCode):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	ids, err := stores[0].MemberIDs(t.Context())
	if enrolled.Load() != uses || err != nil || len(ids) != uses {
		t.Errorf("%d enrolled, %d members, %v", enrolled.Load(), len(ids), err)
	}
}

func postgresVersions(t *testing.T, newer, foreign string) {
	for _, tt := range []struct {
		url, statement string
		want           error
	}{
		{newer, "CREATE TABLE ockam_schema (version BIGINT NOT NULL); INSERT INTO ockam_schema VALUES (99)", state.ErrNewer},
		{foreign, "CREATE TABLE authority_member (identifier TEXT)", state.ErrForeign},
	} {
		if err := state.ExecPostgres(t.Context(), tt.url, tt.statement); err != nil {
			t.Fatal(err)
		}
		p, err := state.OpenPostgres(t.Context(), tt.url)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%v, want %v", err, tt.want)
		}
		if p != nil {
			_ = p.Close()
		}
	}
}

// BenchmarkRedeemPostgres is BenchmarkRedeem/parallel, on a server that does not
// wait for its disk.
func BenchmarkRedeemPostgres(b *testing.B) {
	a := openPostgres(b, newPostgresServer(b).database("bench")).Authority(authoritytest.ID(1))
	if err := a.PutToken(b.Context(), authoritytest.Token(1, 1<<40)); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := a.Redeem(b.Context(), authoritytest.Code(1), authoritytest.ID(int(n.Add(1))), tokenTime); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "redeemed/s")
}

func TestPostgresErrors(t *testing.T) {
	const secret = "s3cret"
	for _, url := range []string{
		"mysql://u:" + secret + "@127.0.0.1/db", "postgres://u:" + secret + "@127.0.0.1:99999999/db", "postgres://u:" + secret + "@[::1/db", "",
	} {
		p, err := state.OpenPostgres(t.Context(), url)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.HasPrefix(err.Error(), "state: PostgreSQL") {
			t.Errorf("%q: %v, %v", url, p, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := state.OpenPostgres(ctx, fmt.Sprintf("postgres://u:%s@127.0.0.1:%d/db?sslmode=disable", secret, transporttest.FreePort(t)))
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("%v", err)
	}
}

// postgresRestarts has members enroll while the server ends and starts again, some
// times: some by tokens of their own, some by one that all share. Nobody sees an
// error, and no token is used more often than it may be, or less.
func postgresRestarts(t *testing.T, s *postgresServer, url string, sig syscall.Signal) {
	const shared, uses = 1_000_000, 1_000_000
	p := openPostgres(t, url)
	p.SetPatience(time.Minute) // the server has half of it to start
	a := p.Authority(authoritytest.ID(1))
	if err := a.PutToken(t.Context(), authoritytest.Token(shared, uses)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var next, enrolled, byShared atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				token := authoritytest.Token(n, 1)
				var err error
				if n%2 == 0 {
					token = authoritytest.Token(shared, uses)
					byShared.Add(1)
				} else {
					err = a.PutToken(t.Context(), token)
				}
				if err == nil {
					_, err = a.Redeem(t.Context(), token.Code, authoritytest.ID(n), tokenTime)
				}
				if err != nil {
					t.Errorf("member %d: %v", n, err)
					return
				}
				enrolled.Add(1)
			}
		})
	}
	const rounds = 3
	for range rounds {
		time.Sleep(100*time.Millisecond + rand.N(200*time.Millisecond))
		s.stop(sig)
		s.start()
	}
	time.Sleep(100 * time.Millisecond)
	cancel()
	wg.Wait()
	ids, err := a.MemberIDs(t.Context())
	if err != nil || len(ids) != int(enrolled.Load()) {
		t.Errorf("%d members, %d were enrolled, %v", len(ids), enrolled.Load(), err)
	}
	left, err1 := p.Number(t.Context(), "SELECT count(*) FROM authority_token")
	usesLeft, err2 := p.Number(t.Context(), "SELECT uses FROM authority_token")
	if err := errors.Join(err1, err2); err != nil || left != 1 || usesLeft != uses-int(byShared.Load()) {
		t.Errorf("%d tokens and %d uses are left, want 1 and %d: %v", left, usesLeft, uses-byShared.Load(), err)
	}
	t.Logf("%d enrolled over %d ends of the server", enrolled.Load(), rounds)
}

// postgresCommit loses the connection at the worst moment: when COMMIT is under
// way. In each case one use is taken, and who redeemed is told so.
func postgresCommit(t *testing.T, s *postgresServer, url string) {
	for i, tt := range []struct {
		name string
		lose func(c *middleConn, commit []byte)
	}{
		{"before the server has it", func(c *middleConn, _ []byte) {
			_, _ = c.client.Close(), c.server.Close()
		}},
		{"before its answer", func(c *middleConn, commit []byte) {
			_, _ = c.server.Write(commit)
			<-c.answered
			_, _ = c.client.Close(), c.server.Close()
		}},
		{"on this side only", func(c *middleConn, _ []byte) { _ = c.client.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMiddle(t, s.port, tt.lose)
			p := openPostgres(t, strings.Replace(url, fmt.Sprint(s.port), fmt.Sprint(m.port()), 1))
			a := p.Authority(authoritytest.ID(2000 + i))
			for n, uses := range []uint64{1, 3} {
				token := authoritytest.Token(n, uses)
				m.armed.Store(n == 0)
				if err := a.PutToken(t.Context(), token); err != nil || m.armed.Load() {
					t.Fatalf("token: %v", err)
				}
				m.armed.Store(true)
				got, err := a.Redeem(t.Context(), token.Code, authoritytest.ID(n), tokenTime)
				if err != nil || m.armed.Load() || got.Attributes["component"] != "db" || got.AddedBy != token.IssuedBy {
					t.Fatalf("%+v, %v", got, err)
				}
				for i := range uses {
					_, err := a.Redeem(t.Context(), token.Code, authoritytest.ID(100*(n+1)+int(i)), tokenTime)
					if last := i == uses-1; last != errors.Is(err, authority.ErrUnknownCode) || !last && err != nil {
						t.Errorf("use %d of %d: %v", i+2, uses, err)
					}
				}
			}
			m.armed.Store(true)
			if err := a.DeleteMembers(t.Context(), authoritytest.ID(0), authoritytest.ID(1)); err == nil {
				t.Errorf("nobody can know whether that has deleted anybody; armed %v", m.armed.Load())
			}
		})
	}
}

// A middle passes connections on to a server. When it is armed it disarms itself
// at the next commit, and loses the connection.
type middle struct {
	t     *testing.T
	l     net.Listener
	to    string
	armed atomic.Bool
	lose  func(c *middleConn, commit []byte)
	wg    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// A middleConn is a connection that the middle passes on.
type middleConn struct {
	client, server net.Conn
	lost, answered chan struct{} // what the server says after lost goes nowhere
}

func newMiddle(t *testing.T, port int, lose func(c *middleConn, commit []byte)) *middle {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middle{t: t, l: l, to: fmt.Sprintf("127.0.0.1:%d", port), lose: lose}
	m.wg.Go(m.accept)
	t.Cleanup(func() {
		_ = l.Close()
		m.mu.Lock()
		for _, c := range m.conns {
			_ = c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

func (m *middle) port() int { return m.l.Addr().(*net.TCPAddr).Port }

func (m *middle) accept() {
	for {
		client, err := m.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", m.to)
		if err != nil {
			m.t.Error(err)
			_ = client.Close()
			continue
		}
		m.mu.Lock()
		m.conns = append(m.conns, client, server)
		m.mu.Unlock()
		c := &middleConn{client, server, make(chan struct{}), make(chan struct{})}
		m.wg.Go(func() { m.requests(c) })
		m.wg.Go(c.answers)
	}
}

func (m *middle) requests(c *middleConn) {
	b := make([]byte, 1<<16)
	for {
		n, err := c.client.Read(b)
		if err != nil {
			_ = c.server.Close()
			return
		}
		if bytes.Contains(b[:n], []byte("commit\x00")) && m.armed.CompareAndSwap(true, false) {
			close(c.lost)
			m.lose(c, b[:n])
			return
		}
		if _, err := c.server.Write(b[:n]); err != nil {
			return
		}
	}
}

func (c *middleConn) answers() {
	defer close(c.answered)
	b := make([]byte, 1<<16)
	for {
		n, err := c.server.Read(b)
		select {
		case <-c.lost:
			return
		default:
		}
		if err != nil {
			_ = c.client.Close()
			return
		}
		if _, err := c.client.Write(b[:n]); err != nil {
			return
		}
	}
}

// postgresAway looks at the error while the server is not there, and that all is
// well when it is back.
func postgresAway(t *testing.T, s *postgresServer, url string) {
	const patience = 700 * time.Millisecond
	p := openPostgres(t, url)
	p.SetPatience(patience)
	a := p.Authority(authoritytest.ID(1))
	if err := a.PutToken(t.Context(), authoritytest.Token(1, 1)); err != nil {
		t.Fatal(err)
	}
	s.stop(syscall.SIGINT)
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	_, err := a.Redeem(ctx, authoritytest.Code(1), authoritytest.ID(1), tokenTime)
	if err == nil || errors.Is(err, authority.ErrUnknownCode) {
		t.Errorf("%v", err)
	}
	begun := time.Now()
	if _, err := a.Member(t.Context(), authoritytest.ID(1)); err == nil || errors.Is(err, authority.ErrNotMember) || !strings.Contains(err.Error(), "PostgreSQL at 127.0.0.1") {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > 10*patience {
		t.Errorf("an error after %v", took)
	}
	s.start()
	if _, err := a.Redeem(t.Context(), authoritytest.Code(1), authoritytest.ID(1), tokenTime); err != nil {
		t.Error(err)
	}
}
