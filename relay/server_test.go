package relay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// The frames of the worked example (docs/protocol.md, Relays), without tracing.
const (
	exRegister = "000000488381820058197374617469635f666f7277617264696e675f736572766963658182005820356430633162326133393438353736363735383439336132623163306466656543026e33"
	exAck      = "0000004683818200582035643063316232613339343835373636373538343933613262316330646665658182004d666f72776172645f746f5f6e334e0d666f72776172645f746f5f6e33"
	exHello    = "0000004a838282004d666f72776172645f746f5f6e3382004975707065726361736581820058206330666665653030633066666565303063306666656530306330666665653030460568656c6c6f"
	exForward  = "0000005e838182004975707065726361736582820058203131313132323232333333333434343435353535363636363737373761616161820058206330666665653030633066666565303063306666656530306330666665653030460568656c6c6f"
	exElixir   = "00000082838282005820356430633162326133393438353736363735383439336132623163306466656582004975707065726361736582820058203131313132323232333333333434343435353535363636363737373761616161820058206330666665653030633066666565303063306666656530306330666665653030460568656c6c6f"
	exReply    = "0000005e838282005820313131313232323233333333343434343535353536363636373737376161616182005820633066666565303063306666656530306330666665653030633066666565303081820049757070657263617365460548454c4c4f"
	exReturned = "0000005e838182005820633066666565303063306666656530306330666665653030633066666565303082820058203333333334343434353535353636363637373737383838383939393962626262820049757070657263617365460548454c4c4f"

	exRR = "5d0c1b2a39485766758493a2b1c0dfee"
	exT1 = "1111222233334444555566667777aaaa"
	exT3 = "3333444455556666777788889999bbbb"
)

// traced adds the empty tracing context that the reference always sends.
func traced(t *testing.T, frame string) []byte {
	t.Helper()
	b := append(unhex(t, frame), "\x62{}"...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4]++
	return b
}

func wantFrame(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func TestHubWorkedExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hub(&relay.Server{})
		n1, n3 := n.peer(), n.peer()
		ours := []string{exT1, n1.via(), exT3, n3.via()}

		n3.send(traced(t, exRegister))
		wantFrame(t, "acknowledgement", n3.next(), traced(t, exAck))
		n1.send(traced(t, exHello))
		wantFrame(t, "forwarded", n3.next(), replace(traced(t, exForward), ours...))
		n3.send(replace(traced(t, exReply), ours...))
		wantFrame(t, "answer", n1.next(), replace(traced(t, exReturned), ours...))
		if b := n3.next(); b != nil {
			t.Errorf("a frame too many: %x", b)
		}
	})
}

// TestHubItems replays what two nodes of the reference sent to its relay: a
// registration, a ping, and two messages of commands with their answers.
func TestHubItems(t *testing.T) {
	items := loadRecording(t).Items
	if len(items) != 12 {
		t.Fatalf("%d items", len(items))
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hub(&relay.Server{})
		n3 := n.peer()
		for i := 0; i < 4; i += 2 {
			wantFrame(t, items[i+1].Name, n3.sendHex(items[i].Hex), unhex(t, items[i+1].Hex))
		}
		for i := 4; i < 12; i += 4 {
			n1 := n.peer()
			ours := []string{name(items[i+1].Decoded.Return[0]), n1.via(), name(items[i+3].Decoded.Return[0]), n3.via()}
			n1.send(unhex(t, items[i].Hex))
			wantFrame(t, "request", n3.next(), replace(unhex(t, items[i+1].Hex), ours...))
			n3.send(replace(unhex(t, items[i+2].Hex), ours...))
			wantFrame(t, "answer", n1.next(), replace(unhex(t, items[i+3].Hex), ours...))
		}
	})
}

