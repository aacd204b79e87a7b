package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"ockam/tunnel/wire"
)

// The files in testdata were recorded from the reference implementation,
// revision fb8fb64cd; each begins with its source in words.

func load(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
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

type decoded struct {
	Onward, Return []string
	Payload        string
}

type tcpFrames struct {
	Items []struct {
		Name, Hex string
		Decoded   decoded
	}
	Probes []struct {
		Name, Sent, Connection, Reply string
	}
}

// encode makes the frame's content of h.
func encode(h wire.Header) []byte {
	b := wire.AppendMessageHead(nil, h.Onward, h.Return, len(h.Payload))
	return wire.AppendMessageTail(append(b, h.Payload...))
}

func texts(r wire.Route) []string {
	out := []string{}
	for _, a := range r.Addresses() {
		out = append(out, a.String())
	}
	return out
}

// TestRecordedFrames decodes what the reference sent and encodes it again.
func TestRecordedFrames(t *testing.T) {
	var v tcpFrames
	load(t, "tcp-frames.json", &v)
	seen := 0
	for _, item := range v.Items {
		b := unhex(t, item.Hex)
		if len(b) < 5 {
			continue // a version byte
		}
		h, err := wire.ParseMessage(b[4:])
		if err != nil {
			t.Errorf("%s: %v", item.Name, err)
			continue
		}
		d := item.Decoded
		if !slices.Equal(texts(h.Onward), d.Onward) || !slices.Equal(texts(h.Return), d.Return) ||
			hex.EncodeToString(h.Payload) != d.Payload {
			t.Errorf("%s: %v, %v, %x; want %+v", item.Name, h.Onward, h.Return, h.Payload, d)
		}
		if got := encode(h); !bytes.Equal(got, b[4:]) {
			t.Errorf("%s: encoded again\n got %x\nwant %x", item.Name, got, b[4:])
		}
		if got := wire.MessageSize(h.Onward, h.Return, len(h.Payload)); got != len(b)-4 {
			t.Errorf("%s: size %d, want %d", item.Name, got, len(b)-4)
		}
		seen++
	}
	if seen < 10 {
		t.Errorf("only %d frames", seen)
	}
}

// TestProbes sends what an independent client sent to the reference: what closed
// the connection is refused, the rest is not.
func TestProbes(t *testing.T) {
	var v tcpFrames
	load(t, "tcp-frames.json", &v)
	seen := map[bool]int{}
	for _, p := range v.Probes {
		b := unhex(t, p.Sent)
		if len(b) < 4 || len(b)-4 != int(b[0])<<24|int(b[1])<<16|int(b[2])<<8|int(b[3]) {
			continue // about the frame, not its content
		}
		want := p.Connection == "stays open"
		seen[want]++
		h, err := wire.ParseMessage(b[4:])
		if (err == nil) != want {
			t.Errorf("%s: %v, want accepted: %v", p.Name, err, want)
		}
		if err != nil {
			continue
		}
		again, err := wire.ParseMessage(encode(h))
		if err != nil || !sameHeader(h, again) {
			t.Errorf("%s: encoded again it is %+v, %v", p.Name, again, err)
		}
	}
	if seen[true] < 30 || seen[false] < 12 {
		t.Errorf("only %v probes", seen)
	}
}

func sameHeader(a, b wire.Header) bool {
	return a.Onward.Equal(b.Onward) && a.Return.Equal(b.Return) && bytes.Equal(a.Payload, b.Payload)
}

// TestDecodingRows has the messages within recorded channel messages.
func TestDecodingRows(t *testing.T) {
	var v struct {
		Items []struct {
			Name, Bytes  string
			Accepted     bool
			EncodedAgain string `json:"encoded_again"`
		}
	}
	load(t, "decoding.json", &v)
	seen := 0
	for _, item := range v.Items {
		in, ok := inner(unhex(t, item.Bytes))
		if !ok {
			continue
		}
		seen++
		h, err := wire.ParseMessage(in)
		if (err == nil) != item.Accepted {
			t.Errorf("%s: %v, want accepted: %v", item.Name, err, item.Accepted)
		}
		if err != nil || !item.Accepted {
			continue
		}
		want, _ := inner(unhex(t, item.EncodedAgain))
		got := encode(h)
		got[0]-- // the message in a channel has no tracing context
		if got = got[:len(got)-3]; !bytes.Equal(got, want) {
			t.Errorf("%s: encoded again\n got %x\nwant %x", item.Name, got, want)
		}
	}
	if seen < 8 {
		t.Errorf("only %d rows", seen)
	}
}

// inner returns the message in the payload variant of a channel's message.
func inner(b []byte) ([]byte, bool) {
	head := []byte{0x82, 0x82, 0x00, 0x81}
	if !bytes.HasPrefix(b, head) {
		return nil, false
	}
	return b[len(head) : len(b)-1], true // an empty padding
}

func TestRecordedSession(t *testing.T) {
	var v struct {
		Frames []struct {
			TCP     string
			Payload string
			Onward  [][2]any `json:"onward_route"`
			Return  [][2]any `json:"return_route"`
		}
	}
	load(t, "session-frames.json", &v)
	if len(v.Frames) == 0 {
		t.Fatal("no frames")
	}
	route := func(list [][2]any) wire.Route {
		var addrs []wire.Address
		for _, a := range list {
			addrs = append(addrs, wire.Address{Type: uint8(a[0].(float64)), Name: a[1].(string)})
		}
		return wire.NewRoute(addrs...)
	}
	for i, f := range v.Frames {
		want := wire.Header{Onward: route(f.Onward), Return: route(f.Return), Payload: unhex(t, f.Payload)}
		b := unhex(t, f.TCP)[4:]
		h, err := wire.ParseMessage(b)
		if err != nil || !sameHeader(h, want) {
			t.Errorf("frame %d: %+v, %v; want %+v", i, h, err, want)
		}
		if got := encode(want); !bytes.Equal(got, b) {
			t.Errorf("frame %d: encoded\n got %x\nwant %x", i, got, b)
		}
	}
}

// TestParseMessageTruncated cuts each recorded frame at every length.
func TestParseMessageTruncated(t *testing.T) {
	var v tcpFrames
	load(t, "tcp-frames.json", &v)
	for _, item := range v.Items {
		b := unhex(t, item.Hex)
		if len(b) < 5 {
			continue
		}
		for i := range len(b) - 4 {
			if _, err := wire.ParseMessage(b[4 : 4+i]); err == nil {
				t.Errorf("%s: accepted %d of %d bytes", item.Name, i, len(b)-4)
			}
		}
	}
}
