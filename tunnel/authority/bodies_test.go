package authority_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/api"
	"ockam/tunnel/authority"
)

// bodies makes a body of each kind.
var bodies = []func() api.Body{
	func() api.Body { return new(authority.AddMember) },
	func() api.Body { return new(authority.Entry) },
	func() api.Body { return new(authority.Entries) },
	func() api.Body { return new(authority.Identifiers) },
	func() api.Body { return new(authority.CreateToken) },
	func() api.Body { return new(authority.CodeBody) },
	func() api.Body { return new(authority.CredentialBody) },
	func() api.Body { return new(authority.OktaEnroll) },
}

// recordedBodies returns the bodies that were recorded, by kind.
func recordedBodies(t testing.TB) map[int][][]byte {
	t.Helper()
	all := map[int][][]byte{}
	add := func(body []byte) {
		for kind, make := range bodies {
			if rest, err := api.Parse(body, make()); err == nil && len(rest) == 0 {
				all[kind] = append(all[kind], body)
			}
		}
	}
	for _, e := range loadRecording(t).Items {
		if r, err := api.ParseRequest(unhex(t, e.Hex)); err == nil {
			add(r.Body)
		}
		if e.Answer == nil {
			continue
		}
		if a, err := api.ParseResponse(unhex(t, *e.Answer)); err == nil {
			add(a.Body)
		}
	}
	for kind := range bodies {
		if len(all[kind]) == 0 {
			t.Fatalf("no recorded body of kind %d", kind)
		}
	}
	return all
}

// rewrite reads a body and writes it.
func rewrite(kind int, b []byte) ([]byte, error) {
	v := bodies[kind]()
	if _, err := api.Parse(b, v); err != nil {
		return nil, err
	}
	return api.Append(nil, v)
}

// TestRecordedBodies writes each as it was recorded, where the order is defined and
// nothing is in it that we do not write.
func TestRecordedBodies(t *testing.T) {
	n := 0
	for kind, list := range recordedBodies(t) {
		for _, b := range list {
			got, err := rewrite(kind, b)
			if err != nil {
				t.Errorf("%x: %v", b, err)
			}
			if bytes.Equal(got, b) {
				n++
			} else if len(got) > len(b) {
				t.Errorf("kind %d:\n%x, want\n%x", kind, got, b)
			}
			for i := range b {
				if _, err := api.Parse(b[:i], bodies[kind]()); err == nil {
					t.Errorf("kind %d: accepted %d bytes of %x", kind, i, b)
				}
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d bodies are written as they were recorded", n)
	}
}

// TestSpecifiedBodies has the examples of the protocol's description.
func TestSpecifiedBodies(t *testing.T) {
	ones := "5820" + string(bytes.Repeat([]byte("11"), 32))
	entry := "a301a183186b186518798518761861186c18751865021a6553f10004" + ones
	for kind, list := range map[int][]string{
		0: {"a201" + ones + "02a1636b65796576616c7565", "a201" + ones + "02a0"},
		1: {
			entry, "a401a183186b186518798518761861186c18751865021a6553f100031a6553f35804" + ones,
			"a201a3811861811832821862186281183182186318ff80021a6553f100",
		},
		2: {"a1" + ones + entry, "a0"},
		3: {"81" + ones, "80"},
		4: {"a201a169636f6d706f6e656e7462646202190258", "a301a169636f6d706f6e656e74626462021902580302", "a101a0"},
		5: {"a1015820" + string(bytes.Repeat([]byte("ab"), 32))},
		7: {"a201000263746f6b"},
	} {
		for _, s := range list {
			b := unhex(t, s)
			if got, err := rewrite(kind, b); err != nil || !bytes.Equal(got, b) {
				t.Errorf("kind %d: %x, %v, want %s", kind, got, err, s)
			}
		}
	}
	for kind, list := range map[int][]string{
		0: {"a101" + ones, "a102a0", "a201" + ones + "02f6", "a2015821" + string(bytes.Repeat([]byte("11"), 33)) + "02a0", "a201" + ones + "02a1416b4176"},
		1: {"a201a1416b41760200", "a201a181190100800200", "a101a0"},
		4: {"a10219" + "0258", "a0", "a201a00220"},
		5: {"a101581f" + string(bytes.Repeat([]byte("ab"), 31)), "a101" + "83010203", "a0"},
		6: {"80", "a0"},
		7: {"a20101" + "0263746f6b", "a1026374" + "6f6b"},
	} {
		for _, s := range list {
			if got, err := rewrite(kind, unhex(t, s)); err == nil {
				t.Errorf("kind %d: %s was accepted as %x", kind, s, got)
			}
		}
	}
}

// FuzzBodies reads b as a body of the kind-th kind. What is accepted is written,
// read and written again: the two must be the same, well-formed, and one item.
func FuzzBodies(f *testing.F) {
	for kind, list := range recordedBodies(f) {
		for _, b := range list {
			f.Add(uint8(kind), b)
		}
	}
	mode, err := cbor.DecOptions{MaxNestedLevels: 65535}.DecMode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		k := int(kind) % len(bodies)
		first, err := rewrite(k, b)
		if err != nil {
			return
		}
		second, err := rewrite(k, first)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%x: %x, again %x, %v", b, first, second, err)
		}
		if err := mode.Wellformed(first); err != nil {
			t.Fatalf("%x: %x: %v", b, first, err)
		}
	})
}

// FuzzServices sends anything to any service. There is always an answer.
func FuzzServices(f *testing.F) {
	services := []string{authority.CredentialIssuer, authority.DirectAuthenticator, authority.TokenIssuer, authority.TokenAcceptor}
	n := 0
	for _, e := range loadRecording(f).Items {
		if at := slices.Index(services, e.Address); at >= 0 {
			f.Add(uint8(at), unhex(f, e.Hex))
			n++
		}
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	g := newRig(f, nil)
	enroller := g.newCaller()
	f.Fuzz(func(t *testing.T, service uint8, payload []byte) {
		g.TB = t // one call at a time
		g.trust(nil)
		if err := g.Store.PutMember(g.Context(), authority.Member{Identifier: enroller, Attributes: attributes("ockam-role=enroller")}); err != nil {
			t.Fatal(err)
		}
		b, ok := g.ask(g.origin(enroller), services[int(service)%len(services)], payload)
		if !ok {
			t.Fatal("no answer")
		}
		if a, err := api.ParseResponse(b); err != nil || a.Status == 0 {
			t.Fatalf("%x: %x: %v", payload, b, err)
		}
		g.lastEvent()
	})
}
