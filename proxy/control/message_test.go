package control_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"ockam/proxy/control"
	"ockam/tunnel/api"
)

// recording is testdata/node-api.json.
type recording struct {
	Items, Probes []exchange
}

type exchange struct {
	Name, Request, Observed string
	Answer                  *string
	AnswerHeader            string `json:"answer_header"`
	AnswerBody              string `json:"answer_body"`
}

func loadRecording(t testing.TB) recording {
	t.Helper()
	b, err := os.ReadFile("testdata/node-api.json")
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Items) == 0 || len(r.Probes) == 0 {
		t.Fatal("the recording is empty")
	}
	return r
}

func TestMessageVectors(t *testing.T) {
	t.Run("GET /node", func(t *testing.T) {
		r := control.Request{ID: 1, Path: "/node", Method: api.MethodGet}
		check(t, r.Append, "0ea4010102652f6e6f6465030004f4")
	})
	t.Run("DELETE /node/relay/n3", func(t *testing.T) {
		r := control.Request{ID: 0xdeadbeef, Path: "/node/relay/n3", Method: api.MethodDelete}
		check(t, r.Append, "1ba4011adeadbeef026e2f6e6f64652f72656c61792f6e33030304f4")
	})
	t.Run("no method", func(t *testing.T) {
		r := control.Request{ID: 1, Path: "/node"}
		check(t, r.Append, "0ca3010102652f6e6f646504f4")
	})
	t.Run("policy list", func(t *testing.T) {
		r := control.Request{ID: 2, Path: "/policy", Method: api.MethodGet, HasBody: true, Body: []byte{0xf6}}
		check(t, r.Append, "11a4010202672f706f6c696379030004f5f6")
	})
	t.Run("POST / with a body", func(t *testing.T) {
		r := control.Request{ID: 0x01020304, Path: "/", Method: api.MethodPost, HasBody: true}
		check(t, r.Append, "0ea4011a0102030402612f030104f5")
	})
	t.Run("200 without body", func(t *testing.T) {
		r := control.Response{ID: 2, Re: 1, Status: api.StatusOK}
		check(t, r.Append, "0aa4010202010318c804f4")
	})
	t.Run("200 with unit", func(t *testing.T) {
		r := control.Response{ID: 2, Re: 1, Status: api.StatusOK, HasBody: true, Body: []byte{0x80}}
		check(t, r.Append, "0ba4010202010318c804f580")
	})
	t.Run("403", func(t *testing.T) {
		r := control.Response{ID: 5, Re: 0x01020304, Status: api.StatusForbidden, HasBody: true}
		check(t, r.Append, "0fa40105021a010203040319019304f5")
	})
}

func check(t *testing.T, app func([]byte) ([]byte, error), want string) {
	t.Helper()
	b, err := app([]byte{7})
	if err != nil || hex.EncodeToString(b) != "07"+want {
		t.Errorf("got %x, %v; want %s", b, err, want)
	}
}

func TestParseRequest(t *testing.T) {
	want := control.Request{ID: 1, Path: "/node", Method: api.MethodGet}
	other := func(f func(*control.Request)) *control.Request {
		r := want
		f(&r)
		return &r
	}
	for _, tt := range []struct {
		name, enc string
		want      *control.Request // nil: refused
	}{
		{"plain", "0ea4010102652f6e6f6465030004f4", &want},
		{"keys in any order", "0ea404f4030002652f6e6f64650101", &want},
		{"indefinite map", "0fbf010102652f6e6f6465030004f4ff", &want},
		{"key 0", "14a5001a0073c0e6010102652f6e6f6465030004f4", &want},
		{"key 5", "15a5010102652f6e6f6465030004f405657472616365", &want},
		{"bytes behind the length", "0ea4010102652f6e6f6465030004f47a7a", &want},
		{"id 0", "0ea4010002652f6e6f6465030004f4", other(func(r *control.Request) { r.ID = 0 })},
		{"largest id", "12a4011affffffff02652f6e6f6465030004f4", other(func(r *control.Request) { r.ID = 1<<32 - 1 })},
		{"no method", "0ca3010102652f6e6f646504f4", other(func(r *control.Request) { r.Method = 0 })},
		{"method null", "0ea4010102652f6e6f646503f604f4", other(func(r *control.Request) { r.Method = 0 })},
		{"body though none is announced", "0fa4010102652f6e6f6465030004f480", other(func(r *control.Request) { r.Body = []byte{0x80} })},
		{"id of 33 bits", "16a4011b000000010000000002652f6e6f6465030004f4", nil},
		{"no has-body", "0ca3010102652f6e6f64650300", nil},
		{"no path", "08a30101030004f4", nil},
		{"no id", "0ca302652f6e6f6465030004f4", nil},
		{"break", "02ffff", nil},
		{"empty", "00", nil},
		{"nothing", "", nil},
		{"no length", "a4010102652f6e6f6465030004f4", nil},
		{"length too long", "7fa4010102652f6e6f6465030004f4", nil},
		{"array", "0a8401652f6e6f646500f4", nil},
		{"method 5", "0ea4010102652f6e6f6465030504f4", nil},
		{"method 9 at the end", "0ea4010102652f6e6f646504f40309", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := api.ParseRequest(unhex(t, tt.enc))
			if tt.want == nil {
				if err == nil {
					t.Errorf("accepted as %+v", r)
				}
				return
			}
			if len(r.Body) == 0 {
				r.Body = nil
			}
			if err != nil || !reflect.DeepEqual(r, *tt.want) {
				t.Errorf("got %+v, %v; want %+v", r, err, *tt.want)
			}
		})
	}
}

