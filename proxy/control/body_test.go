package control_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"ockam/proxy/control"
	"ockam/tunnel/api"
	"ockam/tunnel/policy"
)

// A codec reads a body and writes what it has read.
type codec func(b []byte) (again, rest []byte, err error)

func one[T any, P interface {
	*T
	control.Body
}](b []byte) (again, rest []byte, err error) {
	var v T
	rest, err = api.Parse(b, P(&v))
	if err != nil {
		return nil, nil, err
	}
	again, err = api.Append(nil, P(&v))
	return again, rest, err
}

func many[T any, P interface {
	*T
	control.Body
}](b []byte) (again, rest []byte, err error) {
	v, rest, err := api.ParseList[T, P](b)
	if err != nil {
		return nil, nil, err
	}
	again, err = api.AppendList[T, P](nil, v)
	return again, rest, err
}

// codecs are all bodies, by the names that testdata/bodies.txt uses.
var codecs = map[string]codec{
	"AddConsumer":                 one[control.AddConsumer],
	"CreateInfluxDBInlet":         one[control.CreateInfluxDBInlet],
	"CreateInfluxDBOutlet":        one[control.CreateInfluxDBOutlet],
	"CreateInlet":                 one[control.CreateInlet],
	"CreateOutlet":                one[control.CreateOutlet],
	"CreateRelay":                 one[control.CreateRelay],
	"CreateSecureChannel":         one[control.CreateSecureChannel],
	"CreateSecureChannelListener": one[control.CreateSecureChannelListener],
	"CreateSecureChannelResponse": one[control.CreateSecureChannelResponse],
	"DeleteSecureChannelResponse": one[control.DeleteSecureChannelResponse],
	"Error":                       one[control.Error],
	"ExplainPolicy":               one[control.ExplainPolicy],
	"InletStatus":                 one[control.InletStatus],
	"InternetAddress":             one[control.InternetAddress],
	"NodeProcessStatus":           one[control.NodeProcessStatus],
	"NodeResources":               one[control.NodeResources],
	"NodeStatus":                  one[control.NodeStatus],
	"OutletStatus":                one[control.OutletStatus],
	"PoliciesList":                one[control.PoliciesList],
	"PolicyExplanation":           one[control.PolicyExplanation],
	"Policy":                      one[control.Policy],
	"PolicyExpression":            one[control.PolicyExpression],
	"RelayInfo":                   one[control.RelayInfo],
	"ResourceTypeOrName":          one[control.ResourceTypeOrName],
	"SecureChannelListener":       one[control.SecureChannelListener],
	"SendMessage":                 one[control.SendMessage],
	"SetPolicy":                   one[control.SetPolicy],
	"ShowSecureChannelResponse":   one[control.ShowSecureChannelResponse],
	"StartKafkaInlet":             one[control.StartService[control.KafkaInlet, *control.KafkaInlet]],
	"StartKafkaOutlet":            one[control.StartService[control.KafkaOutlet, *control.KafkaOutlet]],
	"StartLeaseIssuer":            one[control.StartService[control.LeaseIssuer, *control.LeaseIssuer]],
	"TextAddress":                 one[control.TextAddress],
	"TransportStatus":             one[control.TransportStatus],
	"WorkerAddress":               one[control.WorkerAddress],
	"WorkerList":                  one[control.WorkerList],
	"[]RelayInfo":                 many[control.RelayInfo],
	"[]ServiceStatus":             many[control.ServiceStatus],
}

type vector struct {
	kind, note string
	enc        []byte
}

