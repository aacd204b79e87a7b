package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"ockam/tunnel/wire"
)

// hostile messages must be refused at once and for next to no memory.
func TestParseMessageHostile(t *testing.T) {
	hop := []byte{0x82, 0x00, 0x41, 'a'}
	million := bytes.Repeat(hop, 1_000_000)
	count := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0x9a}, n) }
	huge := func(head byte, n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{head}, n) }
	nested := func(open, closing byte) []byte {
		b := append([]byte{0x85, 0x80, 0x80, 0x40, 0xf6}, bytes.Repeat([]byte{open}, 100_000)...)
		b = append(b, 0x80)
		if closing != 0 {
			b = append(b, bytes.Repeat([]byte{closing}, 100_000)...)
		}
		return b
	}
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	end := []byte{0x80, 0x40}
	for _, tt := range []struct {
		name string
		in   []byte
		want error // nil: any
	}{
		{"a million hops", cat([]byte{0x84}, count(1_000_000), million, end), wire.ErrTooManyHops},
		{"a million hops back", cat([]byte{0x83, 0x80}, count(1_000_000), million, []byte{0x40}), wire.ErrTooManyHops},
		{"a million hops, indefinite", cat([]byte{0x83, 0x9f}, million, []byte{0xff}, end), wire.ErrTooManyHops},
		{"65 hops", cat([]byte{0x83, 0x98, 65}, million[:65*4], end), wire.ErrTooManyHops},
		{"2^40 hops announced", cat([]byte{0x84}, huge(0x9b, 1<<40), million[:4000], end), nil},
		{"2^64-1 hops announced", cat([]byte{0x84}, huge(0x9b, 1<<64-1), million[:4000], end), nil},
		{"2^40 elements announced", cat(huge(0x9b, 1<<40), end, end, end), nil},
		{"payload of 2^40", cat([]byte{0x83, 0x80, 0x80}, huge(0x5b, 1<<40), []byte("x")), nil},
		{"payload of 2^64-1", cat([]byte{0x83, 0x80, 0x80}, huge(0x5b, 1<<64-1), []byte("x")), nil},
		{"name of 2^63", cat([]byte{0x83, 0x81, 0x82, 0x00}, huge(0x5b, 1<<63), []byte("x"), end), nil},
		{"trace of 2^40", cat([]byte{0x84, 0x80, 0x80, 0x40}, huge(0x7b, 1<<40), []byte("x")), nil},
		{"extra map of 2^63", cat([]byte{0x85, 0x80, 0x80, 0x40, 0xf6}, huge(0xbb, 1<<63), []byte("x")), nil},
		{"extra arrays 100,000 deep", nested(0x81, 0), wire.ErrMalformed},
		{"extra tags 100,000 deep", nested(0xc1, 0), wire.ErrMalformed},
		{"extra indefinite arrays 100,000 deep", nested(0x9f, 0xff), wire.ErrMalformed},
		{"extra indefinite maps 100,000 deep", nested(0xbf, 0xff), wire.ErrMalformed},
		{"route of routes", cat([]byte{0x83}, bytes.Repeat([]byte{0x81}, 100_000), end), nil},
		{"empty", nil, wire.ErrTruncated},
		{"break", []byte{0xff}, wire.ErrMalformed},
		{"reserved length", []byte{0x9c, 0x80, 0x80, 0x40}, wire.ErrMalformed},
		{"no break", []byte{0x9f, 0x80, 0x80, 0x40}, wire.ErrTruncated},
		{"break too early", []byte{0x9f, 0x80, 0x80, 0xff}, wire.ErrMalformed},
		{"indefinite integer in an address", []byte{0x83, 0x81, 0x82, 0x1f, 0x41, 'a', 0x80, 0x40}, wire.ErrMalformed},
		{"extra of an unassigned form", []byte{0x85, 0x80, 0x80, 0x40, 0xf6, 0xfc}, wire.ErrMalformed},
		{"extra simple value in two bytes", []byte{0x85, 0x80, 0x80, 0x40, 0xf6, 0xf8, 0x18}, wire.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := wire.ParseMessage(tt.in)
			runtime.ReadMemStats(&after)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
				t.Errorf("allocated %d bytes", n)
			}
		})
	}
}

