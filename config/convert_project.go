package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"ockam/tunnel/multiaddr"
)

// ticket gives a ticket to the nodes of the file. In the reference it is for the
// default identity; here each node has one of its own.
func (c *converter) ticket(s Step) {
	_, isTicket := ticketProject(s.Name)
	if !isTicket && strings.Contains(s.Name, "://") {
		c.errorf(s, "HCL takes a ticket or a file with one: fetch it, and write the path of the file")
		return
	}
	for _, n := range c.order {
		n.ticket = s.Name
		if len(c.order) > 1 {
			n.notes = append(n.notes, fmt.Sprintf("Each node has an identity of its own: the ticket must be one for %d uses.", len(c.order)))
		}
	}
}

// writeTicket writes the ticket, or where it is.
func (n *hclNode) writeTicket(body *hclwrite.Body, check bool) {
	switch _, isTicket := ticketProject(n.ticket); {
	case n.ticket == "":
	case isTicket:
		body.SetAttributeValue("ticket", cty.StringVal(n.ticket))
	case check:
		body.SetAttributeValue("ticket", cty.StringVal(""))
	default:
		body.SetAttributeRaw("ticket", hclwrite.TokensForFunctionCall("file", hclwrite.TokensForValue(cty.StringVal(n.ticket))))
	}
}

// inletTo returns where an inlet leads: a route, or relay and outlet in the
// project of the node.
func (c *converter) inletTo(s Step, o StepOptions, n *hclNode) (to, relay, service string, ok bool) {
	to = o.Value("to")
	if strings.HasPrefix(to, "/") {
		if o.Has("via") {
			c.errorf(s, "via is a part of the route that holds without a whole one in \"to\": leave one of them out")
			return "", "", "", false
		}
		if to, ok = c.route(s, "to", to); !ok || n == nil {
			return "", "", "", false
		}
		if addr, err := multiaddr.Parse(to); err == nil {
			if relay, service, short := behindRelay(addr, n.projectName()); short {
				return "", relay, service, true
			}
		}
		return to, "", "", true
	}
	relay, service = o.Value("via"), to
	if relay == "" {
		relay = "default" // Ockam protocol, command line, tcp-inlet create
	}
	if service == "" {
		service = "outlet"
	}
	return "", relay, service, true
}

// projectName returns what short forms of the node stand for.
func (n *hclNode) projectName() string {
	if name, ok := ticketProject(n.ticket); ok && n.project == "" {
		return name
	}
	if n.project != "" {
		return n.project
	}
	return DefaultProject
}

// member reports whether the node is a member of a project by what is written.
func (n *hclNode) member() bool {
	return n.project != "" || n.ticket != "" || slices.ContainsFunc(n.blocks, func(b hclBlock) bool {
		return b.kind == "relay" && !b.has("at") || b.has("via")
	})
}

func (b hclBlock) has(attr string) bool {
	return slices.ContainsFunc(b.attrs, func(a [2]string) bool { return a[0] == attr })
}

// open opens to anyone what the reference does: everything in a node without a
// project, and what is reached without a channel.
func (c *converter) open() {
	for _, n := range c.order {
		for i := range n.blocks {
			b := &n.blocks[i]
			if b.allow == "" && b.kind != "relay" && (!n.member() || b.plain()) {
				b.allow = "anyone"
			}
		}
	}
}

// plain reports whether the way of an inlet has no secure channel.
func (b hclBlock) plain() bool {
	if b.kind != "tcp_inlet" || b.has("via") {
		return false
	}
	for _, a := range b.attrs {
		if addr, err := multiaddr.Parse(a[1]); a[0] == "to" && err == nil {
			hops, err := addr.Hops()
			return err == nil && lastSecure(hops) < 0
		}
	}
	return false
}
