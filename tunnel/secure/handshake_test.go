package secure

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/flynn/noise"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// load reads a file recorded from the reference implementation (revision
// fb8fb64cd).
func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// A hexBytes is a byte string that stands in JSON as hexadecimal digits.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) error {
	*h = make([]byte, hex.DecodedLen(len(b)))
	_, err := hex.Decode(*h, b)
	return err
}

type handshakeVector struct {
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

func loadHandshakes(t testing.TB) []handshakeVector {
	t.Helper()
	var f struct {
		Vectors []handshakeVector
	}
	load(t, "handshake.json", &f)
	if len(f.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return f.Vectors
}

// end makes one end of a handshake with known secrets.
func end(t testing.TB, initiator bool, static, ephemeral, proof []byte) *handshake {
	t.Helper()
	v := vault.NewMemory()
	key, err := v.Import(vault.X25519, static)
	if err != nil {
		t.Fatal(err)
	}
	h := &handshake{
		initiator: initiator, suite: newSuite(v, key.Handle()), ephemeral: bytes.Clone(ephemeral), proof: proof,
		static: noise.DHKey{Private: []byte(key.Handle()), Public: key.Bytes},
	}
	if err := h.reset(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (v *handshakeVector) ends(t testing.TB) (initiator, responder *handshake) {
	return end(t, true, v.InitiatorStatic, v.InitiatorEphemeral, v.Payload3),
		end(t, false, v.ResponderStatic, v.ResponderEphemeral, v.Payload2)
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

// TestHandshakeVectors makes and reads the recorded messages in both roles.
func TestHandshakeVectors(t *testing.T) {
	tested := 0
	for _, v := range loadHandshakes(t) {
		if string(v.Protocol) != protocolName {
			continue // see TestStandardName
		}
		tested++
		t.Run(v.Name, func(t *testing.T) {
			i, r := v.ends(t)
			if len(v.Payload1) == 0 {
				msg1, err := i.message1()
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "message 1", msg1, v.Message1)
			} else { // we send none, but read it
				msg1, _, _, err := i.state.WriteMessage(nil, v.Payload1)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "message 1", msg1, v.Message1)
			}
			msg2, err := r.message2(v.Message1)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "message 2", msg2, v.Message2)
			payload, static, keys, err := i.open(v.Message2)
			if err != nil || keys != nil {
				t.Fatalf("reading message 2: %v, keys %v", err, keys)
			}
			equal(t, "payload 2", payload, v.Payload2)
			equal(t, "static key of the responder", static, r.static.Public)
			msg3, iKeys, err := i.message3()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "message 3", msg3, v.Message3)
			equal(t, "h", i.state.ChannelBinding(), v.FinalH)
			payload, static, rKeys, err := r.open(v.Message3)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "payload 3", payload, v.Payload3)
			equal(t, "static key of the initiator", static, i.static.Public)
			equal(t, "h", r.state.ChannelBinding(), v.FinalH)
			// The other way round than Noise has it.
			equal(t, "initiator's sealing key", iKeys.seal[:], v.K2)
			equal(t, "initiator's opening key", iKeys.open[:], v.K1)
			equal(t, "responder's sealing key", rKeys.seal[:], v.K1)
			equal(t, "responder's opening key", rKeys.open[:], v.K2)
			i.wipe()
			r.wipe()
			if !bytes.Equal(i.ephemeral, make([]byte, 32)) || i.state != nil || i.suite.agreed != nil {
				t.Error("secrets are left")
			}
		})
	}
	if tested < 6 {
		t.Errorf("only %d vectors", tested)
	}
}

// TestStandardName checks that what is ours is the name only: with the standard
// one flynn/noise gives what the reference gives.
func TestStandardName(t *testing.T) {
	tested := 0
	for _, v := range loadHandshakes(t) {
		if string(v.Protocol) == protocolName {
			continue
		}
		tested++
		t.Run(v.Name, func(t *testing.T) {
			suite := noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)
			state := func(initiator bool, static, ephemeral []byte) *noise.HandshakeState {
				key, err := suite.GenerateKeypair(bytes.NewReader(static))
				if err != nil {
					t.Fatal(err)
				}
				s, err := noise.NewHandshakeState(noise.Config{
					CipherSuite: suite, Random: bytes.NewReader(ephemeral), Pattern: noise.HandshakeXX,
					Initiator: initiator, StaticKeypair: key,
				})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			i, r := state(true, v.InitiatorStatic, v.InitiatorEphemeral), state(false, v.ResponderStatic, v.ResponderEphemeral)
			var k1, k2 *noise.CipherState
			for n, m := range []struct {
				from, to      *noise.HandshakeState
				payload, want []byte
			}{{i, r, v.Payload1, v.Message1}, {r, i, v.Payload2, v.Message2}, {i, r, v.Payload3, v.Message3}} {
				msg, _, _, err := m.from.WriteMessage(nil, m.payload)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "message", msg, m.want)
				var got []byte
				if got, k1, k2, err = m.to.ReadMessage(nil, msg); err != nil {
					t.Fatalf("message %d: %v", n+1, err)
				}
				equal(t, "payload", got, m.payload)
			}
			key1, key2 := k1.UnsafeKey(), k2.UnsafeKey()
			equal(t, "k1", key1[:], v.K1)
			equal(t, "k2", key2[:], v.K2)
		})
	}
	if tested != 2 {
		t.Errorf("%d vectors, want 2", tested)
	}
}

