package portal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"ockam/tunnel/portal"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// messageVectors are those of docs/protocol.md, recorded from the reference
// implementation (Rust, revision fb8fb64cd) and its Elixir counterpart's tests.
var messageVectors = []struct {
	name string
	hex  string
	want portal.Message
	same bool // we write the same bytes
}{
	{"ping", "00", portal.Message{Kind: portal.Ping}, true},
	{"pong", "01", portal.Message{Kind: portal.Pong}, true},
	{"disconnect", "02", portal.Message{Kind: portal.Disconnect}, true},
	{"payload", "030568656c6c6f", portal.Message{Kind: portal.Payload, Data: []byte("hello")}, true},
	{"no counter", "030568656c6c6f00", portal.Message{Kind: portal.Payload, Data: []byte("hello")}, false},
	{
		"counter", "030568656c6c6f017b00",
		portal.Message{Kind: portal.Payload, Data: []byte("hello"), Counter: 123, Counted: true},
		true,
	},
	{"empty payload", "0300", portal.Message{Kind: portal.Payload, Data: []byte{}}, true},
	{"over-long length", "03810041", portal.Message{Kind: portal.Payload, Data: []byte("A")}, false},
	{"two trailing bytes", "0301410105", portal.Message{Kind: portal.Payload, Data: []byte("A")}, false},
	{"trailing bytes that are none", "030141020000", portal.Message{Kind: portal.Payload, Data: []byte("A")}, false},
	{"no counter and more", "030141000505", portal.Message{Kind: portal.Payload, Data: []byte("A")}, false},
	{
		"counter and more", "030141010000ffff",
		portal.Message{Kind: portal.Payload, Data: []byte("A"), Counted: true},
		false,
	},
	{"ping and more", "000102", portal.Message{Kind: portal.Ping}, false},
	{"pong and more", "010909", portal.Message{Kind: portal.Pong}, false},
	{"disconnect and more", "0200", portal.Message{Kind: portal.Disconnect}, false},
}

func equal(a, b portal.Message) bool {
	return a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) && a.Counter == b.Counter && a.Counted == b.Counted
}

func TestMessage(t *testing.T) {
	for _, tt := range messageVectors {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			got, err := portal.ParseMessage(b)
			if err != nil || !equal(got, tt.want) {
				t.Fatalf("ParseMessage = %+v, %v, want %+v", got, err, tt.want)
			}
			if enc := got.Append(nil); tt.same && !bytes.Equal(enc, b) {
				t.Errorf("Append = %x, want %x", enc, b)
			}
		})
	}
	for n, want := range map[int]string{300: "03ac02", 49152: "03808003"} {
		if got := (portal.Message{Kind: portal.Payload, Data: make([]byte, n)}).Append(nil); !bytes.HasPrefix(got, unhex(t, want)) {
			t.Errorf("head for %d bytes is % x, want %s", n, got[:4], want)
		}
	}
}

func TestParseMessageRefuses(t *testing.T) {
	for _, s := range []string{"", "04", "ff", "0309616263", "03", "0380", "03ffffffffffffffffff01", "03ffffffffffffffffff7f"} {
		if m, err := portal.ParseMessage(unhex(t, s)); !errors.Is(err, portal.ErrMessage) {
			t.Errorf("ParseMessage(%s) = %+v, %v, want ErrMessage", s, m, err)
		}
	}
}

func TestParseMessageTruncated(t *testing.T) {
	full := portal.Message{Kind: portal.Payload, Data: make([]byte, 300)}.Append(nil)
	for i := range full {
		if _, err := portal.ParseMessage(full[:i]); err == nil {
			t.Errorf("ParseMessage accepted %d of %d bytes", i, len(full))
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, tt := range messageVectors {
		f.Add(unhex(f, tt.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := portal.ParseMessage(b)
		if err != nil {
			return
		}
		again, err := portal.ParseMessage(m.Append(nil))
		if err != nil || !equal(m, again) {
			t.Fatalf("%x parses as %+v, what we write of that as %+v, %v", b, m, again, err)
		}
	})
}
