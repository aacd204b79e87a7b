package udp_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"ockam/transports/udp"
)

// recorded holds datagrams recorded from the reference implementation, revision
// fb8fb64cd, and what it answered to datagrams that were made for it.
type recorded struct {
	Items []struct {
		Name, Hex string
		Decoded   struct {
			Number uint16 `json:"routing_number"`
			Offset uint32
			Last   bool
			Length int `json:"part_length"`
		}
	}
	Probes []struct {
		Name           string
		Sent, Received []string
	}
}

func load(t testing.TB) (v recorded) {
	t.Helper()
	b, err := os.ReadFile("testdata/udp.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Items) == 0 || len(v.Probes) == 0 {
		t.Fatal("nothing recorded")
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordedDatagrams(t *testing.T) {
	for _, item := range load(t).Items {
		b := unhex(t, item.Hex)
		d, err := udp.ParseDatagram(b)
		want := udp.MakeDatagram(item.Decoded.Number, item.Decoded.Offset, item.Decoded.Last, d.Part())
		if err != nil || len(d.Part()) != item.Decoded.Length || !bytes.Equal(udp.AppendDatagram(nil, want), b) {
			t.Errorf("%s: %+v, %v", item.Name, d, err)
		}
		for i := range b {
			if _, err := udp.ParseDatagram(b[:i]); err == nil {
				t.Errorf("%s: %d of %d bytes accepted", item.Name, i, len(b))
			}
		}
	}
}

// TestDatagramForms has what the reference implementation takes and refuses.
func TestDatagramForms(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		ok        bool
	}{
		{"plain", "85 01 07 00 f5 42 6869", true},
		{"another version", "85 18ff 07 00 f5 42 6869", true},
		{"version 256", "85 190100 07 00 f5 42 6869", false},
		{"longer numbers", "85 1801 190007 1b0000000000000000 f4 5800", true},
		{"longer array", "9805 01 07 00 f5 42 6869", true},
		{"indefinite array", "9f 01 07 00 f5 42 6869 ff", true},
		{"more elements", "87 01 07 00 f5 42 6869 f6 80", true},
		{"bytes behind it", "85 01 07 00 f5 42 6869 7a7a", true},
		{"fewer elements", "84 01 07 00 f5", false},
		{"number 65536", "85 01 1a00010000 00 f5 40", false},
		{"offset 2^32", "85 01 07 1b0000000100000000 f5 40", false},
		{"negative offset", "85 01 07 20 f5 40", false},
		{"null for last", "85 01 07 00 f6 40", false},
		{"number for last", "85 01 07 00 01 40", false},
		{"array for the part", "85 01 07 00 f5 82 1868 1869", false},
		{"text for the part", "85 01 07 00 f5 62 6869", false},
		{"indefinite part", "85 01 07 00 f5 5f 42 6869 ff", false},
		{"part of 2^63", "85 01 07 00 f5 5b8000000000000000 68", false},
		{"a map", "a5 01 07 00 f5 42 6869", false},
		{"a tag", "c0 85 01 07 00 f5 42 6869", false},
		{"reserved length", "85 1c 07 00 f5 40", false},
		{"empty", "", false},
	} {
		if _, err := udp.ParseDatagram(unhex(t, tt.hex)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// part is one datagram of the message "abcdef" in parts of two bytes.
func part(number uint16, i int) udp.Datagram {
	return udp.MakeDatagram(number, uint32(2*i), i == 2, []byte("abcdef")[2*i:2*i+2])
}

func whole(number uint16) udp.Datagram {
	return udp.MakeDatagram(number, 0, true, fmt.Appendf(nil, "%d", number))
}

// TestAssembly has each row of the table of the reference implementation.
func TestAssembly(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []udp.Datagram
		want string
	}{
		{"one part", []udp.Datagram{whole(7)}, "7"},
		{"three parts", []udp.Datagram{part(7, 0), part(7, 1), part(7, 2)}, "abcdef"},
		{"exchanged", []udp.Datagram{part(7, 1), part(7, 0), part(7, 2)}, ""},
		{"doubled", []udp.Datagram{part(7, 0), part(7, 0), part(7, 1), part(7, 2)}, ""},
		{"one missing", []udp.Datagram{part(7, 0), part(7, 2), whole(8)}, "8"},
		{"after a gap", []udp.Datagram{whole(7), whole(9), whole(8)}, "7 9"},
		{"older", []udp.Datagram{whole(100), whole(99), whole(101)}, "100 101"},
		{"doubled message", []udp.Datagram{whole(7), whole(7)}, "7"},
		{"newer interrupts", []udp.Datagram{part(7, 0), part(7, 1), whole(8), part(7, 2)}, "8"},
		{"newer by 32767", []udp.Datagram{whole(200), whole(201 + 32767)}, "200 32968"},
		{"by 32768", []udp.Datagram{whole(200), whole(201 + 32768), whole(201)}, "200 201"},
		{"round", []udp.Datagram{whole(65535), whole(0), whole(65535), whole(1)}, "65535 0 1"},
		{"begins late, ends well", []udp.Datagram{part(5, 1), part(5, 2), whole(5), whole(6)}, "6"},
		{"empty", []udp.Datagram{udp.MakeDatagram(1, 0, true, []byte{}), whole(2)}, " 2"},
		{"empty parts", []udp.Datagram{udp.MakeDatagram(1, 0, false, nil), udp.MakeDatagram(1, 0, true, []byte("x"))}, "x"},
	} {
		var got []string
		for _, m := range udp.AssembleAll(tt.in) {
			got = append(got, string(m))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzParseDatagram(f *testing.F) {
	v := load(f)
	for _, item := range v.Items {
		f.Add(unhex(f, item.Hex))
	}
	for _, p := range v.Probes {
		for _, s := range p.Sent {
			f.Add(unhex(f, s))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := slices.Clone(b)
		d, err := udp.ParseDatagram(b)
		if !bytes.Equal(b, kept) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			return
		}
		again := udp.AppendDatagram(nil, d)
		if len(again) > len(b) {
			t.Fatalf("%x is longer than %x", again, b)
		}
		d2, err := udp.ParseDatagram(again)
		if err != nil || !bytes.Equal(udp.AppendDatagram(nil, d2), again) {
			t.Fatalf("%x: %v", again, err)
		}
	})
}
