package authority

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
)

// OktaAuthenticator is the service that makes members of users of Okta.
const OktaAuthenticator = "okta"

const (
	oktaTimeout  = 30 * time.Second
	maxUserInfo  = 1 << 20
	maxOktaToken = 64 << 10
)

// Okta is a service that knows users by an access token (Ockam protocol,
// authority, okta). Make it with NewOkta.
type Okta struct {
	userInfo   string // URL
	attributes []string
	client     *http.Client
}

// NewOkta prepares to ask the tenant at an HTTPS URL, and trusts only the
// certificates in roots, in PEM. A user's claims of these names, if they are
// texts, become attributes of the member.
func NewOkta(baseURL string, roots []byte, attributes []string) (*Okta, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("authority: okta: %q is no https URL", baseURL)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, errors.New("authority: okta: there is no certificate in the PEM text")
	}
	return &Okta{
		userInfo:   strings.TrimRight(baseURL, "/") + "/v1/userinfo",
		attributes: attributes,
		client: &http.Client{
			Timeout:       oktaTimeout,
			Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// OktaEnroll is the request of POST v0/enroll at the Okta service. On the wire a
// token type, the number 0 for a bearer, stands before the token.
type OktaEnroll struct{ Token string }

// Layout lays the fields out; see api.Body.
func (v *OktaEnroll) Layout() api.Layout {
	bearer := uint8(0)
	return api.Record(api.Index(1, &bearer, 0, 0), api.Text(2, &v.Token))
}

func (a *Authority) enrollByOkta(c *call) (api.Body, error) {
	switch {
	case c.req.Method != api.MethodPost:
		return nil, &api.Error{Status: api.StatusMethodNotAllowed, Message: "method not allowed"}
	case strings.TrimLeft(c.req.Path, "/") != "v0/enroll":
		return nil, unknownPath()
	}
	var enroll OktaEnroll
	if err := c.body(&enroll); err != nil {
		return nil, err
	}
	attributes, err := a.Okta.claims(c, enroll.Token)
	if err != nil {
		c.hidden = err
		return nil, forbidden("Forbidden")
	}
	if err := c.checkAttributes(attributes); err != nil {
		return nil, err
	}
	c.did = fmt.Sprintf("enrolled with %d attributes, by okta", len(attributes))
	return nil, stored(a.Store.PutMember(c.ctx, Member{
		Identifier: c.caller, Attributes: attributes, AddedBy: c.caller, AddedAt: identity.At(c.now),
	}))
}

// claims asks who has the token.
func (o *Okta) claims(c *call, token string) (map[string]string, error) {
	if len(token) > maxOktaToken {
		return nil, fmt.Errorf("access token of %d bytes", len(token))
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, o.userInfo, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("okta answers %s", resp.Status)
	}
	var all map[string]any
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxUserInfo)).Decode(&all); err != nil {
		return nil, fmt.Errorf("okta's answer: %w", err)
	}
	attributes := make(map[string]string)
	for _, name := range o.attributes {
		if s, ok := all[name].(string); ok {
			attributes[name] = s
		}
	}
	return attributes, nil
}
