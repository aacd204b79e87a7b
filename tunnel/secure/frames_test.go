package secure_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

// group decodes the group of recorded frames with a name.
func (f *refusalsFile) group(t *testing.T, name string, v any) {
	t.Helper()
	for _, raw := range f.Frames {
		var g struct{ Name string }
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(g.Name, name) {
			if err := json.Unmarshal(raw, v); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no group %q", name)
}

// opened returns a dialer with an established channel.
func opened(t *testing.T) *dialer {
	t.Helper()
	_, far, _ := responder(t)
	pa, _ := known(t)
	d := far.dialer("api", pa.Static)
	d.prove(loadPayloads(t)[0].Payload)
	return d
}

// silent checks that nothing was sent since: a frame of a new handshake comes next.
func (d *dialer) silent(what string) {
	d.far.t.Helper()
	probe := newHand(d.far.t, make([]byte, 32), nil)
	d.write(frame{api, route("probe"), probe.message1(nil)})
	if f := d.read(); !f.onward.Equal(route("probe")) {
		d.far.t.Errorf("%s: answered with a frame to %v", what, f.onward)
		d.read()
	}
}

func TestFirstMessages(t *testing.T) {
	f := loadRefusals(t)
	_, far, _ := responder(t)
	pa, _ := known(t)
	var odd struct {
		Message1 hexBytes `json:"message_1"`
		Answered bool
	}
	f.group(t, "message 1 with a 15-byte payload", &odd)
	far.write(frame{api, route("x"), odd.Message1})
	if m := far.read(); !odd.Answered || !m.onward.Equal(route("x")) {
		t.Errorf("answer to %v", m.onward)
	}
	h := newHand(t, pa.Static, nil)
	far.write(frame{api, route("me"), h.message1([]byte("anything at all"))})
	m := far.read()
	h.read2(m.payload)
	d := &dialer{far: far, hand: h, self: "me", peer: m.ret}
	d.prove(loadPayloads(t)[0].Payload)
	d.echoes("after a message 1 with a payload")

	for _, n := range []int{65536, 0, 31} {
		f.group(t, fmt.Sprintf("message 1 of %d bytes", n), &odd)
		if odd.Answered {
			t.Error("unexpected recording")
		}
		far.write(frame{api, route("x"), append(newHand(t, pa.Static, nil).message1(nil), make([]byte, n+32)...)[:n]})
		d.silent(fmt.Sprintf("message 1 of %d bytes", n))
	}
	// The reference answers along an empty route, which leads nowhere.
	far.write(frame{api, tunnel.Route{}, newHand(t, pa.Static, nil).message1(nil)})
	d.silent("message 1 with an empty return route")
	var two struct {
		Answer jsonRoute `json:"answer_onward_route"`
	}
	f.group(t, "message 1 with a return route of two hops", &two)
	far.write(frame{api, two.Answer.Route, newHand(t, pa.Static, nil).message1(nil)})
	if m := far.read(); !m.onward.Equal(two.Answer.Route) || m.ret.Len() != 1 {
		t.Errorf("answer to %v from %v", m.onward, m.ret)
	}
}

func TestNonceSequence(t *testing.T) {
	var g struct {
		Steps []struct {
			Nonce    uint64
			Accepted bool
			Answer   *uint64 `json:"answer_nonce"`
		}
	}
	loadRefusals(t).group(t, "nonce sequence", &g)
	d := opened(t)
	for i, s := range g.Steps {
		d.sendAt(s.Nonce, tunnel.Route{}, plain(echo, route("app"), []byte("x")))
		if !s.Accepted {
			d.silent(fmt.Sprintf("step %d, nonce %d", i, s.Nonce))
			continue
		}
		if _, nonce, _ := d.receive(); nonce != *s.Answer {
			t.Errorf("step %d: answered with nonce %d, want %d", i, nonce, *s.Answer)
		}
	}
}

func TestFirstFramesLost(t *testing.T) {
	var g struct {
		Steps []struct {
			Nonce    uint64
			Accepted bool
		}
	}
	loadRefusals(t).group(t, "the first 33 frames lost", &g)
	d := opened(t)
	for _, s := range g.Steps {
		d.sendAt(s.Nonce, tunnel.Route{}, plain(echo, route("app"), []byte("x")))
		if s.Accepted {
			d.receive()
		} else {
			d.silent(fmt.Sprintf("nonce %d", s.Nonce))
		}
	}
}

// TestFollowing compares which way our frames go when the initiator's come with
// return routes.
func TestFollowing(t *testing.T) {
	var g struct {
		Steps []struct {
			Nonce  uint64
			Return jsonRoute `json:"return_route_of_the_frame"`
			Answer jsonRoute `json:"onward_route_of_the_answer"`
		}
	}
	loadRefusals(t).group(t, "non-empty return routes", &g)
	d := opened(t)
	for _, s := range g.Steps {
		d.sendAt(s.Nonce, s.Return.Route, plain(echo, route("app"), []byte("x")))
		f, _, _ := d.receive()
		want := s.Answer.WithoutLast().Join(route(d.self))
		if !f.onward.Equal(want) || f.ret.Len() != 0 {
			t.Errorf("nonce %d: answer goes to %v (back %v), want %v", s.Nonce, f.onward, f.ret, want)
		}
	}
	// Only payload messages are followed, and no route that is longer than any
	// real one: it would be written in front of every frame.
	d.sendAt(7, tunnel.Route{}, plain(echo, route("app"), nil))
	d.receive()
	d.sendAt(8, route("refresh"), []byte{0x82, 0x82, 1, 0x81, 0x82, 0x80, 0x80, 0x40})
	d.sendAt(9, route(strings.Repeat("x", secure.MaxRoute)), plain(echo, route("app"), nil))
	if f, _, _ := d.receive(); !f.onward.Equal(route(d.self)) {
		t.Errorf("answer goes to %v", f.onward)
	}
}

func TestShortFrames(t *testing.T) {
	d := opened(t)
	d.echoes("before")
	for n := range 25 {
		d.write(frame{d.peer, tunnel.Route{}, make([]byte, n)})
	}
	d.silent("frames of 0 to 24 zero bytes")
	d.echoes("after")
}

func TestPlaintexts(t *testing.T) {
	var g struct {
		Steps []struct {
			What      string
			Nonce     uint64
			Plaintext hexBytes
			Answered  bool
			Answer    hexBytes `json:"answer_plaintext"`
		}
	}
	loadRefusals(t).group(t, "plaintexts", &g)
	d := opened(t)
	for _, s := range g.Steps {
		d.sendAt(s.Nonce, tunnel.Route{}, s.Plaintext)
		if s.Answered {
			if _, _, text := d.receive(); !bytes.Equal(text, s.Answer) {
				t.Errorf("%s: answer %x, want %x", s.What, text, []byte(s.Answer))
			}
		}
		d.sendAt(s.Nonce, tunnel.Route{}, plain(echo, route("app"), []byte("x"))) // the nonce is used
		d.silent(s.What)
	}
}

// TestRefresh gives the recorded messages to a channel with the identity that
// sent them.
func TestRefresh(t *testing.T) {
	var g struct {
		Subject string
		Steps   []struct {
			What      string
			Plaintext hexBytes
			Stored    []string `json:"attributes_stored_afterwards"`
		}
	}
	loadRefusals(t).group(t, "RefreshCredentials", &g)
	var s session
	load(t, "session-credential-both.json", &s)
	n := newRouter(t)
	n.cfg.Now = clock
	s.believes(t, n)
	peer, err := identity.ParseIdentifier(g.Subject)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range g.Steps {
		err := n.cfg.Refresh(peer, step.Plaintext)
		if strings.Contains(step.What, "another identity") && !errors.Is(err, secure.ErrUnauthorized) {
			t.Errorf("%s: %v", step.What, err)
		}
		sameAttributes(t, n, g.Subject, step.Stored)
	}
}

func TestCloseFrames(t *testing.T) {
	for _, nonce := range []uint64{1, 32} {
		t.Run(fmt.Sprint(nonce), func(t *testing.T) {
			d := opened(t)
			if nonce == 1 {
				d.echoes("before")
			}
			closing, _ := hex.DecodeString("8282028040")
			d.sendAt(nonce, tunnel.Route{}, closing)
			d.sendAt(nonce+1, tunnel.Route{}, plain(echo, route("app"), []byte("x")))
			d.silent("a Close and a message behind it")
		})
	}
}
