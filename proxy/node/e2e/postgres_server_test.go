//go:build linux

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A database is a PostgreSQL server of the test's own, in a namespace.
type database struct {
	t     testing.TB
	bin   string // folder with the server's programs
	certs string // certificate that clients can trust
	local endpoint
	*process
}

// An endpoint is where a client finds the server, directly or by tunnel.
type endpoint struct {
	db    *database
	space *namespace
	addr  string
}

const databasePort = "5432"

// findPostgres returns the folder of the newest server's programs, or skips.
func findPostgres(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Skip("no PostgreSQL server here (Debian packages postgresql and postgresql-contrib)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0])
}

// serverUser is whom the server runs as: it refuses to be root.
func serverUser(t testing.TB) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if err1 == nil && err2 == nil {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
	}
	t.Skip("no unprivileged user for PostgreSQL")
	return nil
}

// newDatabase makes a cluster and starts a server that listens on the
// loopback address of the namespace only, with TLS on offer.
func newDatabase(t testing.TB, space *namespace) *database {
	t.Helper()
	db := &database{t: t, bin: findPostgres(t)}
	db.local = endpoint{db: db, space: space, addr: "127.0.0.1:" + databasePort}
	who := serverUser(t)
	dir := openDir(t)
	cert, key := writeCertificate(t, dir)
	db.certs = cert
	for _, path := range []string{dir, cert, key} {
		if err := os.Chown(path, int(who.Uid), int(who.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	mustRun(t, time.Minute, command{
		name: "initdb", dir: dir, cred: who,
		argv: []string{filepath.Join(db.bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"},
	})
	argv := []string{
		"setpriv", "--reuid", strconv.Itoa(int(who.Uid)), "--regid", strconv.Itoa(int(who.Gid)), "--clear-groups",
		filepath.Join(db.bin, "postgres"), "-D", data, "-p", databasePort, "-k", "",
	}
	for _, option := range []string{
		"listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=" + cert, "ssl_key_file=" + key,
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=4GB",
		"synchronize_seqscans=off", "max_connections=120", "autovacuum=off",
	} {
		argv = append(argv, "-c", option)
	}
	db.process = start(t, command{name: "postgres", argv: space.wrap(argv), dir: dir})
	t.Cleanup(db.stop)
	eventually(t, slow(30*time.Second), func() error {
		r, err := runFor(t, 5*time.Second, db.local.psql("-c", "select 1"))
		if err == nil && r.code != 0 {
			err = errors.New(r.stderr)
		}
		return err
	})
	return db
}

// stop ends the server the fast and clean way.
func (db *database) stop() {
	db.signal(syscall.SIGINT)
	if _, err := db.wait(20 * time.Second); err != nil {
		db.t.Error(err)
	}
}

// writeCertificate makes a self-signed certificate for 127.0.0.1.
func writeCertificate(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "database of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der},
		key:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// client is a client program run at the endpoint's side.
func (e endpoint) client(program string, args ...string) command {
	host, port, _ := net.SplitHostPort(e.addr)
	path := filepath.Join(e.db.bin, program)
	return command{
		name: program,
		argv: e.space.wrap(append([]string{path}, args...)),
		env: []string{
			"PGHOST=" + host, "PGPORT=" + port, "PGUSER=postgres", "PGDATABASE=postgres",
			"PGSSLMODE=disable", "PGCONNECT_TIMEOUT=10",
		},
	}
}

// psql runs psql for scripts: no start-up file, bare values, stop at errors.
func (e endpoint) psql(args ...string) command {
	return e.client("psql", append([]string{"-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"}, args...)...)
}

// query returns what psql prints for one statement.
func (e endpoint) query(t testing.TB, sql string) string {
	t.Helper()
	return strings.TrimSpace(mustRun(t, slow(2*time.Minute), e.psql("-c", sql)))
}
