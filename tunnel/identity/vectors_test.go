package identity_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ockam/tunnel/identity"
	"ockam/tunnel/vault"
)

// The files in testdata are recorded from the reference implementation
// (revision fb8fb64cd) with keys and a clock that are known.

// clock is the time at which everything in them was verified.
var clock = time.Unix(1700000100, 0)

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

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type identityVector struct {
	Name       string
	Keys       []struct{ Type, Secret string }
	Identifier string
	History    string `json:"change_history"`
	Changes    []struct {
		Hash      string `json:"change_hash"`
		KeyType   string `json:"key_type"`
		PublicKey string `json:"public_key"`
		Revoke    bool   `json:"revoke_all_purpose_keys"`
		From      uint64 `json:"attestations_valid_from"`
		Until     uint64 `json:"attestations_valid_until"`
	}
}

type identitiesFile struct {
	Identities   []identityVector
	Found        []identityVector              `json:"histories_found_in_the_reference"`
	Rebuilt      []struct{ Name, Seed string } `json:"rebuilt_from_published_seeds"`
	IdentifierTx []textVector                  `json:"identifier_text"`
	HistoryTx    []textVector                  `json:"change_history_text"`
}

type textVector struct {
	Name, Text, Result string
	Accepted           bool
}

func loadIdentities(t testing.TB) *identitiesFile {
	t.Helper()
	f := &identitiesFile{}
	load(t, "identities.json", f)
	if len(f.Identities) == 0 || len(f.Found) == 0 || len(f.Rebuilt) == 0 {
		t.Fatal("no vectors")
	}
	return f
}

// history returns the history of a vector by the beginning of its name.
func (f *identitiesFile) history(t testing.TB, name string) *identity.History {
	t.Helper()
	for _, v := range append(f.Identities, f.Found...) {
		if strings.HasPrefix(v.Name, name) {
			h, err := identity.ParseHistoryText(v.History)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return h
		}
	}
	t.Fatalf("no vector %q", name)
	return nil
}

// nextKey is a vault that "generates" the keys that it is told.
type nextKey struct {
	*vault.Software
	secrets [][]byte
}

func (v *nextKey) Generate(t vault.KeyType) (vault.PublicKey, error) {
	secret := v.secrets[0]
	v.secrets = v.secrets[1:]
	return v.Import(t, secret)
}

func TestHistories(t *testing.T) {
	f := loadIdentities(t)
	for _, v := range append(f.Identities, f.Found...) {
		t.Run(v.Name, func(t *testing.T) {
			h, err := identity.ParseHistoryText(v.History)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Identifier().String(); got != v.Identifier {
				t.Errorf("identifier %s, want %s", got, v.Identifier)
			}
			if got := h.Text(); got != v.History {
				t.Errorf("encoded again:\n got %s\nwant %s", got, v.History)
			}
			if !bytes.Equal(h.Bytes(), unhex(t, v.History)) {
				t.Error("Bytes and Text differ")
			}
			changes := h.Changes()
			if len(changes) != len(v.Changes) {
				t.Fatalf("%d changes, want %d", len(changes), len(v.Changes))
			}
			for i, want := range v.Changes {
				got := changes[i]
				if got.Hash.String() != want.Hash || got.PublicKey.String() != want.KeyType+": "+want.PublicKey ||
					got.RevokePurposeKeys != want.Revoke || uint64(got.ValidFrom) != want.From || uint64(got.ValidUntil) != want.Until {
					t.Errorf("change %d: got %+v, want %+v", i, got, want)
				}
			}
			last := changes[len(changes)-1]
			if h.LatestHash() != last.Hash || !h.LatestKey().Equal(last.PublicKey) {
				t.Error("latest hash or key is not that of the last change")
			}
		})
	}
}

// TestRebuild makes the recorded identities again from their secrets.
func TestRebuild(t *testing.T) {
	f := loadIdentities(t)
	vectors := f.Identities
	for _, r := range f.Rebuilt {
		for _, v := range f.Found {
			if v.Name == r.Name {
				v.Keys = []struct{ Type, Secret string }{{"EdDSACurve25519", r.Seed}}
				vectors = append(vectors, v)
			}
		}
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			keys := &nextKey{Software: vault.NewMemory()}
			var h *identity.History
			for i, c := range v.Changes {
				keys.secrets = append(keys.secrets, unhex(t, v.Keys[i].Secret))
				kt, err := vault.ParseKeyType(c.KeyType)
				if err != nil {
					t.Fatal(err)
				}
				opt := identity.CreateOptions{KeyType: kt, From: time.Unix(int64(c.From), 0), Until: time.Unix(int64(c.Until), 0)}
				if i == 0 {
					h, err = identity.Create(keys, opt)
				} else {
					h, err = h.Rotate(keys, identity.RotateOptions{CreateOptions: opt, RevokePurposeKeys: c.Revoke})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if h.Text() != v.History {
				t.Errorf("\n got %s\nwant %s", h.Text(), v.History)
			}
		})
	}
}