// TestMessageLimits makes what the recorded cases say and compares decisions.
func TestMessageLimits(t *testing.T) {
	var f struct {
		Limits []struct{ Case, Write, Read string } `json:"message_limits"`
	}
	load(t, "handshake.json", &f)
	if len(f.Limits) == 0 {
		t.Fatal("no vectors")
	}
	v := vectorNamed(t, "V1")
	for _, l := range f.Limits {
		t.Run(l.Case, func(t *testing.T) {
			i, r := v.ends(t)
			var err error
			switch n, cut := parseCase(t, l.Case); {
			case cut:
				_, _, _, err = i.message1err(v.Message2[:n])
			default:
				_, err = r.message2(append(bytes.Clone(v.Message1), make([]byte, n)...)[:n])
			}
			if (err == nil) != (l.Read == "accepted") {
				t.Errorf("read: got %v, want %s", err, l.Read)
			}
		})
	}
}

// message1err reads message 2 after having made message 1.
func (h *handshake) message1err(msg2 []byte) ([]byte, []byte, *transportKeys, error) {
	if _, err := h.message1(); err != nil {
		return nil, nil, nil, err
	}
	return h.open(msg2)
}

func parseCase(t *testing.T, s string) (n int, message2 bool) {
	t.Helper()
	for _, w := range strings.Fields(s) {
		var d int
		if err := json.Unmarshal([]byte(w), &d); err == nil && d > 2 {
			n = d
		}
	}
	if n == 0 {
		t.Fatalf("no length in %q", s)
	}
	return n, strings.HasPrefix(s, "message 2")
}

func vectorNamed(t testing.TB, name string) *handshakeVector {
	t.Helper()
	for _, v := range loadHandshakes(t) {
		if v.Name == name {
			return &v
		}
	}
	t.Fatalf("no vector %s", name)
	return nil
}

// TestTruncatedMessages cuts each message at every length.
func TestTruncatedMessages(t *testing.T) {
	v := vectorNamed(t, "V3")
	for n := range v.Message1 {
		_, r := v.ends(t)
		if _, err := r.message2(v.Message1[:n]); err == nil {
			t.Errorf("message 1 of %d bytes accepted", n)
		}
	}
	i, r := v.ends(t)
	if _, err := i.message1(); err != nil {
		t.Fatal(err)
	}
	for n := range v.Message2 {
		if _, _, _, err := i.open(v.Message2[:n]); !errors.Is(err, ErrOpen) {
			t.Errorf("message 2 of %d bytes: %v", n, err)
		}
	}
	if _, _, _, err := i.open(append(bytes.Clone(v.Message2), 0)); err == nil {
		t.Error("message 2 with a byte added accepted")
	}
	if _, _, _, err := i.open(make([]byte, maxHandshakeMessage+1)); !errors.Is(err, ErrOpen) {
		t.Errorf("message 2 too long: %v", err)
	}
	if _, _, _, err := i.open(v.Message2); err != nil {
		t.Errorf("the genuine message 2 afterwards: %v", err)
	}
	if _, err := r.message2(v.Message1); err != nil {
		t.Fatal(err)
	}
	for n := range v.Message3 {
		if _, _, _, err := r.open(v.Message3[:n]); !errors.Is(err, ErrOpen) {
			t.Errorf("message 3 of %d bytes: %v", n, err)
		}
	}
	payload, _, keys, err := r.open(v.Message3)
	if err != nil {
		t.Fatalf("the genuine message 3 afterwards: %v", err)
	}
	equal(t, "payload 3", payload, v.Payload3)
	equal(t, "key", keys.open[:], v.K2)
}

// TestProofTooLong wants an error before anything is sent that no peer reads.
func TestProofTooLong(t *testing.T) {
	v, store := vault.NewMemory(), identity.NewMemoryStore()
	h, err := identity.Create(v, identity.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	issuer := &identity.Identity{History: h, Vault: v, PurposeKeys: store}
	cred, err := issuer.IssueCredential(h, identity.Attributes{Values: map[string]string{"a": strings.Repeat("b", 65<<10)}}, 3600e9)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &Config{Identity: issuer, Credential: func() (*identity.Credential, error) { return cred, nil }}
	if _, err := newHandshake(cfg, true); err == nil {
		t.Error("a message of more than 64 KiB would be sent")
	}
	cfg.Credential = func() (*identity.Credential, error) { return nil, errors.New("none to be had") }
	if _, err := newHandshake(cfg, true); err == nil {
		t.Error("the handshake goes on without the credential that is to be presented")
	}
}
