package control

import (
	"time"

	"ockam/tunnel"
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

func (v *CreateSecureChannel) layout() layout {
	return record(place(1, &v.To), optIdentifiers(2, &v.Authorized), optDuration(4, &v.Timeout),
		optText(5, &v.IdentityName), optCredential(6, &v.Credential))
}

// optCredential is a credential with the attestation of the key that signed it.
func optCredential(key uint64, p **identity.Credential) field {
	return field{
		key: key, optional: true, absent: func() bool { return *p == nil },
		layout: layout{
			append: func(b []byte) ([]byte, error) { return append(b, (*p).Bytes()...), nil },
			parse: func(d *decoder) error {
				enc := d.b
				if err := d.skip(); err != nil {
					return err
				}
				var err error
				*p, err = identity.ParseCredential(enc[:len(enc)-len(d.b)])
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

func (v *CreateSecureChannelResponse) layout() layout {
	return record(address(1, &v.Address), body(2, &v.Flow))
}

// WorkerAddress asks for a channel or a channel listener by its address, to show
// or to delete it. It is also the answer to the deletion of a listener.
type WorkerAddress struct {
	Address tunnel.Address // 1
}

func (v *WorkerAddress) layout() layout { return record(address(1, &v.Address)) }

// DeleteSecureChannelResponse answers DELETE /node/secure_channel.
type DeleteSecureChannelResponse struct {
	Channel string // 1, optional: the encryptor's address
}

func (v *DeleteSecureChannelResponse) layout() layout { return record(optText(1, &v.Channel)) }

// ShowSecureChannelResponse answers GET /node/show_secure_channel.
type ShowSecureChannelResponse struct {
	Channel    string         // 1, optional: the encryptor's address as TYPE#NAME
	Route      string         // 2, optional: of the far end, addresses joined by " => "
	Authorized []string       // 3, optional: identifiers; nil: anyone
	Flow       *FlowControlID // 4, optional
}

func (v *ShowSecureChannelResponse) layout() layout {
	return record(optText(1, &v.Channel), optText(2, &v.Route),
		optional(texts(3, &v.Authorized), func() bool { return v.Authorized == nil }), optBody(4, &v.Flow))
}

// CreateSecureChannelListener is the request of POST
// /node/secure_channel_listener.
type CreateSecureChannelListener struct {
	Address      tunnel.Address        // 1
	Authorized   []identity.Identifier // 2, optional: who may connect; nil: anyone
	IdentityName string                // 3, optional
}

func (v *CreateSecureChannelListener) layout() layout {
	return record(address(1, &v.Address), optIdentifiers(2, &v.Authorized), optText(3, &v.IdentityName))
}

// SecureChannelListener describes a listener.
type SecureChannelListener struct {
	Address         tunnel.Address // 1
	Flow            FlowControlID  // 2
	KeyExchangeOnly bool           // 3: its channels carry no messages
}

func (v *SecureChannelListener) layout() layout {
	return record(address(1, &v.Address), body(2, &v.Flow), boolean(3, &v.KeyExchangeOnly))
}
