package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

func TestOkta(t *testing.T) {
	tenant := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/oauth2/default/v1/userinfo" && r.Method == http.MethodGet && r.Header.Get("Authorization") == "Bearer tok":
			_, _ = fmt.Fprint(w, `{"email":"a@example.com","city":"Rome","age":7,"groups":["x"],"other":"no"}`)
		case r.Header.Get("Authorization") == "Bearer large":
			_, _ = fmt.Fprintf(w, `{"email":%q}`, strings.Repeat("x", authority.MaxAttributes))
		case r.Header.Get("Authorization") == "Bearer garbage":
			_, _ = fmt.Fprint(w, `{"email":`)
		case r.Header.Get("Authorization") == "Bearer moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer tenant.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})
	okta, err := authority.NewOkta(tenant.URL+"/oauth2/default/", root, []string{"email", "city", "age", "groups", "missing"})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(a *authority.Authority) { a.Okta = okta })
	m1 := g.newCaller()
	call := func(token, path string, m api.Method) (api.Status, string) {
		return g.call(m1, authority.OktaAuthenticator, m, path, &authority.OktaEnroll{Token: token}, nil)
	}
	for _, tt := range []struct {
		token, path string
		method      api.Method
		status      api.Status
		text        string
	}{
		{"bad", "v0/enroll", api.MethodPost, 403, "Forbidden"},
		{"garbage", "v0/enroll", api.MethodPost, 403, "Forbidden"},
		{"moved", "v0/enroll", api.MethodPost, 403, "Forbidden"},
		{"line\r\nbreak: x", "v0/enroll", api.MethodPost, 403, "Forbidden"},
		{strings.Repeat("x", 70_000), "v0/enroll", api.MethodPost, 403, "Forbidden"},
		{"tok", "v0/enroll", api.MethodGet, 405, "method not allowed"},
		{"tok", "v0/other", api.MethodPost, 400, "unknown path"},
		{"tok", "/v0/enroll", api.MethodPost, 200, ""},
		{"tok", "v0/enroll", api.MethodPost, 200, ""},
	} {
		if status, text := call(tt.token, tt.path, tt.method); status != tt.status || text != tt.text {
			t.Errorf("%.20q %v %s: %d %q, want %d %q", tt.token, tt.method, tt.path, status, text, tt.status, tt.text)
		}
	}
	m, err := g.Store.Member(t.Context(), m1)
	if err != nil || m.AddedBy != m1 || fmt.Sprint(m.Attributes) != "map[city:Rome email:a@example.com]" {
		t.Errorf("%+v, %v", m, err)
	}
	if status, text := call("large", "v0/enroll", api.MethodPost); status != 400 || !strings.Contains(text, "at most") {
		t.Errorf("%d %q", status, text)
	}
	// The recorded request, without a channel.
	link := g.origin(identity.Identifier{})
	b, ok := g.ask(link, authority.OktaAuthenticator, unhex(t, "1ea4011a01020304026976302f656e726f6c6c030104f5a201000263746f6b"))
	a, err := api.ParseResponse(b)
	if !ok || err != nil || a.Status != 403 || a.Re != 0x01020304 || api.ParseError(a).Message != "secure channel required" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestNewOkta(t *testing.T) {
	tenant := httptest.NewTLSServer(nil)
	defer tenant.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tenant.Certificate().Raw})
	for _, tt := range []struct {
		url   string
		roots []byte
	}{
		{"http://example.com", root},
		{"https://", root},
		{"::", root},
		{tenant.URL, nil},
		{tenant.URL, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
	} {
		if _, err := authority.NewOkta(tt.url, tt.roots, nil); err == nil || !strings.HasPrefix(err.Error(), "authority: okta: ") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
}

// TestOktaTrust asks a server whose certificate is not the one that is trusted.
func TestOktaTrust(t *testing.T) {
	tenant := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "{}") }))
	tenant.Config.ErrorLog = log.New(io.Discard, "", 0)
	tenant.StartTLS()
	defer tenant.Close()
	okta, err := authority.NewOkta(tenant.URL, otherRoot(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(a *authority.Authority) { a.Okta = okta })
	g.want(g.newCaller(), authority.OktaAuthenticator, api.MethodPost, "v0/enroll", &authority.OktaEnroll{Token: "tok"}, nil, 403, "Forbidden")
	if e := g.lastEvent(); e.Err == nil || !strings.Contains(e.Err.Error(), "certificate") {
		t.Errorf("%v", e)
	}
}

// otherRoot returns a certificate that has signed nothing.
func otherRoot(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
