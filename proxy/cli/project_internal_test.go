package cli

import (
	"strings"
	"testing"

	"ockam/proxy/node"
)

func TestProjectAddress(t *testing.T) {
	own, err := node.OwnAddress("")
	if err != nil {
		own = "" // that of all interfaces is not tested
	}
	for _, c := range []struct{ listen, address, at, members, err string }{
		{"127.0.0.1:4100", "", "127.0.0.1:4100", "127.0.0.1:4100", ""},
		{"127.0.0.1", "", "127.0.0.1:4000", "127.0.0.1:4000", ""},
		{"::1", "", "[::1]:4000", "[::1]:4000", ""},
		{"relay.example.com", "", "relay.example.com:4000", "relay.example.com:4000", ""},
		{"4100", "relay.example.com", ":4100", "relay.example.com:4100", ""},
		{":4100", "relay.example.com:4200", ":4100", "relay.example.com:4200", ""},
		{"0.0.0.0", "[fd00::1]", "0.0.0.0:4000", "[fd00::1]:4000", ""},
		{"4100", "", ":4100", own + ":4100", ""},
		{"70000", "", "", "", "--listen 70000: \"70000\" is no port"},
		{"127.0.0.1:http", "", "", "", "--listen 127.0.0.1:http: \"http\" is no port"},
		{"127.0.0.1:", "", "", "", "is no port"},
		{"a:b:c", "", "", "", "--listen a:b:c: "},
		{"4100", "4200", "", "", "--address 4200: give the host"},
		{"4100", ":4200", "", "", "--address :4200: give the host"},
		{"4100", "relay.example.com:x", "", "", "--address relay.example.com:x"},
		{"4100", "relay/x", "", "", "--address relay/x: "},
	} {
		if c.listen == "4100" && c.address == "" && own == "" {
			continue
		}
		at, members, err := projectAddress(c.listen, c.address)
		if c.err == "" && (err != nil || at != c.at || members != c.members) {
			t.Errorf("%q, %q: got %s, %s, %v, want %s, %s", c.listen, c.address, at, members, err, c.at, c.members)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q, %q: got %v, want %s", c.listen, c.address, err, c.err)
		}
	}
}
