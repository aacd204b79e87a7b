package secure

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/flynn/noise"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// protocolName begins every handshake in place of Noise's own name
// (docs/protocol.md, Handshake). It has the length of a hash, so it is used as it is.
const protocolName = "OCKAM_XX_25519_AES256_GCM_SHA256"

// suiteName makes flynn/noise's protocol string longer than a hash, so that it is
// hashed: then nameHash can put protocolName in place of the hash.
const suiteName = "25519_AESGCM_SHA256_with_the_name_of_Ockam"

var noiseString = []byte("Noise_XX_" + suiteName)

// A suite is the standard cipher suite with another protocol name, and with a
// static key that never leaves its vault.
type suite struct {
	noise.CipherSuite
	vault  vault.Agreer
	handle vault.Handle
	agreed [][]byte // what DH returned, to be wiped
}

func newSuite(v vault.Agreer, h vault.Handle) *suite {
	standard := noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)
	return &suite{CipherSuite: standard, vault: v, handle: h}
}

// Name returns the name that flynn/noise puts behind the pattern's.
func (s *suite) Name() []byte { return []byte(suiteName) }

// Hash returns SHA-256 that answers protocolName for noiseString.
func (s *suite) Hash() hash.Hash { return &nameHash{Hash: sha256.New()} }

// DH agrees on a secret; the vault's handle stands for the static private key.
func (s *suite) DH(private, public []byte) (shared []byte, err error) {
	if string(private) == string(s.handle) {
		shared, err = s.vault.Agree(s.handle, public)
	} else {
		shared, err = s.CipherSuite.DH(private, public)
	}
	s.agreed = append(s.agreed, shared)
	return shared, err
}

type nameHash struct {
	hash.Hash
	seen []byte // since the last Reset, up to one byte more than noiseString
}

func (h *nameHash) Write(p []byte) (int, error) {
	if room := len(noiseString) + 1 - len(h.seen); room > 0 {
		h.seen = append(h.seen, p[:min(room, len(p))]...)
	}
	return h.Hash.Write(p)
}

func (h *nameHash) Reset() {
	h.seen = h.seen[:0]
	h.Hash.Reset()
}

func (h *nameHash) Sum(b []byte) []byte {
	if bytes.Equal(h.seen, noiseString) {
		return append(b, protocolName...)
	}
	return h.Hash.Sum(b)
}

// messageOverhead is what message 2 has besides its payload; message 3 has less.
const messageOverhead = 32 + 32 + 16 + 16

// A handshake is one end's Noise state with what it takes to make it again: a
// message that does not fit leaves flynn/noise's state unusable, but the genuine
// one may still come.
type handshake struct {
	initiator bool
	suite     *suite
	static    noise.DHKey
	ephemeral []byte
	proof     []byte               // our payload 2 or 3
	presented *identity.Credential // in it; nil: none
	state     *noise.HandshakeState
	first     []byte // message 1 as the responder received it
}

func newHandshake(cfg *Config, initiator bool) (*handshake, error) {
	key, attestation, err := cfg.Identity.ChannelKey()
	if err != nil {
		return nil, err
	}
	proof := identity.Proof{History: cfg.Identity.History, Attestation: attestation}
	h := &handshake{initiator: initiator, suite: newSuite(cfg.Identity.Vault, key.Handle())}
	if cfg.Credential != nil {
		if h.presented, err = cfg.Credential(); err != nil {
			return nil, fmt.Errorf("secure: credential to present: %w", err)
		}
	}
	if h.presented != nil {
		proof.Credentials = []*identity.Credential{h.presented}
	}
	h.proof = proof.Bytes()
	if len(h.proof)+messageOverhead > maxHandshakeMessage {
		return nil, fmt.Errorf("secure: history and credential take %d bytes: too many for a handshake", len(h.proof))
	}
	h.static = noise.DHKey{Private: []byte(key.Handle()), Public: key.Bytes}
	if h.ephemeral, err = cfg.ephemeral(); err != nil {
		return nil, err
	}
	return h, h.reset()
}

// reset begins anew, with the same ephemeral key.
func (h *handshake) reset() (err error) {
	h.wipeState()
	h.state, err = noise.NewHandshakeState(noise.Config{
		CipherSuite: h.suite, Random: bytes.NewReader(h.ephemeral), Pattern: noise.HandshakeXX,
		Initiator: h.initiator, StaticKeypair: h.static,
	})
	return err
}

// wipe forgets the secrets, as far as flynn/noise lets go of them.
func (h *handshake) wipe() {
	clear(h.ephemeral)
	h.wipeState()
}

func (h *handshake) wipeState() {
	if h.state != nil {
		clear(h.state.LocalEphemeral().Private)
	}
	h.state = nil
	for _, secret := range h.suite.agreed {
		clear(secret)
	}
	h.suite.agreed = nil
}

// message1 makes the initiator's first message.
func (h *handshake) message1() ([]byte, error) {
	msg, _, _, err := h.state.WriteMessage(nil, nil)
	return msg, err
}

// message2 reads message 1 and makes the responder's answer.
func (h *handshake) message2(msg1 []byte) ([]byte, error) {
	if len(msg1) > maxHandshakeMessage {
		return nil, ErrOpen
	}
	h.first = msg1
	if _, _, _, err := h.state.ReadMessage(nil, msg1); err != nil {
		return nil, err
	}
	msg, _, _, err := h.state.WriteMessage(nil, h.proof)
	return msg, err
}

// again makes the state anew after a message that did not fit.
func (h *handshake) again() error {
	if err := h.reset(); err != nil {
		return err
	}
	var err error
	if h.initiator {
		_, err = h.message1()
	} else {
		_, err = h.message2(h.first)
	}
	return err
}

// open reads message 2 or 3 and returns the peer's payload and static key. On
// error the handshake is ready for another try.
func (h *handshake) open(msg []byte) (payload []byte, peer []byte, keys *transportKeys, err error) {
	if len(msg) > maxHandshakeMessage {
		return nil, nil, nil, ErrOpen
	}
	payload, k1, k2, err := h.state.ReadMessage(nil, msg)
	if err != nil {
		if aerr := h.again(); aerr != nil {
			return nil, nil, nil, aerr
		}
		return nil, nil, nil, fmt.Errorf("%w: handshake: %w", ErrOpen, err)
	}
	return payload, h.state.PeerStatic(), split(h.initiator, k1, k2), nil
}

// message3 makes the initiator's last message and the keys.
func (h *handshake) message3() ([]byte, *transportKeys, error) {
	msg, k1, k2, err := h.state.WriteMessage(nil, h.proof)
	if err != nil {
		return nil, nil, err
	}
	return msg, split(true, k1, k2), nil
}

// transportKeys are the first keys of the two directions.
type transportKeys struct{ seal, open [32]byte }

// split assigns the outputs of the handshake. The initiator seals with the
// second: the other way round than Noise has it.
func split(initiator bool, k1, k2 *noise.CipherState) *transportKeys {
	if k1 == nil || k2 == nil {
		return nil
	}
	if initiator {
		return &transportKeys{seal: k2.UnsafeKey(), open: k1.UnsafeKey()}
	}
	return &transportKeys{seal: k1.UnsafeKey(), open: k2.UnsafeKey()}
}
