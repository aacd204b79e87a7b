package authority

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"

	"ockam/tunnel/api"
	"ockam/tunnel/identity"
	"ockam/tunnel/wire"
)

// maxTexts bounds the attributes that a request names: more than a member can
// have (MaxAttributes) is refused before it is read.
const maxTexts = 1 << 10

// texts is a map from text to text: the attributes in a request. A missing one is
// an error, as the reference implementation has it; an empty one is a0.
func texts(key uint64, p *map[string]string) api.Field {
	return api.Field{Key: key, Layout: api.Layout{
		Append: func(b []byte) ([]byte, error) {
			b = api.AppendHead(b, api.MajorMap, uint64(len(*p)))
			for _, k := range slices.Sorted(maps.Keys(*p)) {
				b = api.AppendText(api.AppendText(b, k), (*p)[k])
			}
			return b, nil
		},
		Parse: func(d *api.Decoder) error {
			*p = make(map[string]string)
			return d.Each(api.MajorMap, func() error {
				k, err := d.Text()
				if err != nil {
					return err
				}
				v, err := d.Text()
				if err == nil && len(*p) >= maxTexts {
					err = fmt.Errorf("%w: more than %d attributes", api.ErrMalformed, maxTexts)
				}
				(*p)[k] = v
				return err
			})
		},
	}}
}

// byteLists is a map from text to text of which each byte is a number of its own:
// the attributes in an answer (Ockam protocol, authority, direct authenticator).
func byteLists(key uint64, p *map[string]string) api.Field {
	return api.Field{Key: key, Layout: api.Layout{
		Append: func(b []byte) ([]byte, error) {
			b = api.AppendHead(b, api.MajorMap, uint64(len(*p)))
			for _, k := range slices.Sorted(maps.Keys(*p)) {
				b = appendByteList(appendByteList(b, k), (*p)[k])
			}
			return b, nil
		},
		Parse: func(d *api.Decoder) error {
			*p = make(map[string]string)
			return d.Each(api.MajorMap, func() error {
				k, err := parseByteList(d)
				if err != nil {
					return err
				}
				v, err := parseByteList(d)
				(*p)[k] = v
				return err
			})
		},
	}}
}

func appendByteList(b []byte, s string) []byte {
	b = api.AppendHead(b, api.MajorArray, uint64(len(s)))
	for i := range len(s) {
		b = wire.AppendUint(b, uint64(s[i]))
	}
	return b
}

func parseByteList(d *api.Decoder) (string, error) {
	var list bytes.Buffer
	err := d.Each(api.MajorArray, func() error {
		n, err := d.Uint(math.MaxUint8)
		list.WriteByte(byte(n))
		return err
	})
	return list.String(), err
}

// AddMember is the request of POST / at the direct authenticator.
type AddMember struct {
	Member     identity.Identifier // 1
	Attributes map[string]string   // 2
}

// Layout lays the fields out; see api.Body.
func (v *AddMember) Layout() api.Layout {
	return api.Record(api.Identifier(1, &v.Member), texts(2, &v.Attributes))
}

// An Entry is what an authority says of a member.
type Entry struct {
	Attributes map[string]string   // 1
	AddedAt    identity.Timestamp  // 2
	ExpiresAt  identity.Timestamp  // 3, optional: 0 is never
	AttestedBy identity.Identifier // 4, optional: who added the member
}

// Layout lays the fields out; see api.Body.
func (v *Entry) Layout() api.Layout {
	expires := api.Optional(api.Uint(3, &v.ExpiresAt), func() bool { return v.ExpiresAt == 0 })
	return api.Record(byteLists(1, &v.Attributes), api.Uint(2, &v.AddedAt), expires, api.OptIdentifier(4, &v.AttestedBy))
}

// Entries is the answer of GET / at the direct authenticator: a map from
// identifier to Entry.
type Entries map[identity.Identifier]Entry

// Layout lays the entries out, sorted; see api.Body.
func (v *Entries) Layout() api.Layout {
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			b = api.AppendHead(b, api.MajorMap, uint64(len(*v)))
			ids := slices.SortedFunc(maps.Keys(*v), compare)
			for _, id := range ids {
				e := (*v)[id]
				var err error
				if b, err = e.Layout().Append(api.AppendIdentifier(b, id)); err != nil {
					return nil, err
				}
			}
			return b, nil
		},
		Parse: func(d *api.Decoder) error {
			*v = make(Entries)
			return d.Each(api.MajorMap, func() error {
				id, err := d.Identifier()
				if err != nil {
					return err
				}
				var e Entry
				err = e.Layout().Parse(d)
				(*v)[id] = e
				return err
			})
		},
	}
}

// Identifiers is the answer of GET /member_ids at the direct authenticator.
type Identifiers struct{ List []identity.Identifier }

// Layout is an array; see api.Body.
func (v *Identifiers) Layout() api.Layout {
	return api.Layout{
		Append: func(b []byte) ([]byte, error) {
			return api.AppendEach(b, v.List, func(b []byte, id *identity.Identifier) ([]byte, error) {
				return api.AppendIdentifier(b, *id), nil
			})
		},
		Parse: func(d *api.Decoder) error {
			return api.ParseEach(d, &v.List, func(d *api.Decoder, id *identity.Identifier) (err error) {
				*id, err = d.Identifier()
				return err
			})
		},
	}
}

// CreateToken is the request of POST / at the enrollment token issuer.
type CreateToken struct {
	Attributes map[string]string // 1
	TTL        *uint64           // 2, optional: seconds
	Uses       *uint64           // 3, optional
}

// Layout lays the fields out; see api.Body.
func (v *CreateToken) Layout() api.Layout {
	return api.Record(texts(1, &v.Attributes), optUint(2, &v.TTL), optUint(3, &v.Uses))
}

func optUint(key uint64, p **uint64) api.Field {
	return api.Field{
		Key: key, Optional: true, Absent: func() bool { return *p == nil },
		Layout: api.Layout{
			Append: func(b []byte) ([]byte, error) { return wire.AppendUint(b, **p), nil },
			Parse: func(d *api.Decoder) error {
				n, err := d.Uint(math.MaxUint64)
				*p = &n
				return err
			},
		},
	}
}

// A Code is what redeems an enrollment: 32 random bytes.
type Code [32]byte

// CodeBody carries a Code: the answer of the enrollment token issuer, and the
// request of POST / at the acceptor.
type CodeBody struct{ Code Code } // 1

// Layout lays the fields out; see api.Body.
func (v *CodeBody) Layout() api.Layout {
	return api.Record(api.Simple(1, &v.Code,
		func(b []byte, c Code) []byte { return api.AppendBytes(b, c[:]) },
		func(d *api.Decoder) (c Code, err error) {
			p, err := d.Data(api.MajorBytes)
			if err == nil && copy(c[:], p) != len(p) || err == nil && len(p) != len(c) {
				err = fmt.Errorf("%w: code of %d bytes", api.ErrMalformed, len(p))
			}
			return c, err
		}))
}

// CredentialBody is the answer of the credential issuer: a credential with the
// attestation of the key that signed it.
type CredentialBody struct{ Credential *identity.Credential }

// Layout is that of the credential; see api.Body.
func (v *CredentialBody) Layout() api.Layout {
	return api.Layout{
		Append: func(b []byte) ([]byte, error) { return append(b, v.Credential.Bytes()...), nil },
		Parse: func(d *api.Decoder) error {
			enc := d.Rest()
			if err := d.Skip(); err != nil {
				return err
			}
			var err error
			v.Credential, err = identity.ParseCredential(enc[:len(enc)-len(d.Rest())])
			return err
		},
	}
}
