package state_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ockam/proxy/state"
	"ockam/tunnel/identity"
)

// mount puts a small file system of its own on a folder.
func mount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := filepath.Join(mount(t, "512k"), "home")
	s, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	fillUp(t, s, dir)
	_ = s.Close() // may have no room to tidy up
	if s, err = state.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Identities(t.Context()); err != nil || len(all) == 0 {
		t.Errorf("opened again: %d identities, %v", len(all), err)
	}
	_ = s.Close()

	none := filepath.Join(mount(t, "16k"), "home") // not even for the schema
	_, err = state.Open(t.Context(), none)
	if err == nil || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), none) {
		t.Errorf("got %v", err)
	}
	if left := files(t, none); len(left) != 0 {
		t.Errorf("left over: %d files", len(left))
	}
}

func TestReadOnlyDisk(t *testing.T) {
	parent := mount(t, "4m")
	dir := filepath.Join(parent, "home")
	s, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	createIdentity(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", parent, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Join(parent, "other")} {
		_, err := state.Open(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), d) || !strings.Contains(err.Error(), "must be able to write") {
			t.Errorf("%s: got %v", d, err)
		}
	}
}

// TestReadOnlyFolder opens homes as a user who may not write there.
func TestReadOnlyFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "home")
	s := open(t, dir)
	createIdentity(t, s, "app")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(parent, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	run := asOther(t, parent)
	for path, mode := range map[string]os.FileMode{filepath.Join(dir, "database.sqlite3"): 0o444, dir: 0o555, empty: 0o555, parent: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, d := range []string{parent, dir, empty} {
			if err := os.Chmod(d, 0o700); err != nil {
				t.Error(err)
			}
		}
	})
	for _, d := range []string{dir, empty, filepath.Join(parent, "new")} {
		out, err := run(d).Output()
		if err == nil || !strings.Contains(string(out), d) || !strings.Contains(string(out), "must be able to write") && !strings.Contains(string(out), "chmod 600") {
			t.Errorf("%s: %v: %s", d, err, out)
		}
	}
}

// asOther returns a function that makes a child process of this user, or of
// nobody if this user is root, whom no permission stops.
func asOther(t *testing.T, parent string) func(dir string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return func(dir string) *exec.Cmd { return child(t, "write", dir) }
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(parent, "program") // the real one may lie where nobody can reach it
	if err := copyFile(self, program); err != nil {
		t.Fatal(err)
	}
	for d := parent; d != "/" && d != filepath.Clean(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(dir string) *exec.Cmd {
		cmd := child(t, "write", dir)
		cmd.Path = program
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// TestLocksSurvive: opening a home a second time in one process must not end
// the locks that the first store holds, as closing any file of it would.
func TestLocksSurvive(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	createIdentity(t, s, "app")
	info, err := os.Stat(filepath.Join(dir, "database.sqlite3"))
	if err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	locks := func() int {
		b, err := os.ReadFile("/proc/locks")
		if err != nil {
			t.Skipf("needs /proc/locks: %v", err)
		}
		return strings.Count(string(b), mark)
	}
	before := locks()
	if before == 0 {
		t.Skip("this kernel does not show locks")
	}
	second, err := state.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if after := locks(); after == 0 {
		t.Errorf("%d locks before, %d after", before, after)
	}
}

// TestVaultOnReadOnlyDisk: a vault whose file cannot be written is refused with
// its path, and nothing is changed in the database.
func TestVaultOnReadOnlyDisk(t *testing.T) {
	disk := mount(t, "1m")
	s := open(t, home(t))
	ctx := t.Context()
	createVault(t, s, "default", "")
	path := filepath.Join(disk, "vault")
	createVault(t, s, "v", path)
	createIn(t, s, "app")
	works(t, s, "app")
	createVault(t, s, "empty", filepath.Join(disk, "empty"))
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), disk) || !strings.Contains(err.Error(), "must be able to write") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := s.CreateIdentityIn(ctx, "v", "more", identity.CreateOptions{})
	refused("create an identity", err)
	_, err = s.CreateVault(ctx, "w", filepath.Join(disk, "w"))
	refused("create a vault", err)
	refused("delete a vault", s.DeleteVault(ctx, "empty"))
	_, err = s.RotateIdentity(ctx, "app", identity.RotateOptions{})
	refused("rotate", err)
	if all, err := s.Vaults(ctx); err != nil || len(all) != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := s.Identities(ctx); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	works(t, s, "app") // reading is enough for that
}

// TestVaultOnFullDisk: what was in the file of a vault stays when no more fits.
func TestVaultOnFullDisk(t *testing.T) {
	disk := mount(t, "16k")
	s := open(t, home(t))
	createVault(t, s, "default", "")
	path := filepath.Join(disk, "vault")
	createVault(t, s, "v", path)
	done := 0
	for ; done < 10000; done++ {
		_, err := s.CreateIdentityIn(t.Context(), "v", fmt.Sprint(done), identity.CreateOptions{})
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), path) {
			t.Errorf("%q does not say what to do", err)
		}
		break
	}
	t.Logf("full after %d identities", done)
	whole(t, s)
	if all, err := s.Identities(t.Context()); err != nil || len(all) != done || done == 0 {
		t.Errorf("%d identities, %v, want %d", len(all), err, done)
	}
	wantFiles(t, disk, "vault")
}
