package secure

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// FuzzFrame gives an established channel what an on-path attacker can send, and,
// sealed, what the peer can.
func FuzzFrame(f *testing.F) {
	seeds := 0
	for _, v := range loadTransport(f).Frames {
		f.Add([]byte(v.Frame), false, uint16(0))
		seeds++
	}
	for i, p := range plaintextSeeds(f) {
		f.Add(p, true, uint16(i))
		seeds++
	}
	if seeds < 50 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte, sealed bool, nonce uint16) {
		node := newBench(t)
		link := node.link(transporttest.NewSink())
		c := node.channel(link, keyOne, "outer")
		c.cfg.Histories, c.follow, c.last = identity.NewMemoryStore(), true, meRoute
		var got *tunnel.Message
		for _, name := range []string{"echo", "abc", ""} {
			reg, err := node.router.Handle(tunnel.LocalAddress(name), tunnel.HandlerFunc(func(m *tunnel.Message) error {
				got = m
				return nil
			}), tunnel.Access{Open: []tunnel.Source{c.Origin()}})
			if err != nil {
				t.Fatal(err)
			}
			defer reg.Close()
		}
		frame := bytes.Clone(b)
		if sealed {
			s := newSealer(keyOne)
			s.skipTo(uint64(nonce % 70))
			frame = s.frame(b)
		}
		m := tunnel.NewMessage()
		m.Payload, m.Origin = bytes.Clone(frame), link.Origin()
		m.Return = tunnel.NewRoute(link.Address(), tunnel.LocalAddress("hop"))
		err := c.handleFrame(m)
		opens := sealed && nonce%70 <= windowSize
		if c.Received() == 1 != opens {
			t.Fatalf("opened %d frames: %v", c.Received(), err)
		}
		if got != nil {
			p, perr := parsePlaintext(b)
			if !opens || perr != nil || p.kind != kindPayload || err != nil {
				t.Fatalf("delivered: %v, %v", perr, err)
			}
			back := tunnel.NewRoute(c.Address()).Join(p.ret)
			if !got.Onward.Equal(p.onward.Rest()) || !got.Return.Equal(back) || !bytes.Equal(got.Payload, p.payload) || got.Origin != c.Origin() {
				t.Fatalf("delivered %+v, want %+v", got, p)
			}
			got.Release()
		}
		m = tunnel.NewMessage()
		m.Payload, m.Origin = frame, link.Origin()
		if err := c.handleFrame(m); err == nil {
			t.Fatal("the same frame again")
		}
		out := newOutgoing(10, true)
		defer out.Release()
		if err := c.Send(out); (err != nil) != c.closed.Load() {
			t.Fatalf("send: %v", err)
		}
	})
}

// FuzzHandshake gives a handshake in progress messages: only the genuine one is
// taken, and it still is afterwards.
func FuzzHandshake(f *testing.F) {
	v := vectorNamed(f, "V3")
	for i, m := range [][]byte{v.Message1, v.Message2, v.Message3} {
		for kind := range uint8(3) {
			f.Add(kind, m)
		}
		cut := m[:len(m)-1]
		f.Add(uint8(i), cut)
		flipped := bytes.Clone(m)
		flipped[len(flipped)/2] ^= 1
		f.Add(uint8(i), flipped)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		i, r := v.ends(t)
		if kind%3 == 0 {
			msg2, err := r.message2(b)
			if err == nil && (len(b) < 32 || len(msg2) != len(v.Message2)) {
				t.Fatalf("answered %x with %x", b, msg2)
			}
			if _, err := i.message1(); err != nil {
				t.Fatal(err)
			}
			if _, _, _, rerr := i.open(msg2); (rerr == nil) != bytes.Equal(b, v.Message1) {
				t.Fatalf("the answer to %x: %v", b, rerr)
			}
			return
		}
		h, genuine := i, v.Message2
		var err error
		if kind%3 == 1 {
			_, err = i.message1()
		} else {
			h, genuine = r, v.Message3
			_, err = r.message2(v.Message1)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, genuine) {
			if _, _, _, err := h.open(b); err == nil {
				t.Fatalf("%x is taken", b)
			}
		}
		if _, _, _, err := h.open(genuine); err != nil {
			t.Fatalf("the genuine message afterwards: %v", err)
		}
	})
}

// FuzzVerify gives payloads of handshakes that were authentic as messages: what
// they say must be signed for the key that sent them.
func FuzzVerify(f *testing.F) {
	b, err := os.ReadFile("../identity/testdata/payloads.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct {
		Payloads []struct {
			Payload hexBytes `json:"payload_3"`
		} `json:"payload_3"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		f.Fatal(err)
	}
	if len(file.Payloads) < 50 {
		f.Fatal("no seeds")
	}
	for _, p := range file.Payloads {
		f.Add([]byte(p.Payload))
	}
	v := vectorNamed(f, "V1")
	i, _ := v.ends(f)
	static := i.static.Public
	other := bytes.Repeat([]byte{7}, 32)
	f.Fuzz(func(t *testing.T, b []byte) {
		verify := func(static []byte) (identity.Identifier, error) {
			store := identity.NewMemoryStore()
			cfg := &Config{Histories: store, Attributes: store, Now: func() time.Time { return time.Unix(1700000100, 0) }}
			cfg.Authorities = []identity.Identifier{{1}}
			asked := 0
			cfg.Authorize = func(id identity.Identifier) error {
				if asked++; id.IsZero() {
					t.Fatal("nobody is asked for")
				}
				return nil
			}
			peer, err := cfg.verify(b, static)
			if id, ok := claimed(b); err == nil && (!ok || id != peer || asked != 2) {
				t.Fatalf("claimed to be %v (%v), is %v, asked %d times", id, ok, peer, asked)
			}
			if _, herr := store.History(peer); (herr == nil) != (err == nil) {
				t.Fatalf("history stored: %v, verified: %v", herr, err)
			}
			return peer, err
		}
		peer, err := verify(static)
		if err != nil {
			return
		}
		if peer.IsZero() {
			t.Fatal("nobody")
		}
		if _, err := verify(other); err == nil {
			t.Fatal("two keys")
		}
	})
}
