package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ockam/config"
)

// TestConvert compares what becomes of files with golden ones, and loads it.
func TestConvert(t *testing.T) {
	for _, name := range []string{"node", "run", "project", "projects"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/convert/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			out, err := config.Convert(string(text), config.RecipeOptions{File: name + ".yaml", Env: recipeEnvironment})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/convert/"+name+".golden", string(out))
			path := filepath.Join(t.TempDir(), "x.hcl")
			ticket, err := os.ReadFile("testdata/good/ticket.txt")
			if err == nil {
				err = os.WriteFile(filepath.Join(filepath.Dir(path), "my.ticket"), ticket, 0o600) // of which project.yaml tells
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, out, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := load(path); err != nil {
				t.Error(format(err))
			}
		})
	}
}

func TestConvertMistakes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"node options", "name: n\nproject: p\nhttp_server: true", []string{`n.yaml:3: node: HCL has no word for "http-server"`}},
		{"policies", "{policies: {resource: x, allow: a}}", []string{"n.yaml:1: policy: HCL has no policies"}},
		{"through a project, to nothing", "relay: r\ntcp-inlet: {via: r, to: x}", []string{"Unknown outlet"}},
		{"via and a whole route", "tcp-inlet: {via: r, to: /project/p/service/x}", []string{"n.yaml:1: tcp-inlet: via is a part"}},
		{"two projects", "relay: {at: /project/p}\nproject: q", []string{"Another project"}},
		{"tls", "{tcp-outlet: {to: 1, tls: true}}", []string{`HCL has no word for "tls"`}},
		{"a policy over nothing", "{tcp-outlet: {to: 1, allow: x and y}}", []string{"Nobody to believe"}},
		{"kafka", "{kafka-outlet: {addr: x}}", []string{"kafka-outlet: HCL has nothing"}},
		{"ticket elsewhere", "{ticket: 'https://example.com/t'}", []string{"n.yaml:1: ticket: HCL takes a ticket or a file"}},
		{"vaults", "{vaults: v}", []string{"vault: HCL has nothing"}},
		{"another node", "{nodes: a, tcp-outlet: {to: 1, at: b}, tcp-inlet: {to: /node/c/service/x}}", []string{`the node "b" is not in the file`, `the node "c" is not in the file`}},
		{"which node", "{nodes: [a, b], tcp-outlet: {to: 1}}", []string{"say which one"}},
		{"twice", "{nodes: [a, a]}", []string{`there is a node "a" already`}},
		{"nothing", "{identities: i}", nil},
		{"empty", "{nodes: []}", []string{"nothing to run"}},
		{"bad route", "{tcp-inlet: {to: /x/y}}", []string{"to: "}},
		{"several values", "{tcp-outlet: {to: [1, 2]}}", []string{"to takes one value"}},
		{"what Load refuses", "{tcp-outlet: {from: api, to: 1}}", []string{"Reserved name"}},
		{"not YAML", "{", []string{"not valid YAML"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := config.Convert(tt.text, config.RecipeOptions{File: "n.yaml"})
			if (err != nil) != (len(tt.want) > 0) {
				t.Fatalf("got %v and\n%s", err, out)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

func TestNodeRecipe(t *testing.T) {
	text, err := os.ReadFile("testdata/good/ticket.txt")
	if err != nil {
		t.Fatal(err)
	}
	ticket := strings.TrimSpace(string(text))
	for _, tt := range []struct {
		name, text string
		want       string
		fails      []string
	}{
		{name: "all that commands can say", text: `node "n" {
  identity = "alice"
  services = ["uppercase"]
  listener "tcp" { address = "127.0.0.1:4000" }
  relay_service { allow = "anyone" }
  relay "r" {
    at    = "/ip4/192.0.2.1/tcp/4000/secure/api"
    allow = "` + one + `"
  }
  tcp_outlet "db" {
    to    = "127.0.0.1:5432"
    allow = "anyone"
  }
  tcp_inlet "in" {
    from  = "127.0.0.1:0"
    to    = "/ip4/192.0.2.1/tcp/4000/secure/api/service/x"
    allow = "` + two + `"
  }
}`, want: "node --identity=alice --tcp-listener-address=127.0.0.1:4000 -- n\n" +
			"relay --at=/ip4/192.0.2.1/tcp/4000/secure/api --authorized=" + one + " -- r\n" +
			"tcp-inlet --alias=in --authorized=" + two + " --from=127.0.0.1:0 --to=/ip4/192.0.2.1/tcp/4000/secure/api/service/x\n" +
			"tcp-outlet --from=db --to=127.0.0.1:5432"},
		{name: "a member by a ticket", text: `node "n" {
  ticket = "` + ticket + `"
  relay "db" {}
  relay_service {}
  tcp_outlet "pg" { to = "127.0.0.1:5432" }
  tcp_outlet "web" {
    to    = "127.0.0.1:80"
    allow = "web and not intern"
  }
  tcp_inlet "pg" {
    from = "127.0.0.1:0"
    via  = "db"
  }
}`, want: "ticket -- " + ticket + "\n" +
			"node --identity=n --project=acme -- n\n" +
			"relay --at=/project/acme -- db\n" +
			"tcp-inlet --alias=pg --from=127.0.0.1:0 --to=/project/acme/service/forward_to_db/secure/api/service/pg\n" +
			"tcp-outlet --from=pg --to=127.0.0.1:5432\n" +
			"tcp-outlet --allow=web and not intern --from=web --to=127.0.0.1:80"},
		{name: "a member of the default project", text: `node "n" {
  relay "db" {}
  tcp_inlet "in" {
    from    = "127.0.0.1:0"
    via     = "other"
    service = "pg"
  }
}`, want: "node --identity=n -- n\nrelay -- db\ntcp-inlet --alias=in --from=127.0.0.1:0 --to=pg --via=other"},
		{name: "a member by a record", text: `node "n" {
  project = "{\"name\": \"acme\", \"identity\": \"I1\", \"access_route\": \"/x\"}"
  relay "db" {}
}`, want: "node --identity=n --project={\"name\": \"acme\", \"identity\": \"I1\", \"access_route\": \"/x\"} -- n\nrelay --at=/project/acme -- db"},
		{name: "the node of a project", text: `node "n" {
  project "acme" { listen = "127.0.0.1:4000" }
}`, fails: []string{"ockam project create acme --listen 127.0.0.1:4000"}},
		{name: "a member, open to anyone", text: `node "n" {
  project = "acme"
  relay_service { allow = "anyone" }
  tcp_outlet "pg" {
    to    = "127.0.0.1:5432"
    allow = "anyone"
  }
}`, fails: []string{"cannot be open to anyone", "who have its credential"}},
		{name: "what they cannot", text: `node "n" {
  ephemeral = true
  services  = ["hop"]
  listener "tcp" { address = "127.0.0.1:4000" }
  relay_service { allow = node.n.identifier }
  tcp_outlet "db" {
    to              = "demo:web"
    allow           = "` + one + `"
    max_connections = 5
  }
  tcp_inlet "in" {
    from  = "unix:/tmp/x.sock"
    to    = "/ip4/192.0.2.1/tcp/4000/secure/api/service/x"
    allow = ["` + one + `", "` + two + `"]
  }
}
node "m" {
  listener "tcp" { address = "127.0.0.1:4001" }
}`, fails: []string{"makes one node", "ephemeral", "ockam service start hop", "register names", "policies over attributes", "not demo:web", "max_connections", "not unix:/tmp/x.sock", "one identifier", "ockam run "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "n.hcl")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := load(path)
			if err != nil {
				t.Fatal(format(err))
			}
			r, err := f.NodeRecipe()
			if len(tt.fails) == 0 {
				if err != nil {
					t.Fatal(format(err))
				}
				if got := lines(r); got != tt.want {
					t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				}
				return
			}
			got := strings.Join(strings.Fields(format(err)), " ")
			for _, want := range tt.fails {
				if !strings.Contains(got, want) {
					t.Errorf("nothing says %q:\n%s", want, format(err))
				}
			}
		})
	}
}
