package node

import (
	"net"
	"strings"
	"testing"
)

// TestChooseAddress: where members connect is known if a machine has one address of
// the kind that is listened at.
func TestChooseAddress(t *testing.T) {
	const own, own6, local6 = "127.0.0.1/8", "::1/128", "fe80::1/64"
	for _, tt := range []struct {
		name, all string
		only4     bool
		want, err string
	}{
		{"IPv4", own + " 192.0.2.1/24 " + own6 + " " + local6, false, "192.0.2.1", ""},
		{"IPv4 for 0.0.0.0", own + " 192.0.2.1/24", true, "192.0.2.1", ""},
		{"IPv4 before IPv6", own + " 2001:db8::1/64 192.0.2.1/24", false, "192.0.2.1", ""},
		{"IPv6", own + " " + own6 + " " + local6 + " 2001:db8::1/64", false, "2001:db8::1", ""},
		{"IPv6 for 0.0.0.0", own + " 2001:db8::1/64", true, "", "no IPv4 address but"},
		{"two of IPv6", "2001:db8::1/64 2001:db8::2/64", false, "", "the addresses 2001:db8::1, 2001:db8::2:"},
		{"two of IPv4", "192.0.2.1/24 198.51.100.1/24", false, "", "the addresses 192.0.2.1, 198.51.100.1:"},
		{"nothing but loopback", own + " " + own6 + " " + local6 + " 169.254.0.1/16", false, "", "no address but its own loopback"},
	} {
		var all []net.Addr
		for _, text := range strings.Fields(tt.all) {
			ip, n, err := net.ParseCIDR(text)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		got, err := chooseAddress(all, tt.only4)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}