// vectors reads testdata/bodies.txt.
func vectors(t testing.TB) (out []vector) {
	t.Helper()
	f, err := os.ReadFile("testdata/bodies.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(f))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") || lines.Text() == "" {
			continue
		}
		fields := strings.SplitN(lines.Text(), " ", 3)
		v := vector{kind: fields[0], enc: unhex(t, fields[1])}
		if len(fields) > 2 {
			v.note = fields[2]
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBodyVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.kind+" "+v.note, func(t *testing.T) {
			codec, ok := codecs[v.kind]
			if !ok {
				t.Fatal("no such body")
			}
			again, rest, err := codec(append(bytes.Clone(v.enc), 1, 2, 3))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again, v.enc) || !bytes.Equal(rest, []byte{1, 2, 3}) {
				t.Errorf("encoded again:\n%x, then %x, want\n%x", again, rest, v.enc)
			}
			for i := range v.enc {
				if _, _, err := codec(v.enc[:i:i]); err == nil {
					t.Errorf("accepted %d of %d bytes", i, len(v.enc))
				}
			}
		})
	}
}

// TestBodyIndefinite reads each vector with all its maps, and all its arrays but
// those of enums, of indefinite length and with unknown keys.
func TestBodyIndefinite(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.kind+" "+v.note, func(t *testing.T) {
			loose, rest := loosen(t, nil, v.enc)
			if len(rest) != 0 {
				t.Fatalf("%x left", rest)
			}
			again, _, err := codecs[v.kind](loose)
			if err != nil {
				t.Fatalf("%x: %v", loose, err)
			}
			if !bytes.Equal(again, v.enc) {
				t.Errorf("encoded again: %x, want %x", again, v.enc)
			}
			if err := cbor.Wellformed(loose); err != nil {
				t.Errorf("the test itself is wrong: %v", err)
			}
		})
	}
}

// loosen rewrites the first item of b. An array of two that begins with a small
// integer may be an enum and stays as it is.
func loosen(t *testing.T, out, b []byte) (loose, rest []byte) {
	t.Helper()
	major, n, size := b[0]>>5, int(b[0]&0x1f), 1
	if n == 24 {
		n, size = int(b[1]), 2
	} else if n == 25 && major != 7 {
		n, size = int(b[1])<<8|int(b[2]), 3
	} else if n > 24 {
		n, size = 0, 1+1<<(n-24)
	}
	head, rest := b[:size], b[size:]
	switch major {
	case 2, 3:
		return append(append(out, head...), rest[:n]...), rest[n:]
	case 4:
		enum := n == 2 && rest[0] < 24
		if enum {
			out = append(out, head...)
		} else {
			out = append(out, 0x9f)
		}
		for range n {
			out, rest = loosen(t, out, rest)
		}
		if !enum {
			out = append(out, 0xff)
		}
		return out, rest
	case 5:
		out = append(out, 0xbf, 0x18, 0x63, 0x82, 0xf6, 0x61, 'x') // 99: [null, "x"]
		for range 2 * n {
			out, rest = loosen(t, out, rest)
		}
		return append(out, 0xff), rest
	default:
		return append(out, head...), rest
	}
}

