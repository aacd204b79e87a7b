package secure

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/tunnel"
	"ockam/tunnel/identity"
)

// encode makes the plaintext that we would send for p.
func encode(p *plaintext) []byte {
	switch p.kind {
	case kindPayload:
		b := appendPayloadHead(nil, p.onward, p.ret, len(p.payload))
		return append(append(b, p.payload...), emptyPadding)
	case kindRefresh:
		b := append([]byte{0x82, 0x82, kindRefresh, 0x81}, p.refresh...)
		return append(b, emptyPadding)
	default:
		return closeMessage
	}
}

func TestDecoding(t *testing.T) {
	var f struct {
		Items []struct {
			Name     string
			Bytes    hexBytes
			Accepted bool
			Again    hexBytes `json:"encoded_again"`
		}
	}
	load(t, "decoding.json", &f)
	if len(f.Items) < 30 {
		t.Fatalf("%d vectors", len(f.Items))
	}
	for _, v := range f.Items {
		t.Run(v.Name, func(t *testing.T) {
			p, err := parsePlaintext(v.Bytes)
			if (err == nil) != v.Accepted {
				t.Fatalf("%v, want accepted %v", err, v.Accepted)
			}
			if err == nil {
				// The reference keeps the padding; we never send any.
				want := v.Again
				if i := bytes.IndexByte(want, 0x43); i > 0 && p.kind == kindClose {
					want = append(bytes.Clone(want[:i]), emptyPadding)
				}
				equal(t, "encoded again", encode(&p), want)
			}
		})
	}
}

func TestPayloadSize(t *testing.T) {
	long := tunnel.NewRoute(tunnel.RandomAddress(), tunnel.RandomAddress(), tunnel.Address{Type: 200, Name: "x"})
	for _, onward := range []tunnel.Route{{}, tunnel.NewRoute(tunnel.LocalAddress("echo")), long} {
		for _, ret := range []tunnel.Route{{}, long} {
			for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536} {
				head := appendPayloadHead(nil, onward, ret, n)
				if got, want := payloadSize(onward, ret, n), len(head)+n+1; got != want {
					t.Errorf("payloadSize of %d bytes is %d, want %d", n, got, want)
				}
				if len(head)+1-onward.Size()-ret.Size() > plaintextOverhead {
					t.Errorf("%d bytes of payload: %d bytes around the routes", n, len(head)+1-onward.Size()-ret.Size())
				}
			}
		}
	}
}

// TestPlaintextTruncated cuts every accepted plaintext at every length.
func TestPlaintextTruncated(t *testing.T) {
	for _, seed := range plaintextSeeds(t) {
		p, err := parsePlaintext(seed)
		if err != nil {
			continue
		}
		full := encode(&p)
		for n := range full {
			if p, err := parsePlaintext(full[:n]); err == nil {
				t.Errorf("%d of %d bytes accepted as %+v", n, len(full), p)
			}
		}
	}
}

func TestAppendRefresh(t *testing.T) {
	v := transportPlaintext(t, "Refresh")
	p, err := parsePlaintext(v)
	if err != nil {
		t.Fatal(err)
	}
	r, rest, err := identity.ParseRefresh(p.refresh)
	if err != nil || len(rest) > 0 || len(r.Credentials) != 1 {
		t.Fatalf("%+v, %d bytes left, %v", r, len(rest), err)
	}
	equal(t, "encoded again", appendRefresh(nil, r), v)
}

func transportPlaintext(t testing.TB, what string) []byte {
	t.Helper()
	for _, f := range loadTransport(t).Frames {
		if f.What == what {
			return f.Plaintext
		}
	}
	t.Fatalf("no plaintext %s", what)
	return nil
}