// TestHubRecorded replays what an independent client sent to the reference's
// relay, in order.
func TestHubRecorded(t *testing.T) {
	rec := loadRecording(t).Client
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		s := n.hub(&relay.Server{})
		registrar, other := n.peer(), n.peer()
		sender := row(t, rec, "message as the hub passes it on").Decoded.Return[0]
		back := row(t, rec, "answer as it arrives").Decoded.Return[0]
		ours := []string{name(sender), other.via(), name(back), registrar.via()}

		for _, r := range rec {
			b := unhex(t, r.Hex)
			switch {
			case r.Name == "register 'x1' again from the same connection":
				// Better than recorded: the same link moves its name.
				registrar.send(frame(t, []string{relay.StaticServiceName}, []string{"again"}, bare("x1")))
				want := frame(t, []string{"again"}, []string{"forward_to_x1"}, bare("forward_to_x1"))
				wantFrame(t, r.Name, registrar.next(), want)
			case r.Name == "register 'x1' again after the first registrar's connection is gone":
				// Better than recorded: a dead link's names are free.
				gone := n.peer()
				gone.send(frame(t, []string{relay.StaticServiceName}, []string{"gone"}, bare("short")))
				if gone.next() == nil {
					t.Fatal("no acknowledgement")
				}
				if err := gone.conn.Close(); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				other.send(frame(t, []string{relay.StaticServiceName}, []string{"next"}, bare("short")))
				want := frame(t, []string{"next"}, []string{"forward_to_short"}, bare("forward_to_short"))
				wantFrame(t, r.Name, other.next(), want)
			case strings.Contains(r.Name, "again from another connection"):
				if got := other.sendHex(r.Hex); got != nil {
					t.Errorf("%s: answered %x", r.Name, got)
				}
			case r.Direction == "peer to hub":
				got := registrar.sendHex(r.Hex)
				want := unhex(t, r.Answer)
				if strings.HasPrefix(r.Name, "register 'register'") {
					want = replaceRandomName(t, r, got, want)
				}
				wantFrame(t, r.Name, got, want)
			case r.Direction == "other peer to hub":
				other.send(b)
			case r.Name == "nothing behind the relay's address":
				other.send(frame(t, []string{"forward_to_x1"}, r.Decoded.Return[1:], []byte{1}))
				wantFrame(t, r.Name, registrar.next(), replace(b, ours...))
			case r.Name == "message to it":
				other.send(frame(t, []string{"forward_to_x4", "zz"}, []string{"cc"}, []byte{1}))
				wantFrame(t, r.Name, registrar.next(), replace(b, ours...))
			case r.Direction == "hub to registrar":
				wantFrame(t, r.Name, registrar.next(), replace(b, ours...))
			case r.Direction == "registrar to hub":
				registrar.send(replace(b, ours...))
			case r.Direction == "hub to other peer":
				wantFrame(t, r.Name, other.next(), replace(b, ours...))
			default:
				t.Errorf("row %q is not replayed", r.Name)
			}
		}
		if got, want := s.Names(), 9; got != want {
			t.Errorf("%d names, want %d", got, want)
		}
	})
}

// replaceRandomName puts the name that our relay drew into the recorded answer.
func replaceRandomName(t *testing.T, r recorded, got, want []byte) []byte {
	t.Helper()
	h, err := wire.ParseMessage(got[4:])
	if err != nil {
		t.Fatalf("%s: %v in %x", r.Name, err, got)
	}
	was := name(r.AnswerDecoded.Return[0])
	is := wire.DecodeAddress(h.Return.Last()).Name
	if len(is) != len(was) || !strings.HasPrefix(is, relay.Prefix) {
		t.Errorf("%s: address %q, recorded %q", r.Name, is, was)
	}
	return replace(want, was, is)
}

