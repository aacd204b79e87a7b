package control

import (
	"fmt"
	"math"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/identity"
	"ockam/tunnel/multiaddr"
)

func appendIdentifier(b []byte, id identity.Identifier) []byte { return appendBytes(b, id[:]) }

func (d *decoder) identifier() (id identity.Identifier, err error) {
	p, err := d.data(majorBytes)
	if err == nil && copy(id[:], p) != len(p) || err == nil && len(p) != len(id) {
		err = fmt.Errorf("%w: identifier of %d bytes", ErrMalformed, len(p))
	}
	return id, err
}

func identifier(key uint64, p *identity.Identifier) field {
	return simple(key, p, appendIdentifier, (*decoder).identifier)
}

// optIdentifier is an optional identifier; the zero one is absent. On the wire it
// is refused: who asks for it must not get what is open to everybody.
func optIdentifier(key uint64, p *identity.Identifier) field {
	f := simple(key, p, appendIdentifier, func(d *decoder) (identity.Identifier, error) {
		id, err := d.identifier()
		if err == nil && id.IsZero() {
			err = fmt.Errorf("%w: an identifier of zeros is nobody's", ErrMalformed)
		}
		return id, err
	})
	return optional(f, func() bool { return p.IsZero() })
}

// optIdentifiers is an optional list; nil is absent, which is not the same as
// empty.
func optIdentifiers(key uint64, p *[]identity.Identifier) field {
	return field{
		key: key, optional: true, absent: func() bool { return *p == nil },
		layout: layout{
			append: func(b []byte) ([]byte, error) {
				return appendEach(b, *p, func(b []byte, id *identity.Identifier) ([]byte, error) {
					return appendIdentifier(b, *id), nil
				})
			},
			parse: func(d *decoder) error {
				return parseEach(d, p, func(d *decoder, id *identity.Identifier) (err error) {
					*id, err = d.identifier()
					return err
				})
			},
		},
	}
}

// place is a MultiAddr in binary within a byte string.
func place(key uint64, p *multiaddr.Addr) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			enc, err := p.MarshalBinary()
			return appendBytes(b, enc), err
		},
		parse: func(d *decoder) error {
			enc, err := d.data(majorBytes)
			if err != nil {
				return err
			}
			*p, err = multiaddr.ParseBinary(enc)
			return err
		},
	}}
}

// optPlace is an optional place; nil is absent.
func optPlace(key uint64, p *multiaddr.Addr) field {
	return optional(place(key, p), func() bool { return *p == nil })
}

// address is a worker's address: an array of its type and its name in bytes.
func address(key uint64, p *tunnel.Address) field {
	return field{key: key, layout: tuple(
		integer(0, &p.Type),
		simple(1, &p.Name,
			func(b []byte, s string) []byte { return appendBytes(b, []byte(s)) },
			func(d *decoder) (string, error) {
				name, err := d.data(majorBytes)
				return string(name), err
			}),
	)}
}

// optAddress is an optional address, absent if it is zero.
func optAddress(key uint64, p *tunnel.Address) field {
	return optional(address(key, p), func() bool { return *p == tunnel.Address{} })
}

// maxSeconds is the largest whole number of seconds in a time.Duration.
const maxSeconds = uint64(math.MaxInt64 / time.Second)

// duration is an array of seconds and nanoseconds. One that is longer than 292
// years is read as that long.
func duration(key uint64, p *time.Duration) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			if *p < 0 {
				return nil, fmt.Errorf("%w: negative duration", ErrMalformed)
			}
			s, ns := uint64(*p/time.Second), uint32(*p%time.Second)
			return tuple(integer(0, &s), integer(1, &ns)).append(b)
		},
		parse: func(d *decoder) error {
			var s uint64
			var ns uint32
			if err := tuple(integer(0, &s), integer(1, &ns)).parse(d); err != nil {
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

// optDuration is an optional duration, absent if nil.
func optDuration(key uint64, p **time.Duration) field {
	return field{
		key: key, optional: true, absent: func() bool { return *p == nil },
		layout: layout{
			append: func(b []byte) ([]byte, error) { return duration(key, *p).append(b) },
			parse: func(d *decoder) error {
				*p = new(time.Duration)
				return duration(key, *p).parse(d)
			},
		},
	}
}
