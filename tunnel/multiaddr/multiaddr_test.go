package multiaddr_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel/multiaddr"
)

// vector is a place in both forms, as the reference implementation writes it.
type vector struct{ text, bin string }

// vectors reads testdata/vectors.txt: "text = hex" a line.
func vectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []vector
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		text, digits, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("vectors.txt: %q", line)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatalf("vectors.txt: %q: %v", line, err)
		}
		all = append(all, vector{text, string(b)})
	}
	if len(all) == 0 {
		t.Fatal("vectors.txt holds no vectors")
	}
	return all
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		a, err := multiaddr.Parse(v.text)
		if err != nil {
			t.Errorf("Parse(%q): %v", v.text, err)
			continue
		}
		if a.String() != v.text {
			t.Errorf("Parse(%q).String() = %q", v.text, a)
		}
		b, err := a.AppendBinary([]byte("x"))
		if err != nil || string(b) != "x"+v.bin {
			t.Errorf("%s: binary %x, %v, want %x", v.text, b, err, "x"+v.bin)
		}
		back, err := multiaddr.ParseBinary([]byte(v.bin))
		if err != nil || !reflect.DeepEqual(back, a) {
			t.Errorf("ParseBinary(%x) = %v, %v, want %v", v.bin, back, err, a)
		}
	}
}

func TestCBOR(t *testing.T) {
	for _, v := range vectors(t) {
		a, err := multiaddr.Parse(v.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cbor.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		want, err := cbor.Marshal([]byte(v.bin))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: CBOR %x, want %x", v.text, got, want)
		}
		var back multiaddr.Addr
		if err := cbor.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, a) {
			t.Errorf("CBOR %x gave %v, %v", got, back, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		err              string
	}{
		{name: "self", text: "self", want: "/secure/api"},
		{name: "empty", text: "", want: ""},
		{name: "no first slash", text: "node/n1/service/x", want: "/node/n1/service/x"},
		{name: "value missing", text: "/service", want: "/service/"},
		{name: "value empty", text: "/service/", want: "/service/"},
		{name: "number sign", text: "/service/a#b", want: "/service/a#b"},
		{name: "space", text: "/space/s", want: "/space/s"},
		{name: "host alone", text: "/ip4/127.0.0.1", want: "/ip4/127.0.0.1"},
		{name: "long IPv6", text: "/ip6/2001:0db8:0:0:0:0:0:1/tcp/4000", want: "/ip6/2001:db8::1/tcp/4000"},
		{name: "mapped IPv6", text: "/ip6/::ffff:127.0.0.1", want: "/ip6/::ffff:127.0.0.1"},
		{name: "highest port", text: "/tcp/65535", want: "/tcp/65535"},
		{name: "percent", text: "/service/a%2Fb", want: "/service/a%2Fb"},

		{name: "slash", text: "/", err: "name is missing"},
		{name: "two slashes", text: "//", err: "name is missing"},
		{name: "slash at the end", text: "/service/x/", err: "name is missing"},
		{name: "unknown", text: "/foo/x", err: `unknown protocol "foo"`},
		{name: "bare word", text: "n2/service/x", err: "unknown protocol"},
		{name: "near", text: "/servce/x", err: `did you mean "service"?`},
		{name: "upper case", text: "/Secure/api", err: `did you mean "secure"?`},
		{name: "udp", text: "/udp/4000", err: "not yet supported by this version"},
		{name: "quic", text: "/ip4/1.2.3.4/udp/4000/quic", err: "/udp is not yet supported"},
		{name: "websocket", text: "/dnsaddr/h/tcp/443/wss", err: "/wss is not yet supported"},
		{name: "tls", text: "/dnsaddr/h/tcp/443/tls", err: "/tls is not yet supported"},
		{name: "unix", text: "/unix/%2Frun%2Fx", err: "/unix is not yet supported"},
		{name: "port too high", text: "/tcp/65536", err: "not a port"},
		{name: "no port", text: "/tcp/", err: "not a port"},
		{name: "negative port", text: "/tcp/-1", err: "not a port"},
		{name: "IPv6 as IPv4", text: "/ip4/::1", err: "not an IPv4 address"},
		{name: "IPv4 as IPv6", text: "/ip6/127.0.0.1", err: "not an IPv6 address"},
		{name: "zone", text: "/ip6/fe80::1%eth0", err: "not an IPv6 address"},
		{name: "leading zero", text: "/ip4/127.0.0.01", err: "not an IPv4 address"},
		{name: "not UTF-8", text: "/service/\xff", err: "not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := multiaddr.Parse(tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("Parse(%q) = %v, %v, want error with %q", tt.text, a, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.text, err)
			}
			if a.String() != tt.want {
				t.Errorf("Parse(%q) = %q, want %q", tt.text, a, tt.want)
			}
		})
	}
	if _, err := multiaddr.Parse("/udp/1"); !errors.Is(err, multiaddr.ErrNotSupported) {
		t.Errorf("/udp/1: %v is not ErrNotSupported", err)
	}
	if _, err := multiaddr.Parse("/foo/1"); !errors.Is(err, multiaddr.ErrUnknownProtocol) {
		t.Errorf("/foo/1: %v is not ErrUnknownProtocol", err)
	}
}

