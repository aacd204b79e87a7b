package control

import (
	"time"

	"ockam/tunnel"
	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// CreateSecureChannel is the request of POST /node/secure_channel.
type CreateSecureChannel struct {
	To           multiaddr.Addr        // 1
	Authorized   []identity.Identifier // 2, optional: who may be at the far end; nil: anyone
	Timeout      *time.Duration        // 4, optional: of the handshake
	IdentityName string                // 5, optional
	Credential   *identity.Credential  // 6, optional: to be presented
}

// Layout lays the fields out; see api.Body.
func (v *CreateSecureChannel) Layout() api.Layout {
	return api.Record(api.Place(1, &v.To), api.OptIdentifiers(2, &v.Authorized), api.OptDuration(4, &v.Timeout),
		api.OptText(5, &v.IdentityName), optCredential(6, &v.Credential))
}

// optCredential is a credential with the attestation of the key that signed it.
func optCredential(key uint64, p **identity.Credential) api.Field {
	return api.Field{
		Key: key, Optional: true, Absent: func() bool { return *p == nil },
		Layout: api.Layout{
			Append: func(b []byte) ([]byte, error) { return append(b, (*p).Bytes()...), nil },
			Parse: func(d *api.Decoder) error {
				enc := d.Rest()
				if err := d.Skip(); err != nil {
					return err
				}
				var err error
				*p, err = identity.ParseCredential(enc[:len(enc)-len(d.Rest())])
				return err
			},
		},
	}
}

// CreateSecureChannelResponse answers POST /node/secure_channel.
type CreateSecureChannelResponse struct {
	Address tunnel.Address // 1: of the encryptor; messages to it are sealed
	Flow    FlowControlID  // 2
}

// Layout lays the fields out; see api.Body.
func (v *CreateSecureChannelResponse) Layout() api.Layout {
	return api.Record(api.Address(1, &v.Address), api.Sub(2, &v.Flow))
}

// WorkerAddress asks for a channel or a channel listener by its address, to show
// or to delete it. It is also the answer to the deletion of a listener.
type WorkerAddress struct {
	Address tunnel.Address // 1
}

// Layout lays the fields out; see api.Body.
func (v *WorkerAddress) Layout() api.Layout { return api.Record(api.Address(1, &v.Address)) }

// DeleteSecureChannelResponse answers DELETE /node/secure_channel.
type DeleteSecureChannelResponse struct {
	Channel string // 1, optional: the encryptor's address
}

// Layout lays the fields out; see api.Body.
func (v *DeleteSecureChannelResponse) Layout() api.Layout {
	return api.Record(api.OptText(1, &v.Channel))
}

// ShowSecureChannelResponse answers GET /node/show_secure_channel.
type ShowSecureChannelResponse struct {
	Channel    string         // 1, optional: the encryptor's address as TYPE#NAME
	Route      string         // 2, optional: of the far end, addresses joined by " => "
	Authorized []string       // 3, optional: identifiers; nil: anyone
	Flow       *FlowControlID // 4, optional
}

// Layout lays the fields out; see api.Body.
func (v *ShowSecureChannelResponse) Layout() api.Layout {
	return api.Record(api.OptText(1, &v.Channel), api.OptText(2, &v.Route),
		api.Optional(api.Texts(3, &v.Authorized), func() bool { return v.Authorized == nil }), api.OptSub(4, &v.Flow))
}

// CreateSecureChannelListener is the request of POST
// /node/secure_channel_listener.
type CreateSecureChannelListener struct {
	Address      tunnel.Address        // 1
	Authorized   []identity.Identifier // 2, optional: who may connect; nil: anyone
	IdentityName string                // 3, optional
}

// Layout lays the fields out; see api.Body.
func (v *CreateSecureChannelListener) Layout() api.Layout {
	return api.Record(api.Address(1, &v.Address), api.OptIdentifiers(2, &v.Authorized), api.OptText(3, &v.IdentityName))
}

// SecureChannelListener describes a listener.
type SecureChannelListener struct {
	Address         tunnel.Address // 1
	Flow            FlowControlID  // 2
	KeyExchangeOnly bool           // 3: its channels carry no messages
}

// Layout lays the fields out; see api.Body.
func (v *SecureChannelListener) Layout() api.Layout {
	return api.Record(api.Address(1, &v.Address), api.Sub(2, &v.Flow), api.Bool(3, &v.KeyExchangeOnly))
}
