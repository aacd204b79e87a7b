package secure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

func newListener() *secure.Listener { return &secure.Listener{} }

// A refusal is a handshake between two nodes of the reference implementation,
// with something between them that alters, doubles, drops or swaps frames, and
// then three messages to echo.
type refusal struct {
	Name     string
	Result   string    `json:"initiator_result"`
	Answers  []*string `json:"echo_answers"`
	Channels struct{ Initiator, Responder int }
	Frames   []struct {
		Direction      string
		Onward, Return jsonRoute
		Payload        int // index into the payloads
		Instead        *[]struct {
			Onward, Return jsonRoute
			Payload        int
		}
	}
}

// A jsonRoute is a list of addresses, each [transport type, text].
type jsonRoute struct{ tunnel.Route }

func (r *jsonRoute) UnmarshalJSON(b []byte) error {
	var list [][2]any
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	var addrs []tunnel.Address
	for _, a := range list {
		addrs = append(addrs, tunnel.Address{Type: uint8(a[0].(float64)), Name: a[1].(string)})
	}
	r.Route = tunnel.NewRoute(addrs...)
	return nil
}

type refusalsFile struct {
	Payloads  []struct{ Payload hexBytes }
	Handshake []refusal
	Frames    []json.RawMessage
}

func loadRefusals(t testing.TB) *refusalsFile {
	t.Helper()
	f := &refusalsFile{}
	load(t, "refusals.json", f)
	if len(f.Handshake) != 47 || len(f.Frames) != 14 {
		t.Fatalf("%d handshakes, %d groups of frames", len(f.Handshake), len(f.Frames))
	}
	return f
}

// better says where we do better than what was recorded: a message that does
// not fit leaves a handshake of the reference unusable, ours goes on.
func (r *refusal) better() bool {
	return strings.HasSuffix(r.Name, "then the genuine message") && r.Result != "channel" ||
		strings.HasPrefix(r.Name, "message 3, bit flipped") && strings.HasSuffix(r.Name, "then the genuine message")
}

// known returns alice and bob of the recorded sessions with the ephemeral keys of the
// first handshake vectors, as in all recorded refusals.
func known(t testing.TB) (alice, bob person) {
	t.Helper()
	var s session
	load(t, "session-plain.json", &s)
	var h struct {
		Vectors []struct {
			Initiator hexBytes `json:"initiator_ephemeral_secret"`
			Responder hexBytes `json:"responder_ephemeral_secret"`
		}
	}
	load(t, "handshake.json", &h)
	alice, bob = s.Initiator, s.Responder
	alice.Ephemeral, bob.Ephemeral = h.Vectors[0].Initiator, h.Vectors[0].Responder
	return alice, bob
}

// TestMeddledHandshakes does to our nodes what was done to those of the
// reference, byte for byte, and compares what comes of it.
func TestMeddledHandshakes(t *testing.T) {
	f := loadRefusals(t)
	for _, r := range f.Handshake {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			r.test(t, f)
		})
	}
}

func (r *refusal) test(t *testing.T, f *refusalsFile) {
	pa, pb := known(t)
	alice, bob := newRouter(t).is(pa), newRouter(t).is(pb)
	want := *r
	if r.better() {
		m0, m1, m2 := "message 0", "message 1", "message 2"
		want.Result, want.Answers = "channel", []*string{&m0, &m1, &m2}
		want.Channels.Initiator, want.Channels.Responder = 1, 1
	}
	refuse := func(identity.Identifier) error { return errors.New("somebody else is expected") }
	switch {
	case strings.HasPrefix(r.Name, "initiator's trust policy"):
		alice.cfg.Authorize = refuse
	case strings.HasPrefix(r.Name, "responder's trust policy"):
		bob.cfg.Authorize = refuse
	}
	m, seen := r.meddler(f)
	addresses(alice.cfg, lastOf(r.Frames[0].Return.Route))
	var ends []string
	for _, fr := range r.Frames {
		if fr.Direction == responderSeals && fr.Return.Len() > 0 {
			ends = append(ends, lastOf(fr.Return.Route), "") // where it receives, and the channel itself
		}
	}
	addresses(bob.cfg, ends...)
	if len(ends) > 2 {
		addresses(bob.cfg, ends[0], ends[2]) // two responders begin before either has a channel
	}
	l := bob.listenChannels(newListener())
	link := m.through(alice, bob)

	wait := patience
	if want.Result == "timeout" {
		wait = 300 * time.Millisecond
	}
	ctx, cancel := contextTimeout(t, wait)
	defer cancel()
	c, err := secure.Dial(ctx, alice.cfg, link, api)
	if (err == nil) != (want.Result == "channel") {
		t.Fatalf("dial: %v, want %s", err, want.Result)
	}
	switch {
	case alice.cfg.Authorize != nil: // we know at once, the reference waits
		if !errors.Is(err, secure.ErrUnauthorized) {
			t.Errorf("dial: %v, want ErrUnauthorized", err)
		}
	case err != nil && !errors.Is(err, secure.ErrTimeout):
		t.Errorf("dial: %v, want a time-out", err)
	}
	if err == nil {
		for i, want := range want.Answers {
			wait := patience
			if want == nil {
				wait = 100 * time.Millisecond
			}
			a := alice.tryAsk(c, echo, fmt.Appendf(nil, "\x09message %d", i), wait)
			if got := string(bytes.TrimPrefix(a.payload, []byte{9})); (a.origin != nil) != (want != nil) || want != nil && got != *want {
				t.Errorf("answer %d: %q, want %v", i, got, want)
			}
		}
	}
	within(t, "the responder's channels", func() bool { return l.Channels() == want.Channels.Responder })
	second := strings.HasPrefix(r.Name, "message 1 cut to 31 bytes, then") // a responder with another ephemeral key
	if !r.better() && !second {
		if err := seen(); err != nil {
			t.Error(err)
		}
	}
}

