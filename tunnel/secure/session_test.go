package secure_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// A session is a channel between two nodes of the reference implementation, as
// it went over the wire.
type session struct {
	About                string
	Initiator, Responder person
	InnerInitiator       *person                        `json:"inner_initiator"`
	InnerResponder       *person                        `json:"inner_responder"`
	Authority            hexBytes                       `json:"authority_history"`
	ConfiguredOn         string                         `json:"authority_configured_on"`
	Credentials          map[string]hexBytes            `json:"credentials"`
	StoredForInitiator   *struct{ Attributes []string } `json:"attributes_the_responder_stored_for_the_initiator"`
	StoredForResponder   *struct{ Attributes []string } `json:"attributes_the_initiator_stored_for_the_responder"`
	BeforeRefresh        []string                       `json:"attributes_before_refresh"`
	AfterRefresh         []string                       `json:"attributes_after_refresh"`
	K1, K2               hexBytes
	Payload2             hexBytes `json:"payload_2"`
	Payload3             hexBytes `json:"payload_3"`
	InnerK1              hexBytes `json:"inner_k1"`
	InnerK2              hexBytes `json:"inner_k2"`
	Frames               []recorded
	Delivered            []struct {
		Payload hexBytes
		Peer    string
	} `json:"delivered_to_echo"`
}

// A recorded frame.
type recorded struct {
	Direction, Kind string
	TCP             hexBytes
	Plaintext       hexBytes
	Inner           hexBytes `json:"inner_plaintext"`
}

func sessions(t *testing.T, run func(t *testing.T, s *session)) {
	files, err := filepath.Glob("testdata/session-*.json")
	if err != nil || len(files) < 9 {
		t.Fatalf("sessions: %v, %v", files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		t.Run(name, func(t *testing.T) {
			s := &session{}
			load(t, filepath.Base(f), s)
			if len(s.Frames) < 4 {
				t.Fatal("no frames")
			}
			if name == "session-key-exchange-only" { // a variant of what follows the handshake
				s.Frames = s.Frames[:3]
			}
			run(t, s)
		})
	}
}

func (s *session) outer() *keys {
	return &keys{first: map[string][]byte{initiatorSeals: s.K2, responderSeals: s.K1}}
}

// message returns the i-th frame.
func (s *session) message(t *testing.T, i int) frame { return parseFrame(t, s.Frames[i].TCP[4:]) }

// believes has cfg believe the session's authority and store what it says.
func (s *session) believes(t *testing.T, n *node) {
	t.Helper()
	h, err := identity.ParseHistory(s.Authority)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.store.UpdateHistory(h); err != nil {
		t.Fatal(err)
	}
	n.cfg.Authorities, n.cfg.Attributes = []identity.Identifier{h.Identifier()}, n.store
}

func (s *session) credential(t *testing.T, name string) func() (*identity.Credential, error) {
	t.Helper()
	b := s.Credentials[name]
	if b == nil {
		return nil
	}
	c, err := identity.ParseCredential(b)
	if err != nil {
		t.Fatal(err)
	}
	return func() (*identity.Credential, error) { return c, nil }
}

// sameFrame compares a frame that we sent with the recorded one, byte for byte. Only
// control messages differ: the reference gives them a return route, which
// nobody uses; ours look like all others.
func (s *session) sameFrame(t *testing.T, i int, got []byte) {
	t.Helper()
	rec := s.Frames[i]
	if bytes.Equal(got, rec.TCP) {
		return
	}
	g, w := parseFrame(t, got[4:]), parseFrame(t, rec.TCP[4:])
	control := func(text []byte) bool { return len(text) > 2 && text[2] != 0 }
	switch {
	case control(rec.Plaintext):
		if g.onward.Equal(w.onward) && g.ret.Len() == 0 && bytes.Equal(g.payload, w.payload) {
			return
		}
	case control(rec.Inner): // it is the outer message that has the return route
		k := s.outer()
		k.t = t
		_, text, err := k.open(rec.Direction, g.payload)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		g, w := parsePlain(t, text), parsePlain(t, rec.Plaintext)
		if g.onward.Equal(w.onward) && g.ret.Len() == 0 && bytes.Equal(g.payload, w.payload) {
			return
		}
	}
	t.Fatalf("frame %d (%s):\n got %x\nwant %x", i, rec.Kind, got, []byte(rec.TCP))
}

func attributes(t *testing.T, n *node, id string) []string {
	t.Helper()
	parsed, err := identity.ParseIdentifier(id)
	if err != nil {
		t.Fatal(err)
	}
	e, ok, err := n.store.Attributes(parsed, clock())
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil
	}
	var all []string
	for k, v := range e.Attributes.Values {
		all = append(all, k+"="+v)
	}
	sort.Strings(all)
	return all
}