func TestHubRefuses(t *testing.T) {
	denied := errors.New("denied")
	register := []string{relay.StaticServiceName}
	var many []string
	for range 40 {
		many = append(many, strings.Repeat("a", 32))
	}
	for _, tt := range []struct {
		name    string
		onward  []string
		ret     []string
		payload []byte
		refused bool  // there is an event
		err     error // and this is its reason; nil: any
	}{
		{"hash", register, []string{"rr"}, bare("a#b"), true, relay.ErrName},
		{"type and hash", register, []string{"rr"}, bare("1#x"), true, relay.ErrName},
		{"long", register, []string{"rr"}, bare(strings.Repeat("n", 256)), true, relay.ErrName},
		{"very long", register, []string{"rr"}, bare(strings.Repeat("é", 1<<20)), true, relay.ErrName},
		{"not UTF-8", register, []string{"rr"}, []byte{2, 0xff, 0xfe}, false, nil},
		{"empty body", register, []string{"rr"}, nil, false, nil},
		{"cut short", register, []string{"rr"}, []byte{9, 'a'}, false, nil},
		{"huge length", register, []string{"rr"}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, false, nil},
		{"no way back", register, nil, bare("n"), true, nil},
		{"too long a way back", register, many, bare("n"), true, nil},
		{"through a worker", []string{"hop", relay.StaticServiceName}, []string{"rr"}, bare("n"), true, nil},
		{"denied", register, []string{"rr"}, bare("secret"), true, denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				var got error
				var told string
				s := n.hub(&relay.Server{
					Allow: func(_ *tunnel.Message, name string) error {
						if name == "secret" {
							return denied
						}
						return nil
					},
					Refused: func(e relay.Event) { got, told = e.Err, e.Name+e.Address.Name },
				})
				n.handle("hop", hop(n), n.group)
				p := n.peer()
				p.send(frame(t, tt.onward, tt.ret, tt.payload))
				if b := p.next(); b != nil {
					t.Errorf("answered %x", b)
				}
				if s.Names() != 0 {
					t.Error("registered")
				}
				if tt.refused != (got != nil) || tt.err != nil && !errors.Is(got, tt.err) {
					t.Errorf("event %v, want %v", got, tt.err)
				}
				if len(told) > 2*255+len(relay.Prefix) || !utf8.ValidString(told) {
					t.Errorf("the event repeats %d bytes of the name, valid: %v", len(told), utf8.ValidString(told))
				}
				// The link is fine.
				p.send(frame(t, register, []string{"rr"}, bare("good")))
				if p.next() == nil {
					t.Error("no acknowledgement afterwards")
				}
			})
		})
	}
}

func hop(n *node) tunnel.HandlerFunc {
	return func(m *tunnel.Message) error {
		m.PrependReturn(wire.AppendAddress(nil, tunnel.LocalAddress("hop")))
		return n.router.Send(m)
	}
}

func TestHubLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var refused []error
		s := n.hub(&relay.Server{
			MaxNames: 5, MaxPerOrigin: 3,
			Refused: func(e relay.Event) { refused = append(refused, e.Err) },
		})
		a, b := n.peer(), n.peer()
		register := func(p *peer, name string) bool {
			p.send(frame(t, []string{relay.StaticServiceName}, []string{"rr"}, bare(name)))
			return p.next() != nil
		}
		for _, tt := range []struct {
			p    *peer
			name string
			want bool
		}{
			{a, "1", true},
			{a, "2", true},
			{a, "3", true},
			{a, "4", false}, // too many of one link
			{a, "3", true},  // again is not one more
			{b, "5", true},
			{b, "6", true},
			{b, "7", false}, // too many in all
			{b, "6", true},
		} {
			if got := register(tt.p, tt.name); got != tt.want {
				t.Errorf("register %q: acknowledged %v, want %v", tt.name, got, tt.want)
			}
		}
		for _, err := range refused {
			if !errors.Is(err, relay.ErrLimit) {
				t.Errorf("refused with %v", err)
			}
		}
		if err := a.conn.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.Names() != 2 || !register(b, "1") {
			t.Errorf("%d names after a link with 3 of 5 ended", s.Names())
		}
	})
}

