package secure_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/secure"
)

// handshakeMessage says which message of a handshake a frame is; 0 for ciphertext.
func handshakeMessage(f frame, toBob bool) int {
	switch {
	case toBob && f.onward.Equal(api):
		return 1
	case f.ret.Len() == 0:
		return 0
	case toBob:
		return 3
	default:
		return 2
	}
}

// altering is a meddler that has one handshake message followed or preceded by something.
type altering struct {
	message atomic.Int32
	change  atomic.Pointer[func(frame) []frame]
}

func (a *altering) meddler() *meddler {
	pass := func(toBob bool) func(int, frame) []frame {
		return func(_ int, f frame) []frame {
			change := a.change.Load()
			if n := handshakeMessage(f, toBob); n == 0 || n != int(a.message.Load()) || change == nil {
				return []frame{f}
			}
			return (*change)(f)
		}
	}
	return &meddler{pass(true), pass(false)}
}

func (a *altering) set(message int, change func(frame) []frame) {
	a.message.Store(int32(message))
	a.change.Store(&change)
}

// TestFlippedBytes has each byte of each handshake message altered; the genuine
// message comes right after. No channel is made of what was altered, and one of
// what was not.
func TestFlippedBytes(t *testing.T) {
	pa, pb := known(t)
	alice, bob := newRouter(t).is(pa), newRouter(t).is(pb)
	alice.cfg.Random, bob.cfg.Random = nil, nil
	opened := make(chan *secure.Channel, 10)
	l := bob.listenChannels(&secure.Listener{
		MaxHandshakesPerOrigin: 500,
		Opened:                 func(c *secure.Channel) { opened <- c },
	})
	var a altering
	link := a.meddler().through(alice, bob)
	stride := 1
	if transporttest.RaceEnabled {
		stride = 11
	}
	for message, size := range []int{1: 32, 2: 419, 3: 387} {
		for at := 0; at < size; at += stride {
			a.set(message, func(f frame) []frame {
				if len(f.payload) != size {
					t.Errorf("message %d has %d bytes", message, len(f.payload))
				}
				bad := f
				bad.payload = bytes.Clone(f.payload)
				bad.payload[at] ^= 1 << (at % 8)
				return []frame{bad, f}
			})
			c := alice.connect(link)
			if c.Peer() != bob.id() {
				t.Fatalf("message %d, byte %d: the peer is %v", message, at, c.Peer())
			}
			alice.works(c)
			if o := <-opened; o.Peer() != alice.id() {
				t.Fatalf("message %d, byte %d: the peer is %v", message, at, o.Peer())
			}
			c.Close()
		}
	}
	within(t, "all channels closed", func() bool { return l.Channels() == 0 })
	if len(opened) > 0 {
		t.Errorf("%d channels too many", len(opened))
	}
}

// TestBadMessages sends as much garbage as a handshake survives, and more.
func TestBadMessages(t *testing.T) {
	for _, message := range []int{2, 3} {
		for _, n := range []int{secure.MaxBadMessages, secure.MaxBadMessages + 1} {
			t.Run(fmt.Sprintf("message %d, %d bad ones", message, n), func(t *testing.T) {
				alice, bob := newNode(t), newNode(t)
				refused := make(chan error, 1)
				bob.listenChannels(&secure.Listener{Refused: func(err error) { refused <- err }})
				var a altering
				a.set(message, func(f frame) []frame {
					var out []frame
					for i := range n {
						out = append(out, frame{f.onward, f.ret, bytes.Repeat([]byte{byte(i)}, 100*i)})
					}
					return append(out, f)
				})
				c, err := secure.Dial(t.Context(), alice.cfg, a.meddler().through(alice, bob), api)
				survives := n == secure.MaxBadMessages
				switch {
				case message == 2 && !survives:
					if !errors.Is(err, secure.ErrOpen) {
						t.Errorf("dial: %v", err)
					}
				case err != nil:
					t.Fatal(err)
				case survives:
					alice.works(c)
				default:
					if err := <-refused; !errors.Is(err, secure.ErrOpen) {
						t.Errorf("refused: %v", err)
					}
				}
			})
		}
	}
}