func sameAttributes(t *testing.T, n *node, id string, want []string) {
	t.Helper()
	if got := attributes(t, n, id); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("attributes of %s: got %v, want %v", id, got, want)
	}
}

// TestSessionsInitiator plays the responder's part of each recorded session to
// our initiator, and compares what that sends.
func TestSessionsInitiator(t *testing.T) { sessions(t, testSessionInitiator) }

func testSessionInitiator(t *testing.T, s *session) {
	n := newRouter(t).is(s.Initiator)
	if s.Authority != nil && s.ConfiguredOn != "responder" {
		s.believes(t, n)
	}
	for _, name := range []string{"initiator_credential", "first_credential"} {
		if c := s.credential(t, name); c != nil {
			n.cfg.Credential = c
		}
	}
	addresses(n.cfg, lastOf(s.message(t, 0).ret))
	link, far := n.far(nil)
	r := &replay{t: t, s: s, n: n, far: far, ours: initiatorSeals, app: make(chan *tunnel.Message, 1)}
	open := &tunnel.Group{Name: "dialed"} // the app is open to channels that we dial
	n.cfg.Group = open
	if _, err := n.router.Handle(tunnel.LocalAddress("app"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		r.app <- m
		return nil
	}), tunnel.Access{Open: []tunnel.Source{open}}); err != nil {
		t.Fatal(err)
	}
	first := s.message(t, 0)
	outer := r.dial(n.cfg, link, first.onward, 0)
	inner := outer
	if s.InnerInitiator != nil {
		cfg := *n.cfg
		cfg.Identity, cfg.Random = n.own(*s.InnerInitiator), repeat(s.InnerInitiator.Ephemeral)
		m := parsePlain(t, s.Frames[3].Plaintext)
		addresses(&cfg, lastOf(m.ret))
		inner = r.dial(&cfg, outer, m.onward, 3)
	}
	want := s.Responder.Identifier
	if s.InnerResponder != nil {
		want = s.InnerResponder.Identifier
	}
	if inner.Peer().String() != want {
		t.Errorf("peer is %v, want %s", inner.Peer(), want)
	}
	for ; r.at < len(s.Frames); r.at++ {
		r.initiatorFrame(outer, inner)
	}
	if s.ConfiguredOn == "" && s.Authority != nil {
		var want []string
		if s.StoredForResponder != nil {
			want = s.StoredForResponder.Attributes
		}
		sameAttributes(t, n, s.Responder.Identifier, want)
	}
}

// A replay plays one part of a session to us.
type replay struct {
	t    *testing.T
	s    *session
	n    *node
	far  *far
	ours string
	at   int                  // the next frame
	app  chan *tunnel.Message // what reached the application
}

// theirs writes the recorded frame i.
func (r *replay) theirs(i int) {
	r.t.Helper()
	if r.s.Frames[i].Direction == r.ours {
		r.t.Fatalf("frame %d is ours", i)
	}
	r.far.writeRaw(r.s.Frames[i].TCP)
}

// sent compares what we send with the recorded frame i.
func (r *replay) sent(i int) {
	r.t.Helper()
	r.s.sameFrame(r.t, i, r.far.read().bytes())
}

