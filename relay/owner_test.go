package relay_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ockam/relay"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// A channel stands for a secure channel: an origin with an identity, and a path
// that keeps what is sent over it.
type channel struct {
	n      *node
	origin *tunnel.Origin
	sent   []string // onward | return | payload
}

func (n *node) channel(peer string) *channel {
	n.t.Helper()
	a := tunnel.RandomAddress()
	c := &channel{n: n, origin: tunnel.NewOrigin(a)}
	c.origin.Peer, c.origin.Group = peer, n.group
	if _, err := n.router.HandlePath(a, c, c); err != nil {
		n.t.Fatal(err)
	}
	return c
}

func (c *channel) Origin() *tunnel.Origin { return c.origin }

func (c *channel) Send(m *tunnel.Message) error {
	c.sent = append(c.sent, m.Onward.String()+"|"+m.Return.String()+"|"+string(m.Payload))
	return nil
}

func (c *channel) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	return c.Send(m)
}

// deliver has the channel bring a message.
func (c *channel) deliver(onward, ret []string, payload []byte) error {
	m := tunnel.NewMessage()
	m.Onward, m.Return, m.Payload, m.Origin = route(c.n.t, onward), route(c.n.t, ret), payload, c.origin
	m.PrependReturn(c.origin.Address())
	return c.n.router.Deliver(m)
}

// register asks for a name and reports whether it was acknowledged.
func (c *channel) register(name string) bool {
	before := len(c.sent)
	_ = c.deliver([]string{relay.StaticServiceName}, []string{"rr"}, bare(name))
	return len(c.sent) > before
}

func (c *channel) got() string {
	if len(c.sent) == 0 {
		return ""
	}
	return c.sent[len(c.sent)-1]
}

func TestOwner(t *testing.T) {
	n := newNode(t)
	var events []string
	note := func(what string) func(relay.Event) {
		return func(e relay.Event) {
			who := e.Origin.Peer
			if e.Again {
				what := what + " again"
				events = append(events, what+" "+e.Name+" by "+who)
				return
			}
			events = append(events, what+" "+e.Name+" by "+who)
			if what == "refused" && (e.Owner != "Ialice" || !errors.Is(e.Err, relay.ErrTaken)) {
				t.Errorf("refused because of %v, owner %q", e.Err, e.Owner)
			}
		}
	}
	s := n.hub(&relay.Server{Registered: note("registered"), Released: note("released"), Refused: note("refused")})
	alice, later, mallory, plain := n.channel("Ialice"), n.channel("Ialice"), n.channel("Imallory"), n.channel("")
	user := n.channel("Iuser")
	send := func() {
		if err := user.deliver([]string{"forward_to_db", "api"}, []string{"c"}, []byte("m")); err != nil {
			t.Helper()
			t.Error(err)
		}
	}

	if !alice.register("db") {
		t.Fatal("not registered")
	}
	send()
	if want := "0#api|" + address(user) + " => 0#c|m"; alice.got() != want {
		t.Errorf("alice got %q, want %q", alice.got(), want)
	}
	if mallory.register("db") || plain.register("db") {
		t.Error("another took a live name")
	}
	if !later.register("db") {
		t.Error("its owner cannot take a live name over")
	}
	send()
	if !strings.HasPrefix(later.got(), "0#api|") {
		t.Errorf("the new channel got %q", later.got())
	}
	alice.origin.End(errors.New("lost"))
	send()
	if s.Names() != 1 || len(later.sent) != 3 {
		t.Error("the name ended with the channel that it had left")
	}
	later.origin.End(errors.New("lost"))
	if s.Names() != 0 {
		t.Error("the name is there after its channel ended")
	}
	if err := user.deliver([]string{"forward_to_db", "api"}, nil, nil); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("forwarding to nobody: %v", err)
	}
	if !mallory.register("db") {
		t.Error("a name without an owner cannot be had")
	}
	want := []string{
		"registered db by Ialice", "refused db by Imallory", "refused db by ", "registered again db by Ialice",
		"released db by Ialice", "registered db by Imallory",
	}
	if !slices.Equal(events, want) {
		t.Errorf("events\n got %q\nwant %q", events, want)
	}
}

func address(c *channel) string { return wire.DecodeAddress(c.origin.Address()).String() }

// TestOwnerPlain: without an identity a name is the link's.
func TestOwnerPlain(t *testing.T) {
	n := newNode(t)
	n.hub(&relay.Server{})
	one, two, alice := n.channel(""), n.channel(""), n.channel("Ialice")
	for range 2 {
		if !one.register("x") {
			t.Error("a link cannot register, or not again")
		}
	}
	if two.register("x") || alice.register("x") {
		t.Error("another took the name of a live link")
	}
	one.origin.End(errors.New("lost"))
	if !two.register("x") {
		t.Error("the name of a dead link cannot be had")
	}
	if one.register("y") {
		t.Error("a link that has ended registered a name")
	}
}

