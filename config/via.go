package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"ockam/tunnel/multiaddr"
)

// orJoin is what else there is where allow is missing.
const orJoin = " In a member of a project (project = \"NAME\", or ticket = file(\"PATH\")) allow may be left out: it is for members then."

// inletPlace returns the place that to or the short form via and service says,
// as place does.
func (b *block) inletPlace() (addr multiaddr.Addr, hops []multiaddr.Hop, at hcl.Range, ok bool) {
	const example = "/dnsaddr/relay.example.com/tcp/4000/service/forward_to_db/secure/api/service/postgres"
	via, to, service := b.attrs["via"], b.attrs["to"], b.attrs["service"]
	switch {
	case via != nil && to != nil:
		b.errorf(via.NameRange, "Two ways", "via stands for a whole way, and so does to. Leave one of them out.")
	case service != nil && via == nil:
		b.errorf(service.NameRange, "Nothing to name it for", "service names the outlet behind via. With to, it is the end of the way: /service/NAME.")
	case via != nil:
		return b.via()
	case to != nil:
		return b.place("to", example)
	default:
		b.missing("to", "Say which outlet the connections go to: to = %q, or, in a project, via = \"RELAY\".", example)
	}
	return nil, nil, b.at, false
}

// via returns the place behind a relay of the node's project.
func (b *block) via() (multiaddr.Addr, []multiaddr.Hop, hcl.Range, bool) {
	relay, at, ok := b.text("via", "db")
	service := b.name
	if text, serviceAt, given := b.text("service", "postgres"); given {
		service = text
		if !goodName.MatchString(service) {
			b.errorf(serviceAt, "Bad name", "%q cannot be the name of a tcp_outlet. Names are made of letters, digits, '-', '_' and '.'.", service)
			ok = false
		}
	} else if b.attrs["service"] != nil {
		ok = false // was wrong, which has been reported
	}
	if !ok {
		return nil, nil, at, false
	}
	if !goodName.MatchString(relay) {
		b.errorf(at, "Bad name", "%q cannot be the name of a relay. Write the name alone, such as via = \"db\"; a whole way is for to.", relay)
		return nil, nil, at, false
	}
	project := b.project.short()
	if !b.through(project, at) {
		return nil, nil, at, false
	}
	addr, err := multiaddr.Parse(fmt.Sprintf("/project/%s/service/%s%s/secure/api/service/%s", project, forwardTo, relay, service))
	if err != nil { // a label that checkName has reported
		return nil, nil, at, false
	}
	hops, err := addr.Hops()
	return addr, hops, at, err == nil
}
