package puncture_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/puncture"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// payloads returns what the reference implementation, revision fb8fb64cd, sent to
// a rendezvous server and through a puncture, and what it got.
func payloads(t testing.TB) (all []string) {
	t.Helper()
	b, err := os.ReadFile("../../transports/udp/testdata/udp.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Items []struct {
			Decoded struct {
				Last    bool
				Offset  int
				Message struct{ Payload string }
			}
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, i := range v.Items {
		if i.Decoded.Last && i.Decoded.Offset == 0 && i.Decoded.Message.Payload != "" {
			all = append(all, i.Decoded.Message.Payload)
		}
	}
	if len(all) < 20 {
		t.Fatalf("%d payloads", len(all))
	}
	return all
}

func TestRecordedPayloads(t *testing.T) {
	for _, p := range payloads(t) {
		b := unhex(t, p)
		again, err := puncture.Recode(b)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s is %x again, %v", p, again, err)
		}
		for i := range b {
			if again, err := puncture.Recode(b[:i]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted, as %x", p, i, len(b), again)
			}
		}
	}
}

const (
	initiate = "82 71 3230332e302e3131332e373a3430303030 98 20" +
		"18301830183018311830183218301833183018341830183518301836183018371830183818301839183018611830186218301863183018641830186518301866"
	shortInitiate = "82703230332e302e3131332e373a34303030841830186118311862"
)

func TestNegotiation(t *testing.T) {
	for _, tt := range []struct{ hex, public, remote string }{
		{initiate, "203.0.113.7:40000", "000102030405060708090a0b0c0d0e0f"},
		{shortInitiate, "203.0.113.7:4000", "0a1b"},
	} {
		b := unhex(t, tt.hex)
		n, err := puncture.ParseNegotiation(b)
		public, remote := n.Fields()
		if err != nil || public != tt.public || remote != tt.remote {
			t.Errorf("%s: %q, %q, %v", tt.hex, public, remote, err)
		}
		if again := puncture.MakeNegotiation(tt.public, tt.remote).Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%q: %x", tt.public, again)
		}
		for i := range b {
			if _, err := puncture.ParseNegotiation(b[:i]); err == nil {
				t.Errorf("%d of %d bytes accepted", i, len(b))
			}
		}
	}
	for name, s := range map[string]string{
		"byte string for the address": "8263612e62 43616263",
		"text for the address":        "8263612e62 63616263",
		"integer above a byte":        "8263612e62 81190100",
		"one element":                 "8163612e62",
		"no text":                     "8243612e62 811861",
		"not UTF-8":                   "8261ff 811861",
		"announced only":              "8263612e62 9b0000010000000000 1861",
		"endless":                     "8263612e62 9f 1861",
	} {
		if _, err := puncture.ParseNegotiation(unhex(t, s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, s := range map[string]string{
		"indefinite":      "9f 63612e62 9f 1861 ff ff",
		"wide integers":   "82 63612e62 82 190061 1861",
		"more elements":   "83 63612e62 811861 f6",
		"bytes behind it": "82 63612e62 811861 ffff",
	} {
		if _, err := puncture.ParseNegotiation(unhex(t, s)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPayload(t *testing.T) {
	route := func(name string) tunnel.Route { return tunnel.NewRoute(tunnel.LocalAddress(name)) }
	for _, tt := range []struct {
		onward, ret tunnel.Route
		payload, in string
	}{
		{route("api"), route("app"), "056869", "820283 8182004361706981820043617070 830518681869"},
		{route("aa"), tunnel.Route{}, "0118ff", "820283 8182004261618083 01 1818 18ff"},
	} {
		b := puncture.AppendPayload(nil, tt.onward, tt.ret, unhex(t, tt.payload))
		if !bytes.Equal(b, unhex(t, tt.in)) || puncture.PayloadSize(tt.onward, tt.ret, unhex(t, tt.payload)) != len(b) {
			t.Errorf("%x, want %s", b, tt.in)
		}
	}
	for name, s := range map[string]string{
		"byte string for the payload": "820283 81820042616180 43 0118ff",
		"two fields":                  "820282 81820042616180",
		"no array of two":             "830283 81820042616180 8101",
		"unknown variant":             "820383 81820042616180 8101",
		"indefinite variant":          "9f0283 81820042616180 8101 ff",
	} {
		if _, err := puncture.Recode(unhex(t, s)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAddressAnswer(t *testing.T) {
	const answer = "8201 81 70 3230332e302e3131332e373a34303030"
	if b := puncture.AppendAddressAnswer(nil, "203.0.113.7:4000"); !bytes.Equal(b, unhex(t, answer)) {
		t.Errorf("%x", b)
	}
	if a, err := puncture.ParseAddressAnswer(unhex(t, answer)); err != nil || a.String() != "203.0.113.7:4000" {
		t.Errorf("%v, %v", a, err)
	}
	for name, s := range map[string]string{
		"Pong":               "820080",
		"no address":         "820180",
		"no port":            "82018169" + hex.EncodeToString([]byte("127.0.0.1")),
		"port 0":             "8201816b" + hex.EncodeToString([]byte("127.0.0.1:0")),
		"everywhere":         "82018169" + hex.EncodeToString([]byte("0.0.0.0:1")),
		"to many":            "8201816b" + hex.EncodeToString([]byte("224.0.0.1:1")),
		"a name":             "8201816b" + hex.EncodeToString([]byte("localhost:1")),
		"a byte string":      "8201814131",
		"a length not there": "8201817878",
	} {
		if a, err := puncture.ParseAddressAnswer(unhex(t, s)); err == nil {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// FuzzMessages: what is read and encoded again stays what it is.
func FuzzMessages(f *testing.F) {
	for _, p := range payloads(f) {
		f.Add(unhex(f, p))
	}
	for _, s := range []string{initiate, shortInitiate, "8201f6", "82028380809f1861ff", "8202838080825800"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if again, err := puncture.Recode(b); err == nil {
			if third, err := puncture.Recode(again); err != nil || !bytes.Equal(third, again) {
				t.Fatalf("%x, then %x, %v", again, third, err)
			}
		}
		if n, err := puncture.ParseNegotiation(b); err == nil {
			again := n.Append(nil)
			if n, err := puncture.ParseNegotiation(again); err != nil || !bytes.Equal(n.Append(nil), again) {
				t.Fatalf("%x, %v", again, err)
			}
		}
	})
}
