package secure_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"testing"

	"ockam/transports"
	"ockam/transports/transporttest"
	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// A frame is a message on a link, as it stands in the recordings.
type frame struct {
	onward, ret tunnel.Route
	payload     []byte
}

func parseFrame(t testing.TB, b []byte) frame {
	t.Helper()
	h, err := wire.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	return frame{h.Onward.Clone(), h.Return.Clone(), bytes.Clone(h.Payload)}
}

// bytes encodes the frame with its length in front.
func (f frame) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(wire.MessageSize(f.onward, f.ret, len(f.payload))))
	b = append(wire.AppendMessageHead(b, f.onward, f.ret, len(f.payload)), f.payload...)
	return wire.AppendMessageTail(b)
}

func lastOf(r tunnel.Route) string {
	return wire.DecodeAddress(r.Last()).Name
}

// A far is the far end of a node's link, driven by the test.
type far struct {
	t    testing.TB
	conn *transporttest.PipeConn
}

// far links n to a far end.
func (n *node) far(group *tunnel.Group) (*tunnel.Link, *far) {
	n.t.Helper()
	a, b := transporttest.Pipe(transporttest.PipeOptions{})
	l := n.link(a, group)
	n.t.Cleanup(func() { _ = b.Close() })
	return l, &far{n.t, b}
}

func (f *far) write(frames ...frame) {
	f.t.Helper()
	for _, fr := range frames {
		f.writeRaw(fr.bytes())
	}
}

func (f *far) writeRaw(b []byte) {
	f.t.Helper()
	if err := f.conn.Write(net.Buffers{b}); err != nil {
		f.t.Fatal(err)
	}
}

func receive(c transports.Conn) ([]byte, error) {
	return c.Receive(func(n int) []byte { return make([]byte, n) })
}

func (f *far) read() frame {
	f.t.Helper()
	b, err := receive(f.conn)
	if err != nil {
		f.t.Fatal(err)
	}
	return parseFrame(f.t, b)
}

const (
	initiatorSeals = "initiator_to_responder"
	responderSeals = "responder_to_initiator"
)

// A hand is one end of the handshake, written by hand from the protocol: what
// the package makes of it is compared with what another program would.
type hand struct {
	t        testing.TB
	s, e     *ecdh.PrivateKey
	re, rs   *ecdh.PublicKey
	h, ck, k []byte
	n        uint64
}

func newHand(t testing.TB, static, ephemeral []byte) *hand {
	t.Helper()
	name := []byte("OCKAM_XX_25519_AES256_GCM_SHA256")
	sum := sha256.Sum256(name)
	if ephemeral == nil {
		ephemeral = make([]byte, 32)
		_, _ = rand.Read(ephemeral)
	}
	return &hand{t: t, s: private(t, static), e: private(t, ephemeral), h: sum[:], ck: name}
}