func TestBodyRefused(t *testing.T) {
	for _, tt := range []struct{ name, kind, enc string }{
		{"resource without the null", "ResourceTypeOrName", "82018102"},
		{"resource of an unknown type", "ResourceTypeOrName", "820182f608"},
		{"resource of an unknown kind", "ResourceTypeOrName", "820382f602"},
		{"enum of indefinite length", "NodeProcessStatus", "9f0280ff"},
		{"enum of three elements", "NodeProcessStatus", "83028000"},
		{"unknown process state", "NodeProcessStatus", "820380"},
		{"running without a process", "NodeProcessStatus", "820080"},
		{"message as a byte string", "SendMessage", "a201722f736572766963652f75707065726361736502434869 21"},
		{"message with an integer above 255", "SendMessage", "a20160028119 0100"},
		{"address that is no text", "TextAddress", "a10105"},
		{"text of indefinite length", "TextAddress", "a1017f6161ff"},
		{"text that is not UTF-8", "TextAddress", "a10161ff"},
		{"no map", "TextAddress", "8101"},
		{"empty map", "TextAddress", "a0"},
		{"text as a key", "TextAddress", "a161616161"},
		{"null in a mandatory field", "TextAddress", "a101f6"},
		{"identifier of 31 bytes", "NodeStatus", "a301626e3102581fabababababababababababababababababababababababababababababababab03820280"},
		{"identifier of 33 bytes", "NodeStatus", "a301626e31025821abababababababababababababababababababababababababababababababababab03820280"},
		{"inlet without field 12", "CreateInlet", "a60182696c6f63616c686f7374192328024003626931 07f509f40bf4"},
		{"inlet for an identifier of zeros", "CreateInlet", "a80182696c6f63616c686f7374192328024003626931 045820" + strings.Repeat("00", 32) + "07f509f40bf40cf4"},
		{"outlet without field 6", "CreateOutlet", "a30182696c6f63616c686f737419232802f404f5"},
		{"port above 65535", "OutletStatus", "a2018261681a000100000282004161"},
		{"MultiAddr of an unknown protocol", "AddConsumer", "a201a10162636302420161"},
		{"a thousand million elements", "WorkerList", "a1019a3b9aca00"},
		{"expression of an unknown kind", "PolicyExpression", "820081 82008161 61"},
		{"float of 32 bits", "PolicyExpression", "820081 820381fa3fc00000"},
		{"negation of nothing", "PolicyExpression", "820181 820380"},
		{"resource of unknown action", "Policy", "a301820182f60602020382048 1f5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if again, _, err := codecs[tt.kind](unhex(t, strings.ReplaceAll(tt.enc, " ", ""))); err == nil {
				t.Errorf("accepted as %x", again)
			}
		})
	}
}

func TestBodyAccepted(t *testing.T) {
	for _, tt := range []struct{ name, kind, enc, want string }{
		{"null in an optional field", "ShowSecureChannelResponse", "a201f602f6", "a0"},
		{"key given twice", "TextAddress", "a20161610161 62", "a1016162"},
		{"wide integers", "TextAddress", "b8011801 7801 61", "a1016161"},
		{"key 0 with a tag number", "TextAddress", "a2001a0073c0e6016161", "a1016161"},
		{"no one authorized", "ShowSecureChannelResponse", "a10380", "a10380"},
		{"more fields of a variant", "NodeProcessStatus", "82008207f6", "82008107"},
		{"fields of a variant without", "NodeProcessStatus", "820281f6", "820280"},
		{"longest duration", "CreateSecureChannel", "a201400482 1bffffffffffffffff00", ""},
		{"IPv6", "InternetAddress", "820281825000000000000000000000000000000001 07", "820281825000000000000000000000000000000001 07"},
		{"host name", "InternetAddress", "82008261 6807", "8200826168 07"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			again, _, err := codecs[tt.kind](unhex(t, strings.ReplaceAll(tt.enc, " ", "")))
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(tt.want, " ", ""); want != "" && hex.EncodeToString(again) != want {
				t.Errorf("encoded again: %x, want %s", again, want)
			}
		})
	}
}

// TestExprDepth tells deep from too deep.
func TestExprDepth(t *testing.T) {
	nest := func(n int) []byte {
		b := bytes.Repeat(unhex(t, "820381"), n-1) // not
		return append(append(unhex(t, "820181"), b...), unhex(t, "8200816161")...)
	}
	if _, _, err := codecs["PolicyExpression"](nest(policy.MaxDepth)); err != nil {
		t.Error(err)
	}
	if _, _, err := codecs["PolicyExpression"](nest(policy.MaxDepth + 1)); err == nil {
		t.Error("accepted a formula that is too deep")
	}
	deep := bytes.Repeat([]byte{0xa1, 4}, 100000) // causes of an error
	if _, _, err := codecs["Error"](append(deep, 0xa0)); err == nil {
		t.Error("accepted 100000 causes")
	}
}
