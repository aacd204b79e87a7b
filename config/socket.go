package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Socket is where an application listens or connects. Network and Address
// are as the net package wants them.
type Socket struct {
	// Network is "tcp", "unix", or "demo" for a service built into this
	// program.
	Network string
	Address string // host:port, a path, or the name of the demonstration
}

// DemoWeb is the address of the only Socket on the network "demo": a small
// web page.
const DemoWeb = "web"

// String returns the socket as a file says it.
func (s Socket) String() string {
	if s.Network == "tcp" || s.Network == "" {
		return s.Address
	}
	return s.Network + ":" + s.Address
}

// Loopback reports whether only this machine reaches the socket.
func (s Socket) Loopback() bool {
	if s.Network != "tcp" {
		return true
	}
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// socketUse says what a socket is for.
type socketUse int

const (
	socketListen socketUse = iota + 1 // port 0 takes a free one
	socketDial
)

// maxUnixPath is what fits into a socket address on every system we run on
// (macOS has 104 bytes with the zero at the end).
const maxUnixPath = 103

// parseSocket reads host:port, unix:/path or, to dial, demo:NAME.
func parseSocket(text string, use socketUse) (Socket, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !strings.HasPrefix(path, "/"):
			return Socket{}, fmt.Errorf("%q must have an absolute path: unix:/PATH", text)
		case len(path) > maxUnixPath:
			return Socket{}, fmt.Errorf("the path has %d bytes; the name of a Unix socket has at most %d", len(path), maxUnixPath)
		case strings.ContainsRune(path, 0):
			return Socket{}, errors.New("the path holds a zero byte")
		}
		return Socket{"unix", path}, nil
	}
	if name, ok := strings.CutPrefix(text, "demo:"); ok && use == socketDial {
		if name != DemoWeb {
			return Socket{}, fmt.Errorf("there is no demonstration %q; did you mean \"demo:%s\"?", name, DemoWeb)
		}
		return Socket{"demo", name}, nil
	}
	if strings.HasPrefix(text, "demo:") {
		return Socket{}, errors.New("demonstrations are for outlets, which connect; this one listens")
	}
	if strings.Contains(text, "://") || strings.HasPrefix(text, "/") {
		return Socket{}, fmt.Errorf("%q is not HOST:PORT", text)
	}
	return parseHostPort(text, use)
}

func parseHostPort(text string, use socketUse) (Socket, error) {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return Socket{}, fmt.Errorf("%q is a port without a host; did you mean \"127.0.0.1:%s\"?", text, text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if ip, err := netip.ParseAddr(text); err == nil && ip.Is6() {
			return Socket{}, fmt.Errorf("%q: write IPv6 addresses in brackets, with the port behind: \"[%s]:PORT\"", text, text)
		}
		if !strings.Contains(text, ":") {
			return Socket{}, fmt.Errorf("%q has no port", text)
		}
		return Socket{}, fmt.Errorf("%q is not HOST:PORT", text)
	}
	switch {
	case host == "" && use == socketListen:
		return Socket{}, fmt.Errorf("%q has no host; for all addresses of this machine write \"0.0.0.0:%s\"", text, port)
	case host == "":
		return Socket{}, fmt.Errorf("%q has no host", text)
	case !goodHost(host):
		return Socket{}, fmt.Errorf("%q is neither an IP address nor a host name", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Socket{}, fmt.Errorf("%q is not a port: ports are numbers from 1 to 65535", port)
	}
	if n == 0 && use == socketDial {
		return Socket{}, errors.New("nothing can be reached at port 0")
	}
	return Socket{"tcp", net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

// goodHost reports whether host is an IP address or can be a host name.
func goodHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if len(host) > 253 || strings.Trim(host, "0123456789.") == "" {
		return false // too long, or a mistyped IPv4 address
	}
	for _, label := range strings.Split(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if c < 0x80 && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

// sentence turns an error into a sentence.
func sentence(err error) string {
	s := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "multiaddr: "), "policy: ")
	s = strings.ToUpper(s[:1]) + s[1:]
	if strings.HasSuffix(s, "?") {
		return s
	}
	return strings.TrimSuffix(s, ".") + "."
}
