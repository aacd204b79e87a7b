package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ockam/proxy/cli"
	"ockam/proxy/node"
)

// A recording is a run of the reference implementation's command; the files
// in testdata say how they were made.
type recording struct {
	Name     string            `json:"name"`
	Setup    [][]string        `json:"setup"`
	Args     []string          `json:"argv"`
	Env      map[string]string `json:"env"`
	Stdin    *string           `json:"stdin"`
	Terminal string            `json:"terminal"`
	Exit     any               `json:"exit"`
	Stdout   expected          `json:"stdout"`
	Stderr   expected          `json:"stderr"`
	Bind     map[string]any    `json:"bind"`
	Seconds  float64           `json:"seconds"`
}

// expected is what was recorded of a stream: its text, or what is essential
// about a text that we word ourselves.
type expected struct {
	text      *string
	Lines     [][]string `json:"human lines"`
	Contains  []string   `json:"contains"`
	Mentions  []string   `json:"mentions"`
	Code      string     `json:"error code"`
	Parser    string     `json:"parser error"`
	Names     []string   `json:"names"`
	Help      bool       `json:"help text"`
	Script    bool       `json:"script"`
	LogLines  int        `json:"log lines"`
	Variables []string   `json:"list of environment variables"`
}

func (e *expected) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		e.text = new(string)
		return json.Unmarshal(b, e.text)
	}
	type plain expected
	return json.Unmarshal(b, (*plain)(e))
}