func TestTextForms(t *testing.T) {
	f := loadIdentities(t)
	for _, v := range f.IdentifierTx {
		id, err := identity.ParseIdentifier(v.Text)
		if (err == nil) != v.Accepted || err == nil && id.String() != v.Result {
			t.Errorf("identifier, %s: got %v, %v", v.Name, id, err)
		}
		var again identity.Identifier
		if err == nil {
			if b, _ := id.MarshalText(); again.UnmarshalText(b) != nil || again != id {
				t.Errorf("identifier, %s: does not round-trip", v.Name)
			}
		} else if again.UnmarshalText([]byte(v.Text)) == nil {
			t.Errorf("identifier, %s: UnmarshalText accepted it", v.Name)
		}
	}
	for _, v := range f.HistoryTx {
		h, err := identity.ParseHistoryText(v.Text)
		if (err == nil) != v.Accepted || err == nil && h.Identifier().String() != v.Result {
			t.Errorf("history, %s: got %v", v.Name, err)
		}
	}
	h := f.history(t, "alice").LatestHash()
	if got, err := identity.ParseChangeHash(" " + strings.ToUpper(h.String()) + "\n"); err != nil || got != h {
		t.Errorf("change hash: %v, %v", got, err)
	}
	if _, err := identity.ParseChangeHash(h.String()[2:]); err == nil {
		t.Error("a short change hash was accepted")
	}
}

func TestDecoding(t *testing.T) {
	var f struct {
		Items []struct {
			Name, Bytes string
			Accepted    bool
			Verifies    *bool
			Again       string `json:"encoded_again"`
		}
	}
	load(t, "decoding.json", &f)
	if len(f.Items) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range f.Items {
		t.Run(v.Name, func(t *testing.T) {
			var got []byte
			var err error
			kind, _, _ := strings.Cut(v.Name, ":")
			switch b := unhex(t, v.Bytes); kind {
			case "Attributes":
				var a identity.Attributes
				a, err = identity.ParseAttributes(b)
				got = a.Bytes()
			case "ChangeHistory":
				var h *identity.History
				if h, err = identity.ParseHistory(b); err == nil {
					got = h.Bytes()
				}
			case "VersionedData":
				got, err = identity.DecodeVersioned(b)
			case "IdentityAndCredentials":
				var p *identity.Proof
				if p, err = identity.ParseProof(b); err == nil {
					got = p.Bytes()
				}
			default:
				t.Fatalf("unknown kind %s", kind)
			}
			want := v.Accepted && (v.Verifies == nil || *v.Verifies)
			if (err == nil) != want {
				t.Fatalf("got %v, want accepted %v", err, want)
			}
			if want && hex.EncodeToString(got) != v.Again {
				t.Errorf("encoded again:\n got %x\nwant %s", got, v.Again)
			}
		})
	}
}

type attestationVector struct {
	Attestation, Subject, Key string
	PublicKey                 string `json:"public_key"`
	Hash                      string `json:"subject_latest_change_hash"`
	CreatedAt                 uint64 `json:"created_at"`
	ExpiresAt                 uint64 `json:"expires_at"`
}

type credentialVector struct {
	Encoded    string `json:"credential_and_purpose_key"`
	Subject    string
	Hash       string `json:"subject_latest_change_hash"`
	Schema     uint64
	Attributes []struct{ Key, Value string }
	CreatedAt  uint64            `json:"created_at"`
	ExpiresAt  uint64            `json:"expires_at"`
	Issuer     attestationVector `json:"issuer_attestation"`
}

type purposeKeysFile struct {
	Attestations []struct {
		Name  string
		Value attestationVector
	}
	Credentials []struct {
		Name  string
		Value credentialVector
	}
	Command struct {
		History string `json:"issuer_change_history"`
		Outputs []struct {
			Output string `json:"standard_output"`
		}
	} `json:"command_output"`
}

