package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// otherwise are recordings of configurations that ours differs from, or that
// cannot be replayed in an empty home.
var otherwise = map[string]string{
	"node configurations / name already running":                "needs that node; in a script",
	"failures and duplicates / name of a running node":          "needs that node; in a script",
	"run / run: node already running":                           "needs that node; in a script",
	"run / run: identities":                                     "with several vaults the default one is used",
	"node configurations / not YAML":                            "the parser names another line",
	"files / file: not YAML":                                    "the recorder writes the file",
	"variables / null value":                                    "the place of the mistake is more exact",
	"variables / float value":                                   "the place of the mistake is more exact",
	"run / run: missing path":                                   "the message has no number of the system",
	"run / run: unknown key":                                    "a warning tells of it; in a script",
	"run / run: influxdb is ignored":                            "a warning tells of it",
	"options of create / create --variable with an empty value": "starts a node",
}

// withoutNode are recordings that succeed without a node.
var withoutNode = []string{"run / run: empty mapping", "run / run: empty text"}

// TestRecordedConfigurations replays the recordings of configurations that
// start no node: most of them are refused. Nothing that their setups make
// matters to that.
func TestRecordedConfigurations(t *testing.T) {
	b, err := os.ReadFile("testdata/recorded-configuration.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Cases []recording }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var ran atomic.Int64
	t.Run("cases", func(t *testing.T) {
		for _, r := range all.Cases {
			if !r.startsNoNode() || otherwise[r.Name] != "" {
				continue
			}
			t.Run(r.Name, func(t *testing.T) {
				t.Parallel()
				r.replay(t, &home{dir: filepath.Join(t.TempDir(), "none")})
				ran.Add(1)
			})
		}
	})
	t.Logf("%d of %d recordings are replayed", ran.Load(), len(all.Cases))
	if ran.Load() < 43 {
		t.Errorf("%d recordings are replayed, want 43", ran.Load())
	}
}

// startsNoNode reports whether a recording is of a command with a configuration
// that does nothing, or nothing but what needs no node.
func (r *recording) startsNoNode() bool {
	if slices.Contains(withoutNode, r.Name) {
		return true
	}
	failed := r.Exit == float64(70) || r.Exit == float64(64)
	silent := r.Stdout.Parser != "" || r.Stdout.text != nil && *r.Stdout.text == ""
	command := strings.Join(r.Args[:min(2, len(r.Args))], " ")
	return failed && silent && (command == "node create" || r.Args[0] == "run")
}