// decided are recordings that ours differs from on purpose.
var decided = map[string]string{
	"cloud commands / not enrolled: project create s":             "makes a project of one's own, which needs --listen",
	"local project / member list-ids of another project":          "the reference's exporter of traces is a member",
	"local project / tcp-inlet list --at n1":                      "an inlet whose way is not there yet is made at once; the recorder did not wait for it",
	"local project / tcp-inlet list --at n1 --jq .[].outlet_addr": "an inlet whose way is not there yet is made at once; the recorder did not wait for it",
	"local project / node list --jq .[].node_name":                "commands leave no nodes of their own",
	"local project / status with a project":                       "commands leave no nodes of their own",
	"authority node / identities after authority create":          "there is no exporter of traces",
	"authority node / identity list --jq .[].name":                "there is no exporter of traces",
	"authority node / node start of an authority":                 "an authority is started again as what it is",
	"authority node / status of an authority whose child failed":  "--disable-trust-context-id works in the background",
	"local project / import: missing file":                        "numbers of errors; beside it without them",
	"local project / import: missing users":                       "numbers of lines; beside it without them",
	"local project / import: no name":                             "numbers of lines; beside it without them",
	"local project / enroll: expired ticket":                      "the recorder waited; in a script",
	"local project / member list-ids":                             "the reference's exporter of traces is a member",
	"local project / member list":                                 "lists are sorted",
	"local project / member delete --all":                         "does it, without a cloud",
	"top level / QUIET=1":                                         "variables are read leniently",
	"top level / QUIET=yes":                                       "variables are read leniently",
	"top level / QUIET=TRUE":                                      "variables are read leniently",
	"top level / QUIET=":                                          "an empty variable is one that is not set",
	"top level / NO_COLOR=1":                                      "variables are read leniently",
	"top level / NO_INPUT=1":                                      "variables are read leniently",
	"top level / NO_COLOR=":                                       "an empty variable is one that is not set",
	"top level / NO_INPUT=":                                       "an empty variable is one that is not set",
	"top level / -v with a failure":                               "what fails has no log lines of its own",
	"top level / status: json":                                    "the identity is made by the recording before it; tested in a script",
	"top level / status: terminal":                                "the identity is made by the recording before it, and lines are others",
	"one vault / create: empty name":                              "the empty name is nobody's",

	"credentials / verify --credential-path": "the recorder writes the file; tested in a script",
	"credentials / issue --ttl 0":            "what ends at once is no use to anybody",
	"identities / default NAME: unknown":     "the default stays as it was",
	"one vault / list after that":            "its setup has placeholders, and the empty name",
	"first vault named / vault list":         "there are no keys in KMS",

	"vaults / show: default":                                      "the default vault is shown",
	"vaults / move: path of another vault":                        "nothing is overwritten",
	"vaults / list after the default was deleted":                 "another one becomes the default",
	"two vaults / identity create with two vaults and no --vault": "the default vault is used",
	"two vaults / show: default with two vaults":                  "the default vault is shown",
	"two vaults / credential issue with two vaults":               "each identity knows its vault",
	"relative path / show: relative path":                         "a path is made absolute",
	"first vault named / create --aws-kms: second":                "there are no keys in KMS",
	"first vault with a path / create --aws-kms --path":           "there are no keys in KMS",

	"terminal questions / node list --jq .[].node_name":             "what goes before it is a question",
	"pipes / create: stdout is a pipe":                              "the recorder's home had an identity",
	"empty home / create: name ''":                                  "a node without a name has no folder for its log",
	"empty home / create: name 'ü'":                                 "the one before it, which differs, makes the identity",
	"options of create / show after create with an unknown project": "nothing is made with a project that is not there",
	"options of create / workers with a launch configuration":       "our nodes need fewer workers",
	"options of create / create --udp":                              "there is no rendezvous server unless one is named",
	"options of create / show: node with udp":                       "the one before it makes the node",
	"options of create / workers of a node with udp":                "our nodes need fewer workers",
	"environment / create: unknown option and two names":            "the first mistake is told",
	"one node / workers of a fresh node":                            "our nodes need fewer workers",
	"one node / delete: NAME with --all":                            "arguments are named otherwise",
	"messages / worker list":                                        "our nodes need fewer workers",
	"more messages / send: address of the node":                     "the port is within the output of another command",
	"policies of a node / create: empty resource":                   "a resource has a name",
	"policies of a node / list: many":                               "the resource without a name is missing",
	"policies of a node / show: type policy after stop and start":   "policies that were set stay",

	"connections and listeners / connection create: nobody listens": "the reason is told",
	"connections and listeners / connection delete: twice":          "the number of the answer is not told",
	"connections and listeners / connection delete: unknown":        "the number of the answer is not told",
	"connections and listeners / connection list":                   "the order of ports is not that of the recording",
	"connections and listeners / listener list":                     "the order of ports is not that of the recording",

	"connections and listeners / connection list after delete by socket address": "the order of ports is not that of the recording",
	"connections and listeners / connection list of a node connected to itself":  "the order of ports is not that of the recording",

	"relays of nodes / create: nobody listens there":                                      "the reason is told",
	"relays of nodes / create --no-connection-wait":                                       "the reason is told",
	"relays of nodes / workers of the relaying node":                                      "a name is given back with its relay",
	"outlets / list: many":                                                                "random names sort by chance",
	"outlets / list: json":                                                                "random names sort by chance",
	"outlets / delete --all: json":                                                        "random names sort by chance",
	"relays of nodes / list":                                                              "the reason is told",
	"more relays / relay list --to n2 --jq .[]|{name,connection_status}":                  "a relay through a secure channel works",
	"inlets / create: port taken by another program":                                      "the recorder takes the port",
	"inlets / create: full route with --via":                                              "the value is not shown as the reference's own form",
	"inlets / create: project route without a project":                                    "a project that does not exist is a mistake",
	"inlets / list: many":                                                                 "what the two before it would have made is missing",
	"inlets / list: jq":                                                                   "what the two before it would have made is missing",
	"inlets / node show with portals":                                                     "what the two before it would have made is missing",
	"inlets / delete --all":                                                               "what the two before it would have made is missing",
	"inlets / create: nobody listens there":                                               "a warning says that the outlet does not answer",
	"inlets / create --no-connection-wait":                                                "a warning says that the outlet does not answer",
	"inlets / create --connection-wait 1s, json":                                          "a warning says that the outlet does not answer",
	"more inlets / create: nobody listens there, stderr":                                  "a warning says that the outlet does not answer",
	"more inlets / create --authorized: somebody else":                                    "a warning says that the outlet does not answer",
	"channels that fail / send --from right after that":                                   "a node answers many at a time",
	"channels that fail / create: no such listener, OCKAM_DEFAULT_TIMEOUT=2s in the node": "the time is not told",

	"failures and duplicates / the running node after that":                     "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / node list after that":                            "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / node create n1":                                  "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / node list after a late failure":                  "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / node show after a late failure":                  "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / node list --jq .[]|{node_name,status}":           "a configuration touches no node but its own, and leaves nothing when it fails",
	"failures and duplicates / run: node options that node configurations lack": "there is no rendezvous server unless one is named",
	"failures and duplicates / worker list --at rn":                             "our nodes need fewer workers",
	"options of create / create --variable with an empty value":                 "the one before it makes the identity",
	"run / run: vault and identity":                                             "the recording has the identifier itself",
	"run / run: identities":                                                     "with several vaults the default one is used",
	"run / identity list --jq .[]|{name,vault_name}":                            "the one before it makes more identities",
	"run / run: everything":                                                     "the policy has a sentence of its own",
	"run / run: influxdb is ignored":                                            "a warning tells of it",
	"run / run: unknown key":                                                    "a warning tells of it; in a script",
	"run / run: default file ockam.yml wins":                                    "the recorder writes the file; in a script",
	"run / run: default file ockam.yaml":                                        "the recorder writes the file; in a script",
	"run / run: path":                                                           "the recorder writes the file; in a script",
	"run / run: missing path":                                                   "the recorder writes the file; in a script",
	"run / node list --jq .[].node_name":                                        "the recorder writes the file; in a script",
	"node configurations / not YAML":                                            "the parser names another line",
	"node configurations / unknown key":                                         "a warning tells of it",
	"node configurations / udp is not available":                                "a warning tells of it",
	"node configurations / inlets: order of results":                            "the recording has a port of its own",
	"node configurations / relay named":                                         "the node n has not been deleted by another configuration",
	"node configurations / relay list --to r1 --jq .[].name":                    "the node n has not been deleted by another configuration",
	"node configurations / relays: list of named":                               "the node n has not been deleted by another configuration",
	"node configurations / relay list --to r2 --jq .[].name":                    "the node n has not been deleted by another configuration",
	"node configurations / policies: list, default node":                        "the default node is another one",
	"variables / null value":                                                    "the place of the mistake is more exact",
	"variables / float value":                                                   "the place of the mistake is more exact",

	"cloud commands / not enrolled: project delete s p --yes":            "projects are in no space",
	"cloud commands / not enrolled: project import --project-file /nope": "the message has no number of the system",

	"damaged state / database is not a database":    "the recorder damages the file; tested beside the store",
	"read only home / OCKAM_HOME cannot be created": "the message has no number of the system",
}

