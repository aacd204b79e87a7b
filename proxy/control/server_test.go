package control_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ockam/proxy/control"
	"ockam/transports"
	"ockam/tunnel"
	"ockam/tunnel/api"
)

// TestRecordedExchanges sends every request of the recording to a server whose
// node is a client of a node that answers as recorded. So a request is read and
// written, and an answer as well, through the methods of server and client; but
// for the random ids all must come out to the byte.
func TestRecordedExchanges(t *testing.T) {
	rec := loadRecording(t)
	for _, e := range append(rec.Items, rec.Probes...) {
		if e.Answer == nil || *e.Answer == "" {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			want, err := api.ParseResponse(unhex(t, *e.Answer))
			if err != nil {
				t.Fatal(err)
			}
			var seen []byte
			far := byHand(t, func(payload []byte) []byte {
				seen = payload
				return unhex(t, *e.Answer)
			})
			near := serve(t, control.NewServer(nil, far))
			got, err := api.ParseResponse(<-ask(t, near, unhex(t, e.Request)))
			if err != nil {
				t.Fatal(err)
			}
			if got.ID == 0 {
				t.Error("the answer has no id")
			}
			got.ID = want.ID
			if a, b := again(t, got.Append), again(t, want.Append); !bytes.Equal(a, b) {
				t.Errorf("answer\n%x, want\n%x", a, b)
			}
			if seen == nil {
				if want.Status != api.StatusBadRequest {
					t.Error("the node was not asked")
				}
				return
			}
			sent, err := api.ParseRequest(unhex(t, e.Request))
			if err != nil {
				t.Fatal(err)
			}
			asked, err := api.ParseRequest(seen)
			if err != nil || asked.ID == 0 {
				t.Fatalf("the node was asked %+v: %v", asked, err)
			}
			if asked.ID = sent.ID; loose[e.Name] || loosePath[e.Name] {
				return
			}
			if a, b := again(t, asked.Append), again(t, sent.Append); !bytes.Equal(a, b) {
				t.Errorf("the node was asked\n%x, want\n%x", a, b)
			}
		})
	}
}

// loosePath are the probes with a path, body or flag that our client does not
// send.
var loosePath = map[string]bool{
	"GET node (no slash)": true, "GET ///node": true, "/v0/message": true,
	"has_body false though body present": true, "v0/message with unknown keys": true,
}

func again(t *testing.T, app func([]byte) ([]byte, error)) []byte {
	t.Helper()
	b, err := app(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRecordedRefusals sends the probes that the reference's node did not
// answer, or answered with a text that was not kept.
func TestRecordedRefusals(t *testing.T) {
	for _, e := range loadRecording(t).Probes {
		if e.Answer != nil && *e.Answer != "" || strings.Contains(e.AnswerHeader, "none") {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				node := &fake{err: errFor[e.Name]}
				answers := ask(t, serve(t, control.NewServer(nil, node)), unhex(t, e.Request))
				synctest.Wait()
				if e.Answer == nil && !strings.Contains(e.Observed, "process ended") {
					if len(answers) != 0 {
						t.Fatalf("answer %x", <-answers)
					}
					return
				}
				got, err := api.ParseResponse(<-answers)
				if err != nil {
					t.Fatal(err)
				}
				body := api.ParseError(got)
				if e.Answer == nil { // which ended the reference's process
					if got.Status != api.StatusBadRequest || body.Path == "" || !strings.HasPrefix(body.Message, "Invalid endpoint: ") {
						t.Errorf("got %+v with %+v", got, body)
					}
					return
				}
				want, err := api.ParseResponse(append([]byte{byte(len(e.AnswerHeader) / 2)}, unhex(t, e.AnswerHeader)...))
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != want.Status || got.HasBody != want.HasBody || got.Re != want.Re {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if named := strings.Contains(e.AnswerBody, "1: "); named != (body.Path != "") {
					t.Errorf("body %+v, want it like %s", body, e.AnswerBody)
				}
				if unread := node.err == nil && !strings.Contains(e.Name, "nope"); unread != strings.HasPrefix(body.Message, "failed to handle request") {
					t.Errorf("message %q", body.Message)
				}
			})
		})
	}
}

// errFor is what the node says to the probes that get through to it.
var errFor = map[string]error{
	"POST hop duplicate":            api.ErrExists,
	"v0/message bad route":          errors.New("no such place"),
	"DELETE inlet none":             api.ErrNotFound,
	"relay create dup":              api.ErrExists,
	"secure channel delete unknown": api.ErrNotFound,
	"show secure channel unknown":   api.ErrNotFound,
	"flow control bad address":      errors.New("not local"),
}

// TestNotFound compares what the server says of missing things with what the
// reference's node said.
func TestNotFound(t *testing.T) {
	rec := loadRecording(t)
	n := 0
	for _, e := range append(rec.Items, rec.Probes...) {
		if e.Answer == nil || *e.Answer == "" {
			continue
		}
		want, err := api.ParseResponse(unhex(t, *e.Answer))
		if err != nil {
			t.Fatal(err)
		}
		if text := api.ParseError(want).Message; want.Status == api.StatusOK || !strings.Contains(text, "not found") && !strings.Contains(text, "No policy found") {
			continue
		}
		n++
		t.Run(e.Name, func(t *testing.T) {
			c := serve(t, control.NewServer(nil, &fake{err: api.ErrNotFound}))
			got, err := api.ParseResponse(<-ask(t, c, unhex(t, e.Request)))
			if got.ID = want.ID; err != nil || !bytes.Equal(again(t, got.Append), again(t, want.Append)) {
				t.Errorf("got %+v %q, want %+v %q", got, got.Body, want, want.Body)
			}
		})
	}
	if n < 8 {
		t.Errorf("only %d such exchanges", n)
	}
}

func TestStatuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		do   func(context.Context, *control.Client) error
		want control.Status
	}{
		{"inlet exists", api.ErrExists, createInlet, 400},
		{"inlet fails", errors.New("x"), createInlet, 400},
		{"inlet is not there", api.ErrNotFound, inlet, 404},
		{"inlet cannot be shown", errors.New("x"), inlet, 500},
		{"inlet cannot be deleted", api.ErrNotFound, deleteInlet, 400},
		{"relay exists", api.ErrExists, createRelay, 500},
		{"relay makes no sense", api.ErrBadRequest, createRelay, 400},
		{"relays are not for this node", api.ErrNotSupported, createRelay, 501},
		{"status chosen by the node", &control.Error{Status: api.StatusTimeout, Message: "late"}, createRelay, 408},
		{"status that nobody knows", &control.Error{Status: 418}, createRelay, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, control.NewServer(nil, &fake{err: tt.err}))
			e, ok := errors.AsType[*control.Error](tt.do(t.Context(), c))
			if !ok || e.Status != tt.want {
				t.Errorf("got %+v, want status %d", e, tt.want)
			}
		})
	}
}

func createInlet(ctx context.Context, c *control.Client) error {
	_, err := c.CreateInlet(ctx, control.CreateInlet{})
	return err
}

func inlet(ctx context.Context, c *control.Client) error {
	_, err := c.Inlet(ctx, "in1")
	return err
}

func deleteInlet(ctx context.Context, c *control.Client) error {
	_, err := c.DeleteInlet(ctx, "in1")
	return err
}

func createRelay(ctx context.Context, c *control.Client) error {
	_, err := c.CreateRelay(ctx, control.CreateRelay{Return: control.Immediately})
	return err
}

func TestNotSupported(t *testing.T) {
	c := serve(t, control.NewServer(nil, small{}))
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Inlets(t.Context()); !errors.Is(err, api.ErrNotSupported) {
		t.Errorf("inlets of a node without: %v", err)
	}
	if err := createRelay(t.Context(), c); !errors.Is(err, api.ErrNotSupported) {
		t.Errorf("relay of a node without: %v", err)
	}
}

// TestConcurrent has requests that wait hold up no other, up to the bound; then
// more are refused at once. Close ends those that wait.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := &fake{hold: make(chan struct{})}
		s := control.NewServer(nil, node)
		s.MaxConcurrent = 4
		c := serve(t, s)
		errs := make(chan error, 4)
		hang := func() {
			_, err := c.SendMessage(t.Context(), control.SendMessage{Route: "/service/x"})
			errs <- err
		}
		for range 3 {
			go hang()
		}
		synctest.Wait()
		began := time.Now()
		if st, err := c.Status(t.Context()); err != nil || st.Name != "n1" || time.Since(began) != 0 {
			t.Fatalf("status beside requests that wait: %+v, %v after %v", st, err, time.Since(began))
		}
		go hang()
		synctest.Wait()
		_, err := c.Status(t.Context())
		if e, ok := errors.AsType[*control.Error](err); !ok || e.Status != api.StatusInternalError || !strings.Contains(e.Message, "busy") {
			t.Fatalf("one request too many: %v", err)
		}
		close(node.hold)
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if _, err := c.Status(t.Context()); err != nil {
			t.Error(err)
		}

		node.hold = make(chan struct{})
		go hang()
		synctest.Wait()
		s.Close()
		if node.ended != 1 {
			t.Errorf("Close cancelled %d requests, want 1", node.ended)
		}
		if err := <-errs; err == nil {
			t.Error("a request that was cancelled succeeded")
		}
		c.Timeout = time.Second
		if _, err := c.Status(t.Context()); !errors.Is(err, api.ErrNoAnswer) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestServerDrops(t *testing.T) {
	s := control.NewServer(tunnel.NewRouter(), small{})
	defer s.Close()
	request := unhex(t, "0ea4010102652f6e6f6465030004f4")
	for _, tt := range []struct {
		name    string
		payload []byte
		ret     tunnel.Route
	}{
		{"no return route", request, tunnel.Route{}},
		{"too large", append(bytes.Clone(request), make([]byte, api.MaxRequest)...), tunnel.NewRoute(tunnel.LocalAddress("x"))},
		{"no request", []byte{0}, tunnel.NewRoute(tunnel.LocalAddress("x"))},
	} {
		m := tunnel.NewMessage()
		m.Payload, m.Return = tt.payload, tt.ret
		if err := s.HandleMessage(m); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}

// TestAnswerTooLarge has the node say more than a frame holds.
func TestAnswerTooLarge(t *testing.T) {
	c := serve(t, control.NewServer(nil, &large{}))
	_, err := c.SendMessage(t.Context(), control.SendMessage{Route: "/service/x"})
	if e, ok := errors.AsType[*control.Error](err); !ok || e.Status != api.StatusInternalError {
		t.Errorf("got %v", err)
	}
}

// large is a node whose messages have large replies.
type large struct{ small }

func (large) SendMessage(context.Context, control.SendMessage) ([]byte, error) {
	return bytes.Repeat([]byte{0xff}, transports.MaxFrame/2), nil // two bytes each
}

func TestErrorf(t *testing.T) {
	err := api.Errorf(api.ErrExists, "inlet %s exists", "in1")
	if err.Error() != "inlet in1 exists" || !errors.Is(err, api.ErrExists) {
		t.Errorf("got %v", err)
	}
	c := serve(t, control.NewServer(nil, &fake{err: err}))
	if err := createInlet(t.Context(), c); err == nil || err.Error() != "inlet in1 exists" {
		t.Errorf("the client got %v", err)
	}
}
