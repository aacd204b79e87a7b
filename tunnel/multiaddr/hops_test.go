package multiaddr_test

import (
	"fmt"
	"strings"
	"testing"

	"ockam/tunnel/multiaddr"
)

func TestHops(t *testing.T) {
	for _, tt := range []struct{ name, text, want, err string }{
		{name: "empty"},
		{name: "local", text: "/service/uppercase", want: "service:uppercase"},
		{name: "workers", text: "/worker/s1/service/hop/worker/s2/service/uppercase", want: "service:s1 service:hop service:s2 service:uppercase"},
		{name: "dns", text: "/dnsaddr/localhost/tcp/4000/service/echo", want: "dial:localhost:4000 service:echo"},
		{name: "channel", text: "/ip4/127.0.0.1/tcp/4000/secure/api/service/uppercase", want: "dial:127.0.0.1:4000 secure:api service:uppercase"},
		{name: "IPv6", text: "/ip6/::1/tcp/4000", want: "dial:[::1]:4000"},
		{name: "project", text: "/project/default/service/forward_to_n1/secure/api/service/echo", want: "project:default service:forward_to_n1 secure:api service:echo"},
		{name: "node", text: "/node/n1/service/echo", want: "node:n1 service:echo"},
		{name: "two channels in a row", text: "/ip4/1.2.3.4/tcp/1/secure/a/secure/b", want: "dial:1.2.3.4:1 secure:a secure:b"},
		{name: "self", text: "self", want: "secure:api"},
		{name: "empty service", text: "/service", want: "service:"},

		{name: "host alone", text: "/ip4/127.0.0.1", err: "write /ip4/127.0.0.1/tcp/PORT"},
		{name: "host, then service", text: "/dnsaddr/localhost/service/echo", err: "port is missing"},
		{name: "port alone", text: "/tcp/4000/service/echo", err: "needs a host before it"},
		{name: "two ports", text: "/ip4/1.2.3.4/tcp/1/tcp/2", err: "needs a host before it"},
		{name: "two connections", text: "/ip4/1.2.3.4/tcp/1/ip4/5.6.7.8/tcp/2/service/echo", err: "only one TCP connection"},
		{name: "space", text: "/space/s/service/echo", err: "no place"},
		{name: "no host", text: "/dnsaddr//tcp/4000", err: "needs a name"},
		{name: "no listener", text: "/ip4/1.2.3.4/tcp/1/secure", err: "needs a name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := multiaddr.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			hops, err := a.Hops()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, %v, want error with %q", hops, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range hops {
				got = append(got, fmt.Sprintf("%s:%s", h.Kind, h.Value))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
