package multiaddr

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/agext/levenshtein"
)

// A Protocol says what a component's value means. Its number is the code of
// the binary form.
type Protocol uint64

// The protocols of a place (Ockam protocol, MultiAddr, table of components).
const (
	IP4     Protocol = 4      // an IPv4 address
	TCP     Protocol = 6      // a TCP port
	IP6     Protocol = 41     // an IPv6 address
	DNSAddr Protocol = 56     // a host name
	Service Protocol = 62526  // a worker that serves something
	Node    Protocol = 72526  // a node known by name
	Project Protocol = 82526  // a project known by name
	Space   Protocol = 92526  // a space known by name; leads nowhere
	Secure  Protocol = 99526  // a secure channel listener
	Worker  Protocol = 102526 // any other worker
)

// ErrUnknownProtocol is the cause when a component is of no kind we know.
var ErrUnknownProtocol = errors.New("unknown protocol")

// ErrNotSupported is the cause when a component belongs to an extension that
// this version does not speak yet.
var ErrNotSupported = errors.New("not yet supported by this version")

// protocols is the table of names, in the order of the codes.
var protocols = []struct {
	protocol Protocol
	name     string
}{
	{IP4, "ip4"},
	{TCP, "tcp"},
	{IP6, "ip6"},
	{DNSAddr, "dnsaddr"},
	{Service, "service"},
	{Node, "node"},
	{Project, "project"},
	{Space, "space"},
	{Secure, "secure"},
	{Worker, "worker"},
}

// extensions are the names of transports that places will lead through one
// day. They have no code in the reference implementation.
var extensions = []string{"udp", "quic", "ws", "wss", "tls", "unix"}

// String returns the name that stands in the text form, or the number of a
// protocol we do not know.
func (p Protocol) String() string {
	for _, e := range protocols {
		if e.protocol == p {
			return e.name
		}
	}
	return strconv.FormatUint(uint64(p), 10)
}

// known reports whether p is in the table.
func (p Protocol) known() bool {
	for _, e := range protocols {
		if e.protocol == p {
			return true
		}
	}
	return false
}

// parseProtocol looks a name up; the error of an unknown one suggests the
// nearest that there is.
func parseProtocol(name string) (Protocol, error) {
	for _, e := range protocols {
		if e.name == name {
			return e.protocol, nil
		}
	}
	for _, e := range extensions {
		if e == name {
			return 0, fmt.Errorf("/%s is %w", name, ErrNotSupported)
		}
	}
	if name == "" {
		return 0, fmt.Errorf("%w: a name is missing between two slashes or after the last one", ErrUnknownProtocol)
	}
	for _, e := range protocols {
		if levenshtein.Distance(name, e.name, nil) <= 2 && len(name) > 2 {
			return 0, fmt.Errorf("%w %q; did you mean %q?", ErrUnknownProtocol, name, e.name)
		}
	}
	return 0, fmt.Errorf("%w %q", ErrUnknownProtocol, name)
}