// TestMeddledFrames has frames of a channel lost, doubled, replayed, swapped
// and altered, and compares what arrives with what a window of 32 lets through.
func TestMeddledFrames(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testMeddledFrames(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func testMeddledFrames(t *testing.T, random *rand.Rand) {
	const messages = 1500
	var mu sync.Mutex
	var want, got []string
	model := window{accepted: map[uint64]bool{}}
	var past, held []frame
	deliver := func(f frame) frame {
		f.payload = bytes.Clone(f.payload)
		if random.IntN(10) == 0 {
			f.payload[8+random.IntN(len(f.payload)-8)] ^= 1 << random.IntN(8)
		} else if n := binary.BigEndian.Uint64(f.payload); model.accept(n) {
			want = append(want, fmt.Sprintf("message %d", n))
		}
		return f
	}
	change := func(_ int, f frame) []frame {
		if handshakeMessage(f, true) != 0 {
			return []frame{f}
		}
		mu.Lock()
		defer mu.Unlock()
		past = append(past, f)
		var out []frame
		switch random.IntN(10) {
		case 0: // lost
		case 1:
			held = append(held, f) // comes later
		case 2:
			out = append(out, deliver(f), deliver(f))
		case 3:
			out = append(out, deliver(past[random.IntN(len(past))]), deliver(f))
		case 4:
			for _, h := range held {
				out = append(out, deliver(h))
			}
			held = nil
			out = append(out, deliver(f))
		default:
			out = append(out, deliver(f))
		}
		return out
	}
	alice, bob := newNode(t), newNode(t)
	group := &tunnel.Group{}
	bob.listenChannels(&secure.Listener{Group: group})
	if _, err := bob.router.Handle(tunnel.LocalAddress("sink"), tunnel.HandlerFunc(func(m *tunnel.Message) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(m.Payload))
		m.Release()
		return nil
	}), tunnel.Access{Open: []tunnel.Source{group}}); err != nil {
		t.Fatal(err)
	}
	c := alice.connect((&meddler{toBob: change}).through(alice, bob))
	m := tunnel.NewMessage()
	defer m.Release()
	for i := range messages {
		m.Onward, m.Payload = route("sink"), fmt.Appendf(nil, "message %d", i)
		if err := c.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "everything arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(past) == messages && len(got) == len(want)
	})
	mu.Lock()
	defer mu.Unlock()
	if len(want) < messages/2 {
		t.Errorf("only %d of %d messages were to arrive", len(want), messages)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("message %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

// A window is the model of what a receiver accepts.
type window struct {
	accepted map[uint64]bool
	max      uint64
}

func (w *window) accept(n uint64) bool {
	if w.accepted[n] || n > w.max && n-w.max > 32 || n < w.max && w.max-n > 32 {
		return false
	}
	w.accepted[n] = true
	w.max = max(w.max, n)
	return true
}

// TestWrongPeer has each side expect somebody else.
func TestWrongPeer(t *testing.T) {
	wrong := errors.New("not who was expected")
	refuse := func(identity.Identifier) error { return wrong }
	t.Run("initiator", func(t *testing.T) {
		alice, bob := newNode(t), newNode(t)
		bob.listenChannels(newListener())
		var there recorder
		alice.cfg.Authorize = refuse
		_, err := secure.Dial(t.Context(), alice.cfg, (&meddler{toBob: there.pass}).through(alice, bob), api)
		if !errors.Is(err, secure.ErrUnauthorized) || !errors.Is(err, wrong) {
			t.Errorf("dial: %v", err)
		}
		if n := len(there.all()); n != 1 {
			t.Errorf("%d messages were sent, want the first only", n)
		}
		if _, err := alice.store.History(bob.id()); err == nil {
			t.Error("the history of somebody who was refused is stored")
		}
	})
	t.Run("responder", func(t *testing.T) {
		alice, bob := newNode(t), newNode(t)
		refused := make(chan error, 1)
		bob.cfg.Authorize = refuse
		l := bob.listenChannels(&secure.Listener{Refused: func(err error) { refused <- err }})
		c := alice.connect(alice.joinTo(bob))
		if err := <-refused; !errors.Is(err, secure.ErrUnauthorized) || !errors.Is(err, wrong) {
			t.Errorf("refused: %v", err)
		}
		if a := alice.tryAsk(c, echo, []byte("x"), 50*time.Millisecond); a.origin != nil {
			t.Error("echo answers to somebody who was refused")
		}
		within(t, "nothing is left", func() bool { return l.Handshakes() == 0 && l.Channels() == 0 && l.Waiting() == 0 })
	})
}

// TestClaim has somebody who is not authorized present a history that is long to
// verify: it is not looked at.
func TestClaim(t *testing.T) {
	bob := newNode(t)
	refused := make(chan error, 1)
	var asked []identity.Identifier
	bob.cfg.Authorize = func(id identity.Identifier) error {
		asked = append(asked, id)
		return errors.New("a stranger")
	}
	bob.listenChannels(&secure.Listener{Refused: func(err error) { refused <- err }})
	_, far := bob.far(bob.links)
	pa, _ := known(t)
	proof := loadPayloads(t)[0].Payload
	d := far.dialer("api", pa.Static)
	d.prove(append(bytes.Clone(proof[:80]), make([]byte, 60000)...)) // nothing of it is signed
	if err := <-refused; !errors.Is(err, secure.ErrUnauthorized) {
		t.Errorf("refused: %v", err)
	}
	if want := *loadPayloads(t)[0].Subject; len(asked) != 1 || asked[0].String() != want {
		t.Errorf("asked for %v, want %s", asked, want)
	}
}

// TestExpired has an attestation that is past its time for the peer's clock.
func TestExpired(t *testing.T) {
	later := func() time.Time { return time.Now().Add(2 * identity.PurposeKeyLifetime) }
	alice, bob := newNode(t), newNode(t)
	refused := make(chan error, 1)
	l := bob.listenChannels(&secure.Listener{Refused: func(err error) { refused <- err }})
	link := alice.joinTo(bob)
	cfg := *alice.cfg
	cfg.Now = later
	if _, err := secure.Dial(t.Context(), &cfg, link, api); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("dial: %v", err)
	}
	l.Now = later
	alice.connect(link)
	if err := <-refused; !errors.Is(err, identity.ErrExpired) {
		t.Errorf("refused: %v", err)
	}
}

// TestHistories has a peer present a newer history than the one known, then the
// older one again.
func TestHistories(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	l := bob.listenChannels(newListener())
	link := alice.joinTo(bob)
	alice.works(alice.connect(link))
	old := bob.cfg.Identity
	h, err := old.History.Rotate(old.Vault, identity.RotateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Identity = &identity.Identity{History: h, Vault: old.Vault, PurposeKeys: old.PurposeKeys}
	alice.works(alice.connect(link))
	if known, err := alice.store.History(bob.id()); err != nil || known.LatestHash() != h.LatestHash() {
		t.Errorf("the newer history is not stored: %v", err)
	}
	l.Identity = &identity.Identity{History: old.History, Vault: old.Vault, PurposeKeys: identity.NewMemoryStore()}
	if _, err := secure.Dial(t.Context(), alice.cfg, link, api); !errors.Is(err, identity.ErrOlderHistory) {
		t.Errorf("an older history: %v", err)
	}
}

// TestNobodyThere dials a listener that does not exist, loses the path, cancels.
func TestNobodyThere(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	link := alice.joinTo(bob)
	ctx, cancel := contextTimeout(t, 20*time.Millisecond)
	defer cancel()
	if _, err := secure.Dial(ctx, alice.cfg, link, api); !errors.Is(err, secure.ErrTimeout) {
		t.Errorf("dial: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := secure.Dial(ctx, alice.cfg, link, api); !errors.Is(err, context.Canceled) || errors.Is(err, secure.ErrTimeout) {
		t.Errorf("dial: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, bob.stop)
	if _, err := secure.Dial(t.Context(), alice.cfg, link, api); !errors.Is(err, tunnel.ErrPeerClosed) {
		t.Errorf("dial over a path that is lost: %v", err)
	}
	if _, err := secure.Dial(t.Context(), alice.cfg, link, api); !errors.Is(err, tunnel.ErrPeerClosed) {
		t.Errorf("dial over a lost path: %v", err)
	}
}

// TestBehindMessage3 has frames come right behind the third message, while that
// is being checked: none is lost, and they are delivered in order. There are
// more than may wait in the second case: the link's reader does.
func TestBehindMessage3(t *testing.T) {
	for _, frames := range []int{1000, 4000} {
		t.Run(fmt.Sprint(frames), func(t *testing.T) { testBehindMessage3(t, frames) })
	}
}

func testBehindMessage3(t *testing.T, frames int) {
	pa, pb := known(t)
	bob := newRouter(t).is(pb)
	gate := make(chan struct{})
	bob.cfg.Authorize = func(identity.Identifier) error { <-gate; return nil }
	l := bob.listenChannels(newListener())
	_, far := bob.far(bob.links)
	d := far.dialer("api", pa.Static)
	out := frame{d.peer, route(d.self), d.hand.message3(loadPayloads(t)[0].Payload)}.bytes()
	d.keys = d.hand.keys()
	for i := range frames {
		text := plain(echo, route("app"), fmt.Appendf(nil, "%d", i))
		out = append(out, frame{d.peer, tunnel.Route{}, d.seal(initiatorSeals, uint64(i), text)}.bytes()...)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { far.writeRaw(out) })
	within(t, "frames wait", func() bool { return l.Waiting() > int64(min(frames*512, secure.MaxWaiting-2000)) })
	if n := l.Waiting(); n > secure.MaxWaiting {
		t.Errorf("%d bytes wait", n)
	}
	close(gate)
	for i := range frames {
		_, nonce, text := d.receive()
		if m := parsePlain(t, text); nonce != uint64(i) || string(m.payload) != fmt.Sprint(i) {
			t.Fatalf("frame %d is %q with nonce %d", i, m.payload, nonce)
		}
	}
	d.nonce = uint64(frames)
	d.echoes("afterwards")
	if l.Waiting() != 0 {
		t.Errorf("%d bytes wait for nothing", l.Waiting())
	}
}