func TestParseError(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    control.Response
		want control.Error
		is   error
	}{
		{
			"map",
			control.Response{Status: 404, HasBody: true, Body: unhex(t, "a103686e6f742068657265")},
			control.Error{Status: 404, Message: "not here"},
			api.ErrNotFound,
		},
		{
			"text",
			control.Response{Status: 409, HasBody: true, Body: unhex(t, "686e6f742068657265")},
			control.Error{Status: 409, Message: "not here"},
			api.ErrExists,
		},
		{
			"with path, method and cause",
			control.Response{Status: 400, HasBody: true, Body: unhex(t, "a401612f020103616104a1036162")},
			control.Error{Status: 400, Path: "/", Method: api.MethodPost, Message: "a", Cause: &control.Error{Message: "b"}},
			api.ErrBadRequest,
		},
		{"no body", control.Response{Status: 501}, control.Error{Status: 501}, api.ErrNotSupported},
		{"unreadable", control.Response{Status: 500, HasBody: true, Body: []byte{0xff}}, control.Error{Status: 500}, nil},
		{"none announced", control.Response{Status: 418, Body: unhex(t, "6161")}, control.Error{Status: 418}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := api.ParseError(tt.r)
			if !reflect.DeepEqual(*e, tt.want) {
				t.Errorf("got %+v, want %+v", *e, tt.want)
			}
			if got := e.Unwrap(); !errors.Is(got, tt.is) {
				t.Errorf("stands for %v, want %v", got, tt.is)
			}
			if e.Error() == "" {
				t.Error("no text")
			}
		})
	}
}

func TestMessageTruncated(t *testing.T) {
	request := unhex(t, "2ea40107026b2f6e6f64652f72656c6179030104f5a4014bde84050764656661756c7402626e3304626e3305820280")
	for i := range request {
		if _, err := api.ParseRequest(request[:i]); err == nil {
			t.Errorf("request: accepted %d of %d bytes", i, len(request))
		}
	}
	response := unhex(t, "39a4010202010318c804f5a301626e31025820"+strings.Repeat("ab", 32)+"03820081191092")
	for i := range response {
		if _, err := api.ParseResponse(response[:i]); err == nil {
			t.Errorf("response: accepted %d of %d bytes", i, len(response))
		}
	}
	for i := 1; i < 14; i++ { // the header, in a length of its own
		if _, err := api.ParseResponse(append([]byte{byte(i)}, response[1:1+i]...)); (err == nil) != (i >= 10) {
			t.Errorf("response: %d bytes of header: %v", i, err)
		}
	}
}

// TestRecordedMessages reads every message of the recording and writes it again.
func TestRecordedMessages(t *testing.T) {
	rec := loadRecording(t)
	for _, e := range append(rec.Items, rec.Probes...) {
		t.Run(e.Name, func(t *testing.T) {
			enc := unhex(t, e.Request)
			r, err := api.ParseRequest(enc)
			unread := e.Answer == nil && !strings.Contains(e.Observed, "process ended")
			if unread != (err != nil) {
				t.Fatalf("request %s: %v", e.Request, err)
			}
			if again, _ := r.Append(nil); err == nil && !bytes.Equal(again, enc) && !loose[e.Name] {
				t.Errorf("request again: %x, want %x", again, enc)
			}
			if e.Answer == nil || *e.Answer == "" {
				return
			}
			enc = unhex(t, *e.Answer)
			a, err := api.ParseResponse(enc)
			if err != nil || a.Re != r.ID {
				t.Fatalf("answer: %+v, %v", a, err)
			}
			if again, _ := a.Append(nil); !bytes.Equal(again, enc) {
				t.Errorf("answer again: %x, want %x", again, enc)
			}
			if a.Status == api.StatusOK {
				return
			}
			if again, err := api.Append(nil, api.ParseError(a)); err != nil || !bytes.Equal(again, a.Body) {
				t.Errorf("error again: %x, %v, want %x", again, err, a.Body)
			}
		})
	}
}

// loose are the probes that are not written as a peer should.
var loose = map[string]bool{
	"key 0 tag in header": true, "key 5 text in header": true, "keys out of order": true,
	"indefinite map header": true, "trailing bytes after BARE": true, "method null": true,
}
