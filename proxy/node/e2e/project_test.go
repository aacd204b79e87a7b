//go:build linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// projectAt is an address of the relay's network that both others have a way to.
const projectAt = "10.203.9.1"

// A machine is a home of its own in a network of its own, where commands are
// typed.
type machine struct {
	t     testing.TB
	space *namespace
	home  string
}

// newMachines makes a machine in each network; what runs there when the test
// ends is ended.
func newMachines(t testing.TB) (relay, db, app *machine) {
	t.Helper()
	n := newNetworks(t)
	mustIP(t, "ip", "-n", n.relay.name, "addr", "add", projectAt+"/32", "dev", "lo")
	mustIP(t, "ip", "-n", n.app.name, "route", "add", projectAt, "via", relayForApp)
	mustIP(t, "ip", "-n", n.db.name, "route", "add", projectAt, "via", relayForDB)
	return newMachine(t, n.relay), newMachine(t, n.db), newMachine(t, n.app)
}

func newMachine(t testing.TB, space *namespace) *machine {
	m := &machine{t: t, space: space, home: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := filepath.Glob(filepath.Join(m.home, "nodes", "*", "*.log"))
			for _, path := range logs {
				b, _ := os.ReadFile(path)
				t.Logf("%s:\n%s", path, tail(string(b), 3000))
			}
		}
		r, err := m.try("ockam node delete --all --yes")
		if err != nil || r.code != 0 {
			t.Errorf("deleting the nodes: %v, %s", err, r.stderr)
		}
	})
	return m
}

// try runs a line in a shell of the machine.
func (m *machine) try(line string) (result, error) {
	return runFor(m.t, slow(60*time.Second), command{
		name: "sh", argv: m.space.wrap([]string{"sh", "-c", line}), dir: m.home,
		env: []string{"OCKAM_HOME=" + m.home, "PATH=" + filepath.Dir(program(m.t)) + ":" + os.Getenv("PATH")},
	})
}

