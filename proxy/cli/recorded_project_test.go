package cli_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordedProjects replays, in order and in one home, the recordings about
// projects that need neither an authority nor the files of one. The recorder's
// files are made again from what it printed.
func TestRecordedProjects(t *testing.T) {
	where := t.TempDir()
	h := &home{dir: filepath.Join(where, "home"), outputs: map[string]string{}}
	all := recordings(t, "project")
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeProjectFiles(t, h.dir, all, someProject(t))
	ran := 0
	for _, r := range all {
		words := strings.Join(r.Args[:min(2, len(r.Args))], " ")
		if words != "project import" && words != "project information" {
			continue
		}
		ran++
		t.Run(r.Name, func(t *testing.T) {
			r.Stderr.Mentions = nil // numbers of lines and of errors, which are others here
			cmd := h.command(r.bound(h), where)
			stdout, stderr := output(t, cmd, r.Terminal != "")
			r.compare(t, cmd.ProcessState.ExitCode(), stdout, stderr)
		})
	}
	if ran < 16 {
		t.Errorf("%d recordings are replayed, want 16", ran)
	}
}

// projectValues are where and who the authority in the project files is.
type projectValues struct{ port, history string }

// someProject has an authority that does not run.
func someProject(t *testing.T) projectValues {
	t.Helper()
	authority, err := os.ReadFile("testdata/project-authority.hex")
	if err != nil {
		t.Fatal(err)
	}
	return projectValues{"4001", strings.TrimSpace(string(authority))}
}

// writeProjectFiles makes the project files of the recordings.
func writeProjectFiles(t *testing.T, dir string, all []recording, v projectValues) {
	t.Helper()
	printed := ""
	for _, r := range all {
		if r.Name == "local project / information" {
			printed = *r.Stdout.text
		}
	}
	printed = strings.NewReplacer("<PORT>", v.port, "<HEX>", v.history, "<NAME>", "some-space").Replace(printed)
	full := map[string]any{}
	if err := json.Unmarshal([]byte(printed), &full); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"access_address", "authority_access_address", "egress_allow_list"} {
		delete(full, key)
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := func(changes map[string]any, without ...string) []byte {
		m := maps.Clone(full)
		maps.Copy(m, changes)
		for _, key := range without {
			delete(m, key)
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write("project.json", with(nil))
	write("p2.json", with(map[string]any{"id": "2", "name": "second", "more": true}))
	write("p3.json", with(map[string]any{"id": "3"}, "users"))
	write("p4.json", with(map[string]any{"id": "4", "authority_identity": "00"}))
	write("p5.json", []byte("not JSON"))
	write("p6.json", with(map[string]any{"id": "6"}, "name"))
	write("p7.json", with(map[string]any{"id": "7", "name": "third"}, "identity", "authority_access_route", "authority_identity",
		"project_change_history", "version", "running", "operation_id"))
}
