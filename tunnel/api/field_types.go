package api

import (
	"fmt"
	"math"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

// AppendIdentifier appends an identifier: a byte string of 32 bytes.
func AppendIdentifier(b []byte, id identity.Identifier) []byte { return AppendBytes(b, id[:]) }

// Identifier reads an identifier.
func (d *Decoder) Identifier() (id identity.Identifier, err error) {
	p, err := d.Data(MajorBytes)
	if err == nil && copy(id[:], p) != len(p) || err == nil && len(p) != len(id) {
		err = fmt.Errorf("%w: identifier of %d bytes", ErrMalformed, len(p))
	}
	return id, err
}

// Identifier is an identifier.
func Identifier(key uint64, p *identity.Identifier) Field {
	return Simple(key, p, AppendIdentifier, (*Decoder).Identifier)
}

// OptIdentifier is an optional identifier; the zero one is absent. On the wire it
// is refused: who asks for it must not get what is open to everybody.
func OptIdentifier(key uint64, p *identity.Identifier) Field {
	f := Simple(key, p, AppendIdentifier, func(d *Decoder) (identity.Identifier, error) {
		id, err := d.Identifier()
		if err == nil && id.IsZero() {
			err = fmt.Errorf("%w: an identifier of zeros is nobody's", ErrMalformed)
		}
		return id, err
	})
	return Optional(f, func() bool { return p.IsZero() })
}

// OptIdentifiers is an optional list; nil is absent, which is not the same as
// empty.
func OptIdentifiers(key uint64, p *[]identity.Identifier) Field {
	return Field{
		Key: key, Optional: true, Absent: func() bool { return *p == nil },
		Layout: Layout{
			Append: func(b []byte) ([]byte, error) {
				return AppendEach(b, *p, func(b []byte, id *identity.Identifier) ([]byte, error) {
					return AppendIdentifier(b, *id), nil
				})
			},
			Parse: func(d *Decoder) error {
				return ParseEach(d, p, func(d *Decoder, id *identity.Identifier) (err error) {
					*id, err = d.Identifier()
					return err
				})
			},
		},
	}
}

// Place is a MultiAddr in binary within a byte string.
func Place(key uint64, p *multiaddr.Addr) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) {
			enc, err := p.MarshalBinary()
			return AppendBytes(b, enc), err
		},
		Parse: func(d *Decoder) error {
			enc, err := d.Data(MajorBytes)
			if err != nil {
				return err
			}
			*p, err = multiaddr.ParseBinary(enc)
			return err
		},
	}}
}

// OptPlace is an optional place; nil is absent.
func OptPlace(key uint64, p *multiaddr.Addr) Field {
	return Optional(Place(key, p), func() bool { return *p == nil })
}

// Address is a worker's address: an array of its type and its name in bytes.
func Address(key uint64, p *tunnel.Address) Field {
	return Field{Key: key, Layout: Tuple(
		Uint(0, &p.Type),
		Simple(1, &p.Name,
			func(b []byte, s string) []byte { return AppendBytes(b, []byte(s)) },
			func(d *Decoder) (string, error) {
				name, err := d.Data(MajorBytes)
				return string(name), err
			}),
	)}
}

// OptAddress is an optional address, absent if it is zero.
func OptAddress(key uint64, p *tunnel.Address) Field {
	return Optional(Address(key, p), func() bool { return *p == tunnel.Address{} })
}

// maxSeconds is the largest whole number of seconds in a time.Duration.
const maxSeconds = uint64(math.MaxInt64 / time.Second)

// Duration is an array of seconds and nanoseconds. One that is longer than 292
// years is read as that long.
func Duration(key uint64, p *time.Duration) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) {
			if *p < 0 {
				return nil, fmt.Errorf("%w: negative duration", ErrMalformed)
			}
			s, ns := uint64(*p/time.Second), uint32(*p%time.Second)
			return Tuple(Uint(0, &s), Uint(1, &ns)).Append(b)
		},
		Parse: func(d *Decoder) error {
			var s uint64
			var ns uint32
			if err := Tuple(Uint(0, &s), Uint(1, &ns)).Parse(d); err != nil {
				return err
			}
			if ns >= uint32(time.Second) {
				return fmt.Errorf("%w: %d nanoseconds", ErrMalformed, ns)
			}
			if *p = math.MaxInt64; s < maxSeconds {
				*p = time.Duration(s)*time.Second + time.Duration(ns)
			}
			return nil
		},
	}}
}

// OptDuration is an optional duration, absent if nil.
func OptDuration(key uint64, p **time.Duration) Field {
	return Field{
		Key: key, Optional: true, Absent: func() bool { return *p == nil },
		Layout: Layout{
			Append: func(b []byte) ([]byte, error) { return Duration(key, *p).Append(b) },
			Parse: func(d *Decoder) error {
				*p = new(time.Duration)
				return Duration(key, *p).Parse(d)
			},
		},
	}
}
