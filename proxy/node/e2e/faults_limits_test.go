//go:build linux

package e2e_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPortInUse demands a clear error and an exit code at the start.
func TestPortInUse(t *testing.T) {
	program(t)
	l := listenFree(t)
	defer l.Close()
	taken := l.Addr().String()
	tests := []struct {
		name, node string
		setup      tunnelSetup
	}{
		{"inlet", "app", tunnelSetup{inlet: taken}},
		{"listener", "relay", tunnelSetup{listen: taken}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.setup.target, tt.setup.stopped = "127.0.0.1:9", true
			tn := newTunnel(t, tt.setup)
			h := map[string]*host{"app": tn.app, "relay": tn.relay}[tt.node]
			r, err := runFor(t, slow(10*time.Second), h.runCommand())
			if err != nil {
				t.Fatal(err)
			}
			if r.code <= 0 {
				t.Errorf("exit code %d, want an error's", r.code)
			}
			out := r.stdout + r.stderr
			if !strings.Contains(out, taken) || !strings.Contains(out, "in use") {
				t.Errorf("the error names neither the port nor the reason:\n%s", out)
			}
		})
	}
}

// TestFileDescriptorsUsedUp takes all file descriptors of a process. What is
// open goes on, and when some are free again, new connections work.
func TestFileDescriptorsUsedUp(t *testing.T) {
	for _, node := range []string{"app", "db"} {
		t.Run(node, func(t *testing.T) {
			t.Parallel()
			tn, _ := newEchoTunnel(t, tunnelSetup{limits: map[string]int{node: 64}})
			first, err := open(tn.inlet, request{op: opEcho})
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			var others []net.Conn
			defer func() {
				for _, c := range others {
					_ = c.Close()
				}
			}()
			for range 100 {
				c, err := net.DialTimeout("tcp", tn.inlet, 2*time.Second)
				if err != nil {
					break
				}
				_, _ = c.Write(request{op: opEcho}.encode())
				others = append(others, c)
			}
			for range 5 {
				if err := echo(first, "while none is free"); err != nil {
					t.Fatalf("a connection from before: %v", err)
				}
			}
			for _, c := range others {
				_ = c.Close()
			}
			took := eventually(t, slow(15*time.Second), func() error { return probeEcho(tn.inlet, 2*time.Second) })
			t.Logf("a new connection worked %v after the others were closed", took.Round(time.Millisecond))
			if err := echo(first, "and still"); err != nil {
				t.Errorf("a connection from before: %v", err)
			}
			h := map[string]*host{"app": tn.app, "db": tn.db}[node]
			h.terminate(slow(12 * time.Second))
		})
	}
}

// TestOneHome runs three processes on one home, and the same node twice.
func TestOneHome(t *testing.T) {
	home := filepath.Join(openDir(t), "home")
	tn, _ := newEchoTunnel(t, tunnelSetup{home: home})
	for range 3 {
		if got := tn.app.identifier("db"); got != tn.db.id {
			t.Errorf("identity of db: got %s, want %s", got, tn.db.id)
		}
	}
	r, err := runFor(t, slow(10*time.Second), tn.db.runCommand())
	if err != nil || r.code <= 0 {
		t.Errorf("a second process for the same node: exit code %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if err := checkEcho(tn.inlet, "the first goes on"); err != nil {
		t.Error(err)
	}
	tn.stop()
}

// smallDisk mounts a file system of kib KiB, or skips.
func smallDisk(t *testing.T, options string) (path string, remount func(options string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	path = filepath.Join(openDir(t), "disk")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", path).CombinedOutput(); err != nil {
		t.Skipf("this machine mounts nothing: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", path).Run() })
	return path, func(options string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+options, path).CombinedOutput(); err != nil {
			t.Fatalf("remount: %v: %s", err, out)
		}
	}
}

// wantFailure runs the program and demands an error that says reason.
func (h *host) wantFailure(reason string, args ...string) {
	h.t.Helper()
	r, err := runFor(h.t, slow(20*time.Second), command{
		name: "ockam " + strings.Join(args, " "), argv: append([]string{h.binary}, args...), env: h.env(),
	})
	if err != nil {
		h.t.Error(err)
		return
	}
	if r.code <= 0 {
		h.t.Errorf("ockam %s: exit code %d, want an error's", strings.Join(args, " "), r.code)
	}
	if !strings.Contains(strings.ToLower(r.stderr+r.stdout), reason) {
		h.t.Errorf("ockam %s: the error does not say %q:\n%s%s", strings.Join(args, " "), reason, r.stdout, r.stderr)
	}
}

// TestReadOnlyState demands a clear error and keeps what was there.
func TestReadOnlyState(t *testing.T) {
	program(t)
	disk, remount := smallDisk(t, "size=8m")
	h := newHost(t, tunnelSetup{home: filepath.Join(disk, "home")}, "keeper")
	remount("ro")
	h.wantFailure("write", "identity", "create", "another")
	remount("rw")
	if got := h.identifier("keeper"); got != h.id {
		t.Errorf("identifier after all that: %s, want %s", got, h.id)
	}
	h.command("identity", "create", "another")
}

// TestFullDisk demands a clear error and loses nothing that was reported as
// done.
func TestFullDisk(t *testing.T) {
	program(t)
	disk, _ := smallDisk(t, "size=8m")
	h := newHost(t, tunnelSetup{home: filepath.Join(disk, "home")}, "keeper")
	filler := filepath.Join(disk, "filler")
	if err := fill(filler); err == nil {
		t.Fatal("the disk is not full")
	}
	// A database may have room left in pages it already owns: a while.
	failed := false
	for i := 0; i < 200 && !failed; i++ {
		r, err := runFor(t, slow(20*time.Second), command{
			name: "identity create", argv: []string{h.binary, "identity", "create", "n" + strings.Repeat("x", i)}, env: h.env(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if failed = r.code > 0; failed && !strings.Contains(r.stderr, "disk") {
			t.Errorf("the error does not name the disk:\n%s", r.stderr)
		}
	}
	if !failed {
		t.Error("no command failed on a full disk")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if got := h.identifier("keeper"); got != h.id {
		t.Errorf("identifier after the disk was full: %s, want %s", got, h.id)
	}
	h.command("identity", "create", "another")
}

// fill writes to path until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := 64 << 10; block >= 1; block /= 2 {
		for err == nil {
			_, err = f.Write(make([]byte, block))
		}
		if block > 1 {
			err = nil
		}
	}
	return err
}

// TestForeignDatabase refuses a database that another program has made, and
// leaves it alone.
func TestForeignDatabase(t *testing.T) {
	home := filepath.Join(openDir(t), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "database.sqlite3")
	before := bytes.Repeat([]byte("not a database of ours\n"), 1000)
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, home: home, binary: program(t)}
	h.wantFailure("database", "identity", "create", "x")
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the foreign file was changed: %v", err)
	}
}
