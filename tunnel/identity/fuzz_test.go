package identity_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/identity"
)

// seeds adds the recorded encodings whose names begin with kind, and the
// payloads; it fails when there are none.
func seeds(f *testing.F, kind string) {
	f.Helper()
	n := 0
	add := func(s string) {
		f.Add(unhex(f, s))
		n++
	}
	b, err := os.ReadFile("testdata/decoding.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct {
		Items []struct{ Name, Bytes string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		f.Fatal(err)
	}
	for _, i := range file.Items {
		if strings.HasPrefix(i.Name, kind) {
			add(i.Bytes)
		}
	}
	switch kind {
	case "IdentityAndCredentials":
		for _, p := range loadPayloads(f) {
			add(p.Payload)
		}
	case "ChangeHistory":
		for _, i := range loadIdentities(f).Identities {
			add(i.History)
		}
	case "Attestation":
		for _, a := range loadPurposeKeys(f).Attestations {
			add(a.Value.Attestation)
		}
	case "Credential":
		for _, c := range loadPurposeKeys(f).Credentials {
			add(c.Value.Encoded)
		}
	case "Refresh":
		for _, i := range loadIdentities(f).Identities {
			for _, c := range loadPurposeKeys(f).Credentials {
				add("82" + i.History + "81" + c.Value.Encoded)
			}
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
}

// check wants that what was accepted is well-formed in the eyes of another
// decoder and that its encoding is accepted again and stays the same.
func check(t *testing.T, encoded []byte, parse func([]byte) ([]byte, error)) {
	t.Helper()
	if err := cbor.Wellformed(encoded); err != nil {
		t.Fatalf("encoded %x: %v", encoded, err)
	}
	again, err := parse(encoded)
	if err != nil || string(again) != string(encoded) {
		t.Fatalf("parsed again: %v\n got %x\nwant %x", err, again, encoded)
	}
}

func fuzz(f *testing.F, kind string, parse func([]byte) ([]byte, error)) {
	seeds(f, kind)
	f.Fuzz(func(t *testing.T, b []byte) {
		encoded, err := parse(b)
		if err == nil {
			check(t, encoded, parse)
		}
	})
}

func FuzzParseHistory(f *testing.F) {
	fuzz(f, "ChangeHistory", func(b []byte) ([]byte, error) {
		h, err := identity.ParseHistory(b)
		if err != nil {
			return nil, err
		}
		return h.Bytes(), nil
	})
}

func FuzzParseAttributes(f *testing.F) {
	fuzz(f, "Attributes", func(b []byte) ([]byte, error) {
		a, err := identity.ParseAttributes(b)
		return a.Bytes(), err
	})
}

func FuzzParseAttestation(f *testing.F) {
	fuzz(f, "Attestation", func(b []byte) ([]byte, error) {
		a, err := identity.ParseAttestation(b)
		if err != nil {
			return nil, err
		}
		return a.Bytes(), nil
	})
}

func FuzzParseCredential(f *testing.F) {
	fuzz(f, "Credential", func(b []byte) ([]byte, error) {
		c, err := identity.ParseCredential(b)
		if err != nil {
			return nil, err
		}
		return c.Bytes(), nil
	})
}

func FuzzParseProof(f *testing.F) {
	fuzz(f, "IdentityAndCredentials", func(b []byte) ([]byte, error) {
		p, err := identity.ParseProof(b)
		if err != nil {
			return nil, err
		}
		return p.Bytes(), nil
	})
}

func FuzzParseRefresh(f *testing.F) {
	fuzz(f, "Refresh", func(b []byte) ([]byte, error) {
		r, _, err := identity.ParseRefresh(b)
		if err != nil {
			return nil, err
		}
		return r.Append(nil), nil
	})
}

func TestTruncated(t *testing.T) {
	payloads := loadPayloads(t)
	for _, p := range payloads {
		if !p.Accepted || strings.HasPrefix(p.Name, "payload: bytes after") {
			continue
		}
		full := unhex(t, p.Payload)
		for i := range full {
			if _, err := identity.ParseProof(full[:i]); err == nil {
				t.Errorf("%s: accepted %d of %d bytes", p.Name, i, len(full))
			}
		}
	}
	a := unhex(t, loadPurposeKeys(t).Attestations[0].Value.Attestation)
	for i := range a {
		if _, err := identity.ParseAttestation(a[:i]); err == nil {
			t.Errorf("attestation: accepted %d of %d bytes", i, len(a))
		}
	}
	attrs := unhex(t, "8201a2426161413241624131")
	for i := range attrs {
		if _, err := identity.ParseAttributes(attrs[:i]); err == nil {
			t.Errorf("attributes: accepted %d of %d bytes", i, len(attrs))
		}
	}
}

// TestRefresh reads a RefreshCredentials plaintext that a Rust node sent; it is
// kept in a test of the reference's Elixir implementation.
func TestRefresh(t *testing.T) {
	text, err := os.ReadFile("testdata/refresh.hex")
	if err != nil {
		t.Fatal(err)
	}
	plaintext := unhex(t, strings.TrimSpace(string(text)))
	b := plaintext[4:] // padded message of 2, variant 1, one field
	r, rest, err := identity.ParseRefresh(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != "\x40" {
		t.Errorf("after it %x, want the empty padding", rest)
	}
	if got := r.Append(nil); string(got) != string(b[:len(b)-1]) {
		t.Errorf("encoded again:\n got %x\nwant %x", got, b)
	}
	if got := r.History.Identifier().String(); got != "I904192e6e480915e0d1256d3abf9c3c9c67bc2b4c41ffca77550d8a3f12fbb1e" {
		t.Errorf("from %s", got)
	}
	if len(r.Credentials) != 1 {
		t.Fatalf("%d credentials, want 1", len(r.Credentials))
	}
	data, err := r.Credentials[0].Data()
	if err != nil {
		t.Fatal(err)
	}
	const project = "767d461c-9851-4c0b-bfc6-6d3334b5bcc2"
	want := identity.Attributes{Schema: 1, Values: map[string]string{
		"ockam-relay": "*", "ockam-role": "enroller", "project_id": project, "trust_context_id": project,
	}}
	if data.Issuer.String() != "Ib1fea1775d75079abdb1e78b96921fa9ec340bc2b5aa70f37e65342d859cf550" ||
		data.Subject != r.History.Identifier() || data.CreatedAt != 1704764367 || data.ExpiresAt != 1704764397 ||
		data.Attributes.String() != want.String() {
		t.Errorf("got %+v", data)
	}
	for i := range len(b) - 1 {
		if _, _, err := identity.ParseRefresh(b[:i]); err == nil {
			t.Errorf("accepted %d of %d bytes", i, len(b))
		}
	}
}
