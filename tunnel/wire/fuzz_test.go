package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/wire"
)

// oracle is a general CBOR decoder, which the message parser is compared with.
var oracle = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32, MaxNestedLevels: math.MaxUint16,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

const (
	majorUint, majorBytes, majorText, majorArray = 0, 2, 3, 4
	indefinite                                   = 31
)

// item splits an array. It takes no tag for an array, as the library would.
func item(raw cbor.RawMessage) ([]cbor.RawMessage, bool) {
	var out []cbor.RawMessage
	if len(raw) == 0 || raw[0]>>5 != majorArray {
		return nil, false
	}
	_, err := oracle.UnmarshalFirst(raw, &out)
	return out, err == nil
}

func str(raw cbor.RawMessage, major byte) ([]byte, bool) {
	if raw[0]>>5 != major || raw[0]&31 == indefinite {
		return nil, false
	}
	if major == majorText {
		var s string
		err := oracle.Unmarshal(raw, &s)
		return []byte(s), err == nil && utf8.ValidString(s)
	}
	var b []byte
	err := oracle.Unmarshal(raw, &b)
	return b, err == nil
}

// oracleMessage decodes a message as docs/protocol.md describes it. more: there
// are elements that both skip, each by its own rules.
func oracleMessage(b []byte) (h wire.Header, more, ok bool) {
	parts, ok := item(b)
	if !ok || len(parts) < 3 {
		return h, false, false
	}
	more = len(parts) > 4
	var routes [2]wire.Route
	for i := range routes {
		hops, ok := item(parts[i])
		if !ok {
			return h, false, false
		}
		var addrs []wire.Address
		for _, hop := range hops {
			fields, ok := item(hop)
			if !ok || len(fields) < 2 || fields[0][0]>>5 != majorUint {
				return h, false, false
			}
			more = more || len(fields) > 2
			var kind uint64
			name, ok := str(fields[1], majorBytes)
			if err := oracle.Unmarshal(fields[0], &kind); err != nil || !ok || kind > 255 {
				return h, false, false
			}
			addrs = append(addrs, wire.Address{Type: uint8(kind), Name: string(name)})
		}
		routes[i] = wire.NewRoute(addrs...)
	}
	h.Onward, h.Return = routes[0], routes[1]
	if h.Payload, ok = str(parts[2], majorBytes); !ok {
		return h, false, false
	}
	if len(parts) > 3 && !bytes.Equal(parts[3], []byte{0xf6}) {
		if _, ok := str(parts[3], majorText); !ok {
			return h, false, false
		}
	}
	return h, more, true
}

// checkedTag reports whether there may be one of the tags whose content the
// library looks at (times and large integers). We look at none.
func checkedTag(b []byte) bool {
	for i, c := range b {
		if c >= 0xc0 && c <= 0xc3 || c >= 0xd8 && c <= 0xdb && i+1 < len(b) {
			return true
		}
	}
	return false
}

// FuzzParseMessage compares the parser with the general decoder. What only one
// of them accepts must be for a reason: we refuse too many hops, and elements
// that we skip when they are nested deeply or hold text that is not UTF-8.
func FuzzParseMessage(f *testing.F) {
	seeds := 0
	var v tcpFrames
	load(f, "tcp-frames.json", &v)
	for _, item := range v.Items {
		if b := unhex(f, item.Hex); len(b) > 4 {
			f.Add(b[4:])
			seeds++
		}
	}
	for _, p := range v.Probes {
		if b := unhex(f, p.Sent); len(b) > 4 {
			f.Add(b[4:])
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		got, err := wire.ParseMessage(b)
		want, more, ok := oracleMessage(b)
		if !bytes.Equal(b, kept) {
			t.Fatal("the input was changed")
		}
		switch {
		case err == nil && !ok && checkedTag(b):
			return
		case err == nil && !ok:
			t.Fatalf("only we accept %x", b)
		case err != nil && ok && !more && !errors.Is(err, wire.ErrTooManyHops):
			t.Fatalf("we refuse %x: %v", b, err)
		case err == nil && !sameHeader(got, want):
			t.Fatalf("%x is %+v, want %+v", b, got, want)
		case err != nil:
			return
		}
		again := encode(got)
		if wire.MessageSize(got.Onward, got.Return, len(got.Payload)) != len(again) {
			t.Fatalf("%x: size is not %d", b, len(again))
		}
		parsed, err := wire.ParseMessage(again)
		if err != nil || !sameHeader(parsed, got) || !bytes.Equal(encode(parsed), again) {
			t.Fatalf("%x encoded again is %x: %+v, %v", b, again, parsed, err)
		}
	})
}

// FuzzSkipItem: what we skip is one well-formed item.
func FuzzSkipItem(f *testing.F) {
	for _, s := range []string{
		"00", "3bffffffffffffffff", "4401020304", "5f4101420203ff", "63616263", "7f6161ff", "83010203", "9f01ff", "a10102",
		"bf0102ff", "c11a514b67b0", "f4", "f818", "f8ff", "f93c00", "fb3ff199999999999a", "ff", "1c", "9f9f9fff", "7f4161ff", "61ff",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, err := wire.SkipItem(b)
		if err != nil {
			return
		}
		if err := oracle.Wellformed(b[:len(b)-len(rest)]); err != nil {
			t.Fatalf("%x: %d bytes left: %v", b, len(rest), err)
		}
	})
}

func FuzzUvarint(f *testing.F) {
	for _, s := range []string{"00", "8000", "ffffffffffffffffff01", "80808080808080808002", "80"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, rest, err := wire.ParseUvarint(b)
		if err != nil {
			return
		}
		want, l := binary.Uvarint(b)
		if n != want || len(rest) != len(b)-l {
			t.Fatalf("%x is %d and %d bytes, want %d and %d", b, n, len(rest), want, len(b)-l)
		}
		short := wire.AppendUvarint(nil, n)
		if len(short) > len(b)-len(rest) || wire.UvarintLen(n) != len(short) {
			t.Fatalf("%d is %x", n, short)
		}
	})
}

// FuzzParseAddress: a text that is an address comes back as the same.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"echo", "1#127.0.0.1:4000", "a#b", "1#a#b", "", "#", "0#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := wire.ParseAddress(s)
		if err != nil || !utf8.ValidString(s) {
			return
		}
		if again, err := wire.ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q prints as %q: %v, %v", s, a, again, err)
		}
	})
}
