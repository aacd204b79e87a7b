package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// A Listener accepts connections of other nodes. Its label is its transport.
type Listener struct {
	Transport string    // "tcp"
	Address   string    // host:port; port 0 takes a free one
	Range     hcl.Range // where it stands, for errors found later
}

var listenerSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "address"}}}

// laterTransports are those of which this version knows the name only.
var laterTransports = []string{"ble", "quic", "tls", "udp", "unix", "ws", "wss"}

func (b *block) listener() *Listener {
	ln := &Listener{Transport: b.name, Range: b.at}
	switch {
	case b.name == "tcp":
	case slices.Contains(laterTransports, b.name):
		b.errorf(b.at, "Transport not supported", "Listeners for %q come in a later version of this program; this one has \"tcp\".", b.name)
	default:
		b.errorf(b.at, "Unknown transport", "The label of a listener is its transport: \"tcp\".")
	}
	const example = "0.0.0.0:4000"
	if b.attrs["address"] == nil {
		b.missing("address", "Say where to listen: address = %q.", example)
		return ln
	}
	text, at, ok := b.text("address", example)
	if !ok {
		return ln
	}
	s, err := parseSocket(text, socketListen)
	switch {
	case err != nil:
		b.errorf(at, "Bad address", "%s Write, for example, %q.", sentence(err), example)
	case s.Network != "tcp":
		b.errorf(at, "Bad address", "A tcp listener listens on HOST:PORT. Write, for example, %q.", example)
	default:
		ln.Address = s.Address
	}
	return ln
}
