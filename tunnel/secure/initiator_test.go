package secure_test

import (
	"bytes"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/secure"
)

// TestHand checks the handshake that is written by hand against the recorded
// ones: it is what others here are judged by.
func TestHand(t *testing.T) {
	var f struct {
		Vectors []struct {
			Name               string
			Protocol           hexBytes `json:"protocol_name"`
			InitiatorStatic    hexBytes `json:"initiator_static_secret"`
			InitiatorEphemeral hexBytes `json:"initiator_ephemeral_secret"`
			ResponderStatic    hexBytes `json:"responder_static_secret"`
			ResponderEphemeral hexBytes `json:"responder_ephemeral_secret"`
			Payload1           hexBytes `json:"payload_1"`
			Payload2           hexBytes `json:"payload_2"`
			Payload3           hexBytes `json:"payload_3"`
			Message1           hexBytes `json:"message_1"`
			Message2           hexBytes `json:"message_2"`
			Message3           hexBytes `json:"message_3"`
			K1, K2             hexBytes
			FinalH             hexBytes `json:"final_h"`
		}
	}
	load(t, "handshake.json", &f)
	for _, v := range f.Vectors {
		if !bytes.HasPrefix(v.Protocol, []byte("OCKAM")) {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			i, r := newHand(t, v.InitiatorStatic, v.InitiatorEphemeral), newHand(t, v.ResponderStatic, v.ResponderEphemeral)
			same := func(what string, got, want []byte) {
				t.Helper()
				if !bytes.Equal(got, want) {
					t.Errorf("%s: got %x, want %x", what, got, want)
				}
			}
			same("message 1", i.message1(v.Payload1), v.Message1)
			r.read1(v.Message1)
			same("message 2", r.message2(v.Payload2), v.Message2)
			same("payload 2", i.read2(v.Message2), v.Payload2)
			same("message 3", i.message3(v.Payload3), v.Message3)
			same("payload 3", r.read3(v.Message3), v.Payload3)
			same("h", i.h, v.FinalH)
			same("h", r.h, v.FinalH)
			for _, k := range []*keys{i.keys(), r.keys()} {
				same("k1", k.first[responderSeals], v.K1)
				same("k2", k.first[initiatorSeals], v.K2)
			}
		})
	}
}

// TestInitiator runs our initiator against a responder driven by the test: where
// its messages go, what it proves, that it follows nobody.
func TestInitiator(t *testing.T) {
	pa, pb := known(t)
	var s session
	load(t, "session-plain.json", &s)
	alice := newRouter(t).is(pa)
	link, far := alice.far(nil)
	done := make(chan *secure.Channel, 1)
	go func() {
		c, err := secure.Dial(alice.ctx, alice.cfg, link, route("relay", "api"))
		if err != nil {
			t.Error(err)
		}
		done <- c
	}()
	first := far.read()
	if !first.onward.Equal(route("relay", "api")) || first.ret.Len() != 1 || len(first.payload) != 32 {
		t.Errorf("message 1 goes to %v from %v with %d bytes", first.onward, first.ret, len(first.payload))
	}
	h := newHand(t, pb.Static, nil)
	h.read1(first.payload)
	// The return route of message 2 is the way from then on.
	far.write(frame{first.ret, route("hop", "bob"), h.message2(s.Payload2)})
	third := far.read()
	if !third.onward.Equal(route("hop", "bob")) || !third.ret.Equal(first.ret) {
		t.Errorf("message 3 goes to %v from %v", third.onward, third.ret)
	}
	if got := h.read3(third.payload); !bytes.Equal(got, s.Payload3) {
		t.Errorf("payload 3 is %x", got)
	}
	c := <-done
	k := h.keys()
	app := make(chan *tunnel.Message, 1)
	if _, err := alice.router.Handle(tunnel.LocalAddress("app"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		app <- m
		return nil
	}), tunnel.Access{Open: []tunnel.Source{c.Origin()}}); err != nil {
		t.Fatal(err)
	}
	for nonce := range uint64(3) {
		far.write(frame{first.ret, route("elsewhere"), k.seal(responderSeals, nonce, plain(route("app"), route("worker"), []byte("hello")))})
		m := <-app
		if !m.Return.Equal(tunnel.NewRoute(c.Address()).Join(route("worker"))) {
			t.Errorf("the way back is %v", m.Return)
		}
		m.Onward, m.Return = m.Return, route("app") // along the way back
		if err := alice.router.Send(m); err != nil {
			t.Fatal(err)
		}
		f := far.read()
		_, text, err := k.open(initiatorSeals, f.payload)
		if err != nil {
			t.Fatal(err)
		}
		m2 := parsePlain(t, text)
		if !f.onward.Equal(route("hop", "bob")) || f.ret.Len() != 0 || !m2.onward.Equal(route("worker")) || !m2.ret.Equal(route("app")) {
			t.Errorf("frame to %v from %v with a message to %v from %v", f.onward, f.ret, m2.onward, m2.ret)
		}
	}
}
