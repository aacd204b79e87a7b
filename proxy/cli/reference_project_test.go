package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ockam/proxy/project"
)

// TestReferenceProjects: what either command prints of a project the other one
// takes in, and the reference implementation reads our tickets.
func TestReferenceProjects(t *testing.T) {
	ours, theirs := references(t)
	dir := t.TempDir()
	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		t.Fatal(err)
	}
	writeProjectFiles(t, files, recordings(t, "project"), someProject(t))

	printed := filepath.Join(dir, "printed.json")
	from, to := ours, theirs
	var before string
	for range 2 {
		from.must(t, "project", "import", "--project-file", filepath.Join(files, "project.json"))
		text := from.must(t, "project", "information", "--output", "json")
		if err := os.WriteFile(printed, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		to.must(t, "project", "import", "--project-file", printed)
		for _, p := range []*program{from, to} {
			got := p.must(t, "project", "information", "--jq", "del(.egress_allow_list)") // which has no order
			if before != "" && got != before {
				t.Errorf("printed\n%s\nand before\n%s", got, before)
			}
			before = got
		}
		from, to = to, from
	}

	record, err := os.ReadFile(printed)
	if err != nil {
		t.Fatal(err)
	}
	r, err := project.ParseRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	r.ID, r.Name = "of-a-ticket", "ticketed"
	ticket, err := (&project.Ticket{Project: r}).Text()
	if err != nil {
		t.Fatal(err)
	}
	// Nobody answers where the authority should be; the project is stored before that.
	if out, err := theirs.run(t, "project", "enroll", ticket); err == nil {
		t.Errorf("enrolled: %s", out)
	}
	if got := theirs.must(t, "project", "information", "ticketed", "--jq", ".id"); !strings.Contains(got, `"of-a-ticket"`) {
		t.Errorf("the id is %s", got)
	}
}
