package node_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of this module's packages.
const module = "ockam"

// Rows of the drawing in docs/architecture.md: a package may import what
// stands in lower rows. Arrows within a row are spelled out in layers.
const (
	row0 = "tunnel/wire tunnel/multiaddr tunnel/policy transports"
	row1 = row0 + " tunnel transports/tcp transports/udp transports/quic transports/ws transports/uds transports/tls transports/ble"
	row2 = row1 + " tunnel/service tunnel/puncture tunnel/vault tunnel/identity tunnel/secure tunnel/portal tunnel/api"
	row3 = row2 + " proxy proxy/project relay tunnel/authority"
	row4 = row3 + " transports/all proxy/state proxy/node proxy/control"
)

// layers says what each package of this module may import of the others. A
// new package gets its line here, which is the moment to think where it goes.
var layers = map[string]string{
	"": "proxy/cli",

	"proxy/cli": row4 + " config",

	"proxy/control": row3 + " proxy/node proxy/state",
	"proxy/node":    row3 + " transports/all proxy/state config",
	"proxy/state":   row3,

	"proxy":            row2,
	"relay":            row2,
	"proxy/project":    "tunnel/identity tunnel/multiaddr",
	"tunnel/authority": row2,

	"tunnel/api":      row1 + " tunnel/identity tunnel/vault",
	"tunnel/portal":   row1,
	"tunnel/secure":   row1 + " tunnel/identity tunnel/vault",
	"tunnel/identity": row1 + " tunnel/vault",
	"tunnel/vault":    row1,
	"tunnel/service":  row1,
	"tunnel/puncture": row1,

	"tunnel":                   row0,
	"transports/all":           row1,
	"transports/transporttest": "transports",
	"transports/tcp":           "transports",
	"transports/udp":           "transports",

	"config":           "tunnel/identity tunnel/policy tunnel/multiaddr",
	"transports":       "",
	"tunnel/multiaddr": "",
	"tunnel/policy":    "",
	"tunnel/wire":      "",

	"tunnel/authority/authoritytest": "tunnel/authority tunnel/identity",

	"proxy/node/e2e": "", // tests of the finished program
}

// TestLayers keeps imports going downwards.
func TestLayers(t *testing.T) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = filepath.Dir(string(bytes.TrimSpace(gomod)))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	if len(bytes.TrimSpace(out)) == 0 {
		t.Fatal("go list found no packages")
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := relative(fields[0])
		permitted, known := layers[name]
		if !known {
			t.Errorf("package %s has no line in layers", fields[0])
			continue
		}
		for _, imported := range fields[1:] {
			ours := imported == module || strings.HasPrefix(imported, module+"/")
			if ours && !slices.Contains(strings.Fields(permitted), relative(imported)) {
				t.Errorf("%s imports %s, which stands above or beside it", fields[0], imported)
			}
		}
	}
}

func relative(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// TestDrawings compares the drawings of the layers, and looks for every package in
// them.
func TestDrawings(t *testing.T) {
	drawing := func(path string) (rows []string) {
		b, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if len(line) > 4 && line[0] == ' ' && line[1] >= '0' && line[1] <= '6' && line[2:5] == "   " {
				rows = append(rows, line)
			}
		}
		return rows
	}
	rows := drawing("docs/architecture.md")
	if inReadme := drawing("README.md"); len(rows) != 7 || !slices.Equal(rows, inReadme) {
		t.Errorf("docs/architecture.md has\n%v\nREADME.md has\n%v", rows, inReadme)
	}
	names := strings.Fields(strings.Join(rows, ""))
	for name := range layers {
		_, err := os.Stat(filepath.Join("..", "..", name))
		if err == nil && name != "" && name != "proxy/node/e2e" && !slices.Contains(names, name) {
			t.Errorf("%s is not drawn", name)
		}
	}
}