func TestParseBinaryRefuses(t *testing.T) {
	for _, tt := range []struct{ name, hex, err string }{
		{"unknown code", "0501", "unknown protocol"},
		{"code not minimal", "84007f000001", "not minimal"},
		{"length not minimal", "bee803" + "8100" + "78", "not minimal"},
		{"code above 64 bits", "ffffffffffffffffffff01", "above 64 bits"},
		{"length beyond the end", "bee803" + "ffffffffffffffffff01" + "78", "cut short"},
		{"not UTF-8", "bee80301ff", "UTF-8"},
		{"trailing byte", "060fa000", "unknown protocol"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			a, err := multiaddr.ParseBinary(b)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseBinary(%s) = %v, %v, want error with %q", tt.hex, a, err, tt.err)
			}
		})
	}
	for _, s := range []string{"", "bee80300"} {
		b, _ := hex.DecodeString(s)
		if _, err := multiaddr.ParseBinary(b); err != nil {
			t.Errorf("ParseBinary(%q): %v", s, err)
		}
	}
}

func TestParseBinaryTruncated(t *testing.T) {
	for _, v := range vectors(t) {
		whole, err := multiaddr.ParseBinary([]byte(v.bin))
		if err != nil {
			t.Fatal(err)
		}
		ends := map[int]bool{0: true} // cuts between components leave a shorter place
		for i := range whole {
			b, err := whole[:i].AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			ends[len(b)] = true
		}
		for i := range len(v.bin) {
			if a, err := multiaddr.ParseBinary([]byte(v.bin[:i])); (err == nil) != ends[i] {
				t.Errorf("%s: first %d of %d bytes: %v, %v", v.text, i, len(v.bin), a, err)
			}
		}
	}
}

func TestAppendBinaryRefuses(t *testing.T) {
	for _, c := range []multiaddr.Component{
		{Protocol: multiaddr.IP4, Value: "::1"},
		{Protocol: multiaddr.TCP, Value: "x"},
		{Protocol: 7, Value: "x"},
		{Protocol: multiaddr.Service, Value: "\xff"},
	} {
		if b, err := (multiaddr.Addr{c}).AppendBinary(nil); err == nil {
			t.Errorf("%v gave %x", c, b)
		}
	}
}

func FuzzParseBinary(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.bin))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := multiaddr.ParseBinary(b)
		if err != nil {
			return
		}
		back, err := a.AppendBinary(nil)
		if err != nil || string(back) != string(b) {
			t.Errorf("%x became %v, then %x, %v", b, a, back, err)
		}
		_, _ = a.Hops() // must not panic
	})
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := multiaddr.Parse(text)
		if err != nil {
			return
		}
		back, err := multiaddr.Parse(a.String())
		if err != nil || !reflect.DeepEqual(a, back) {
			t.Errorf("%q became %v, then %v, %v", text, a, back, err)
		}
		b, err := a.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%q has no binary form: %v", text, err)
		}
		if again, err := multiaddr.ParseBinary(b); err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%q became %x, then %v, %v", text, b, again, err)
		}
	})
}