func loadPurposeKeys(t testing.TB) *purposeKeysFile {
	t.Helper()
	f := &purposeKeysFile{}
	load(t, "purpose-keys-and-credentials.json", f)
	if len(f.Attestations) == 0 || len(f.Credentials) == 0 {
		t.Fatal("no vectors")
	}
	return f
}

// signers maps what an attestation's name begins with to its signer's history.
var signers = []struct{ prefix, history string }{
	{"alice before her rotation", "alice: "},
	{"alice after the first rotation", "alice rotated: "},
	{"alice after the second rotation", "alice rotated twice"},
	{"alice", "alice: "},
	{"bob", "bob"},
	{"authority", "authority"},
}

func signer(t *testing.T, f *identitiesFile, name string) *identity.History {
	t.Helper()
	for _, s := range signers {
		if strings.HasPrefix(name, s.prefix) {
			return f.history(t, s.history)
		}
	}
	t.Fatalf("no signer of %q", name)
	return nil
}

func TestAttestations(t *testing.T) {
	ids := loadIdentities(t)
	for _, v := range loadPurposeKeys(t).Attestations {
		t.Run(v.Name, func(t *testing.T) {
			a, err := identity.ParseAttestation(unhex(t, v.Value.Attestation))
			if err != nil {
				t.Fatal(err)
			}
			purpose := map[string]identity.Purpose{
				"SecureChannelStatic": identity.PurposeChannel, "CredentialSigning": identity.PurposeCredentials,
			}
			name, keyType, _ := strings.Cut(v.Value.Key, "/")
			if a.Subject.String() != v.Value.Subject || a.SubjectChange.String() != v.Value.Hash || a.Purpose != purpose[name] ||
				a.PublicKey.String() != keyType+": "+v.Value.PublicKey ||
				uint64(a.CreatedAt) != v.Value.CreatedAt || uint64(a.ExpiresAt) != v.Value.ExpiresAt {
				t.Errorf("got %+v, want %+v", a, v.Value)
			}
			if got := hex.EncodeToString(a.Bytes()); got != v.Value.Attestation {
				t.Errorf("encoded again:\n got %s\nwant %s", got, v.Value.Attestation)
			}
			now := a.CreatedAt.Time().Add(100 * time.Second)
			if err := a.Verify(signer(t, ids, v.Name), now); err != nil {
				t.Error(err)
			}
			if err := a.Verify(ids.history(t, "P-256, one change"), now); err == nil {
				t.Error("verifies as another identity's")
			}
			if strings.Contains(v.Name, "before her rotation") {
				if err := a.Verify(ids.history(t, "alice rotated: "), now); err == nil {
					t.Error("verifies after the rotation")
				}
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	ids := loadIdentities(t)
	for _, v := range loadPurposeKeys(t).Credentials {
		t.Run(v.Name, func(t *testing.T) {
			c, err := identity.ParseCredentialText(v.Value.Encoded)
			if err != nil {
				t.Fatal(err)
			}
			if c.Text() != v.Value.Encoded || !bytes.Equal(c.Bytes(), unhex(t, v.Value.Encoded)) {
				t.Errorf("encoded again:\n got %s\nwant %s", c.Text(), v.Value.Encoded)
			}
			if got := hex.EncodeToString(c.Attestation().Bytes()); got != v.Value.Issuer.Attestation {
				t.Errorf("attestation %s, want %s", got, v.Value.Issuer.Attestation)
			}
			_, by, _ := strings.Cut(v.Name, " by ")
			histories := identity.NewMemoryStore()
			issuer := signer(t, ids, by)
			if err := histories.UpdateHistory(issuer); err != nil {
				t.Fatal(err)
			}
			subject, err := identity.ParseIdentifier(v.Value.Subject)
			if err != nil {
				t.Fatal(err)
			}
			opt := identity.VerifyOptions{
				Histories:   histories,
				Authorities: []identity.Identifier{subject, issuer.Identifier()},
				Subject:     &subject,
				Now:         identity.Timestamp(v.Value.CreatedAt).Time(),
			}
			data, err := c.Verify(opt)
			if err != nil {
				t.Fatal(err)
			}
			if data.Issuer != issuer.Identifier() || data.Subject != subject || data.SubjectChange.String() != v.Value.Hash ||
				uint64(data.CreatedAt) != v.Value.CreatedAt || uint64(data.ExpiresAt) != v.Value.ExpiresAt ||
				data.Attributes.Schema != v.Value.Schema || len(data.Attributes.Values) != len(v.Value.Attributes) {
				t.Errorf("got %+v, want %+v", data, v.Value)
			}
			for _, a := range v.Value.Attributes {
				if got := data.Attributes.Values[string(unhex(t, a.Key))]; got != string(unhex(t, a.Value)) {
					t.Errorf("attribute %s is %q, want %s", a.Key, got, a.Value)
				}
			}
		})
	}
}

// TestCredentialOfTheCommand reads what the reference's command has issued.
func TestCredentialOfTheCommand(t *testing.T) {
	f := loadPurposeKeys(t)
	h, err := identity.ParseHistoryText(f.Command.History)
	if err != nil {
		t.Fatal(err)
	}
	c, err := identity.ParseCredentialText(f.Command.Outputs[0].Output)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := data.Attributes.String(), `schema 1, "ockam-relay"="*", "role"="member"`; got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
	store := identity.NewMemoryStore()
	opt := identity.VerifyOptions{Histories: store, Authorities: []identity.Identifier{h.Identifier()}, Now: data.CreatedAt.Time()}
	if _, err := c.Verify(opt); !errors.Is(err, identity.ErrUnknownIdentity) {
		t.Errorf("with the issuer's history unknown: %v, want ErrUnknownIdentity", err)
	}
	if err := store.UpdateHistory(h); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(opt); err != nil {
		t.Error(err)
	}
}

type payloadVector struct {
	Name       string
	Listener   string
	Clock      int64
	Payload    string   `json:"payload_3"`
	Accepted   bool     `json:"handshake_accepted"`
	Subject    string   `json:"subject"`
	History    string   `json:"history_stored_for_the_subject_afterwards"`
	Attributes []string `json:"attributes_stored_for_the_subject_afterwards"`
}

func loadPayloads(t testing.TB) []payloadVector {
	t.Helper()
	var f struct {
		Payloads []payloadVector `json:"payload_3"`
	}
	load(t, "payloads.json", &f)
	if len(f.Payloads) == 0 {
		t.Fatal("no vectors")
	}
	return f.Payloads
}

// TestPayloads takes payloads as the responder of a handshake does and compares
// with what a reference responder made of them, one after the other.
func TestPayloads(t *testing.T) {
	static := unhex(t, "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f")
	authority := loadIdentities(t).history(t, "authority")
	store := identity.NewMemoryStore()
	if err := store.UpdateHistory(authority); err != nil {
		t.Fatal(err)
	}
	take := func(v payloadVector) error {
		now := time.Unix(v.Clock, 0)
		p, err := identity.ParseProof(unhex(t, v.Payload))
		if err != nil {
			return err
		}
		if err := store.UpdateHistory(p.History); err != nil {
			return err
		}
		if err := p.Attestation.Verify(p.History, now); err != nil {
			return err
		}
		want := vault.PublicKey{Type: vault.X25519, Bytes: static}
		if p.Attestation.Purpose != identity.PurposeChannel || !p.Attestation.PublicKey.Equal(want) {
			return errors.New("not the static key")
		}
		subject := p.History.Identifier()
		opt := identity.VerifyOptions{Histories: store, Subject: &subject, Now: now}
		if v.Listener == "api" {
			opt.Authorities = []identity.Identifier{authority.Identifier()}
		}
		for _, c := range p.Credentials {
			if data, err := c.Verify(opt); err == nil {
				if err := store.PutAttributes(subject, data.Entry(now)); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	}
	for _, v := range loadPayloads(t) {
		t.Run(v.Name, func(t *testing.T) {
			if err := take(v); (err == nil) != v.Accepted {
				t.Errorf("got %v, want accepted %v", err, v.Accepted)
			}
			if v.Subject == "" {
				return
			}
			subject, err := identity.ParseIdentifier(v.Subject)
			if err != nil {
				t.Fatal(err)
			}
			stored := ""
			if h, err := store.History(subject); err == nil {
				stored = h.Text()
			}
			if stored != v.History {
				t.Errorf("history stored:\n got %s\nwant %s", stored, v.History)
			}
			e, ok, err := store.Attributes(subject, time.Unix(v.Clock, 0))
			if err != nil {
				t.Fatal(err)
			}
			if ok != (v.Attributes != nil) || len(e.Attributes.Values) != len(v.Attributes) {
				t.Fatalf("attributes stored: %v, want %v", e.Attributes, v.Attributes)
			}
			for _, a := range v.Attributes {
				name, value, _ := strings.Cut(a, "=")
				if e.Attributes.Values[name] != value {
					t.Errorf("attributes stored: %v, want %s", e.Attributes, a)
				}
			}
		})
	}
}
