package config

import "github.com/hashicorp/hcl/v2"

// A RelayService lets other nodes register names on this node and forwards
// to them.
type RelayService struct {
	Allow Allow     // who may register
	Range hcl.Range // where it stands, for errors found later
}

var relayServiceSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "allow"}}}

func (b *block) relayService() *RelayService {
	s := &RelayService{Range: b.at}
	switch {
	case b.attrs["allow"] != nil:
	case b.believes:
		s.Allow = b.defaultAllow()
		return s
	default:
		b.missing("allow", "Say who may register names here: the identifier of a node (allow = \"I…\"), a list of them, "+
			"node.NAME.identifier for a node of this configuration, or allow = \"anyone\" for whoever can connect.")
		return s
	}
	s.Allow = b.allow()
	if s.Allow.anyone {
		b.warnf(s.Allow.Range, "Relay open to anyone", "Whoever can connect to this node may register names and have traffic relayed.")
	}
	return s
}