// TestParseMessageTolerant has what the reference accepts besides what it sends.
func TestParseMessageTolerant(t *testing.T) {
	want := wire.Header{
		Onward:  wire.NewRoute(wire.LocalAddress("a"), wire.Address{Type: 200, Name: "b"}),
		Return:  wire.NewRoute(wire.LocalAddress("")),
		Payload: []byte("p"),
	}
	const (
		a, b, ret, payload = "82004161", "8218c84162", "81820040", "4170"
		plain              = "82" + a + b
	)
	for _, tt := range []struct{ name, hex string }{
		{"three elements", "83" + plain + ret + payload},
		{"null", "84" + plain + ret + payload + "f6"},
		{"text", "84" + plain + ret + payload + "6178"},
		{"empty text", "84" + plain + ret + payload + "60"},
		{"more elements", "87" + plain + ret + payload + "f6" + "8201f5" + "a10203" + "5f4101ff"},
		{"bytes behind it", "83" + plain + ret + payload + "ffff"},
		{"indefinite message", "9f" + plain + ret + payload + "ff"},
		{"indefinite message, more", "9f" + plain + ret + payload + "617801ff"},
		{"indefinite route", "83" + "9f" + a + b + "ff" + ret + payload},
		{"indefinite addresses", "83" + "82" + "9f004161ff" + "9f18c84162ff" + ret + payload},
		{"wide array", "9800000003"[:2] + "03" + plain + ret + payload},
		{"wider array", "9b0000000000000003" + plain + ret + payload},
		{"wide route", "83" + "9802" + a + b + ret + payload},
		{"wider route", "83" + "990002" + a + b + ret + payload},
		{"widest route", "83" + "9b0000000000000002" + a + b + ret + payload},
		{"wide address", "83" + "82" + "9802004161" + b + ret + payload},
		{"wide type", "83" + "82" + "8218004161" + "821900c84162" + ret + payload},
		{"widest type", "83" + "82" + "821b00000000000000004161" + b + ret + payload},
		{"wide name", "83" + "82" + "8200580161" + b + ret + payload},
		{"widest name", "83" + "82" + "82005b000000000000000161" + b + ret + payload},
		{"wide payload", "83" + plain + ret + "590001" + "70"},
		{"more in an address", "83" + "82" + "8400416101f6" + b + ret + payload},
		{"more in an indefinite address", "83" + "82" + "9f0041618101ff" + b + ret + payload},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.hex)
			h, err := wire.ParseMessage(in)
			if err != nil || !sameHeader(h, want) {
				t.Fatalf("%v, %v, %q, %v", h.Onward, h.Return, h.Payload, err)
			}
		})
	}
}

// TestParseMessageInPlace: what peers send is not copied.
func TestParseMessageInPlace(t *testing.T) {
	b := unhex(t, "84818200497570706572636173658182005820303030313032303330343035303630373038303930613062306330643065306646"+"0568656c6c6f627b7d")
	h, err := wire.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Onward.Within(b) || !h.Return.Within(b) || &h.Payload[0] != &b[len(b)-9] {
		t.Error("a field does not lie within the input")
	}
	if n := testing.AllocsPerRun(1000, func() { h, err = wire.ParseMessage(b) }); n != 0 {
		t.Errorf("%v allocations to parse", n)
	}
	out := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(1000, func() {
		out = wire.AppendMessageTail(append(wire.AppendMessageHead(out[:0], h.Onward, h.Return, len(h.Payload)), h.Payload...))
	}); n != 0 {
		t.Errorf("%v allocations to append", n)
	}
	if !bytes.Equal(out, b) {
		t.Errorf("%x", out)
	}
}

func BenchmarkParseMessage(b *testing.B) {
	in := benchmarkMessage()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ParseMessage(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	h, err := wire.ParseMessage(benchmarkMessage())
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		out = wire.AppendMessageTail(append(wire.AppendMessageHead(out[:0], h.Onward, h.Return, len(h.Payload)), h.Payload...))
	}
}

// benchmarkMessage is a relayed message: two random addresses each way.
func benchmarkMessage() []byte {
	a, b := wire.LocalAddress("00112233445566778899aabbccddeeff"), wire.LocalAddress("ffeeddccbbaa99887766554433221100")
	return encode(wire.Header{Onward: wire.NewRoute(a, b), Return: wire.NewRoute(b, a), Payload: make([]byte, 512)})
}
