package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ockam/proxy/cli"
)

// notRun are parts of examples that cannot run here, and why.
var notRun = map[string]string{
	"ockam run ": "runs until it is ended; the quick start has a test of its own",
	"/etc/ockam": "is a folder of a host that runs the service",
	"source <(":  "is for bash; the scripts are tested beside the command",

	"ockam rendezvous create":         "runs until it is ended; tested in a script",
	"ockam rendezvous get-my-address": "needs a server; tested in a script",

	"node.example.com":  "is a host that is not there",
	"relay.example.com": "is a host that is not there",
	"--foreground":      "runs until it is ended; tested in a script",
	"ockam reset":       "needs nothing, and is tested in a script",
}

// before are what the examples of a command take for granted.
var before = map[string]string{
	"ockam identity show": "ockam identity create database -q",

	"ockam credential issue":  "ockam identity create authority -q\nockam identity create member -q\n",
	"ockam credential verify": credential, "ockam credential store": credential + oneNode,
	"ockam credential list": oneNode + "ockam identity create member -q\n",

	"ockam policy explain": ownProject + "ockam node create n1\nockam identity create app -q\nockam tcp-outlet create --to 5000 --from web\n",

	"ockam identity default": "ockam identity create main -q\nockam identity create database -q\n",
	"ockam identity delete":  "ockam identity create main -q\nockam identity create database -q\n",
	"ockam vault show":       vaults, "ockam vault move": vaults, "ockam vault delete": vaults,

	"ockam authority create": "ockam identity create enroller -q\n",
	"ockam project ticket":   ownProject, "ockam project enroll": ownProject + "ockam project ticket >db.ticket\nTICKET=$(ockam project ticket)\n",
	"ockam project-member add": members, "ockam project-member list": members, "ockam project-member list-ids": members,
	"ockam project-member show":   members + "ockam project-member add $MEMBER --attribute team=web -q\n",
	"ockam project-member delete": members + "ockam project-member add $MEMBER -q\n",

	"ockam project import": projects, "ockam project information": projects, "ockam project show": projects,
	"ockam project list": projects, "ockam project default": projects, "ockam project delete": projects,

	"ockam node create": "ockam identity create authority -q\nAUTHORITY=$(ockam identity show authority --full --encoding hex)\n",

	"ockam node show": oneNode, "ockam node start": oneNode, "ockam node stop": oneNode, "ockam node delete": oneNode,
	"ockam node default": twoNodes, "ockam node logs": oneNode, "ockam message send": twoNodes,
	"ockam secure-channel create": channel, "ockam secure-channel list": channel,
	"ockam secure-channel show": channel, "ockam secure-channel delete": channel,
	"ockam relay create": relayNodes + ownProject + "ockam node create member -q\nockam node default member -q\n", "ockam relay list": relays, "ockam relay show": relays, "ockam relay delete": relays,
	"ockam secure-channel-listener create": oneNode, "ockam secure-channel-listener list": oneNode,
	"ockam secure-channel-listener show":   oneNode + "ockam secure-channel-listener create inner\n",
	"ockam secure-channel-listener delete": oneNode + "ockam secure-channel-listener create inner\n",

	"ockam tcp-outlet create": ownProject + oneNode, "ockam tcp-outlet list": oneNode,
	"ockam tcp-outlet show":   oneNode + "ockam tcp-outlet create --from web --to 80\n",
	"ockam tcp-outlet delete": oneNode + "ockam tcp-outlet create --from web --to 80\n",
	"ockam tcp-inlet create":  ownProject + twoNodes + "ockam tcp-outlet create --to 5432 --at n1 --via db\n", "ockam tcp-inlet list": inlet, "ockam tcp-inlet show": inlet, "ockam tcp-inlet delete": inlet,
	"ockam tcp-listener list": oneNode, "ockam tcp-connection list": oneNode,
	"ockam tcp-listener create": oneNode, "ockam tcp-connection create": listener,
	"ockam tcp-listener show": listener, "ockam tcp-connection show": listener,
	"ockam tcp-listener delete": listener, "ockam tcp-connection delete": listener,
	"ockam service list": oneNode, "ockam service start hop": oneNode, "ockam worker list": oneNode,
	"ockam policy create": oneNode, "ockam policy show": oneNode, "ockam policy list": oneNode, "ockam policy delete": oneNode,
	"ockam status":                    oneNode,
	"ockam flow-control add-consumer": twoNodes + "ockam tcp-listener create 127.0.0.1:6000 --at n1\n",
}