// TestHubOpensAnswers shows that a link is open to another only after, and
// because, a message was relayed between them.
func TestHubOpensAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hub(&relay.Server{})
		from, to, stranger := n.peer(), n.peer(), n.peer()
		to.send(frame(t, []string{relay.StaticServiceName}, []string{"rr"}, bare("x")))
		to.next()
		through := func(p *peer, link string) {
			p.send(frame(t, []string{link, "c"}, []string{"r"}, nil))
			synctest.Wait()
		}
		through(to, from.via())
		through(from, to.via())
		if from.next() != nil || to.next() != nil {
			t.Error("a link was open before anything was relayed")
		}
		from.send(frame(t, []string{"forward_to_x", "y"}, []string{"c"}, nil))
		to.next()
		through(to, from.via())
		through(from, to.via())
		through(stranger, to.via())
		through(stranger, from.via())
		wantFrame(t, "answer", from.next(), frame(t, []string{"c"}, []string{to.via(), "r"}, nil))
		wantFrame(t, "direct", to.next(), frame(t, []string{"c"}, []string{from.via(), "r"}, nil))
		if from.next() != nil || to.next() != nil {
			t.Error("a stranger got through")
		}
	})
}

// TestHubToItself: inlet and outlet of a node may use the same link.
func TestHubToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hub(&relay.Server{})
		p := n.peer()
		p.send(frame(t, []string{relay.StaticServiceName}, []string{"rr"}, bare("x")))
		p.next()
		p.send(frame(t, []string{"forward_to_x", "y"}, []string{"c"}, nil))
		wantFrame(t, "forwarded", p.next(), frame(t, []string{"y"}, []string{p.via(), "c"}, nil))
		p.send(frame(t, []string{p.via(), "c"}, []string{"y"}, nil))
		wantFrame(t, "answer", p.next(), frame(t, []string{"c"}, []string{p.via(), "y"}, nil))
	})
}

// TestHubManyHops: what a hostile sender makes too long for the far node, which
// would close its link to the relay, is not sent there.
func TestHubManyHops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.hub(&relay.Server{})
		from, to := n.peer(), n.peer()
		to.send(frame(t, []string{relay.StaticServiceName}, []string{"aa", "rr"}, bare("x")))
		to.next()
		hops := make([]string, wire.MaxHops)
		for i := range hops {
			hops[i] = "h"
		}
		hops[0] = "forward_to_x"
		from.send(frame(t, []string{"forward_to_x"}, hops, nil))
		if b := to.next(); b != nil {
			t.Errorf("65 hops of return route were sent: %x", b)
		}
		from.send(frame(t, hops, []string{"c"}, nil)) // 63 and the stored one
		if to.next() == nil {
			t.Error("64 hops were not sent")
		}
	})
}

func TestHubCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		var released []string
		s := n.hub(&relay.Server{Released: func(e relay.Event) { released = append(released, e.Name) }})
		p := n.peer()
		p.send(frame(t, []string{relay.StaticServiceName}, []string{"rr"}, bare("x")))
		p.next()
		more := &tunnel.Group{Name: "later"}
		q := n.connect(more)
		q.send(frame(t, []string{"forward_to_x", "y"}, []string{"c"}, nil))
		if p.next() != nil {
			t.Error("reachable from where it is not open to")
		}
		s.OpenTo(more)
		q.send(frame(t, []string{"forward_to_x", "y"}, []string{"c"}, nil))
		if p.next() == nil {
			t.Error("not reachable after OpenTo")
		}
		s.Close()
		if len(released) != 1 || s.Names() != 0 {
			t.Errorf("released %v, %d names left", released, s.Names())
		}
		q.send(frame(t, []string{"forward_to_x", "y"}, []string{"c"}, nil))
		if p.next() != nil {
			t.Error("forwarded after Close")
		}
		p.send(frame(t, []string{relay.StaticServiceName}, []string{"rr"}, bare("x")))
		if p.next() != nil {
			t.Error("registered after Close")
		}
	})
}
