package wire_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"ockam/tunnel/wire"
)

func TestAddressEncoding(t *testing.T) {
	for _, tt := range []struct {
		a   wire.Address
		hex string
	}{
		{wire.LocalAddress("uppercase"), "820049757070657263617365"},
		{wire.Address{Type: wire.TCP, Name: "127.0.0.1:4000"}, "82014e3132372e302e302e313a34303030"},
		{wire.Address{Type: 42, Name: "x"}, "82182a4178"},
		{wire.Address{Type: 23, Name: ""}, "821740"},
		{wire.Address{Type: 24, Name: ""}, "82181840"},
		{wire.Address{Type: 255, Name: "\xff\xfe"}, "8218ff42fffe"},
	} {
		if got := hex.EncodeToString(wire.AppendAddress(nil, tt.a)); got != tt.hex {
			t.Errorf("%v is %s, want %s", tt.a, got, tt.hex)
		}
	}
	for _, n := range []int{0, 1, 22, 23, 24, 25, 255, 256, 257, 65535, 65536, 70000} {
		for _, kind := range []uint8{0, 23, 24, 255} {
			a := wire.Address{Type: kind, Name: strings.Repeat("n", n)}
			b := wire.AppendAddress(nil, a)
			if got := wire.DecodeAddress(b); got != a {
				t.Errorf("type %d, %d bytes: decoded as type %d, %d bytes", kind, n, got.Type, len(got.Name))
			}
			r, rest, err := wire.ParseRoute(append(wire.NewRoute(a, a).AppendTo(nil), 7))
			if err != nil || r.Len() != 2 || !bytes.Equal(r.First(), b) || !bytes.Equal(r.Last(), b) || !bytes.Equal(rest, []byte{7}) {
				t.Errorf("type %d, %d bytes: parsed as %d hops, %v", kind, n, r.Len(), err)
			}
		}
	}
}

func TestAddressText(t *testing.T) {
	for _, tt := range []struct {
		text string
		want wire.Address
		ok   bool
	}{
		{"echo", wire.LocalAddress("echo"), true},
		{"", wire.LocalAddress(""), true},
		{"0#uppercase", wire.LocalAddress("uppercase"), true},
		{"1#127.0.0.1:4000", wire.Address{Type: wire.TCP, Name: "127.0.0.1:4000"}, true},
		{"255#", wire.Address{Type: 255}, true},
		{"256#x", wire.Address{}, false},
		{"-1#x", wire.Address{}, false},
		{"#x", wire.Address{}, false},
		{"a#b", wire.Address{}, false},
		{"1#a#b", wire.Address{}, false},
		{"##", wire.Address{}, false},
		{" 1#a", wire.Address{}, false},
	} {
		got, err := wire.ParseAddress(tt.text)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseAddress(%q) = %v, %v", tt.text, got, err)
		}
		if again, err := wire.ParseAddress(got.String()); tt.ok && (err != nil || again != got) {
			t.Errorf("%q prints as %q, which is %v, %v", tt.text, got, again, err)
		}
	}
	if got := (wire.Address{Name: "\xff"}).String(); got != `0#"\xff"` {
		t.Errorf("bytes that are not text print as %s", got)
	}
}

func TestRoute(t *testing.T) {
	h1, echo := wire.LocalAddress("h1"), wire.LocalAddress("echo")
	r := wire.NewRoute(h1, echo)
	if got := hex.EncodeToString(r.AppendTo(nil)); got != "828200426831820044"+"6563686f" {
		t.Errorf("encoded as %s", got)
	}
	if got := hex.EncodeToString(wire.Route{}.AppendTo(nil)); got != "80" {
		t.Errorf("the empty route is %s", got)
	}
	if got := r.String(); got != "0#h1 => 0#echo" {
		t.Errorf("prints as %q", got)
	}
	for _, tt := range []struct {
		name string
		got  wire.Route
		want []wire.Address
	}{
		{"Rest", r.Rest(), []wire.Address{echo}},
		{"Rest twice", r.Rest().Rest(), nil},
		{"Rest of nothing", wire.Route{}.Rest(), nil},
		{"WithoutLast", r.WithoutLast(), []wire.Address{h1}},
		{"WithoutLast twice", r.WithoutLast().WithoutLast(), nil},
		{"WithoutLast of nothing", wire.Route{}.WithoutLast(), nil},
		{"Join", r.Join(r.Rest()), []wire.Address{h1, echo, echo}},
		{"Join with nothing", r.Join(wire.Route{}), []wire.Address{h1, echo}},
		{"Prepend", r.Prepend(nil, wire.AppendAddress(nil, echo)), []wire.Address{echo, h1, echo}},
		{"Prepend in place", r.Prepend(make([]byte, 0, 99), wire.AppendAddress(nil, echo)), []wire.Address{echo, h1, echo}},
		{"Clone", r.Clone(), []wire.Address{h1, echo}},
	} {
		want := wire.NewRoute(tt.want...)
		if !tt.got.Equal(want) || tt.got.Len() != len(tt.want) || !slices.Equal(tt.got.Addresses(), want.Addresses()) {
			t.Errorf("%s is %v, want %v", tt.name, tt.got, want)
		}
		if b := tt.got.AppendTo(nil); tt.got.Size() != len(b) {
			t.Errorf("%s: Size is %d, want %d", tt.name, tt.got.Size(), len(b))
		}
	}
	if (wire.Route{}).First() != nil || len((wire.Route{}).Last()) != 0 {
		t.Error("the empty route has hops")
	}
	if r.Equal(r.Rest()) || r.Equal(wire.NewRoute(echo, h1)) {
		t.Error("different routes are equal")
	}
}

func TestRouteWithin(t *testing.T) {
	mem := make([]byte, 100)
	in := wire.NewRoute(wire.LocalAddress("a")).Prepend(mem[:0], wire.AppendAddress(nil, wire.LocalAddress("b")))
	for _, tt := range []struct {
		name string
		r    wire.Route
		want bool
	}{
		{"in it", in, true},
		{"its rest", in.Rest(), true},
		{"its first", in.WithoutLast(), true},
		{"elsewhere", in.Clone(), false},
		{"nothing", wire.Route{}, false},
	} {
		if got := tt.r.Within(mem); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if in.Within(mem[50:]) || in.Within(nil) {
		t.Error("within memory where it is not")
	}
}

func TestParseRouteHops(t *testing.T) {
	for n := range wire.MaxHops + 3 {
		addrs := make([]wire.Address, n)
		for i := range addrs {
			addrs[i] = wire.LocalAddress("h")
		}
		r, rest, err := wire.ParseRoute(wire.NewRoute(addrs...).AppendTo(nil))
		if n > wire.MaxHops {
			if err == nil {
				t.Errorf("%d hops are accepted", n)
			}
			continue
		}
		if err != nil || r.Len() != n || len(rest) != 0 {
			t.Errorf("%d hops: %d, %v", n, r.Len(), err)
		}
	}
}

func TestParseRouteTruncated(t *testing.T) {
	full := wire.NewRoute(wire.LocalAddress("echo"), wire.Address{Type: 30, Name: strings.Repeat("x", 300)}).AppendTo(nil)
	for i := range full {
		if _, _, err := wire.ParseRoute(full[:i]); err == nil {
			t.Errorf("accepted %d of %d bytes", i, len(full))
		}
	}
}