// dial opens a channel, whose first message is frame i.
func (r *replay) dial(cfg *secure.Config, path tunnel.Path, route tunnel.Route, i int) *secure.Channel {
	r.t.Helper()
	type result struct {
		c   *secure.Channel
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := secure.Dial(r.n.ctx, cfg, path, route)
		done <- result{c, err}
	}()
	r.sent(i)
	r.theirs(i + 1)
	r.sent(i + 2)
	got := <-done
	if got.err != nil {
		r.t.Fatal(got.err)
	}
	r.at = i + 3
	return got.c
}

// initiatorFrame sends or receives the next frame.
func (r *replay) initiatorFrame(outer, inner *secure.Channel) {
	r.t.Helper()
	rec := r.s.Frames[r.at]
	text, c := rec.Plaintext, outer
	if rec.Inner != nil {
		text, c = rec.Inner, inner
	}
	m := parsePlain(r.t, text)
	if rec.Direction != r.ours {
		r.theirs(r.at)
		if m.kind == 2 {
			if err := ended(r.t, c.Origin()); !errors.Is(err, secure.ErrPeerClosed) {
				r.t.Errorf("closed by the peer: %v", err)
			}
			r.silent()
			return
		}
		got := <-r.app
		if !bytes.Equal(got.Payload, m.payload) || got.Origin != c.Origin() || got.Origin.Peer != c.Peer().String() {
			r.t.Errorf("frame %d: %x from %s", r.at, got.Payload, got.Origin.Peer)
		}
		back := tunnel.NewRoute(c.Address()).Join(m.ret)
		if !got.Return.Equal(back) {
			r.t.Errorf("frame %d: the way back is %v, want %v", r.at, got.Return, back)
		}
		got.Release()
		return
	}
	switch m.kind {
	case 0:
		out := tunnel.NewMessage()
		out.Onward, out.Return, out.Payload = m.onward, m.ret, m.payload
		if err := c.Send(out); err != nil {
			r.t.Fatal(err)
		}
		out.Release()
	case 1:
		cred, err := r.s.credential(r.t, "second_credential")()
		if err != nil {
			r.t.Fatal(err)
		}
		if err := c.Present(cred); err != nil {
			r.t.Fatal(err)
		}
		if c.Presented() != cred {
			r.t.Error("the credential presented last is another one")
		}
	case 2:
		c.Close()
	}
	r.sent(r.at)
	if m.kind == 2 {
		if err := ended(r.t, c.Origin()); !errors.Is(err, tunnel.ErrClosed) {
			r.t.Errorf("closed: %v", err)
		}
	}
}

// silent checks that we send nothing more: a marker over the link comes next.
func (r *replay) silent() {
	r.t.Helper()
	links := r.n
	marker := tunnel.NewMessage()
	defer marker.Release()
	for _, l := range links.all {
		marker.Onward, marker.Payload = route("marker"), []byte("marker")
		if err := l.Send(marker); err != nil {
			r.t.Fatal(err)
		}
	}
	if f := r.far.read(); !f.onward.Equal(route("marker")) {
		r.t.Errorf("a frame to %v was sent as well", f.onward)
	}
}

// TestSessionsResponder plays the initiator's part of each recorded session to
// our listener, and compares what that sends.
func TestSessionsResponder(t *testing.T) { sessions(t, testSessionResponder) }