// prepared are commands in the setup of a recording for which others do, as
// far as the rest of the recording can tell.
var prepared = map[string]string{
	"identity default":              "identity create -q", // in an empty home
	"identity create i4 --vault v4": "identity create i4",
}

func TestRecorded(t *testing.T) {
	rendezvous := startRendezvous(t)
	for file, least := range map[string]int64{"system": 45, "identity": 25, "vault": 40, "credential": 35} {
		all := recordings(t, file)
		var ran atomic.Int64
		made, dir := homes{}, t.TempDir()
		t.Run(file, func(t *testing.T) {
			for i, r := range all {
				t.Run(fmt.Sprintf("%03d %s", i, r.Name), func(t *testing.T) {
					r.meetAt(rendezvous)
					if why := r.adapt(); why != "" {
						t.Skip(why)
					}
					base := made.after(t, dir, r.Setup)
					t.Parallel()
					r.replay(t, base)
					ran.Add(1)
				})
			}
		})
		t.Logf("%s: %d of %d recordings are replayed", file, ran.Load(), len(all))
		if ran.Load() < least {
			t.Errorf("%d recordings of %s are replayed, want %d", ran.Load(), file, least)
		}
	}
}

// startRendezvous runs a rendezvous server until the test ends.
func startRendezvous(t *testing.T) (addr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- node.RunRendezvous(ctx, node.RendezvousOptions{
			UDP: "127.0.0.1:0", Health: "127.0.0.1:0", Ready: func(udp, _ net.Addr) { ready <- udp.String() },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case addr = <-ready:
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return addr
}

// meetAt puts the rendezvous server at addr in the place of those that a
// recording begins with.
func (r *recording) meetAt(addr string) {
	runs := func(args []string) bool { return len(args) > 1 && args[0] == "rendezvous" && args[1] == "create" }
	if !slices.ContainsFunc(r.Setup, runs) || runs(r.Args) {
		return
	}
	r.Setup = slices.DeleteFunc(r.Setup, runs)
	for i := range r.Args {
		r.Args[i] = strings.ReplaceAll(r.Args[i], "127.0.0.1:<PORT>", addr)
	}
	for name, value := range r.Env {
		r.Env[name] = strings.ReplaceAll(value, "127.0.0.1:<PORT>", addr)
	}
}

// recordings reads a file of recordings.
func recordings(t *testing.T, file string) []recording {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded-" + file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []recording }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all.Cases
}

// adapt puts in the stand-ins. It says why a recording cannot be replayed.
func (r *recording) adapt() (why string) {
	if why := decided[r.Name]; why != "" {
		return "differs: " + why
	}
	if strings.HasPrefix(r.Name, "unknown default /") {
		return "differs: the default stays as it was"
	}
	if cmd, _, err := cli.Tree().Find(r.Args); err == nil && cmd.DisableFlagParsing && r.Name != "cloud commands / not enrolled: space create" {
		return "differs: all commands for the cloud say that there is none"
	}
	if strings.HasPrefix(r.Name, "top level /") {
		r.Setup = nil // nothing there matters to what follows
	}
	r.standIn()
	for i, args := range r.Setup {
		if _, exists := find([]string{"identity", "default"}); !exists && prepared[strings.Join(args, " ")] != "" {
			r.Setup[i] = strings.Fields(prepared[strings.Join(args, " ")])
			if r.Stdout.text != nil { // all are in the default vault then
				*r.Stdout.text = strings.ReplaceAll(*r.Stdout.text, `"v4"`, `"default"`)
			}
		}
		if why := missing(r.Setup[i]); why != "" {
			return why
		}
	}
	for _, args := range append(r.Setup, r.Args) {
		starts := len(args) > 1 && (args[0] == "node" && args[1] == "create" || args[0] == "credential" && args[1] == "store")
		if starts && r.Stdout.Parser == "" {
			return "starts a node, which a copy of its home does not: tested in scripts"
		}
	}
	if len(r.Args) > 1 && r.Args[0] == "rendezvous" && r.Args[1] == "create" && r.Stdout.Parser == "" {
		return "runs until it is ended: tested in a script"
	}
	if r.Stdout.Parser == "unknown subcommand" || slices.Contains(r.Args, "--version") || slices.Contains(r.Args, "-V") {
		return ""
	}
	if strings.HasPrefix(r.Name, "top level / OCKAM_LOGGING") {
		return "logs of commands are not written to files yet"
	}
	if r.Stdout.Parser == "unexpected argument" || r.Stderr.Parser == "unexpected argument" {
		return ""
	}
	return missing(r.Args)
}

// standIn puts identities in the place of nodes where a recording is about
// what all commands have in common and there are no commands for nodes yet.
func (r *recording) standIn() {
	_, exists := find([]string{"node", "list"})
	at := slices.Index(r.Args, "node")
	if exists || at < 0 || !strings.HasPrefix(r.Name, "top level /") {
		return
	}
	r.Args = slices.Clone(r.Args)
	r.Args[at] = "identity"
	if i := slices.Index(r.Args, "default"); i > 0 { // fails in an empty home
		r.Args[i] = "show"
	}
	r.Stdout.Contains, r.Stderr.Contains, r.Stderr.Mentions = notOfNodes(r.Stdout.Contains), notOfNodes(r.Stderr.Contains), nil
}

// notOfNodes drops fragments that are about nodes.
func notOfNodes(fragments []string) []string {
	return slices.DeleteFunc(fragments, func(s string) bool { return strings.Contains(s, "node") })
}

// find returns the options of the command that words begin with.
func find(words []string) (options map[string]bool, exists bool) {
	words = slices.DeleteFunc(slices.Clone(words), func(s string) bool { return strings.HasPrefix(s, "-") })
	if len(words) > 0 && words[0] == "help" {
		words = words[1:]
	}
	cmd, rest, err := cli.Tree().Find(words)
	exists = err == nil && (!cmd.HasSubCommands() || len(rest) == 0 || rest[0] == "help")
	return cli.Options(cmd), exists
}

// missing says what of a command line does not exist yet.
func missing(args []string) string {
	options, exists := find(args)
	if !exists {
		return "there is no command yet: " + strings.Join(args, " ")
	}
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "-v") || name == "--" || !strings.HasPrefix(name, "-") {
			continue
		}
		if !options[name] {
			return "there is no option yet: " + name
		}
	}
	return ""
}

