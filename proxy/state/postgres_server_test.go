//go:build unix

package state_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/transports/transporttest"
)

// A postgresServer is a PostgreSQL server of a test's own, on a port of the
// loopback address.
type postgresServer struct {
	t         testing.TB
	bin, data string
	port      int
	who       *syscall.SysProcAttr
	cmd       *exec.Cmd
	output    *bytes.Buffer
}

// newPostgresServer makes a cluster and starts a server, or skips the test.
func newPostgresServer(t testing.TB) *postgresServer {
	t.Helper()
	s := &postgresServer{t: t, bin: postgresPrograms(t), who: serverUser(t), port: transporttest.FreePort(t)}
	dir, err := os.MkdirTemp("", "ockam-postgres-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if s.who.Credential != nil {
		if err := os.Chown(dir, int(s.who.Credential.Uid), int(s.who.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	s.data = filepath.Join(dir, "data")
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = s.who, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGINT) })
	return s
}

func postgresPrograms(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Skip("no PostgreSQL server here (Debian package postgresql)")
	}
	return filepath.Dir(found[0])
}

// serverUser is whom the server runs as: it refuses to be root.
func serverUser(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if err1 == nil && err2 == nil {
				return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			}
		}
	}
	t.Skip("no unprivileged user for PostgreSQL")
	return nil
}

// start starts the server and waits until it takes connections.
func (s *postgresServer) start() {
	s.t.Helper()
	s.output = new(bytes.Buffer)
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data, "-p", strconv.Itoa(s.port), "-k", "",
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60", "-c", "autovacuum=off")
	s.cmd.SysProcAttr, s.cmd.Dir, s.cmd.Stderr = s.who, filepath.Dir(s.data), s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		cmd := exec.Command(filepath.Join(s.bin, "pg_isready"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-q")
		if cmd.Run() == nil {
			return
		}
		if time.Now().After(end) {
			s.stop(syscall.SIGKILL)
			s.t.Fatalf("the server does not start:\n%s", s.output)
		}
	}
}

// stop ends the server: SIGINT at once and cleanly, SIGQUIT without writing
// anything more, as after a crash.
func (s *postgresServer) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// database makes a new database and returns its URL.
func (s *postgresServer) database(name string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, "createdb"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "postgres", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("createdb: %v\n%s", err, out)
	}
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, name)
}

func openPostgres(t testing.TB, url string) *state.Postgres {
	t.Helper()
	p, err := state.OpenPostgres(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}