// plaintextSeeds are the recorded plaintexts, and what was recorded as odd.
func plaintextSeeds(t testing.TB) [][]byte {
	t.Helper()
	var f struct {
		Items []struct{ Bytes hexBytes }
	}
	load(t, "decoding.json", &f)
	seeds := [][]byte{transportPlaintext(t, "Payload"), transportPlaintext(t, "Close"), transportPlaintext(t, "Refresh")}
	for _, v := range f.Items {
		seeds = append(seeds, v.Bytes)
	}
	for _, s := range []string{
		"9f8200839f9f820041619fff00ff80404000ff40ff", "828200818380805800" + "40", "82820081838080590001" + "2a" + "40",
		"828200818381821803436162638182004361706141ff40", "8282a08040", "82821b00000001000000008040", "828202d8020040",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	return seeds
}

// An oracle decodes plaintexts with a general CBOR decoder.
type oracle struct{ cbor.DecMode }

func newOracle(t testing.TB, depth int) oracle {
	t.Helper()
	m, err := cbor.DecOptions{MaxNestedLevels: depth, MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24}.DecMode()
	if err != nil {
		t.Fatal(err)
	}
	return oracle{m}
}

// array decodes an array of at least n elements; nil if b is something else.
func (o oracle) array(b []byte, n int) []cbor.RawMessage {
	var a []cbor.RawMessage
	if len(b) == 0 || b[0]>>5 != 4 {
		return nil
	}
	if _, err := o.UnmarshalFirst(b, &a); err != nil || len(a) < n {
		return nil
	}
	return a
}

func (o oracle) bytes(b []byte) (s []byte, ok bool) {
	if b[0]>>5 != 2 || b[0]&0x1f == 31 {
		return nil, false
	}
	return s, o.Unmarshal(b, &s) == nil
}

func (o oracle) uint(b []byte, most uint64) (n uint64, ok bool) {
	return n, b[0]>>5 == 0 && o.Unmarshal(b, &n) == nil && n <= most
}

func (o oracle) route(b []byte) (r tunnel.Route, ok bool) {
	if b[0]>>5 != 4 {
		return r, false
	}
	all := o.array(b, 0)
	if all == nil && b[0] != 0x80 || len(all) > 64 {
		return r, false
	}
	var addrs []tunnel.Address
	for _, raw := range all {
		a := o.array(raw, 2)
		if a == nil {
			return r, false
		}
		kind, ok1 := o.uint(a[0], 255)
		name, ok2 := o.bytes(a[1])
		if !ok1 || !ok2 {
			return r, false
		}
		addrs = append(addrs, tunnel.Address{Type: uint8(kind), Name: string(name)})
	}
	return tunnel.NewRoute(addrs...), true
}

func (o oracle) parse(b []byte) (p plaintext, ok bool) {
	outer := o.array(b, 2)
	if outer == nil || outer[0][0]&0x1f == 31 {
		return p, false
	}
	choice := o.array(outer[0], 2)
	if len(choice) != 2 {
		return p, false
	}
	kind, ok := o.uint(choice[0], kindClose)
	if _, padded := o.bytes(outer[1]); !ok || !padded {
		return p, false
	}
	p.kind = int(kind)
	if p.kind == kindClose {
		return p, true
	}
	fields := o.array(choice[1], 1)
	if fields == nil {
		return p, false
	}
	if p.refresh = fields[0]; p.kind == kindRefresh {
		return p, true
	}
	p.refresh = nil
	message := o.array(fields[0], 3)
	if message == nil {
		return p, false
	}
	var ok1, ok2, ok3 bool
	p.onward, ok1 = o.route(message[0])
	p.ret, ok2 = o.route(message[1])
	p.payload, ok3 = o.bytes(message[2])
	return p, ok1 && ok2 && ok3
}

// checkedTag reports whether a byte may begin one of the tags whose content the
// oracle looks at, even where it is skipped: times and large integers, in the
// short form of their number (0 to 3) or in a longer one.
func checkedTag(c byte) bool { return c >= 0xc0 && c <= 0xc3 || c >= 0xd8 && c <= 0xdb }

func FuzzParsePlaintext(f *testing.F) {
	seeds := plaintextSeeds(f)
	if len(seeds) < 30 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	tolerant, strict := newOracle(f, 1000), newOracle(f, 10) // a tag is no level to the oracle, and one to us: of 32
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePlaintext(b)
		if err != nil {
			var whole any // with text that is UTF-8, which a part left undecoded is not checked for
			_, valid := strict.UnmarshalFirst(b, &whole)
			if _, ok := strict.parse(b); ok && valid == nil {
				t.Fatalf("refused what the oracle accepts: %v", err)
			}
			return
		}
		want, ok := tolerant.parse(b)
		if !ok && slices.ContainsFunc(b, checkedTag) {
			return
		}
		if !ok {
			t.Fatalf("accepted what the oracle refuses: %+v", p)
		}
		if !same(&p, &want) {
			t.Fatalf("got %+v, oracle %+v", p, want)
		}
		again := encode(&p)
		q, err := parsePlaintext(again)
		if err != nil || !same(&p, &q) || !bytes.Equal(encode(&q), again) {
			t.Fatalf("encoded again: %x, %v", again, err)
		}
	})
}

func same(p, q *plaintext) bool {
	return p.kind == q.kind && p.onward.Equal(q.onward) && p.ret.Equal(q.ret) &&
		bytes.Equal(p.payload, q.payload) && bytes.Equal(p.refresh, q.refresh)
}
