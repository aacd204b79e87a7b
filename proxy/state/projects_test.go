package state_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"ockam/proxy/project"
	"ockam/proxy/state"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/vault"
)

// newHistory makes an identity that no store knows of.
func newHistory(t testing.TB, v vault.Vault) *identity.History {
	t.Helper()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// record returns a whole record; its nodes have the identities given.
func record(t testing.TB, id, name string, node, authority *identity.History) *project.Record {
	t.Helper()
	route, err := multiaddr.Parse("/dnsaddr/127.0.0.1/tcp/4000/service/api")
	if err != nil {
		t.Fatal(err)
	}
	running := true
	return &project.Record{
		ID: id, Name: name, AccessRoute: route, AuthorityRoute: route, Identity: node.Identifier(), History: node, Authority: authority,
		Users: []string{"a@b.c"}, SpaceName: "s", SpaceID: "1", Version: "v", Running: &running, OperationID: "o",
		UserRoles: []project.UserRole{{Email: "a@b.c", ID: 1, Role: "Admin", Scope: "Space"}}, Kafka: true,
		Okta: &project.Okta{TenantBaseURL: "https://t/", Certificate: "c", ClientID: "i", Attributes: []string{"a"}},
	}
}

func putProject(t testing.TB, s *state.Store, r *project.Record) {
	t.Helper()
	if err := s.PutProject(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// wantProjects compares ids and names of all projects; the default one has a star.
func wantProjects(t *testing.T, s *state.Store, want ...string) {
	t.Helper()
	all, err := s.Projects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		text := p.Record.ID + " " + p.Record.Name
		if p.Default {
			text += " *"
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("projects are %q, want %q", got, want)
	}
}

func TestProjects(t *testing.T) {
	dir := home(t)
	s := open(t, dir)
	ctx := t.Context()
	v := vault.NewMemory()
	node, authority := newHistory(t, v), newHistory(t, v)

	wantProjects(t, s)
	_, err := s.Project(ctx, "")
	wantItem(t, err, state.ErrNotFound, "project", "")
	_, err = s.Project(ctx, "p")
	wantItem(t, err, state.ErrNotFound, "project", "p")
	wantItem(t, s.DeleteProject(ctx, "p"), state.ErrNotFound, "project", "p")
	wantItem(t, s.SetDefaultProject(ctx, "p"), state.ErrNotFound, "project", "p")

	first := record(t, "1", "p", node, authority)
	putProject(t, s, first)
	putProject(t, s, record(t, "2", "q", newHistory(t, v), authority))
	wantProjects(t, s, "1 p *", "2 q")
	for _, h := range []*identity.History{node, authority} {
		if known, err := s.History(h.Identifier()); err != nil || known.Text() != h.Text() {
			t.Errorf("the identity in the record: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	got, err := s.Project(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := json.Marshal(first)
	b, err2 := json.Marshal(got.Record)
	if err := errors.Join(err, err2); err != nil || string(a) != string(b) || !got.Default {
		t.Errorf("stored\n%s\ngot\n%s, %v", a, b, err)
	}

	// By id, everything is replaced.
	putProject(t, s, record(t, "1", "new", node, authority))
	wantProjects(t, s, "1 new *", "2 q")
	if err := s.SetDefaultProject(ctx, "q"); err != nil {
		t.Error(err)
	}
	putProject(t, s, record(t, "1", "new", node, authority))
	wantProjects(t, s, "1 new", "2 q *")
	if err := s.DeleteProject(ctx, ""); err != nil {
		t.Error(err)
	}
	wantProjects(t, s, "1 new *")
	if err := s.DeleteProject(ctx, "new"); err != nil {
		t.Error(err)
	}
	wantProjects(t, s)
	if _, err := s.History(node.Identifier()); err != nil {
		t.Errorf("an identity is forgotten: %v", err)
	}
}

// TestProjectNames: a name means one project.
func TestProjectNames(t *testing.T) {
	s := open(t, home(t))
	ctx := t.Context()
	v := vault.NewMemory()
	node, authority := newHistory(t, v), newHistory(t, v)
	putProject(t, s, record(t, "p1", "p", node, authority))
	putProject(t, s, record(t, "q1", "q", newHistory(t, v), authority))

	other := record(t, "p2", "p", newHistory(t, v), newHistory(t, v))
	err := s.PutProject(ctx, other)
	wantItem(t, err, state.ErrExists, "project", "p")
	if err != nil && (!strings.Contains(err.Error(), `"p1"`) || !strings.Contains(err.Error(), `"p2"`)) {
		t.Errorf("%v does not name both ids", err)
	}
	if _, err := s.History(other.Authority.Identifier()); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("something was stored: %v", err)
	}
	nobody := &project.Record{ID: "p3", Name: "p"}
	wantItem(t, s.PutProject(ctx, nobody), state.ErrExists, "project", "p")
	wantProjects(t, s, "p1 p *", "q1 q")

	// The same project under another id, as tickets of the reference have it; it
	// stays the default.
	putProject(t, s, record(t, "127", "p", node, authority))
	wantProjects(t, s, "q1 q", "127 p *")
	// A known id takes the name of another one.
	putProject(t, s, record(t, "x", "x", node, authority))
	putProject(t, s, record(t, "x", "p", node, authority))
	wantProjects(t, s, "q1 q", "x p *")

	for _, bad := range []*project.Record{{Name: "n"}, {ID: "1"}, {ID: "1", Name: "a/b"}, {ID: "1", Name: "a\n"}} {
		if err := s.PutProject(ctx, bad); err == nil {
			t.Errorf("stored %+v", bad)
		}
	}
}

// TestProjectOfAnother: who may write a record as he likes cannot put another
// authority or another node in the place of those of a project that is known.
func TestProjectOfAnother(t *testing.T) {
	s := open(t, home(t))
	v := vault.NewMemory()
	node, authority, own := newHistory(t, v), newHistory(t, v), newHistory(t, v)
	putProject(t, s, record(t, "p1", "p", node, authority))
	putProject(t, s, &project.Record{ID: "q1", Name: "q"})
	without := record(t, "p1", "p", node, authority)
	without.Authority = nil
	for name, r := range map[string]*project.Record{
		"its name and another authority":      record(t, "p2", "p", node, own),
		"its id and another authority":        record(t, "p1", "p", node, own),
		"its id, another name and authority":  record(t, "p1", "new", node, own),
		"its id and another node":             record(t, "p1", "p", own, authority),
		"its name and another node":           record(t, "p2", "p", own, authority),
		"its name and no node":                {ID: "p2", Name: "p", Authority: authority},
		"its id and no authority":             without,
		"its id, and the name of another one": record(t, "p1", "q", node, authority),
		"the name of one without an identity": record(t, "q2", "q", own, own),
	} {
		for _, err := range []error{s.MayPutProject(t.Context(), r), s.PutProject(t.Context(), r)} {
			if !errors.Is(err, state.ErrExists) || !strings.Contains(err.Error(), "ockam project delete ") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := s.History(own.Identifier()); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("something was stored: %v", err)
	}
	p, err := s.Project(t.Context(), "p")
	if err != nil || p.Record.ID != "p1" || p.Record.Authority.Identifier() != authority.Identifier() || p.Record.Identifier() != node.Identifier() {
		t.Errorf("the project is now %+v, %v", p, err)
	}

	// The project may move, and what was not known of one may be added.
	moved := record(t, "p1", "p", node, authority)
	if moved.AccessRoute, err = multiaddr.Parse("/dnsaddr/elsewhere/tcp/4000/service/api"); err != nil {
		t.Fatal(err)
	}
	putProject(t, s, moved)
	if p, err = s.Project(t.Context(), "p"); err != nil || p.Record.AccessAddress() != "elsewhere:4000" {
		t.Errorf("the project has not moved: %v", err)
	}
	putProject(t, s, record(t, "q1", "q", own, own))
	wantProjects(t, s, "p1 p *", "q1 q")
}

// TestProjectHistories: what is known of an identity does not go back, and does
// not change.
func TestProjectHistories(t *testing.T) {
	s := open(t, home(t))
	v := vault.NewMemory()
	node, authority := newHistory(t, v), newHistory(t, v)
	newer, err := authority.Rotate(v, identity.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateHistory(newer); err != nil {
		t.Fatal(err)
	}
	putProject(t, s, record(t, "1", "p", node, authority))
	if known, err := s.History(authority.Identifier()); err != nil || known.Text() != newer.Text() {
		t.Errorf("the known history was changed: %v", err)
	}
	putProject(t, s, record(t, "1", "p", node, newer))
}

func TestProjectsAtOnce(t *testing.T) {
	dir := home(t)
	v := vault.NewMemory()
	node, authority := newHistory(t, v), newHistory(t, v)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := state.Open(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			r := record(t, string(rune('a'+i)), "p", node, authority)
			if err := errors.Join(s.PutProject(t.Context(), r), s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := open(t, dir).Projects(t.Context())
	if err != nil || len(all) != 1 || !all[0].Default {
		t.Errorf("%v, %v", all, err)
	}
}