// meddler does what was done in the recording. The function that it returns
// says whether what we sent is what was recorded.
func (r *refusal) meddler(f *refusalsFile) (*meddler, func() error) {
	var mu sync.Mutex
	unknown := ""
	change := func(direction string) func(int, frame) []frame {
		var frames []int
		payloads := map[string]bool{}
		for i, fr := range r.Frames {
			if fr.Direction == direction {
				frames = append(frames, i)
				payloads[string(f.Payloads[fr.Payload].Payload)] = true
			}
		}
		return func(i int, got frame) []frame {
			if i >= len(frames) {
				return []frame{got}
			}
			fr := r.Frames[frames[i]]
			mu.Lock()
			// Frames behind the handshake hold random addresses of ours.
			handshake := direction == initiatorSeals && i < 2 || i < 1
			if handshake && !payloads[string(got.payload)] && unknown == "" {
				unknown = fmt.Sprintf("%s: frame %d is %x", direction, i, got.payload)
			}
			mu.Unlock()
			if fr.Instead == nil {
				return []frame{got}
			}
			var out []frame
			for _, in := range *fr.Instead {
				// The bytes that were delivered, along the routes that ours has, but for
				// what was done to them.
				d := frame{got.onward, in.Return.Route, f.Payloads[in.Payload].Payload}
				if in.Payload == fr.Payload {
					d.payload = got.payload
				}
				out = append(out, d)
			}
			return out
		}
	}
	return &meddler{change(initiatorSeals), change(responderSeals)}, func() error {
		mu.Lock()
		defer mu.Unlock()
		if unknown != "" {
			return errors.New("not what the reference sends: " + unknown)
		}
		return nil
	}
}

// A recordedPayload is a payload 3 that a reference responder was given. The
// file belongs to tunnel/identity.
type recordedPayload struct {
	Name, Listener string
	Clock          int64
	Payload        hexBytes `json:"payload_3"`
	Accepted       bool     `json:"handshake_accepted"`
	Answered       bool     `json:"echo_answered"`
	Subject        *string
	History        *hexBytes `json:"history_stored_for_the_subject_afterwards"`
	Attributes     []string  `json:"attributes_stored_for_the_subject_afterwards"`
}

func loadPayloads(t testing.TB) []recordedPayload {
	t.Helper()
	var f struct {
		Payloads []recordedPayload `json:"payload_3"`
	}
	b, err := os.ReadFile("../identity/testdata/payloads.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Payloads) != 64 {
		t.Fatalf("%d payloads", len(f.Payloads))
	}
	return f.Payloads
}

// responder makes bob with the listeners api, which believes the recorded
// authority, and noauth, which believes nobody. What was refused goes to refused.
func responder(t *testing.T) (bob *node, far *far, refused chan error) {
	t.Helper()
	var s session
	load(t, "session-credential-both.json", &s)
	_, pb := known(t)
	bob = newRouter(t).is(pb)
	refused = make(chan error, 100)
	group := &tunnel.Group{Name: "channels"}
	bob.listenChannels(&secure.Listener{Name: "noauth", Group: group, Refused: func(err error) { refused <- err }})
	s.believes(t, bob)
	l := &secure.Listener{Config: *bob.cfg, Open: []tunnel.Source{bob.links}, Group: group, Refused: func(err error) { refused <- err }}
	if err := l.Register(); err != nil {
		t.Fatal(err)
	}
	bob.wg.Go(func() { _ = l.Serve(bob.ctx) })
	_, far = bob.far(bob.links)
	return bob, far, refused
}

// TestPayload3 gives our responder what was given to that of the reference, in
// the same order.
func TestPayload3(t *testing.T) {
	bob, far, refused := responder(t)
	pa, _ := known(t)
	for _, p := range loadPayloads(t) {
		t.Run(p.Name, func(t *testing.T) {
			far.t, bob.t = t, t
			if p.Clock != clock().Unix() {
				t.Fatalf("the clock is %d", p.Clock)
			}
			before := history(bob, p.Subject)
			d := far.dialer(p.Listener, pa.Static)
			d.prove(p.Payload)
			d.send(plain(echo, route("app"), []byte("\x05hello")))
			if p.Accepted != p.Answered {
				t.Fatal("unexpected recording")
			}
			if !p.Accepted {
				select {
				case err := <-refused:
					if err == nil {
						t.Error("no reason")
					}
				case <-time.After(patience):
					t.Error("accepted")
				}
				// The reference stores a history before it knows whether the
				// rest is any good; we do not.
				if after := history(bob, p.Subject); !bytes.Equal(after, before) {
					t.Errorf("a history was stored: %x", after)
				}
				return
			}
			_, _, text := d.receive()
			if m := parsePlain(t, text); string(m.payload) != "\x05hello" {
				t.Errorf("echo says %q", m.payload)
			}
			if after := history(bob, p.Subject); p.History == nil || !bytes.Equal(after, *p.History) {
				t.Errorf("history stored: %x", after)
			}
			slices.Sort(p.Attributes)
			sameAttributes(t, bob, *p.Subject, p.Attributes)
		})
	}
	far.t = t
}

func history(n *node, subject *string) []byte {
	if subject == nil {
		return nil
	}
	id, err := identity.ParseIdentifier(*subject)
	if err != nil {
		n.t.Fatal(err)
	}
	h, err := n.store.History(id)
	if err != nil {
		return nil
	}
	return h.Bytes()
}