// A home is what commands leave behind; no command runs in it any more.
type home struct {
	dir     string
	outputs map[string]string // standard output of each command
}

// homes holds the home after each sequence of commands: recordings share the
// beginnings of their setups.
type homes map[string]*home

// after returns the home after the commands.
func (h homes) after(t *testing.T, dir string, setup [][]string) *home {
	key := fmt.Sprint(setup)
	if h[key] != nil {
		return h[key]
	}
	next := &home{dir: filepath.Join(dir, "none"), outputs: map[string]string{}}
	if len(setup) > 0 {
		last := len(setup) - 1
		base := h.after(t, dir, setup[:last])
		next.dir = filepath.Join(dir, fmt.Sprint(len(h)))
		next.copyFrom(t, base)
		args := slices.Clone(setup[last])
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "<HOME>", next.dir)
			for placeholder, name := range map[string]string{"<IDENTIFIER>": "i1", "<IDENTIFIER_2>": "i2"} {
				if id := base.outputs["identity create "+name]; id != "" {
					args[i] = strings.ReplaceAll(args[i], placeholder, id)
				}
			}
		}
		out, _ := next.command(args, dir).Output() // some are recorded to fail
		next.outputs[strings.Join(setup[last], " ")] = string(out)
	}
	h[key] = next
	return next
}

