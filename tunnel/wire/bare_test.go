package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"ockam/tunnel/wire"
)

func TestUvarint(t *testing.T) {
	for _, tt := range []struct {
		n   uint64
		hex string
	}{
		{0, "00"},
		{1, "01"},
		{127, "7f"},
		{128, "8001"},
		{300, "ac02"},
		{16383, "ff7f"},
		{16384, "808001"},
		{1 << 63, "80808080808080808001"},
		{1<<64 - 1, "ffffffffffffffffff01"},
	} {
		want := unhex(t, tt.hex)
		if got := wire.AppendUvarint(nil, tt.n); !bytes.Equal(got, want) || wire.UvarintLen(tt.n) != len(got) {
			t.Errorf("%d is %x of length %d, want %s", tt.n, got, wire.UvarintLen(tt.n), tt.hex)
		}
		if n, rest, err := wire.ParseUvarint(append(want, 9)); n != tt.n || !bytes.Equal(rest, []byte{9}) || err != nil {
			t.Errorf("%s is %d, %x, %v", tt.hex, n, rest, err)
		}
		for i := range want {
			if _, _, err := wire.ParseUvarint(want[:i]); !errors.Is(err, wire.ErrTruncated) {
				t.Errorf("%d of %d bytes of %s: %v", i, len(want), tt.hex, err)
			}
		}
	}
	for _, tt := range []struct {
		hex  string
		want uint64
		ok   bool
	}{
		{"8000", 0, true},
		{"858000", 5, true},
		{"808080808080808000", 0, true},
		{"80808080808080808002", 0, false},
		{"80808080808080808000", 0, false},
		{"ffffffffffffffffff7f", 0, false},
		{"8080808080808080808001", 0, false},
	} {
		if n, _, err := wire.ParseUvarint(unhex(t, tt.hex)); n != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s is %d, %v", tt.hex, n, err)
		}
	}
}

func TestBareStrings(t *testing.T) {
	for _, s := range []string{"", "hello", strings.Repeat("a", 300), "ß"} {
		b := wire.AppendString(nil, s)
		if !bytes.Equal(b, wire.AppendBytes(nil, []byte(s))) {
			t.Errorf("%q: text and data differ", s)
		}
		if got, rest, err := wire.ParseString(append(b, "XX"...)); got != s || string(rest) != "XX" || err != nil {
			t.Errorf("%q: %q, %q, %v", s, got, rest, err)
		}
		for i := range b {
			if _, _, err := wire.ParseString(b[:i]); err == nil {
				t.Errorf("%q: accepted %d of %d bytes", s, i, len(b))
			}
		}
	}
	if got := wire.AppendString(nil, "hello"); !bytes.Equal(got, unhex(t, "0568656c6c6f")) {
		t.Errorf("hello is %x", got)
	}
	if _, _, err := wire.ParseString([]byte{2, 0xff, 0xfe}); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("not UTF-8: %v", err)
	}
	if _, _, err := wire.ParseBytes(unhex(t, "ffffffffffffffffff01")); !errors.Is(err, wire.ErrTruncated) {
		t.Errorf("2^64-1 bytes: %v", err)
	}
}

func TestCBORHelpers(t *testing.T) {
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<64 - 1} {
		b := wire.AppendUint(nil, n)
		if got, rest, err := wire.ParseUint(append(b, 1), 1<<64-1); got != n || len(rest) != 1 || err != nil {
			t.Errorf("%d: %d, %v", n, got, err)
		}
		if n > 0 {
			if _, _, err := wire.ParseUint(b, n-1); err == nil {
				t.Errorf("%d is accepted where at most %d may be", n, n-1)
			}
		}
		for i := range b {
			if _, _, err := wire.ParseUint(b[:i], n); err == nil {
				t.Errorf("%d: accepted %d of %d bytes", n, i, len(b))
			}
		}
	}
	for _, n := range []int{0, 23, 24, 255, 256, 65535, 65536} {
		b := wire.AppendBytesHead(nil, n)
		if len(b) != wire.BytesHeadLen(n) {
			t.Errorf("head of %d bytes has length %d, not %d", n, len(b), wire.BytesHeadLen(n))
		}
		data, rest, err := wire.ParseByteString(append(append(b, make([]byte, n)...), 1))
		if len(data) != n || len(rest) != 1 || err != nil {
			t.Errorf("%d bytes: %d, %v", n, len(data), err)
		}
	}
}

func TestBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 10, 48 << 10, 56 << 10, 64 << 10, 72 << 10, 1 << 20} {
		b := wire.GetBuffer(n)
		if len(b.Bytes()) < n || b.Cap() != len(b.All()) || b.Cap() < n+wire.Headroom+wire.Tailroom {
			t.Errorf("%d bytes: %d of %d", n, len(b.Bytes()), b.Cap())
		}
		if &b.All()[wire.Headroom] != &b.Bytes()[:1][0] {
			t.Errorf("%d bytes: no headroom", n)
		}
		b.Release()
	}
	(*wire.Buffer)(nil).Release()
}