func private(t testing.TB, b []byte) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, b []byte) *ecdh.PublicKey {
	t.Helper()
	k, err := ecdh.X25519().NewPublicKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (p *hand) mixHash(b []byte) {
	sum := sha256.Sum256(append(bytes.Clone(p.h), b...))
	p.h = sum[:]
}

// twice returns the two outputs of a key derivation.
func (p *hand) twice(input []byte) (a, b []byte) {
	p.t.Helper()
	out, err := hkdf.Key(sha256.New, input, p.ck, "", 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return out[:32], out[32:]
}

func (p *hand) mixKey(s *ecdh.PrivateKey, r *ecdh.PublicKey) {
	p.t.Helper()
	shared, err := s.ECDH(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.ck, p.k = p.twice(shared)
	p.n = 0
}

func gcm(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func iv(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), n) }

func (p *hand) encrypt(b []byte) []byte {
	p.t.Helper()
	ct := gcm(p.t, p.k).Seal(nil, iv(p.n), b, p.h)
	p.mixHash(ct)
	p.n++
	return ct
}

func (p *hand) decrypt(ct []byte) []byte {
	p.t.Helper()
	b, err := gcm(p.t, p.k).Open(nil, iv(p.n), ct, p.h)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mixHash(ct)
	p.n++
	return b
}

// message1 makes the first message with a payload in clear.
func (p *hand) message1(payload []byte) []byte {
	e := p.e.PublicKey().Bytes()
	p.mixHash(e)
	p.mixHash(payload)
	return append(e, payload...)
}

func (p *hand) read1(m []byte) {
	p.t.Helper()
	p.re = public(p.t, m[:32])
	p.mixHash(m[:32])
	p.mixHash(m[32:])
}

func (p *hand) message2(payload []byte) []byte {
	p.t.Helper()
	m := p.e.PublicKey().Bytes()
	p.mixHash(m)
	p.mixKey(p.e, p.re)
	m = append(m, p.encrypt(p.s.PublicKey().Bytes())...)
	p.mixKey(p.s, p.re)
	return append(m, p.encrypt(payload)...)
}

func (p *hand) read2(m []byte) (payload []byte) {
	p.t.Helper()
	p.re = public(p.t, m[:32])
	p.mixHash(m[:32])
	p.mixKey(p.e, p.re)
	p.rs = public(p.t, p.decrypt(m[32:80]))
	p.mixKey(p.e, p.rs)
	return p.decrypt(m[80:])
}

func (p *hand) message3(payload []byte) []byte {
	p.t.Helper()
	m := p.encrypt(p.s.PublicKey().Bytes())
	p.mixKey(p.s, p.re)
	return append(m, p.encrypt(payload)...)
}

func (p *hand) read3(m []byte) (payload []byte) {
	p.t.Helper()
	p.rs = public(p.t, p.decrypt(m[:48]))
	p.mixKey(p.e, p.rs)
	return p.decrypt(m[48:])
}

// keys returns the first keys: that with which the initiator seals, and that of
// the responder.
func (p *hand) keys() *keys {
	k1, k2 := p.twice(nil)
	return &keys{t: p.t, first: map[string][]byte{initiatorSeals: k2, responderSeals: k1}}
}

// keys are those of a channel, in both directions.
type keys struct {
	t     testing.TB
	first map[string][]byte
	known map[string][]cipher.AEAD // the keys that follow
}

// at returns the key of a frame.
func (k *keys) at(direction string, nonce uint64) cipher.AEAD {
	k.t.Helper()
	if k.known == nil {
		k.known = map[string][]cipher.AEAD{}
	}
	all := k.known[direction]
	if all == nil {
		all = append(all, gcm(k.t, k.first[direction]))
	}
	for uint64(len(all)) <= nonce/32 {
		next := all[len(all)-1].Seal(nil, iv(math.MaxUint64), make([]byte, 32), nil)
		all = append(all, gcm(k.t, next[:32]))
	}
	k.known[direction] = all
	return all[nonce/32]
}

// seal makes the frame of a nonce.
func (k *keys) seal(direction string, nonce uint64, plaintext []byte) []byte {
	k.t.Helper()
	return k.at(direction, nonce).Seal(binary.BigEndian.AppendUint64(nil, nonce), iv(nonce), plaintext, nil)
}

// open opens a frame.
func (k *keys) open(direction string, frame []byte) (nonce uint64, plaintext []byte, err error) {
	k.t.Helper()
	if len(frame) < 24 {
		return 0, nil, errors.New("short frame")
	}
	nonce = binary.BigEndian.Uint64(frame)
	plaintext, err = k.at(direction, nonce).Open(nil, iv(nonce), frame[8:], nil)
	return nonce, plaintext, err
}

// plain makes the plaintext of a payload message.
func plain(onward, ret tunnel.Route, payload []byte) []byte {
	b := ret.AppendTo(onward.AppendTo([]byte{0x82, 0x82, 0x00, 0x81, 0x83}))
	b = wire.AppendBytesHead(b, len(payload))
	return append(append(b, payload...), 0x40)
}

// A message is what a plaintext says.
type message struct {
	kind        byte
	onward, ret tunnel.Route
	payload     []byte
}

func parsePlain(t testing.TB, b []byte) message {
	t.Helper()
	m := message{kind: b[2]}
	if m.kind != 0 {
		return m
	}
	var err error
	if m.onward, b, err = wire.ParseRoute(b[5:]); err == nil {
		if m.ret, b, err = wire.ParseRoute(b); err == nil {
			m.payload, _, err = wire.ParseByteString(b)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A dialer is a channel's initiator that is driven by the test.
type dialer struct {
	*far
	*keys
	hand  *hand
	self  string
	peer  tunnel.Route // where the responder receives
	nonce uint64
}

// dialer sends the first message to the listener at name and reads the answer.
func (f *far) dialer(name string, static []byte) *dialer {
	f.t.Helper()
	d := &dialer{far: f, hand: newHand(f.t, static, nil), self: lastOf(tunnel.NewRoute(tunnel.RandomAddress()))}
	f.write(frame{route(name), route(d.self), d.hand.message1(nil)})
	answer := f.read()
	if !answer.onward.Equal(route(d.self)) {
		f.t.Fatalf("message 2 goes to %v, want %s", answer.onward, d.self)
	}
	d.peer = answer.ret
	d.hand.read2(answer.payload)
	return d
}

// prove sends the third message.
func (d *dialer) prove(payload []byte) {
	d.far.t.Helper()
	d.write(frame{d.peer, route(d.self), d.hand.message3(payload)})
	d.keys = d.hand.keys()
}

// send seals a plaintext with the next nonce and sends it.
func (d *dialer) send(plaintext []byte) {
	d.far.t.Helper()
	d.sendAt(d.nonce, tunnel.Route{}, plaintext)
	d.nonce++
}

func (d *dialer) sendAt(nonce uint64, ret tunnel.Route, plaintext []byte) {
	d.far.t.Helper()
	d.write(frame{d.peer, ret, d.seal(initiatorSeals, nonce, plaintext)})
}

// receive reads a frame and opens it.
func (d *dialer) receive() (frame, uint64, []byte) {
	d.far.t.Helper()
	f := d.read()
	nonce, text, err := d.open(responderSeals, f.payload)
	if err != nil {
		d.far.t.Fatalf("frame %x to %v: %v", f.payload, f.onward, err)
	}
	return f, nonce, text
}

// echoes sends a message to echo and reads the answer.
func (d *dialer) echoes(payload string) {
	d.far.t.Helper()
	d.send(plain(echo, route("app"), []byte(payload)))
	_, _, text := d.receive()
	if m := parsePlain(d.far.t, text); string(m.payload) != payload || !m.onward.Equal(route("app")) {
		d.far.t.Fatalf("echo says %q to %v, want %q", m.payload, m.onward, payload)
	}
}