// Nodes, and what they have, for examples.
const (
	credential = "ockam identity create member -q\nISSUER=$(ockam identity create authority -q)\n" +
		"CREDENTIAL=$(ockam credential issue --as authority --for $(ockam identity show member) --encoding hex)\n"
	vaults   = "ockam vault create -q\nockam vault create work\n"
	projects = `for name in default team; do echo '{"id":"'$name'","name":"'$name'","space_name":"","space_id":"","users":[],"user_roles":[],` +
		`"access_route":"/dnsaddr/p.example.com/tcp/4000"}' >project.json; ockam project import --project-file project.json; done` + "\n"
	ownProject = "ockam project create default --listen 127.0.0.1:0 -q >commands\n"
	members    = ownProject + "MEMBER=$(ockam identity create member -q)\n"

	oneNode  = "ockam node create n1 -q\n"
	twoNodes = oneNode + "ockam node create n2 -q\n"
	channel  = "ockam node create a -q\nockam node create b -q\n" +
		"ADDRESS=$(ockam secure-channel create --from a --to /node/b/service/api | sed s,/service/,,)\n"
	relayNodes = "ockam node create a -q\nockam node create blue -q\nockam node create relay -q\n"
	relays     = relayNodes + "ockam relay create blue --at relay --to blue\nockam relay create blue --at relay --to a --relay-address a\n"
	outlet     = twoNodes + "ockam tcp-outlet create --to 5432 --at n1\n"
	listener   = oneNode +
		"ockam tcp-listener create 127.0.0.1:4000\nockam node create n2 -q -t 127.0.0.1:6000\n" +
		"WORKER=$(ockam tcp-connection create --from n1 --to 6000 | sed s,/worker/,,)\n"
	inlet = outlet +
		"ockam tcp-inlet create --at n2 --alias db --to /node/n1/service/outlet\n" +
		"ockam tcp-inlet create --at n1 --alias db --to /node/n1/service/outlet --no-connection-wait\n"
)

// commands returns every command that does something and that help shows.
func commands(cmd *cobra.Command) (all []*cobra.Command) {
	if !cmd.HasSubCommands() && !cmd.Hidden {
		all = append(all, cmd)
	}
	for _, child := range cmd.Commands() {
		all = append(all, commands(child)...)
	}
	return all
}

// examples returns the examples of a command: a comment, then lines to type.
func examples(cmd *cobra.Command) (all []string) {
	for block := range strings.SplitSeq(cmd.Example, "\n\n") {
		if strings.Contains(block, "ockam ") {
			all = append(all, block)
		}
	}
	return all
}

// TestExamples demands two examples of every command, in the same form, and
// runs those that can be run here.
func TestExamples(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Log("no shell: the examples are not run")
	}
	ran := 0
	for _, cmd := range commands(cli.Tree()) {
		all := examples(cmd)
		if len(all) < 2 {
			t.Errorf("%s has %d examples, want 2", cmd.CommandPath(), len(all))
		}
		for _, example := range all {
			checkForm(t, cmd, example)
			if shell != "" && runExample(t, shell, cmd.CommandPath(), example) {
				ran++
			}
		}
	}
	if shell != "" && ran < 8 {
		t.Errorf("only %d examples ran", ran)
	}
}

func checkForm(t *testing.T, cmd *cobra.Command, example string) {
	t.Helper()
	lines := strings.Split(example, "\n")
	if !strings.HasPrefix(lines[0], "  # ") {
		t.Errorf("an example of %s does not begin with what it does:\n%s", cmd.CommandPath(), example)
	}
	if !slices.ContainsFunc(lines[1:], func(line string) bool { return strings.Contains(line, cmd.CommandPath()) }) {
		t.Errorf("an example of %s is not about it:\n%s", cmd.CommandPath(), example)
	}
}

// fixedPorts are those at which the examples listen.
var fixedPorts = regexp.MustCompile(`\b(4000|6000|7000|9311|15432)\b`)

// withFreePorts puts free ports in the place of those: others on this machine may
// have them, such as another run of these tests.
func withFreePorts(t *testing.T, script string) string {
	t.Helper()
	free := map[string]string{}
	return fixedPorts.ReplaceAllStringFunc(script, func(port string) string {
		if free[port] == "" {
			free[port] = onePort(t)
		}
		return free[port]
	})
}

// runExample reports whether it could run the example, in a folder and a home
// of its own.
func runExample(t *testing.T, shell, path, example string) (ran bool) {
	for part := range notRun {
		if strings.Contains(example, part) {
			return false
		}
	}
	t.Run(path, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
			t.Fatal(err)
		}
		script := exec.Command(shell, "-e", "-c", "trap 'ockam node delete --all --yes >/dev/null 2>&1' EXIT\n"+withFreePorts(t, before[path]+"\n"+example))
		script.Dir = dir
		script.Env = append(os.Environ(), "HOME="+dir, "OCKAM_HOME="+filepath.Join(dir, "home"))
		if out, err := script.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s\n%s", err, example, out)
		}
	})
	return true
}
