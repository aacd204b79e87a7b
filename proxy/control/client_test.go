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
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/wire"
)

// message puts a length in front of the hexadecimal digits of a header and a
// body.
func message(t testing.TB, digits string) []byte {
	t.Helper()
	return wire.AppendBytes(nil, unhex(t, strings.ReplaceAll(digits, " ", "")))
}

// TestClientTolerates gives the answers to which the reference's command was
// put, and expects what it did.
func TestClientTolerates(t *testing.T) {
	const list = " 82a202697570706572636173650369757070657263617365a202646563686f03646563686f"
	for _, tt := range []struct{ name, answer, fails string }{
		{"plain", "a4010202010318c804f5" + list, ""},
		{"re is another number", "a4010202070318c804f5" + list, ""},
		{"re is 0", "a4010202000318c804f5" + list, ""},
		{"key 0 in the header", "a5001a0094c716010202010318c804f5" + list, ""},
		{"more keys in the body", "a4010202010318c804f5 82a4000102697570706572636173650369757070657263617365098101a202646563686f03646563686f", ""},
		{"indefinite maps and arrays", "bf010202010318c804f5ff 9fbf02697570706572636173650369757070657263617365ffbf02646563686f03646563686fffff", ""},
		{"bytes behind the body", "a4010202010318c804f5" + list + "ffff", ""},
		{"unknown status", "a40102020103 1901a2 04f4", "status 418"},
		{"no status", "a301020201 04f5 a103686e6f742068657265", "not here"},
		{"null for the status", "a401020201 03f6 04f5 a103686e6f742068657265", "not here"},
		{"404 with an error map", "a4010202010319019404f5 a103686e6f742068657265", "not here"},
		{"404 with a text", "a4010202010319019404f5 686e6f742068657265", "not here"},
		{"500 without a body", "a401020201031901f404f4", "status 500"},
		{"error with a cause", "a4010202010319019404f5 a203686e6f74206865726504a103656f74686572", "not here"},
		{"200 without the body", "a4010202010318c804f4", "without the body"},
		{"200 without the body, which follows", "a4010202010318c804f4" + list, "without the body"},
		{"body that is not CBOR", "a4010202010318c804f5 ffff", "answer to GET /node/services"},
		{"empty body", "a4010202010318c804f5", "answer to GET /node/services"},
		{"no response", "ff", "response"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := message(t, tt.answer)
			c := byHand(t, func([]byte) []byte { return answer })
			got, err := c.Services(t.Context(), "")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("got %v, %v; want an error with %q", got, err, tt.fails)
				}
				return
			}
			if err != nil || len(got) != 2 || got[0].Type != "uppercase" || got[1].Address != "echo" {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestClientErrors has a client say what the node said.
func TestClientErrors(t *testing.T) {
	c := byHand(t, func([]byte) []byte { return message(t, "a4010202010319019404f5 a103686e6f742068657265") })
	_, err := c.Relay(t.Context(), "n3")
	e, ok := errors.AsType[*control.Error](err)
	if !ok || e.Error() != "not here" || !errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrExists) {
		t.Errorf("got %v", err)
	}
}

// TestClientRawAnswer has Do return what it cannot judge.
func TestClientRawAnswer(t *testing.T) {
	c := byHand(t, func([]byte) []byte { return message(t, "a40102020103 1901a2 04f5 07") })
	r, err := c.Do(t.Context(), control.Request{Path: "/x", Method: api.MethodPatch})
	if err != nil || r.Status != 418 || !bytes.Equal(r.Body, []byte{7}) {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestClientEnds has a client stop waiting.
func TestClientEnds(t *testing.T) {
	silent := func([]byte) []byte { return nil }
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, began := byHand(t, silent), time.Now()
			if _, err := c.Status(t.Context()); !errors.Is(err, api.ErrNoAnswer) || time.Since(began) != api.DefaultTimeout {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := byHand(t, silent).Status(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("lost link", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := byHand(t, silent)
			time.AfterFunc(time.Second, c.Path.(*tunnel.Link).Close)
			if _, err := c.Status(t.Context()); !errors.Is(err, tunnel.ErrClosed) {
				t.Errorf("got %v", err)
			}
			if _, err := c.Status(t.Context()); err == nil {
				t.Error("no error over a lost link")
			}
		})
	})
}

// TestClientLocal asks the node of the same router.
func TestClientLocal(t *testing.T) {
	router := tunnel.NewRouter()
	c := &control.Client{Router: router}
	if _, err := c.Status(t.Context()); !errors.Is(err, tunnel.ErrNoRoute) {
		t.Errorf("without a server: %v", err)
	}
	s := control.NewServer(router, small{})
	defer s.Close()
	if _, err := router.Handle(tunnel.LocalAddress(control.Address), s, tunnel.Access{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestClientMethods sends requests of which there is no recording.
func TestClientMethods(t *testing.T) {
	ctx := t.Context()
	for _, tt := range []struct {
		name, request, answer string // without id
		do                    func(c *control.Client) error
	}{
		{
			"delete Kafka inlet", "DELETE /node/services/kafka_inlet a1016161", "",
			func(c *control.Client) error { return c.DeleteKafkaInlet(ctx, "a") },
		},
		{
			"delete Kafka outlet", "DELETE /node/services/kafka_outlet a1016161", "",
			func(c *control.Client) error { return c.DeleteKafkaOutlet(ctx, "a") },
		},
		{
			"start lease issuer",
			"POST /node/services/lease_manager a201616102a50161750261 6f0361740462 5b5d 0582190e1000", "",
			func(c *control.Client) error {
				return c.StartLeaseIssuer(ctx, "a", control.LeaseIssuer{
					URL: "u", OrgID: "o", Token: "t", Permissions: "[]", Duration: time.Hour,
				})
			},
		},
		{
			"delete lease issuer", "DELETE /node/services/lease_manager a1016161", "",
			func(c *control.Client) error { return c.DeleteLeaseIssuer(ctx, "a") },
		},
		{
			"delete secure channel", "DELETE /node/secure_channel a10182004161", "a1016461626364",
			func(c *control.Client) error {
				d, err := c.DeleteSecureChannel(ctx, tunnel.LocalAddress("a"))
				if err == nil && d.Channel != "abcd" {
					t.Errorf("got %+v", d)
				}
				return err
			},
		},
		{
			"outlet for InfluxDB with leases",
			"POST /node/influxdb_outlet a201a4018261681907d002f404f406f4028200a100a401636f72670263746f6b03625b5d0482190e1000",
			"a2018261681907d00282004161",
			func(c *control.Client) error {
				_, err := c.CreateInfluxDBOutlet(ctx, control.CreateInfluxDBOutlet{
					Outlet: control.CreateOutlet{Target: control.HostnamePort{Host: "h", Port: 2000}},
					Lease:  &control.Lease{OrgID: "org", Token: "tok", Permissions: "[]", Duration: time.Hour},
				})
				return err
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got control.Request
			far := byHand(t, func(payload []byte) []byte {
				got, _ = api.ParseRequest(payload)
				if tt.answer == "" {
					return message(t, "a4010202010318c804f4")
				}
				return message(t, "a4010202010318c804f5"+tt.answer)
			})
			// Through a server as well, which must read what the client writes.
			if err := tt.do(serve(t, control.NewServer(nil, far))); err != nil {
				t.Fatal(err)
			}
			method, rest, _ := strings.Cut(tt.request, " ")
			path, body, _ := strings.Cut(rest, " ")
			want := unhex(t, strings.ReplaceAll(body, " ", ""))
			if got.Method.String() != method || got.Path != path || !bytes.Equal(got.Body, want) || !got.HasBody {
				t.Errorf("got %v %s %x, want %s", got.Method, got.Path, got.Body, tt.request)
			}
		})
	}
}
