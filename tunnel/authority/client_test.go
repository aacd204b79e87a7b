package authority_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/authority"
	"ockam/tunnel/identity"
)

// recordedID is that of all recorded requests.
const recordedID = 0x01020304

// A recordedAnswer is a request to an authority of the reference implementation
// (revision fb8fb64cd), and its answer.
type recordedAnswer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Hex     string `json:"hex"`
	Answer  string `json:"answer_hex"`
}

func (r recordedAnswer) request(t testing.TB) api.Request {
	t.Helper()
	req, err := api.ParseRequest(unhex(t, r.Hex))
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	return req
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func recordings(t testing.TB) map[string]recordedAnswer {
	t.Helper()
	b, err := os.ReadFile("testdata/authority-api.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Items []recordedAnswer `json:"items"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]recordedAnswer)
	for _, r := range file.Items {
		all[r.Name] = r
	}
	return all
}

// A fake is an authority that answers as it is told, and keeps the last request.
type fake struct {
	router *tunnel.Router
	answer func(api.Request) []byte // nil: none
	got    chan api.Request
}

func newFake(t testing.TB, answer func(api.Request) []byte) *fake {
	t.Helper()
	f := &fake{router: tunnel.NewRouter(), answer: answer, got: make(chan api.Request, 1)}
	names := []string{authority.CredentialIssuer, authority.DirectAuthenticator, authority.TokenIssuer, authority.TokenAcceptor}
	for _, name := range names {
		if _, err := f.router.Handle(tunnel.LocalAddress(name), f, tunnel.Access{}); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// HandleMessage answers.
func (f *fake) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	r, err := api.ParseRequest(bytes.Clone(m.Payload))
	if err != nil {
		return err
	}
	f.got <- r
	b := f.answer(r)
	if b == nil {
		return nil
	}
	a := tunnel.NewMessage()
	a.Onward, a.Payload = m.Return.Clone(), b
	return f.router.Send(a)
}

func (f *fake) client() *authority.Client {
	return &authority.Client{Router: f.router, Timeout: 5 * time.Second}
}

// answering returns the response as an answer to r.
func answering(t testing.TB, r api.Request, a api.Response) []byte {
	t.Helper()
	a.Re = r.ID
	b, err := a.Append(nil)
	if err != nil {
		t.Error(err)
	}
	return b
}

var recordedMember = identifier("I75c5e4d7e77d54d8d187951cd5e97054887787371e776d35b2c12e5210d029e8")

func identifier(s string) identity.Identifier {
	id, err := identity.ParseIdentifier(s)
	if err != nil {
		panic(err)
	}
	return id
}

// TestClientRecorded sends what the reference's client sends, and reads what the
// reference's authority answers.
func TestClientRecorded(t *testing.T) {
	all := recordings(t)
	code := func(name string) (c authority.Code) {
		var body authority.CodeBody
		if _, err := api.Parse(all[name].request(t).Body, &body); err != nil {
			t.Fatal(err)
		}
		return body.Code
	}
	unknown := identifier("I" + strings.Repeat("11", 32))
	for _, tt := range []struct {
		name string
		call func(context.Context, *authority.Client) error
		want error // one that the error is, besides an *api.Error
		says string
	}{
		{"issue, member", func(ctx context.Context, c *authority.Client) error {
			cred, err := c.Issue(ctx)
			if err == nil && cred.Attestation() == nil {
				err = errors.New("a credential that cannot be used")
			}
			return err
		}, nil, ""},
		{"issue, non-member", issue, authority.ErrNotMember, "unauthorized member"},
		{"add member", func(ctx context.Context, c *authority.Client) error {
			return c.AddMember(ctx, recordedMember, map[string]string{"key": "value", "a": "1"})
		}, nil, ""},
		{"show member", func(ctx context.Context, c *authority.Client) error {
			e, err := c.Member(ctx, recordedMember)
			if err == nil && (len(e.Attributes) != 3 || e.Attributes["bb"] != "1" || e.AttestedBy.IsZero() || e.AddedAt == 0) {
				t.Errorf("%+v", e)
			}
			return err
		}, nil, ""},
		{"show unknown", func(ctx context.Context, c *authority.Client) error {
			_, err := c.Member(ctx, unknown)
			return err
		}, authority.ErrNotMember, "not found"},
		{"list", func(ctx context.Context, c *authority.Client) error {
			list, err := c.Members(ctx)
			if err == nil && (len(list) < 2 || list[recordedMember].Attributes["bb"] != "1") {
				t.Errorf("%+v", list)
			}
			return err
		}, nil, ""},
		{"non member lists", func(ctx context.Context, c *authority.Client) error {
			_, err := c.Members(ctx)
			return err
		}, nil, "Non-enroller is trying to list members"},
		{"list ids", func(ctx context.Context, c *authority.Client) error {
			list, err := c.MemberIDs(ctx)
			if err == nil && len(list) == 0 {
				t.Error("no members")
			}
			return err
		}, nil, ""},
		{"delete unknown", func(ctx context.Context, c *authority.Client) error { return c.DeleteMember(ctx, unknown) }, nil, ""},
		{"delete pre-trusted", func(ctx context.Context, c *authority.Client) error {
			return c.DeleteMember(ctx, identifier("I159649deb2999e331b13d48b881e6bcf9ba503aa445a96f23a8738c7c1475b00"))
		}, nil, ""},
		{"DELETE /members (all)", func(ctx context.Context, c *authority.Client) error { return c.DeleteMembers(ctx) }, nil, ""},
		{"token", token(map[string]string{"component": "db"}, 10*time.Minute, 0), nil, ""},
		{"token no ttl", token(nil, 0, 0), nil, ""},
		{"token by m1", token(nil, 0, 0), nil, "Non-enroller"},
		{"accept", redeem(code("accept")), nil, ""},
		{"accept by a member", redeem(code("accept by a member")), authority.ErrAlreadyMember, "Already a member"},
		{"accept unknown", redeem(code("accept unknown")), authority.ErrUnknownCode, "Unknown enrollment token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := all[tt.name]
			want := r.request(t)
			if body := new(authority.AddMember); tt.name == "add member" { // the recorded attributes are in another order
				if _, err := api.Parse(want.Body, body); err != nil {
					t.Fatal(err)
				}
				want.Body, _ = api.Append(nil, body)
			}
			recorded, err := api.ParseResponse(unhex(t, r.Answer))
			if err != nil {
				t.Fatal(err)
			}
			f := newFake(t, func(r api.Request) []byte { return answering(t, r, recorded) })
			err = tt.call(t.Context(), f.client())
			got := <-f.got
			if got.ID == 0 {
				t.Error("a request without a number")
			}
			got.ID = recordedID
			sent, _ := got.Append(nil)
			if wanted, _ := want.Append(nil); !bytes.Equal(sent, wanted) {
				t.Errorf("sends\n%x, want\n%x", sent, wanted)
			}
			var refusal *api.Error
			switch refused := recorded.Status != api.StatusOK; {
			case refused != (err != nil):
				t.Errorf("status %d: %v", recorded.Status, err)
			case refused && (!errors.As(err, &refusal) || refusal.Status != recorded.Status || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%v, want an error of the authority that says %q", err, tt.says)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func issue(ctx context.Context, c *authority.Client) error {
	_, err := c.Issue(ctx)
	return err
}

func token(attributes map[string]string, ttl time.Duration, uses uint64) func(context.Context, *authority.Client) error {
	return func(ctx context.Context, c *authority.Client) error {
		code, err := c.CreateToken(ctx, attributes, ttl, uses)
		if err == nil && code == (authority.Code{}) {
			err = errors.New("no code")
		}
		return err
	}
}

func redeem(code authority.Code) func(context.Context, *authority.Client) error {
	return func(ctx context.Context, c *authority.Client) error { return c.Redeem(ctx, code) }
}

// TestClientOddAnswers has answers that no authority of the reference
// implementation in Rust gives.
func TestClientOddAnswers(t *testing.T) {
	text := func(s string) []byte { return api.AppendText(nil, s) }
	for _, tt := range []struct {
		name   string
		answer api.Response
		re     uint32 // in place of the request's if it is not 1
		want   error
		says   string
	}{
		{"a bare text", api.Response{Status: api.StatusForbidden, HasBody: true, Body: text("you are ALREADY A MEMBER here")}, 1, authority.ErrAlreadyMember, "you are"},
		{"words without that status", api.Response{Status: api.StatusInternalError, HasBody: true, Body: text("already a member")}, 1, nil, "already a member"},
		{"no body", api.Response{Status: api.StatusInternalError}, 1, nil, "status 500"},
		{"a body that is none", api.Response{Status: api.StatusForbidden, HasBody: true, Body: []byte{0xff}}, 1, nil, "status 403"},
		{"could not be read", api.Response{Status: api.StatusBadRequest, HasBody: true, Body: text("secure channel required")}, 0, api.ErrBadRequest, "secure channel required"},
		{"to somebody else", api.Response{Status: api.StatusOK}, 7, nil, "another request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, func(r api.Request) []byte {
				a := tt.answer
				if a.Re = tt.re; tt.re == 1 {
					a.Re = r.ID
				}
				b, _ := a.Append(nil)
				return b
			})
			err := f.client().Redeem(t.Context(), authority.Code{1})
			if err == nil || !strings.Contains(err.Error(), tt.says) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v that says %q", err, tt.want, tt.says)
			}
			if tt.want == nil && (errors.Is(err, authority.ErrAlreadyMember) || errors.Is(err, authority.ErrUnknownCode)) {
				t.Errorf("%v means something", err)
			}
		})
	}
	t.Run("success without the body", func(t *testing.T) {
		f := newFake(t, func(r api.Request) []byte { return answering(t, r, api.Response{Status: api.StatusOK}) })
		if err := issue(t.Context(), f.client()); !errors.Is(err, api.ErrNoBody) {
			t.Error(err)
		}
	})
	t.Run("none", func(t *testing.T) {
		f := newFake(t, func(api.Request) []byte { return nil })
		c := f.client()
		c.Timeout = 10 * time.Millisecond
		if err := issue(t.Context(), c); !errors.Is(err, api.ErrNoAnswer) {
			t.Error(err)
		}
	})
	t.Run("a time before now", func(t *testing.T) {
		if _, err := newFake(t, nil).client().CreateToken(t.Context(), nil, -time.Second, 0); err == nil {
			t.Error("makes a code")
		}
	})
}
