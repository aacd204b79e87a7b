package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ockam/proxy/state"
	"ockam/transports/transporttest"
)

// A program is a command that is ours or the reference implementation's, with a
// home of its own.
type program struct {
	path, home string
	ours       bool
}

func (p *program) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Dir = filepath.Dir(p.home)
	cmd.Env = append(os.Environ(), "OCKAM_HOME="+p.home, "HOME="+filepath.Dir(p.home), "QUIET=true",
		"OCKAM_DISABLE_UPGRADE_CHECK=true", "OCKAM_OPENTELEMETRY_EXPORT=false", "OCKAM_DEFAULT_TIMEOUT=10s")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

func (p *program) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.run(t, args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out
}

// pid returns the process of a node.
func (p *program) pid(t *testing.T, node string) int {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(p.must(t, "node", "show", node, "--jq", ".pid"), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// adopt makes p take the process pid for its node of that name, which is at addr.
func (p *program) adopt(t *testing.T, node, addr string, pid int) {
	t.Helper()
	if p.ours {
		s, err := state.Open(t.Context(), p.home)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.UpdateNode(t.Context(), node, func(n *state.Node) error {
			n.ListenerAddress, n.Process = addr, state.FindProcess(pid)
			return nil
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		return
	}
	db, err := sql.Open("sqlite", filepath.Join(p.home, "database.sqlite3"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "UPDATE node SET pid = ?, tcp_listener_address = ? WHERE name = ?", pid, addr, node)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// A commandRow is a command that is given to every pair of a program and a node.
// Words in braces are values of earlier rows; bind names that of this one.
type commandRow struct {
	args, want string // want is a pattern of what is printed
	bind       string // the part of it in parentheses
	ours       bool   // the reference's nodes do not do it
	echo       bool   // then what listens at the bound address leads to the target
}

var commandRows = []commandRow{
	{args: `node list --jq .[].node_name`, want: `"a"\s"b"`},
	{args: `node show a --jq .name`, want: `^"a"$`},
	{args: `node show a --jq .status`, want: `^"running"$`},
	{args: `message send hello --from a --to /node/b/service/uppercase`, want: `^HELLO$`},
	{args: `message send hello --to /node/b/service/uppercase`, want: `^HELLO$`},
	{args: `message send hello --to /node/b/secure/api/service/uppercase`, want: `^HELLO$`},
	{args: `message send hello --from a --to /node/b/secure/api/service/uppercase`, want: `^HELLO$`},
	{args: `secure-channel create --from a --to /node/b/service/api --identity me`, want: `^/service/([0-9a-f]{32})$`, bind: "channel"},
	{args: `message send hello --from a --to /service/{channel}/service/uppercase`, want: `^HELLO$`},
	{args: `secure-channel list --at a`, want: `{channel}`},
	{args: `secure-channel show {channel} --at a`, want: `"channel": "0?#?{channel}"|{channel}`},
	{args: `secure-channel delete {channel} --at a --yes`, want: `/service/{channel}`},
	{args: `secure-channel-listener create l --at b`, want: `^/service/l$`},
	{args: `secure-channel-listener list --at b`, want: `l`},
	{args: `secure-channel-listener show l --at b`, want: `^/service/l$`},
	{args: `message send hello --to /node/b/secure/l/service/uppercase`, want: `^HELLO$`},
	{args: `secure-channel-listener delete l --at b`, want: `^0#l$`},
	{args: `tcp-connection create --from a --to {addr b}`, want: `^/worker/([0-9a-f]{32})$`, bind: "connection"},
	{args: `tcp-connection list --at a`, want: `{addr b}`},
	{args: `tcp-connection show {addr b} --at a`, want: `{addr b}`},
	{args: `message send hello --from a --to /worker/{connection}/service/uppercase`, want: `^HELLO$`},
	{args: `tcp-connection delete {addr b} --at a --yes`, want: `"address"`},
	{args: `tcp-listener create 127.0.0.1:{port 1} --at b`, want: `/tcp/{port 1}`},
	{args: `tcp-listener list --at b`, want: `127.0.0.1:{port 1}`},
	{args: `tcp-listener show 127.0.0.1:{port 1} --at b`, want: `"Listen"`},
	{args: `message send hello --to /ip4/127.0.0.1/tcp/{port 1}/service/echo`, want: `^hello$`, ours: true},
	{args: `tcp-listener delete 127.0.0.1:{port 1} --at b --yes`, want: `"node": "b"`},
	{args: `tcp-outlet create --at b --from o --to {target}`, want: `^/service/o$`},
	{args: `tcp-outlet list --at b --jq .[].from`, want: `^"/service/o"$`},
	{args: `tcp-outlet show o --at b --jq .to`, want: `{target}`},
	{args: `tcp-inlet create --at a --from {port 2} --to /node/b/secure/api/service/o --alias i`, want: `^(127.0.0.1:{port 2})$`, bind: "inlet", echo: true},
	{args: `tcp-inlet list --at a --jq .[].alias`, want: `^"i"$`},
	{args: `tcp-inlet show i --at a --jq .status`, want: `^"Up"$`},
	{args: `node show a --jq .inlets[].alias`, want: `^"i"$`},
	{args: `tcp-inlet delete i --at a --yes`, want: `"alias": "i"`},
	{args: `tcp-outlet delete o --at b --yes`, want: `^o$`},
	{args: `relay create r --at /node/b --to a`, want: `^/service/forward_to_r$`},
	{args: `relay list --to a --jq .[].name`, want: `^"r"$`},
	{args: `relay show r --at a --output json`, want: `"Up"`},
	{args: `message send hello --to /node/b/service/forward_to_r/service/uppercase`, want: `^HELLO$`},
	{args: `message send hello --to /node/b/service/forward_to_r/secure/api/service/uppercase`, want: `^HELLO$`},
	{args: `relay delete r --at a --yes`, want: `r`},
	{args: `service start hop --at a --addr h`, want: `^$`},
	{args: `service list --at a --jq .[].addr`, want: `"h"`},
	{args: `message send hello --to /node/a/service/h/service/uppercase`, want: `^HELLO$`},
	{args: `worker list --at a`, want: `Worker h`},
	{args: `flow-control add-consumer 00112233445566778899aabbccddeeff /service/echo --at a`, want: `^$`},
	{args: `policy create --resource-type tcp-outlet --allow x.y --at a`, want: ``},
	{args: `policy show tcp-outlet --at a --jq .expression`, want: `subject.x.y`},
	{args: `policy list --at a --jq .[].resource`, want: `"tcp-outlet"`},
	{args: `policy delete tcp-outlet --at a --yes`, want: ``},
	{args: `status --jq .nodes[].name`, want: `"a"\s"b"`},
	{args: `node stop b`, want: `b`},
	{args: `node show b --jq .status`, want: `^"stopped"$`},
}

// TestReferenceCommands gives every command to our nodes and to those of the
// reference implementation, by our command and by its own. With -v it prints a
// table.
func TestReferenceCommands(t *testing.T) {
	reference := os.Getenv("OCKAM_REFERENCE")
	if reference == "" {
		t.Skip("OCKAM_REFERENCE names no reference binary")
	}
	our, err := exec.LookPath("ockam") // the one that the script tests run
	if err != nil {
		t.Fatal(err)
	}
	results := make([][]string, len(commandRows))
	columns := []string{}
	for _, commandIsOurs := range []bool{true, false} {
		for _, nodesAreOurs := range []bool{true, false} {
			name := fmt.Sprintf("%s command, %s nodes", whose(commandIsOurs), whose(nodesAreOurs))
			columns = append(columns, name)
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				paths := map[bool]string{true: our, false: reference}
				command := &program{paths[commandIsOurs], filepath.Join(dir, "commands"), commandIsOurs}
				nodes := &program{paths[nodesAreOurs], filepath.Join(dir, "nodes"), nodesAreOurs}
				for i, r := range tryCommands(t, command, nodes) {
					results[i] = append(results[i], r)
				}
			})
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| command | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for i, row := range commandRows {
		fmt.Fprintf(&b, "| `%s` | %s |\n", row.args, strings.Join(results[i], " | "))
	}
	t.Log(b.String())
}

func whose(ours bool) string {
	if ours {
		return "our"
	}
	return "its"
}

// tryCommands runs all rows and says how each went.
func tryCommands(t *testing.T, command, nodes *program) []string {
	values := map[string]string{"target": echoServer(t), "port 1": onePort(t), "port 2": onePort(t)}
	command.must(t, "identity", "create", "me") // by its name: each has a home of its own
	nodes.must(t, "identity", "create", "me")
	for _, name := range []string{"a", "b"} {
		addr := "127.0.0.1:" + onePort(t)
		values["addr "+name] = addr
		command.must(t, "node", "create", name, "-t", addr)
		pid := command.pid(t, name)
		p, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if nodes.ours != command.ours {
			command.must(t, "node", "stop", name)
			nodes.must(t, "node", "create", name, "-t", addr)
			pid = nodes.pid(t, name)
			command.adopt(t, name, addr, pid)
			if p, err = os.FindProcess(pid); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = p.Kill() }) // it may have been stopped
	}
	var results []string
	for _, row := range commandRows {
		result := "yes"
		if row.ours && !nodes.ours {
			results = append(results, "-")
			continue
		}
		if err := row.try(t, command, values); err != nil {
			result = "**no**"
			t.Errorf("%s: %v", row.args, err)
		}
		results = append(results, result)
	}
	return results
}

func (row *commandRow) try(t *testing.T, command *program, values map[string]string) error {
	fill := func(s string) string {
		for name, value := range values {
			s = strings.ReplaceAll(s, "{"+name+"}", value)
		}
		return s
	}
	out, err := command.run(t, strings.Fields(fill(row.args))...)
	if err != nil {
		return err
	}
	found := regexp.MustCompile(fill(row.want)).FindStringSubmatch(out)
	if found == nil {
		return fmt.Errorf("it prints %q, want %q", out, fill(row.want))
	}
	if row.bind != "" {
		values[row.bind] = found[1]
	}
	if row.echo {
		return echoes(values[row.bind])
	}
	return nil
}

// echoes checks that what is sent to addr comes back.
func echoes(addr string) error {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("through the inlet came %q: %w", got, err)
	}
	return nil
}

// echoServer returns the address of a server that sends everything back.
func echoServer(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// onePort returns a port for something that listens there later.
func onePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(transporttest.FreePort(t))
}
