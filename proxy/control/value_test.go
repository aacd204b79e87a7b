package control_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"ockam/proxy/control"
	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/policy"
)

// find returns the vector whose note begins so.
func find(t *testing.T, kind, note string) []byte {
	t.Helper()
	for _, v := range vectors(t) {
		if v.kind == kind && strings.HasPrefix(v.note, note) {
			return v.enc
		}
	}
	t.Fatalf("no vector %s %s", kind, note)
	return nil
}

func addr(t *testing.T, s string) multiaddr.Addr {
	t.Helper()
	a, err := multiaddr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestValues sees to it that the fields hold what they are called.
func TestValues(t *testing.T) {
	wait := 5 * time.Second
	role, err := policy.Parse(`(= subject.role "web")`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind, note string
		got        control.Body // empty
		want       control.Body
	}{
		{
			"NodeStatus", "n1", &control.NodeStatus{},
			&control.NodeStatus{
				Name: "n1", Identifier: identity.Identifier(bytes.Repeat([]byte{0xab}, 32)),
				Process: control.NodeProcessStatus{State: control.Running, PID: 4242},
			},
		},
		{
			"InternetAddress", "127.0.0.1:8080", &control.InternetAddress{},
			&control.InternetAddress{Host: "127.0.0.1", Port: 8080},
		},
		{
			"TransportStatus", "outgoing", &control.TransportStatus{},
			&control.TransportStatus{
				Type: control.TCP, Mode: control.Outgoing, Socket: "127.0.0.1:7000",
				Worker: "0#aa", Processor: "0#bb", Flow: control.FlowControlID{ID: "cc"},
			},
		},
		{
			"CreateInlet", "in1", &control.CreateInlet{},
			&control.CreateInlet{
				Listen: control.HostnamePort{Host: "127.0.0.1", Port: 6000}, Alias: "in1", Wait: &wait, WaitForConnection: true,
				Outlet: addr(t, "/project/p1/service/forward_to_n3/secure/api/service/outlet"),
			},
		},
		{
			"InletStatus", "in1", &control.InletStatus{},
			&control.InletStatus{
				Bind: "127.0.0.1:6000", Worker: "c1c2c3c4c5c6c7c8c9cacbcccdcecfc0", Alias: "in1",
				OutletRoute: "0#9a8b => 0#outlet", Status: control.Up,
				OutletAddress: "/project/p1/service/forward_to_n3/secure/api/service/outlet",
			},
		},
		{
			"CreateOutlet", "localhost", &control.CreateOutlet{},
			&control.CreateOutlet{
				Target: control.HostnamePort{Host: "localhost", Port: 9000}, Address: tunnel.LocalAddress("outlet"), Reachable: true,
			},
		},
		{
			"CreateRelay", "n3", &control.CreateRelay{},
			&control.CreateRelay{At: addr(t, "/project/default"), Name: "n3", Address: "n3", Return: control.AfterConnection},
		},
		{
			"RelayInfo", "up", &control.RelayInfo{},
			&control.RelayInfo{
				ForwardingRoute: "0#1111222233334444555566667777aaaa => 0#forward_to_n3", RemoteAddress: "forward_to_n3",
				WorkerAddress: "0#5d0c1b2a39485766758493a2b1c0dfee", Flow: &control.FlowControlID{ID: "f00df00df00df00df00df00df00df00d"},
				Status: control.Up, Destination: addr(t, "/project/default"), Name: "n3",
			},
		},
		{
			"PolicyExpression", `(= subject.role`, &control.PolicyExpression{},
			&control.PolicyExpression{Expr: role},
		},
		{
			"SendMessage", "10 17 18 ff", &control.SendMessage{},
			&control.SendMessage{Route: "/service/x", Message: []byte{0x10, 0x17, 0x18, 0xff}},
		},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			if _, err := api.Parse(find(t, tt.kind, tt.note), tt.got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(tt.got, tt.want) {
				t.Errorf("got\n%+v, want\n%+v", tt.got, tt.want)
			}
		})
	}
}

func TestResourcesValue(t *testing.T) {
	for _, e := range loadRecording(t).Items {
		if e.Name != "GET /node/resources" {
			continue
		}
		a, err := api.ParseResponse(unhex(t, *e.Answer))
		if err != nil {
			t.Fatal(err)
		}
		var r control.NodeResources
		if _, err := api.Parse(a.Body, &r); err != nil {
			t.Fatal(err)
		}
		if r.Name != "n1" || r.IdentityName != "trim-velvetbreast" || !r.IsDefault || r.HTTPServer.Port != 4490 ||
			r.Route.Short.String() != "/node/n1" || r.Route.Verbose.String() != "/dnsaddr/localhost/tcp/4401" ||
			len(r.Transports) != 1 || r.Transports[0].Worker != control.NoWorker || r.Transports[0].Mode != control.Listen ||
			len(r.ChannelListeners) != 1 || r.ChannelListeners[0].Address != tunnel.LocalAddress("api") ||
			len(r.Inlets)+len(r.Outlets) != 0 || len(r.Services) != 2 || r.Services[1].Type != "echo" {
			t.Errorf("got %+v", r)
		}
		return
	}
	t.Fatal("no such item")
}

func TestPolicyExpression(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"web", `(= subject.web "true")`},
		{"a and not b", `(and (= subject.a "true") (not (= subject.b "true")))`},
		{`(= subject.n [-5 7])`, `(= subject.n [-5 7])`},
		{`(and (< subject.x 1.5) (= true false))`, `(and (< subject.x 1.5) (= true false))`},
	} {
		input, err := policy.ParseInput(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		in := control.PolicyExpression(input)
		b, err := api.Append(nil, &in)
		if err != nil {
			t.Fatal(err)
		}
		var out control.PolicyExpression
		if _, err := api.Parse(b, &out); err != nil {
			t.Fatal(err)
		}
		e, err := out.Policy()
		if err != nil || e.String() != tt.want || (out.Formula != nil) != (in.Formula != nil) {
			t.Errorf("%s became %v, %v", tt.in, e, err)
		}
	}
	var empty control.PolicyExpression
	if _, err := api.Parse(unhex(t, "820181820480"), &empty); err != nil {
		t.Fatal(err)
	}
	if e, err := empty.Policy(); err == nil {
		t.Errorf("the empty formula is the policy %v", e)
	}
}

// TestAppendRefused encodes what has no encoding.
func TestAppendRefused(t *testing.T) {
	late := -time.Second
	for _, v := range []control.Body{
		&control.CreateRelay{},
		&control.NodeProcessStatus{State: 3},
		&control.TransportStatus{Mode: 3},
		&control.TransportStatus{Type: 3},
		&control.SetPolicy{},
		&control.ResourceTypeOrName{},
		&control.PolicyExpression{},
		&control.PolicyExpression{Formula: &policy.Formula{Kind: policy.FormulaNot}},
		&control.PolicyExpression{Formula: &policy.Formula{Kind: 9}},
		&control.CreateSecureChannel{Timeout: &late},
		&control.AddConsumer{Address: multiaddr.Addr{{Protocol: 1}}},
		&control.KafkaInlet{},
	} {
		if b, err := api.Append(nil, v); err == nil {
			t.Errorf("%T: %+v was encoded as %x", v, v, b)
		}
	}
}