func (h *home) copyFrom(t *testing.T, base *home) {
	t.Helper()
	maps.Copy(h.outputs, base.outputs)
	if _, err := os.Stat(base.dir); err != nil {
		return // nothing has been made yet
	}
	if err := os.CopyFS(h.dir, os.DirFS(base.dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func (h *home) command(args []string, where string) *exec.Cmd {
	cmd := exec.Command("ockam", args...)
	cmd.Dir = where
	cmd.Env = append(os.Environ(), "OCKAM_HOME="+h.dir, "HOME="+where)
	return cmd
}

// replay runs a recording in a copy of a home and compares.
func (r *recording) replay(t *testing.T, base *home) {
	where := t.TempDir()
	h := &home{dir: filepath.Join(where, "home"), outputs: map[string]string{}}
	h.copyFrom(t, base)
	t.Cleanup(func() { endNodes(t, h.dir) })
	cmd := h.command(r.bound(h), where)
	for name, value := range r.Env {
		if name != "OCKAM_HOME" || value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	if r.Stdin != nil {
		cmd.Stdin = strings.NewReader(*r.Stdin)
	}
	stdout, stderr := output(t, cmd, r.Terminal != "")
	r.compare(t, cmd.ProcessState.ExitCode(), stdout, stderr)
}

// bound returns the arguments with the values that placeholders stand for.
func (r *recording) bound(h *home) []string {
	args := slices.Clone(r.Args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "<HOME>", h.dir)
		for name, bind := range r.Bind {
			of, _ := bind.(map[string]any)
			words, _ := of["of"].([]any)
			command := strings.Trim(fmt.Sprint(words), "[]")
			args[i] = strings.ReplaceAll(args[i], name, h.outputs[command])
		}
	}
	return args
}

// output runs a command; on pseudo-terminals, one for each stream, if asked.
func output(t *testing.T, cmd *exec.Cmd, terminal bool) (stdout, stderr string) {
	var out, errs bytes.Buffer
	if !terminal {
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run() // its status is compared
		return out.String(), errs.String()
	}
	ourOut, theirOut := cli.OpenTerminal(t)
	ourErr, theirErr := cli.OpenTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirOut, theirOut, theirErr
	cmd.Env = append(cmd.Env, "NO_COLOR=true", "TERM=xterm")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirOut.Close(), theirErr.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&errs, ourErr) // ends with an error when nobody has the other end
	}()
	_, _ = io.Copy(&out, ourOut)
	<-done
	_ = cmd.Wait()
	unix := func(b *bytes.Buffer) string { return strings.ReplaceAll(b.String(), "\r\n", "\n") }
	return unix(&out), unix(&errs)
}

func (r *recording) compare(t *testing.T, exit int, stdout, stderr string) {
	want, _ := r.Exit.(float64)
	if want == 2 { // the reference's status without a pager
		want = 64
	}
	if exit != int(want) {
		t.Errorf("%q ended with %d, want %v\n%s%s", r.Args, exit, want, stdout, stderr)
	}
	if want == 64 { // its text is on standard error, not in a pager
		r.Stderr, r.Stdout = r.Stdout, expected{text: new(string)}
		if r.Stderr.text != nil && *r.Stderr.text == "" {
			r.Stderr.text = nil
		}
	}
	r.Stdout.compare(t, "standard output", stdout, true)
	r.Stderr.compare(t, "standard error", stderr, false)
}

// compare checks a stream. The lines of standard output must be of the same
// kind; on standard error we may say more or less.
func (e *expected) compare(t *testing.T, stream, got string, sameLines bool) {
	t.Helper()
	if e.text != nil && !pattern(*e.text).MatchString(got) {
		t.Errorf("%s is\n%q, want\n%q", stream, got, *e.text)
	}
	var words []string
	words = append(append(append(words, e.Contains...), e.Variables...), e.Mentions...)
	switch {
	case e.Code != "":
		words = append(words, "Error: ", "Error code: OCK")
	case e.Help:
		words = append(words, "Usage:\n")
	case e.Script && len(got) < 100:
		t.Errorf("%s is no script: %q", stream, got)
	case e.LogLines > 0:
		words = append(words, "INFO")
		if strings.HasPrefix(got, "{") {
			words[len(words)-1] = `"level":"info"`
		}
	case e.Parser != "":
		for _, name := range e.Names {
			words = append(words, regexp.MustCompile(`^<?(-*[^ <>|]+).*`).ReplaceAllString(name, "$1"))
		}
	}
	for _, word := range words {
		word = strings.TrimPrefix(word, "0#") // we name workers without their type
		if !strings.Contains(word, "<") && !strings.Contains(got, word) {
			t.Errorf("%s has no %q:\n%s", stream, word, got)
		}
	}
	if e.Lines != nil && sameLines {
		e.compareLines(t, stream, got)
	}
}

// marks are how lines of each kind begin.
var marks = []struct{ kind, mark string }{
	{"ok", "  ✔ "}, {"warning", "  ! "}, {"error", "  ✗ "}, {"info", "  > "}, {"item", "  │ "}, {"text", "    "}, {"plain", ""},
}

func (e *expected) compareLines(t *testing.T, stream, got string) {
	t.Helper()
	lines := slices.DeleteFunc(strings.Split(got, "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(lines) != len(e.Lines) {
		t.Errorf("%s has %d lines, want %d:\n%s", stream, len(lines), len(e.Lines), got)
		return
	}
	for i, line := range lines {
		kind := ""
		for _, m := range marks {
			if strings.HasPrefix(line, m.mark) {
				kind = m.kind
				break
			}
		}
		if kind != e.Lines[i][0] {
			t.Errorf("line %d is of the kind %s, want %s: %q", i+1, kind, e.Lines[i][0], line)
		}
		for _, value := range e.Lines[i][1:] {
			if p := strings.Trim(pattern(value).String(), "^$"); !regexp.MustCompile(p).MatchString(line) {
				t.Errorf("line %d does not mention %s: %q", i+1, value, line)
			}
		}
	}
}

var placeholder = regexp.MustCompile(`<([A-Z]+[0-9]*)(_[0-9]+)?( WITHOUT I| OF [^>]*>?)?>`)

// pattern matches a text whose placeholders stand for values.
func pattern(text string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	last := 0
	for _, at := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(regexp.QuoteMeta(text[last:at[0]]))
		last = at[1]
		kind := text[at[2]:at[3]]
		value, known := map[string]string{
			"IDENTIFIER": "I[0-9a-f]{64}", "HEX": "[0-9a-f]{65,}", "HEX64": "[0-9a-f]{64}", "NAME": "[a-z]+-[a-z]+",
			"VERSION": `[0-9]+\.[0-9]+\.[0-9]+[-a-z]*`, "COMMIT": "(?:[0-9a-f]+|unknown)", "HOME": `/[^"\n]*`, "TIME": "[-0-9:TZ]+",
			"HEX32": "[0-9a-f]{32}", "PORT": "[0-9]+", "PID": "[0-9]+", "BYTES": `\[[^]]*\]`, "DATE": "[-0-9]+",
		}[kind]
		switch {
		case !known:
			value = regexp.QuoteMeta(text[at[0]:at[1]])
		case kind == "BYTES":
		case at[6] >= 0:
			value = strings.TrimPrefix(value, "I")
		}
		b.WriteString(value)
	}
	b.WriteString(regexp.QuoteMeta(text[last:]) + "$")
	return regexp.MustCompile(b.String())
}