// run is try for a line that must succeed; it returns what is printed.
func (m *machine) run(line string) string {
	m.t.Helper()
	r, err := m.try(line)
	if err != nil || r.code != 0 {
		m.t.Fatalf("%s: %v, exit code %d\n%s%s", shortened(line), err, r.code, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// refused is try for a line that must fail; it returns what is said.
func (m *machine) refused(line string) string {
	m.t.Helper()
	r, err := m.try(line)
	if err != nil || r.code == 0 {
		m.t.Fatalf("%s: %v, exit code %d, want a failure\n%s%s", shortened(line), err, r.code, r.stdout, r.stderr)
	}
	return r.stderr
}

// target is newTarget in the machine's network.
func (m *machine) target() *target {
	m.t.Helper()
	var l net.Listener
	err := m.space.do(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return serveTarget(m.t, l.(*net.TCPListener))
}

// echo opens a connection from within the machine's network and makes a round
// trip.
func (m *machine) echo(addr string) (c *net.TCPConn, err error) {
	err = m.space.do(func() error {
		c, err = open(addr, request{op: opEcho})
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := echo(c, "hello"); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func shortened(line string) string {
	return regexp.MustCompile(`[0-9a-f]{200,}`).ReplaceAllString(line, "TICKET")
}

// readmeLines returns the lines of the README's block of code that begins with a
// line.
func readmeLines(t testing.TB, first string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(b), "```sh\n"+first)
	block, _, closed := strings.Cut(block, "```")
	if !ok || !closed {
		t.Fatalf("the README has no block that begins with %q", first)
	}
	return strings.Split(strings.TrimSpace(first+block), "\n")
}

// TestThreeCommands goes from nothing to psql as the README has it: a project on
// one machine, and one command on each of the others, which that has printed.
func TestThreeCommands(t *testing.T) {
	t.Parallel()
	findPostgres(t)
	relay, db, app := newMachines(t)
	server := newDatabase(t, db.space)
	lines := readmeLines(t, "ockam project create")
	create := strings.ReplaceAll(lines[0], "relay.example.com", projectAt)
	printed := strings.Split(relay.run(create), "\n")
	if len(printed) != 2 {
		t.Fatalf("%s prints %d lines, want a command for each of the two others", create, len(printed))
	}
	for i, line := range printed { // the README has them with a shorter ticket
		words, _, _ := strings.Cut(line, " --ticket ")
		if want, _, _ := strings.Cut(lines[i+1], " --ticket "); words != want {
			t.Errorf("the README says %q, the project %q", want, words)
		}
	}
	db.run(printed[0])
	app.run(printed[1])
	remote := endpoint{db: server, space: app.space, addr: "127.0.0.1:15432"}
	if got := remote.query(t, "select 6 * 7"); got != "42" {
		t.Errorf("psql prints %q, want 42", got)
	}
	if found, err := db.space.listensOutside(); err != nil || len(found) != 0 {
		t.Errorf("the database's machine listens to others: %v, %v", found, err)
	}
	if said := app.refused(printed[0]); !strings.Contains(said, "ticket") {
		t.Errorf("the ticket of another, which is used up: %s", said)
	}
}

// TestTranscript runs the transcript of the original design, word for word, on a
// machine that has become a member of a project on another one.
func TestTranscript(t *testing.T) {
	t.Parallel()
	relay, member, _ := newMachines(t)
	relay.run("ockam project create default --listen 0.0.0.0:4000 --address " + projectAt)
	ticket := relay.run("ockam project ticket --relay '*'")
	member.run("ockam project enroll " + ticket)
	for _, step := range []struct{ line, want string }{
		{"ockam project information --output json > project.json", ""},
		{"ockam node create n1 --project project.json", "n1"},
		{"ockam node create n3 --project project.json", "n3"},
		{"ockam forwarder create n3 --at /project/default --to /node/n3", "/service/forward_to_n3"},
		{"ockam secure-channel create --from n1 --to /project/default/service/forward_to_n3/service/api" +
			" | ockam message send hello --from n1 --to -/service/uppercase", "HELLO"},
	} {
		if got := member.run(step.line); got != step.want {
			t.Errorf("%s prints %q, want %q", step.line, got, step.want)
		}
	}
}

// TestTranscriptAtHome runs the same where the project was made.
func TestTranscriptAtHome(t *testing.T) {
	t.Parallel()
	relay, _, _ := newMachines(t)
	relay.run("ockam project create default --listen 127.0.0.1:4000")
	relay.run("ockam project information --output json > project.json")
	relay.run("ockam node create n1 --project project.json")
	relay.run("ockam node create n3 --project project.json")
	if got := relay.run("ockam forwarder create n3 --at /project/default --to /node/n3"); got != "/service/forward_to_n3" {
		t.Errorf("%q", got)
	}
	if got := relay.run("ockam secure-channel create --from n1 --to /project/default/service/forward_to_n3/service/api" +
		" | ockam message send hello --from n1 --to -/service/uppercase"); got != "HELLO" {
		t.Errorf("%q", got)
	}
	relay.run("ockam node stop project-default && ockam node start project-default")
	eventually(t, slow(30*time.Second), func() error {
		r, err := relay.try("ockam message send again --from n1 --to /project/default/service/forward_to_n3/secure/api/service/uppercase")
		if err == nil && strings.TrimSpace(r.stdout) != "AGAIN" {
			err = errors.New(r.stderr)
		}
		return err
	})
}

// explained is what policy explain prints.
type explained struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
}

// explain asks a node whether an identity may use a resource.
func (m *machine) explain(id, resource, at string) explained {
	m.t.Helper()
	var e explained
	text := m.run(fmt.Sprintf("ockam policy explain %s %s --at %s --output json", id, resource, at))
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		m.t.Fatalf("%v in %s", err, text)
	}
	return e
}

// TestAttributeDecides has two members, of whom one has the attribute that an
// outlet asks for, and takes it away.
func TestAttributeDecides(t *testing.T) {
	t.Parallel()
	relay, db, app := newMachines(t)
	tg := db.target()
	relay.run("ockam project create default --listen 0.0.0.0:4000 --credential-lifetime 1m --address " + projectAt)
	ticket := func(options string) string { return relay.run("ockam project ticket " + options) }
	db.run("ockam project enroll " + ticket("--relay db") + " && ockam node create db")
	db.run("ockam tcp-outlet create --at db --to " + tg.addr + " --via db --allow team")
	app.run("ockam identity create with && ockam identity create without")
	app.run("ockam project enroll " + ticket("--attribute team") + " --identity with")
	app.run("ockam project enroll " + ticket("") + " --identity without")
	app.run("ockam node create with --identity with && ockam node create without --identity without")
	app.run("ockam tcp-inlet create --at with --from 15001 --via db")
	app.run("ockam tcp-inlet create --at without --from 15002 --via db")
	with, without := app.run("ockam identity show with"), app.run("ockam identity show without")

	open, err := app.echo("127.0.0.1:15001")
	if err != nil {
		t.Fatalf("the member with the attribute: %v", err)
	}
	defer open.Close()
	if c, err := app.echo("127.0.0.1:15002"); err == nil {
		_ = c.Close()
		t.Error("the member without the attribute gets through")
	}
	log := db.run("cat $(ockam node logs db)")
	refusal := regexp.MustCompile(`(?m)^.*` + without + `.*$`).FindString(log)
	for _, word := range []string{"outlet", "team"} {
		if !strings.Contains(refusal, word) {
			t.Errorf("the log's line about the refusal does not name %s: %q", word, refusal)
		}
	}
	for id, want := range map[string]bool{with: true, without: false} {
		if got := db.explain(id, "outlet", "db"); got.Allowed != want {
			t.Errorf("policy explain says %v (%s) about %s, want %v", got.Allowed, got.Reason, id, want)
		}
	}

	relay.run("ockam project-member add " + with + " --attribute other=true") // in place of team
	begin := time.Now()
	_ = open.SetDeadline(begin.Add(slow(150 * time.Second)))
	for err = nil; err == nil; time.Sleep(100 * time.Millisecond) {
		err = echo(open, "still there")
	}
	took := time.Since(begin)
	t.Logf("the open connection ended after %v: %v", took.Round(time.Second), err)
	if limit := 75 * time.Second; took > limit || !isReset(err) {
		t.Errorf("the open connection ended after %v with %v, want a reset within %v", took, err, limit)
	}
	if c, err := app.echo("127.0.0.1:15001"); err == nil {
		_ = c.Close()
		t.Error("who has lost the attribute gets through")
	}
	if got := db.explain(with, "outlet", "db"); got.Allowed {
		t.Errorf("policy explain still allows it: %s", got.Reason)
	}
}

// TestProjectFiles runs the example files of a project, as systemd would, one on
// each machine, and then again: the tickets are used up, and not needed any more.
func TestProjectFiles(t *testing.T) {
	t.Parallel()
	relay, db, app := newMachines(t)
	tg := db.target()
	examples, err := filepath.Abs(filepath.Join("..", "..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	run := func(m *machine, file string, env ...string) *process {
		return start(t, command{
			name: file, argv: m.space.wrap([]string{program(t), "run", filepath.Join(examples, file)}), dir: m.home,
			env: append(env, "OCKAM_HOME="+m.home),
		})
	}
	admin := relay.run("ockam identity create admin")
	p := run(relay, "project.hcl", "ADMIN_ID="+admin, "RELAY_HOST="+projectAt)
	var tickets [2]string
	eventually(t, slow(20*time.Second), func() error {
		for i, options := range []string{"--relay db", ""} {
			r, err := relay.try("ockam project ticket --no-retry " + options)
			if err == nil && r.code != 0 {
				err = errors.New(r.stderr)
			}
			if err != nil {
				return err
			}
			tickets[i] = r.stdout
		}
		return nil
	})
	for round := range 2 {
		d := run(db, "project-db.hcl", "POSTGRES="+tg.addr, "OCKAM_TICKET="+tickets[0])
		a := run(app, "project-app.hcl", "OCKAM_TICKET="+tickets[1])
		took := eventually(t, slow(30*time.Second), func() error {
			c, err := app.echo("127.0.0.1:15432")
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		t.Logf("round %d: connections after %v", round, took.Round(time.Millisecond))
		a.terminate(slow(10 * time.Second))
		d.terminate(slow(10 * time.Second))
	}
	p.terminate(slow(10 * time.Second))
}

// TestProjectDatabase keeps the members of a project in PostgreSQL.
func TestProjectDatabase(t *testing.T) {
	t.Parallel()
	findPostgres(t)
	relay, member, _ := newMachines(t)
	newDatabase(t, relay.space)
	const database = "--database 'postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable'"
	relay.run("ockam project create default --listen 0.0.0.0:4000 --address " + projectAt + " " + database)
	member.run("ockam project enroll " + relay.run("ockam project ticket --attribute team"))
	if text, err := os.ReadFile(filepath.Join("/proc", relay.run("ockam node show project-default --jq .pid"), "cmdline")); err != nil || strings.Contains(string(text), "postgres") {
		t.Errorf("a list of processes shows the database: %q, %v", text, err)
	}
	relay.run("ockam node stop project-default && ockam node start project-default")
	if got := member.run("ockam project enroll --jq .credential.attributes.team"); got != `"true"` {
		t.Errorf("after a start: %q", got)
	}
	got := relay.run("ockam project-member list --jq '[.[] | select(.attributes.attributes.team)] | length'")
	if got != "1" {
		t.Errorf("%s members have the attribute, want 1", got)
	}
}

// TestProjectAuthorities runs two authorities with the same identity and one
// PostgreSQL, as docs/configuration.md says: who becomes a member at one is one at
// the other.
func TestProjectAuthorities(t *testing.T) {
	t.Parallel()
	findPostgres(t)
	first, member, _ := newMachines(t)
	newDatabase(t, first.space)
	second := &machine{t: t, space: first.space, home: filepath.Join(t.TempDir(), "second")}
	run := func(m *machine, port string) *process {
		file := filepath.Join(t.TempDir(), "project.hcl")
		text := fmt.Sprintf(`node "hub" {
  project "shop" {
    listen  = "0.0.0.0:%[1]s"
    address = "%[2]s:%[1]s"
    members = { "%[3]s" = { ockam-role = "enroller" } }
    authority { database = "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable" }
  }
}
`, port, projectAt, m.run("ockam identity show admin"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return start(t, command{
			name: port, argv: m.space.wrap([]string{program(t), "run", file}), dir: m.home, env: []string{"OCKAM_HOME=" + m.home},
		})
	}
	ticket := func(m *machine) (text string) {
		t.Helper()
		eventually(t, slow(20*time.Second), func() error {
			r, err := m.try("ockam project ticket --no-retry --attribute team")
			if err == nil && r.code != 0 {
				err = errors.New(r.stderr)
			}
			text = r.stdout
			return err
		})
		return text
	}
	first.run("ockam identity create admin -q")
	p := run(first, "4000")
	ticket(first) // it has made its identities
	p.terminate(slow(10 * time.Second))
	if err := os.CopyFS(second.home, os.DirFS(first.home)); err != nil {
		t.Fatal(err)
	}
	run(first, "4000")
	run(second, "4001")
	ticket(second)
	member.run("ockam project enroll " + ticket(first))
	got := second.run("ockam project-member list --jq '[.[] | select(.attributes.attributes.team)] | length'")
	if got != "1" {
		t.Errorf("%s members have the attribute at the second authority, want 1", got)
	}
}