// TestTakeOver: who may take a name over does so if it has room for it, which needs
// no more names in all; else the name stays with its owner.
func TestTakeOver(t *testing.T) {
	n := newNode(t)
	var released, refused []error
	n.hub(&relay.Server{
		MaxNames: 3, MaxPerOrigin: 2,
		TakesOver: func(m *tunnel.Message, _ string) bool { return m.Origin.Peer == "Iany" },
		Released:  func(e relay.Event) { released = append(released, e.Err) },
		Refused:   func(e relay.Event) { refused = append(refused, e.Err) },
	})
	alice, anyName := n.channel("Ialice"), n.channel("Iany")
	for _, name := range []string{"db", "web"} {
		if !alice.register(name) {
			t.Fatal("not registered")
		}
	}
	if !anyName.register("own") || !anyName.register("db") {
		t.Error("a name is not taken over, among as many as there may be")
	}
	if len(released) != 1 || !errors.Is(released[0], relay.ErrTaken) {
		t.Errorf("released because of %v", released)
	}
	if anyName.register("web") || len(refused) != 1 || !errors.Is(refused[0], relay.ErrLimit) {
		t.Errorf("more names than one channel may have: refused with %v", refused)
	}
	if len(released) != 1 {
		t.Errorf("the name was taken away by one who was refused it: %v", released[1:])
	}
	if alice.register("db") || !alice.register("web") {
		t.Error("the names are not whose they were")
	}
	if !anyName.register("db") {
		t.Error("again is not one more")
	}
}

// TestRegistryShared: a name that its owner registers at another relay of the
// same registry is lost at the first.
func TestRegistryShared(t *testing.T) {
	var names relay.Memory
	first, second := newNode(t), newNode(t)
	var lost error
	a := first.hub(&relay.Server{Registry: &names, Released: func(e relay.Event) { lost = e.Err }})
	b := second.hub(&relay.Server{Registry: &names})
	if !first.channel("Ialice").register("db") || second.channel("Imallory").register("db") {
		t.Fatal("a name is not its owner's in both")
	}
	there := second.channel("Ialice")
	if !there.register("db") {
		t.Fatal("its owner cannot register elsewhere")
	}
	if a.Names() != 0 || b.Names() != 1 || !errors.Is(lost, relay.ErrTaken) {
		t.Errorf("%d and %d names, want 0 and 1; released with %v", a.Names(), b.Names(), lost)
	}
	if owner, ok := names.Owner("db"); !ok || owner != "Ialice" {
		t.Errorf("owner %q", owner)
	}
	there.origin.End(errors.New("lost"))
	if owner, ok := names.Owner("db"); ok {
		t.Errorf("%q still has the name", owner)
	}
}

// A slow registry answers when it is told to.
type slow struct {
	relay.Memory
	answers []func()
}

func (r *slow) Claim(c *relay.Claim, done func(error)) {
	r.answers = append(r.answers, func() { r.Memory.Claim(c, done) })
}

func TestRegistrySlow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order []int // in which the two claims are answered
	}{
		{"in order", []int{0, 1}},
		{"the other way round", []int{1, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t)
			names := &slow{}
			s := n.hub(&relay.Server{Registry: names})
			two := []*channel{n.channel("Ialice"), n.channel("Ialice")}
			for _, c := range two {
				if c.register("db") {
					t.Error("acknowledged before the name was claimed")
				}
			}
			for _, i := range tt.order {
				names.answers[i]()
			}
			last := two[tt.order[1]]
			if s.Names() != 1 || len(last.sent) != 1 {
				t.Fatalf("%d names, the last got %q", s.Names(), last.sent)
			}
			if err := n.channel("").deliver([]string{"forward_to_db", "api"}, nil, nil); err != nil {
				t.Error(err)
			}
			if !strings.HasPrefix(last.got(), "0#api|") {
				t.Errorf("the last to register got %q", last.got())
			}
			for _, c := range two {
				c.origin.End(errors.New("lost"))
			}
			if owner, ok := names.Owner("db"); ok || s.Names() != 0 {
				t.Errorf("%q still has the name, %d names", owner, s.Names())
			}
		})
	}
	t.Run("after the channel ended", func(t *testing.T) {
		n := newNode(t)
		names := &slow{}
		s := n.hub(&relay.Server{Registry: names})
		c := n.channel("Ialice")
		c.register("db")
		c.origin.End(errors.New("lost"))
		names.answers[0]()
		if owner, ok := names.Owner("db"); ok || s.Names() != 0 {
			t.Errorf("%q has the name, %d names", owner, s.Names())
		}
	})
}

// TestAddressInUse: a worker that has the address of a relay keeps it.
func TestAddressInUse(t *testing.T) {
	n := newNode(t)
	names := &relay.Memory{}
	n.hub(&relay.Server{Registry: names})
	n.handle("forward_to_own", hop(n))
	if n.channel("Ialice").register("own") {
		t.Error("the address of a worker was registered")
	}
	if owner, ok := names.Owner("own"); ok {
		t.Errorf("%q has the name", owner)
	}
}
