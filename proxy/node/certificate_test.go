package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"

	"ockam/proxy/node"
	"ockam/tunnel"
)

// Answers of a certificate provider, as the reference implementation encodes them.
const (
	notReady = "a10101"
	ready    = "a2010002a2014a66756c6c5f636861696e024b707269766174655f6b6579"
)

func TestCertificateReply(t *testing.T) {
	for _, tt := range []struct {
		in         string
		kind       uint64
		chain, key string
	}{
		{notReady, 1, "", ""},
		{ready, 0, "full_chain", "private_key"},
		{"a2010202f6", 2, "", ""},
		{"bf010002bf014161024162ffff", 0, "a", "b"},
		{"a30100186382010202a2014161024162", 0, "a", "b"}, // with a field that we do not know
	} {
		b, err := hex.DecodeString(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		kind, chain, key, err := node.ParseCertificateReply(b)
		if err != nil || kind != tt.kind || string(chain) != tt.chain || string(key) != tt.key {
			t.Errorf("%s: %d, %q, %q, %v", tt.in, kind, chain, key, err)
		}
		for i := range b {
			if _, _, _, err := node.ParseCertificateReply(b[:i]); err == nil {
				t.Errorf("%d of %d bytes accepted", i, len(b))
			}
		}
	}
	for name, s := range map[string]string{
		"an array":      "8100",
		"no kind":       "a102f6",
		"no key":        "a2010002a1014161",
		"text":          "a2010002a2016161026162",
		"announced":     "bb7fffffffffffffff0100",
		"kind of words": "a1016161",
	} {
		b, _ := hex.DecodeString(s)
		if kind, chain, key, err := node.ParseCertificateReply(b); err == nil {
			t.Errorf("%s: %d, %q, %q", name, kind, chain, key)
		}
	}
}

func FuzzCertificateReply(f *testing.F) {
	for _, s := range []string{notReady, ready, "bf010002bf014161024162ffff", "a2010202f6"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, chain, key, err := node.ParseCertificateReply(b)
		if err != nil {
			return
		}
		again := reply(t, kind, chain, key)
		if kind2, chain2, key2, err := node.ParseCertificateReply(again); err != nil || kind2 != kind ||
			!bytes.Equal(chain2, chain) || !bytes.Equal(key2, key) {
			t.Fatalf("%x, %v", again, err)
		}
	})
}

// reply is a provider's answer, encoded by somebody else than us.
func reply(t testing.TB, kind uint64, chain, key []byte) []byte {
	t.Helper()
	m := map[uint64]any{1: kind}
	if chain != nil {
		m[2] = map[uint64][]byte{1: chain, 2: key}
	}
	b, err := cbor.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// selfSigned makes a certificate for localhost and its key, in PEM.
func selfSigned(t *testing.T) (chain, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// TestInletTLS asks a provider for a certificate with the first connection, and
// for no other.
func TestInletTLS(t *testing.T) {
	a, b := backgroundNode(t, "a", ""), backgroundNode(t, "b", "")
	if _, err := b.CreateOutlet(t.Context(), node.OutletOptions{Address: "outlet", To: echoServer(t)}); err != nil {
		t.Fatal(err)
	}
	chain, key := selfSigned(t)
	var asked atomic.Int32
	provider := tunnel.HandlerFunc(func(m *tunnel.Message) error {
		defer m.Release()
		if !bytes.Equal(m.Payload, []byte{0x80}) {
			t.Errorf("asked with %x", m.Payload)
		}
		asked.Add(1)
		answer := tunnel.NewMessage()
		answer.Onward, answer.Payload = m.Return, reply(t, 0, chain, key)
		return b.Router().Send(answer)
	})
	if _, err := b.Router().Handle(tunnel.LocalAddress("tls_certificate_provider"), provider, b.ForCommands()); err != nil {
		t.Fatal(err)
	}
	in, err := a.CreateInlet(t.Context(), node.InletOptions{
		Alias: "tls", From: "127.0.0.1:0", To: placeOf(t, b, "/secure/api/service/outlet"), Wait: 20 * time.Second,
		Certificates: placeOf(t, b, "/service/tls_certificate_provider"),
	})
	if err != nil || asked.Load() != 0 {
		t.Fatalf("%v, and asked %d times", err, asked.Load())
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	for range 3 {
		c, err := tls.Dial("tcp", in.Bind, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		_, err = c.Write([]byte("hello"))
		_, err2 := c.Read(got)
		if err := errors.Join(err, err2); err != nil || string(got) != "hello" || c.ConnectionState().Version != tls.VersionTLS13 {
			t.Errorf("%q, %v", got, err)
		}
		_ = c.Close()
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestCertificates: one is kept for a day, and longer if there is no other.
func TestCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, fails := new(tls.Certificate), new(tls.Certificate), errors.New("nobody there")
		answers := []any{fails, first, fails, second}
		c := node.NewCertificates(func(context.Context) (*tls.Certificate, error) {
			a := answers[0]
			answers = answers[1:]
			if err, ok := a.(error); ok {
				return nil, err
			}
			return a.(*tls.Certificate), nil
		})
		for i, step := range []struct {
			after time.Duration
			want  *tls.Certificate
			left  int
		}{
			{0, nil, 3},
			{time.Second, nil, 3}, // not asked again so soon
			{2 * time.Second, first, 2},
			{23 * time.Hour, first, 2},
			{2 * time.Hour, first, 1},
			{11 * time.Hour, first, 1},
			{2 * time.Hour, second, 0},
			{time.Hour, second, 0},
		} {
			time.Sleep(step.after)
			got, err := c.Current(t.Context())
			if got != step.want || (err != nil) != (step.want == nil) || len(answers) != step.left {
				t.Errorf("step %d: %v, %v, %d answers left", i, got == step.want, err, len(answers))
			}
		}
	})
}
