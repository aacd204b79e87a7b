//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A namespace is a network of its own: its loopback, its ports, its routes.
type namespace struct {
	t    testing.TB
	name string
}

// networks are three namespaces: app and db each have one cable, to relay,
// which forwards nothing, so that no packet can go from app to db.
type networks struct {
	app, relay, db *namespace
}

// Addresses inside the namespaces; nothing outside them sees these.
const (
	appOutside  = "10.203.1.2"
	relayForApp = "10.203.1.1"
	dbOutside   = "10.203.2.2"
	relayForDB  = "10.203.2.1"
)

var networkCount atomic.Int32

// newNetworks makes the three namespaces, removed with the test, or skips
// the test where that is impossible.
func newNetworks(t testing.TB) *networks {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need the program ip (Debian package iproute2)")
	}
	id := fmt.Sprintf("%d-%d", os.Getpid(), networkCount.Add(1))
	n := &networks{
		app:   newNamespace(t, "ockam-e2e-app-"+id),
		relay: newNamespace(t, "ockam-e2e-relay-"+id),
		db:    newNamespace(t, "ockam-e2e-db-"+id),
	}
	cable(t, n.app, appOutside, n.relay, relayForApp, "app")
	cable(t, n.db, dbOutside, n.relay, relayForDB, "db")
	mustIP(t, n.relay.wrap([]string{"sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"})...)
	n.db.refuseInbound()
	return n
}

func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	out, err := exec.Command("ip", "netns", "add", name).CombinedOutput()
	if err != nil {
		t.Skipf("this machine allows no network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() })
	mustIP(t, "ip", "-n", name, "link", "set", "lo", "up")
	return &namespace{t: t, name: name}
}

// cable joins a and b with a pair of virtual devices.
func cable(t testing.TB, a *namespace, addrA string, b *namespace, addrB, tag string) {
	t.Helper()
	mustIP(t, "ip", "-n", a.name, "link", "add", "out", "type", "veth", "peer", "name", tag, "netns", b.name)
	for _, end := range []struct{ space, dev, addr string }{{a.name, "out", addrA}, {b.name, tag, addrB}} {
		mustIP(t, "ip", "-n", end.space, "addr", "add", end.addr+"/24", "dev", end.dev)
		mustIP(t, "ip", "-n", end.space, "link", "set", end.dev, "up")
	}
}

func mustIP(t testing.TB, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// wrap makes argv run in the namespace.
func (n *namespace) wrap(argv []string) []string {
	return append([]string{"ip", "netns", "exec", n.name}, argv...)
}

// refuseInbound drops every connection that comes from outside. Where there
// is no packet filter, listensOutside alone shows that no port is open.
func (n *namespace) refuseInbound() {
	if _, err := exec.LookPath("iptables"); err != nil {
		n.t.Log("no iptables: inbound connections to the database host are not filtered, only looked for")
		return
	}
	for _, rule := range [][]string{
		{"-A", "INPUT", "-i", "out", "-p", "tcp", "--syn", "-j", "DROP"},
		{"-A", "INPUT", "-i", "out", "-p", "udp", "-j", "DROP"},
	} {
		argv := n.wrap(append([]string{"iptables"}, rule...))
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			n.t.Logf("no packet filter in this kernel: %v: %s", err, out)
			return
		}
	}
}

// do calls f on a thread inside the namespace: the sockets that f itself
// makes, without a name look-up, belong to it.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		leave, err := n.enter()
		if err == nil {
			err = f()
			// A thread that cannot get out again must not serve others, and
			// ends. It is put back rather than always ended, because the
			// kernel kills the processes that an ending thread has started.
			if leave() == nil {
				runtime.UnlockOSThread()
			}
		}
		result <- err
	}()
	return <-result
}

// enter moves the calling thread into the namespace.
func (n *namespace) enter() (leave func() error, err error) {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	there, err := os.Open(filepath.Join("/run/netns", n.name))
	if err != nil {
		_ = home.Close()
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		_ = home.Close()
		return nil, err
	}
	return func() error {
		defer home.Close()
		return unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
	}, nil
}

// dial connects from inside the namespace.
func (n *namespace) dial(addr string, limit time.Duration) (c net.Conn, err error) {
	err = n.do(func() error {
		c, err = net.DialTimeout("tcp", addr, limit)
		return err
	})
	return c, err
}

// listensOutside returns the sockets of the namespace that take connections
// on an address other than loopback, as hexadecimal text of the kernel.
func (n *namespace) listensOutside() ([]string, error) {
	var found []string
	for _, file := range []string{"tcp", "tcp6"} {
		var table []byte
		err := n.do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/" + file)
			return err
		})
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			const listening = "0A"
			if len(f) < 4 || f[3] != listening {
				continue
			}
			// 127.0.0.0/8 has 7F as its last printed byte, ::1 ends so.
			host, _, _ := strings.Cut(f[1], ":")
			if strings.HasSuffix(host, "7F") || host == "00000000000000000000000001000000" {
				continue
			}
			found = append(found, f[1])
		}
	}
	return found, nil
}

func TestNetworks(t *testing.T) {
	n := newNetworks(t)
	var l net.Listener
	if err := n.relay.do(func() (err error) {
		l, err = net.Listen("tcp", "0.0.0.0:4000")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tests := []struct {
		name string
		from *namespace
		to   string
		want bool
	}{
		{"app reaches the relay", n.app, relayForApp + ":4000", true},
		{"db reaches the relay", n.db, relayForDB + ":4000", true},
		{"app has no way to db", n.app, dbOutside + ":4000", false},
		{"db has no way to app", n.db, appOutside + ":4000", false},
		{"db takes no connection", n.relay, dbOutside + ":4000", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := 500 * time.Millisecond
			if tt.want { // the first packet may be lost while a cable comes up
				limit = 10 * time.Second
			}
			c, err := tt.from.dial(tt.to, limit)
			if got := err == nil; got != tt.want {
				t.Errorf("connected: %v (%v), want %v", got, err, tt.want)
			}
			if c != nil {
				_ = c.Close()
			}
		})
	}
	if found, err := n.relay.listensOutside(); err != nil || len(found) != 1 {
		t.Errorf("sockets of the relay's network: %v, %v, want one", found, err)
	}
	if found, err := n.db.listensOutside(); err != nil || len(found) != 0 {
		t.Errorf("sockets of the database's network: %v, %v, want none", found, err)
	}
}
