package project_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"ockam/proxy/project"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// A recorded ticket or identity.
type item struct {
	Name    string
	Hex     string
	Decoded struct {
		Code    string `json:"one_time_code"`
		Project json.RawMessage
	}
}

// recorded are what the reference implementation printed and accepted.
type recorded struct {
	Items   []item
	Imports []struct {
		Variation string
		Accepted  bool
		Printed   json.RawMessage `json:"information_output"`
	}
	Reading []struct {
		Form     string
		Accepted bool
		Ticket   string
		Stored   []struct {
			ID             string
			Name           string
			AccessRoute    string `json:"access_route"`
			AuthorityRoute string `json:"authority_access_route"`
			Identity       string
		} `json:"stored_project"`
	} `json:"ticket_reading"`
	Smallest struct{ File json.RawMessage } `json:"example_project_file"`
}

func load(t testing.TB) *recorded {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// full returns the members of the project that the recordings are variations of.
func (r *recorded) full(t testing.TB) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(r.Imports[0].Printed, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// varied returns full with a change. A nil value takes the key out.
func varied(t testing.TB, full map[string]any, key string, value any) []byte {
	t.Helper()
	m := maps.Clone(full)
	m[key] = value
	if value == nil {
		delete(m, key)
	}
	return marshal(t, m)
}

// sorted returns JSON with its keys in order, as commands print it; lists of
// addresses, which have none, too.
func sorted(t testing.TB, b []byte) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if list, ok := m["egress_allow_list"].([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	}
	return string(marshal(t, m))
}

// TestImports reads the files that the reference implementation was given, and
// compares what it took and what it printed.
func TestImports(t *testing.T) {
	r := load(t)
	full := r.full(t)
	other := r.Items[2].Hex // of the member m1
	files := map[string][]byte{
		"full":                marshal(t, full),
		"minus users":         varied(t, full, "users", nil),
		"minus user_roles":    varied(t, full, "user_roles", nil),
		"minus space_id":      varied(t, full, "space_id", nil),
		"minus space_name":    varied(t, full, "space_name", nil),
		"minus identity":      varied(t, full, "identity", nil),
		"minus history":       varied(t, full, "project_change_history", nil),
		"minus authority":     varied(t, full, "authority_identity", nil),
		"history of another":  varied(t, full, "project_change_history", other),
		"bad authority hex":   varied(t, full, "authority_identity", "00"),
		"route /service":      varied(t, full, "access_route", "/service/api"),
		"route node":          varied(t, full, "access_route", "/node/n1"),
		"route empty":         varied(t, full, "access_route", ""),
		"ip4 route":           varied(t, full, "access_route", "/ip4/127.0.0.1/tcp/4702/service/api"),
		"unknown key":         varied(t, full, "more", 1),
		"minus access_route":  varied(t, full, "access_route", nil),
		"minus id":            varied(t, full, "id", nil),
		"kafka_config":        varied(t, full, "kafka_config", map[string]any{"bootstrap_server": "h:1"}),
		"okta_config":         varied(t, full, "okta_config", map[string]any{"tenant_base_url": "https://t", "certificate": "c", "client_id": "i", "attributes": []string{"a"}}),
		"user_roles":          nil,
		"smallest, by itself": r.Smallest.File,
	}
	m := maps.Clone(full)
	m["users"] = []string{"a@b.c"}
	m["user_roles"] = []any{map[string]any{"email": "a@b.c", "id": 1, "role": "Admin", "scope": "Project"}}
	files["user_roles"] = marshal(t, m)
	if _, err := project.ParseRecord(files["smallest, by itself"]); err != nil {
		t.Errorf("the smallest file: %v", err)
	}
	for _, i := range r.Imports {
		t.Run(i.Variation, func(t *testing.T) {
			file := files[i.Variation]
			if file == nil {
				t.Fatal("no such file")
			}
			rec, err := project.ParseRecord(file)
			if (err == nil) != i.Accepted {
				t.Fatalf("%v, want accepted %v", err, i.Accepted)
			}
			if err != nil {
				return
			}
			if string(i.Printed) != "null" {
				if got, want := sorted(t, marshal(t, rec.Shown())), sorted(t, i.Printed); got != want {
					t.Errorf("printed\n%s, want\n%s", got, want)
				}
			}
			again, err := project.ParseRecord(marshal(t, rec))
			if err != nil || !bytes.Equal(marshal(t, again), marshal(t, rec)) {
				t.Errorf("read again: %v", err)
			}
		})
	}
}

// TestLenient reads files with the keys that programs of 2023 wrote.
func TestLenient(t *testing.T) {
	full := load(t).full(t)
	old := map[string]any{}
	for _, key := range []string{"id", "name", "identity", "access_route", "authority_access_route", "authority_identity"} {
		old[key] = full[key]
	}
	file := marshal(t, old)
	if _, err := project.ParseRecord(file); err == nil || !strings.Contains(err.Error(), `"space_name" is missing`) {
		t.Errorf("by the rules of 2024: %v", err)
	}
	r, err := project.ParseRecordLeniently(file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Ready() {
		t.Error("ready without the history of the project node")
	}
	if err := r.Usable(); err != nil {
		t.Error(err)
	}
	if _, err := project.ParseRecord(marshal(t, r)); err != nil {
		t.Errorf("as it is printed: %v", err)
	}
	for _, key := range []string{"id", "name", "access_route"} {
		if _, err := project.ParseRecordLeniently(varied(t, old, key, nil)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("without %s: %v", key, err)
		}
	}
}

func TestBadRecords(t *testing.T) {
	full := load(t).full(t)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "line 1, column 1"},
		{"words", []byte("\n hello"), "line 2, column 2"},
		{"a list", []byte("[]"), "no JSON object"},
		{"two", append(marshal(t, full), "{}"...), "after top-level value"},
		{"no text", []byte("{\"a\":\"\xff\"}"), "no text"},
		{"twice", []byte(`{"id":"1","id":"2"}`), `"id" stands there twice`},
		{"key in capitals", varied(t, varyKey(full, "id", "ID"), "x", 1), `"id" is missing`},
		{"id is a number", varied(t, full, "id", 1), `"id": it is a number, and must be text`},
		{"id is null", varied(t, full, "id", json.RawMessage("null")), `"id" is null`},
		{"id is empty", varied(t, full, "id", ""), `"id" is empty`},
		{"id on a terminal", varied(t, full, "id", "a\x1b[2J"), "printable"},
		{"name with a slash", varied(t, full, "name", "a/b"), "slash"},
		{"name with a space", varied(t, full, "name", "a "), "spaces"},
		{"users", varied(t, full, "users", []any{"a", nil}), `"users": it holds null`},
		{"users is text", varied(t, full, "users", "a"), `"users": it is a string, and must be a list`},
		{"running", varied(t, full, "running", "yes"), `"running": it is a string, and must be true or false`},
		{"identity", varied(t, full, "identity", "I12"), `"identity": `},
		{"nobody", varied(t, full, "identity", "I"+strings.Repeat("0", 64)), `"identity" is nobody's`},
		{"authority cut", varied(t, full, "authority_identity", full["authority_identity"].(string)[:100]), `"authority_identity" was cut short or altered`},
		{"role", varied(t, full, "user_roles", []any{map[string]any{"email": "a", "id": 1, "role": "King", "scope": "Project"}}), `"role" is "King"`},
		{"role without id", varied(t, full, "user_roles", []any{map[string]any{"email": "a", "role": "Guest", "scope": "Space"}}), `"id" is missing`},
		{"okta", varied(t, full, "okta_config", map[string]any{}), `"tenant_base_url" is missing`},
		{"okta URL", varied(t, full, "okta_config", map[string]any{"tenant_base_url": "t", "certificate": "", "client_id": "", "attributes": []string{}}), "no URL"},
		{"no host", varied(t, full, "access_route", "/dnsaddr//tcp/1"), "must begin with a host"},
		{"route", varied(t, full, "authority_access_route", "/nothing/1"), `"authority_access_route": `},
		{"authority route", varied(t, full, "authority_access_route", "/service/api"), `"authority_access_route" is "/service/api"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := project.ParseRecord(c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "project: ") {
				t.Errorf("got %v, want one with %s", err, c.want)
			}
		})
	}
}

func varyKey(m map[string]any, from, to string) map[string]any {
	m = maps.Clone(m)
	m[to] = m[from]
	delete(m, from)
	return m
}

func TestParseRecordTruncated(t *testing.T) {
	full := marshal(t, load(t).full(t))
	for i := range full {
		if _, err := project.ParseRecordLeniently(full[:i]); err == nil {
			t.Errorf("accepted %d of %d bytes", i, len(full))
		}
	}
}

func TestText(t *testing.T) {
	full := load(t).full(t)
	r, err := project.ParseRecord(marshal(t, full))
	if err != nil {
		t.Fatal(err)
	}
	const want = `    default:
      Id: p1
      Name: default
      Space: 
      Route: /dnsaddr/127.0.0.1/tcp/4702/service/api
      Address: 127.0.0.1:4702
      Identifier: Ie01c19fef359aff4354d9d2ac8632054efeef390dac46531e186683ff8595c26
      Version: N/A
      Is running: false
      Authority route: /dnsaddr/127.0.0.1/tcp/4701/service/api
      Authority address: 127.0.0.1:4701
      Authority identifier: Iebcaf05c62e7f3e326b388606485d24d0b6afc4a53b7d359b04a143a5ee9e97d
      Egress allow list: 127.0.0.1:4702, 127.0.0.1:4701`
	if got := r.Text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r, err = project.ParseRecord([]byte(`{"id":"2","name":"two","space_name":"a\u001bb","access_route":"","users":[],"space_id":"","user_roles":[],"version":"v1","running":true}`))
	if err != nil {
		t.Fatal(err)
	}
	const little = `    two:
      Id: 2
      Name: two
      Space: "a\x1bb"
      Route: N/A
      Address: N/A
      Identifier: N/A
      Version: v1
      Is running: true
      Authority route: N/A
      Authority address: N/A
      Authority identifier: N/A
      Egress allow list:`
	if got := r.Text(); got != little {
		t.Errorf("got\n%s\nwant\n%s", got, little)
	}
	if r.Ready() || !r.Identifier().IsZero() {
		t.Error("ready with nothing")
	}
	if err := r.Usable(); err == nil || !strings.Contains(err.Error(), "access_route, identity, authority_access_route, authority_identity") {
		t.Errorf("usable with nothing: %v", err)
	}
}

// TestAddresses is about what follows from routes.
func TestAddresses(t *testing.T) {
	for _, c := range []struct{ access, authority, want string }{
		{"/dnsaddr/p.example.com/tcp/4000/service/api", "/ip6/::1/tcp/1", "p.example.com:4000 [::1]:1"},
		{"/ip4/10.0.0.1/tcp/4000", "/ip4/10.0.0.1/tcp/4000/service/authority", "10.0.0.1:4000"},
		{"", "/ip4/10.0.0.1/tcp/4000", "10.0.0.1:4000"},
		{"", "", ""},
	} {
		var r project.Record
		var err error
		if r.AccessRoute, err = multiaddr.Parse(c.access); err != nil {
			t.Fatal(err)
		}
		if r.AuthorityRoute, err = multiaddr.Parse(c.authority); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.EgressAllowList(), " "); got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.access, c.authority, got, c.want)
		}
	}
}

// TestIdentifierFollowsFromHistory: a record with a history alone can be used.
func TestIdentifierFollowsFromHistory(t *testing.T) {
	r := load(t)
	h, err := identity.ParseHistoryText(r.Items[0].Hex)
	if err != nil {
		t.Fatal(err)
	}
	rec := &project.Record{ID: "1", Name: "p", History: h}
	if rec.Identifier() != h.Identifier() {
		t.Errorf("got %v, want %v", rec.Identifier(), h.Identifier())
	}
	if !strings.Contains(string(marshal(t, rec)), `"identity":null`) {
		t.Error("the identity is printed although it was not given")
	}
}

func FuzzParseRecord(f *testing.F) {
	r := load(f)
	full := r.full(f)
	f.Add(marshal(f, full))
	f.Add([]byte(r.Smallest.File))
	for _, i := range r.Imports {
		if string(i.Printed) != "null" {
			f.Add([]byte(i.Printed))
		}
	}
	for _, i := range r.Items {
		if i.Decoded.Project != nil {
			f.Add([]byte(i.Decoded.Project))
		}
	}
	f.Add(varied(f, full, "access_route", "/ip6/::1/tcp/1/secure/api"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := project.ParseRecordLeniently(b)
		if err != nil {
			return
		}
		printed := marshal(t, rec)
		again, err := project.ParseRecord(printed)
		if err != nil {
			t.Fatalf("%s: %v", printed, err)
		}
		if got := marshal(t, again); !bytes.Equal(got, printed) {
			t.Errorf("read again it is\n%s, not\n%s", got, printed)
		}
		_ = rec.Text()
		_ = marshal(t, rec.Shown())
	})
}
