package service_test

import (
	"bytes"
	"testing"

	"ockam/tunnel"
	"ockam/tunnel/service"
	"ockam/tunnel/wire"
)

// ask sends payload to the service and returns its answers: payload and return
// route.
func ask(t *testing.T, name string, payload []byte) (answers [][]byte, from string) {
	t.Helper()
	r := tunnel.NewRouter()
	for a, h := range map[string]tunnel.Handler{
		service.EchoName:      service.Echo{Router: r, Self: tunnel.LocalAddress(service.EchoName)},
		service.UppercaseName: service.Uppercase{Router: r, Self: tunnel.LocalAddress(service.UppercaseName)},
		service.HopName:       service.Hop{Router: r, Self: tunnel.LocalAddress(service.HopName)},
		"me": tunnel.HandlerFunc(func(m *tunnel.Message) error {
			answers, from = append(answers, bytes.Clone(m.Payload)), m.Return.String()
			m.Release()
			return nil
		}),
	} {
		if _, err := r.Handle(tunnel.LocalAddress(a), h, tunnel.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	m := tunnel.NewMessage()
	m.Onward = tunnel.NewRoute(tunnel.LocalAddress(service.HopName), tunnel.LocalAddress(name))
	m.Return, m.Payload = tunnel.NewRoute(tunnel.LocalAddress("me")), payload
	_ = r.Send(m)
	return answers, from
}

func TestUppercase(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"hello", "HELLO"},
		{"", ""},
		{"ß", "SS"},
		{"straße", "STRASSE"},
		{"ﬁn", "FIN"},
		{"ŉ", "ʼN"},
		{"ǆ", "Ǆ"},
		{"\u0390", "\u0399\u0308\u0301"},
		{"և", "ԵՒ"},
		{"\u03ac", "\u0386"},
		{"i", "I"},
		{"日本", "日本"},
	} {
		got, from := ask(t, service.UppercaseName, wire.AppendString(nil, tt.in))
		if want := wire.AppendString(nil, tt.want); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("%q: answers %q, want %q", tt.in, got, want)
		}
		if from != "0#hop => 0#uppercase" {
			t.Errorf("answer from %s", from)
		}
	}
	for _, tt := range []struct {
		name string
		in   []byte
		want []byte // nil: silence
	}{
		{"bytes behind it", []byte("\x05helloXX"), []byte("\x05HELLO")},
		{"over-long length", []byte("\x85\x00hello"), []byte("\x05HELLO")},
		{"cut short", []byte("\x09hel"), nil},
		{"not UTF-8", []byte("\x02\xff\xfe"), nil},
		{"empty", nil, nil},
	} {
		got, _ := ask(t, service.UppercaseName, tt.in)
		if tt.want == nil && len(got) > 0 || tt.want != nil && (len(got) != 1 || !bytes.Equal(got[0], tt.want)) {
			t.Errorf("%s: answers %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEcho(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, in := range [][]byte{{}, {0xde, 0xad, 0xbe, 0xef}, all, make([]byte, 1<<20)} {
		got, from := ask(t, service.EchoName, in)
		if len(got) != 1 || !bytes.Equal(got[0], in) || from != "0#hop => 0#echo" {
			t.Errorf("%d bytes: %d answers from %s, or others", len(in), len(got), from)
		}
	}
}

// TestNoReturnRoute: what cannot be answered is dropped.
func TestNoReturnRoute(t *testing.T) {
	r := tunnel.NewRouter()
	for _, h := range []tunnel.Handler{
		service.Echo{Router: r, Self: tunnel.LocalAddress("x")},
		service.Uppercase{Router: r, Self: tunnel.LocalAddress("x")},
	} {
		m := tunnel.NewMessage()
		m.Payload = []byte("\x01x")
		if err := h.HandleMessage(m); err == nil {
			t.Errorf("%T: no error", h)
		}
	}
}