func testSessionResponder(t *testing.T, s *session) {
	n := newRouter(t).is(s.Responder)
	if s.Authority != nil {
		s.believes(t, n)
	}
	if c := s.credential(t, "responder_credential"); c != nil {
		n.cfg.Credential = c
	}
	addresses(n.cfg, lastOf(s.message(t, 1).ret))
	_, far := n.far(n.links)
	opened := make(chan *secure.Channel, 2)
	group := &tunnel.Group{Name: "api"}
	r := &replay{t: t, s: s, n: n, far: far, ours: responderSeals}
	listen := func(cfg *secure.Config, name string, open ...tunnel.Source) {
		l := &secure.Listener{
			Config: *cfg, Name: name, Open: open, Group: group,
			Opened: func(c *secure.Channel) { opened <- c },
		}
		if err := l.Register(); err != nil {
			t.Fatal(err)
		}
		n.wg.Go(func() { _ = l.Serve(n.ctx) })
	}
	listen(n.cfg, wire.DecodeAddress(s.message(t, 0).onward.First()).Name, n.links)
	if s.InnerResponder != nil {
		cfg := *n.cfg
		cfg.Identity, cfg.Random = n.own(*s.InnerResponder), repeat(s.InnerResponder.Ephemeral)
		addresses(&cfg, lastOf(parsePlain(t, s.Frames[4].Plaintext).ret))
		listen(&cfg, wire.DecodeAddress(parsePlain(t, s.Frames[3].Plaintext).onward.First()).Name, group)
	}
	delivered := r.serveEcho(group)
	var channels []*secure.Channel
	for ; r.at < len(s.Frames); r.at++ {
		r.responderFrame(&channels, opened)
	}
	for i, want := range s.Delivered { // the first ones were recorded
		if got := (*delivered)[i]; got != fmt.Sprintf("%x from %s", []byte(want.Payload), want.Peer) {
			t.Errorf("delivered %d: %s, want %x from %s", i, got, []byte(want.Payload), want.Peer)
		}
	}
	if s.ConfiguredOn == "" && s.Authority != nil {
		var want []string
		if s.StoredForInitiator != nil {
			want = s.StoredForInitiator.Attributes
		}
		sameAttributes(t, n, s.Initiator.Identifier, want)
	}
}

// serveEcho offers echo and notes what it was asked and by whom.
func (r *replay) serveEcho(open tunnel.Source) *[]string {
	r.t.Helper()
	var got []string // appended to on the link's goroutine, between two frames that the test reads
	self := tunnel.LocalAddress(service.EchoName)
	worker := service.Echo{Router: r.n.router, Self: self}
	if _, err := r.n.router.Handle(self, tunnel.HandlerFunc(func(m *tunnel.Message) error {
		got = append(got, fmt.Sprintf("%x from %s", m.Payload, m.Origin.Peer))
		return worker.HandleMessage(m)
	}), tunnel.Access{Open: []tunnel.Source{open}}); err != nil {
		r.t.Fatal(err)
	}
	return &got
}

func (r *replay) responderFrame(channels *[]*secure.Channel, opened chan *secure.Channel) {
	r.t.Helper()
	rec := r.s.Frames[r.at]
	text := rec.Plaintext
	if rec.Inner != nil {
		text = rec.Inner
	}
	control := len(text) > 2 && text[2] != 0
	if rec.Direction == r.ours {
		if control { // the end that closes
			(*channels)[len(*channels)-1].Close()
		}
		r.sent(r.at)
		return
	}
	r.theirs(r.at)
	if i := r.at; i == 2 || r.s.InnerInitiator != nil && i == 5 {
		select {
		case c := <-opened:
			*channels = append(*channels, c)
		case <-time.After(patience):
			r.t.Fatal("no channel")
		}
	}
	switch {
	case control && text[2] == 2:
		last := len(*channels) - 1
		if err := ended(r.t, (*channels)[last].Origin()); !errors.Is(err, secure.ErrPeerClosed) {
			r.t.Errorf("closed by the peer: %v", err)
		}
		*channels = (*channels)[:last]
		r.silent()
	case control && text[2] == 1:
		within(r.t, "the new attributes", func() bool {
			return fmt.Sprint(attributes(r.t, r.n, r.s.Initiator.Identifier)) == fmt.Sprint(r.s.AfterRefresh)
		})
	case len(r.s.BeforeRefresh) > 0 && r.at == 2:
		sameAttributes(r.t, r.n, r.s.Initiator.Identifier, r.s.BeforeRefresh)
	}
}
