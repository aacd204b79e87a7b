package control

import (
	"fmt"
	"math"

	"ockam/tunnel/wire"
)

// A Body is what can stand behind a header. The pointers to the structs of this
// package are Bodies.
type Body interface{ layout() layout }

// Append appends v to b. It fails only for values that have no encoding:
// addresses that were not made by package multiaddr, enums out of range.
func Append(b []byte, v Body) ([]byte, error) {
	b, err := v.layout().append(b)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return b, nil
}

// Parse reads v from the beginning of b and returns what follows. What it reads
// shares no memory with b. On error v is undefined.
func Parse(b []byte, v Body) (rest []byte, err error) {
	if rest, err = parse(b, v); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	return rest, nil
}

func parse(b []byte, v Body) (rest []byte, err error) {
	d := decoder{b: b}
	if err := v.layout().parse(&d); err != nil {
		return nil, err
	}
	return d.b, nil
}

// pointer is a constraint: the pointer to T is a Body.
type pointer[T any] interface {
	*T
	Body
}

// AppendList appends list as an array.
func AppendList[T any, P pointer[T]](b []byte, list []T) ([]byte, error) {
	return Append(b, &listBody[T, P]{&list})
}

// ParseList reads an array. The result shares no memory with b.
func ParseList[T any, P pointer[T]](b []byte) (list []T, rest []byte, err error) {
	rest, err = Parse(b, &listBody[T, P]{&list})
	return list, rest, err
}

// A listBody is a list as a Body.
type listBody[T any, P pointer[T]] struct{ list *[]T }

func (l *listBody[T, P]) layout() layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			return appendEach(b, *l.list, func(b []byte, v *T) ([]byte, error) { return P(v).layout().append(b) })
		},
		parse: func(d *decoder) error { return parseEach(d, l.list, parseBody[T, P]) },
	}
}

func parseBody[T any, P pointer[T]](d *decoder, v *T) error { return P(v).layout().parse(d) }

func appendEach[T any](b []byte, list []T, one func([]byte, *T) ([]byte, error)) ([]byte, error) {
	b = appendHead(b, majorArray, uint64(len(list)))
	var err error
	for i := range list {
		if b, err = one(b, &list[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// parseEach reads an array; an empty one leaves a list that is not nil.
func parseEach[T any](d *decoder, list *[]T, one func(*decoder, *T) error) error {
	*list = []T{}
	return d.each(majorArray, func() error {
		var v T
		if err := one(d, &v); err != nil {
			return err
		}
		*list = append(*list, v)
		return nil
	})
}

// A layout is how a type is written and read.
type layout struct {
	append func(b []byte) ([]byte, error)
	parse  func(d *decoder) error
}

// A field is an entry of a map, or an element of an array, tied to a variable.
type field struct {
	key      uint64
	optional bool
	absent   func() bool // of an optional field
	layout
}

// maxFields is the largest number of fields: the head of their map is a byte.
const maxFields = 23

// record lays fields out as a map from key to value. Keys ascend.
func record(fields ...field) layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			at, n := len(b), byte(0)
			b = append(b, 0)
			for _, f := range fields {
				if f.optional && f.absent() {
					continue
				}
				var err error
				if b, err = f.append(wire.AppendUint(b, f.key)); err != nil {
					return nil, err
				}
				n++
			}
			b[at] = majorMap<<5 | n
			return b, nil
		},
		parse: func(d *decoder) error { return d.record(fields) },
	}
}

func (d *decoder) record(fields []field) error {
	var seen [maxFields]bool
	err := d.each(majorMap, func() error {
		key, err := d.key()
		if err != nil {
			return err
		}
		for i, f := range fields {
			if f.key == key {
				seen[i] = true
				return f.read(d)
			}
		}
		return d.skip()
	})
	if err != nil {
		return err
	}
	return complete(fields, seen[:])
}

// key reads the key of an entry, a small integer.
func (d *decoder) key() (uint64, error) { return d.uint(math.MaxUint32) }

func (f field) read(d *decoder) error {
	if f.optional && d.null() {
		return nil
	}
	if err := f.parse(d); err != nil {
		return fmt.Errorf("field %d: %w", f.key, err)
	}
	return nil
}

func complete(fields []field, seen []bool) error {
	for i, f := range fields {
		if !f.optional && !seen[i] {
			return fmt.Errorf("%w: field %d", ErrMissing, f.key)
		}
	}
	return nil
}

// tuple lays fields out as an array. The key of a field is its index; between
// them may be gaps. Optional fields stand at the end only.
func tuple(fields ...field) layout {
	return layout{
		append: func(b []byte) ([]byte, error) {
			at, n := len(b), uint64(0)
			b = append(b, 0)
			for _, f := range fields {
				if f.optional && f.absent() {
					break
				}
				for ; n < f.key; n++ {
					b = append(b, cborNull)
				}
				var err error
				if b, err = f.append(b); err != nil {
					return nil, err
				}
				n++
			}
			b[at] = majorArray<<5 | byte(n)
			return b, nil
		},
		parse: func(d *decoder) error { return d.tuple(fields) },
	}
}

func (d *decoder) tuple(fields []field) error {
	var seen [maxFields]bool
	i, at := uint64(0), 0
	err := d.each(majorArray, func() error {
		defer func() { i++ }()
		if at == len(fields) || fields[at].key != i {
			return d.skip()
		}
		seen[at] = true
		at++
		return fields[at-1].read(d)
	})
	if err != nil {
		return err
	}
	return complete(fields, seen[:])
}

// appendVariant appends a plain enum: its number, then its fields.
func appendVariant(b []byte, number uint64, fields layout) ([]byte, error) {
	return fields.append(wire.AppendUint(append(b, majorArray<<5|2), number))
}

// choice is a plain enum without fields in any variant.
func choice[E ~uint8](key uint64, p *E, least, most E) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			if *p < least || *p > most {
				return nil, fmt.Errorf("%w: no variant %d", ErrMalformed, *p)
			}
			return append(b, majorArray<<5|2, byte(*p), majorArray<<5), nil
		},
		parse: func(d *decoder) error {
			n, err := d.variant()
			if err != nil {
				return err
			}
			if n < uint64(least) || n > uint64(most) {
				return fmt.Errorf("%w: no variant %d", ErrMalformed, n)
			}
			*p = E(n)
			return d.skip()
		},
	}}
}

// index is an index-only enum.
func index[E ~uint8](key uint64, p *E, least, most E) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			if *p < least || *p > most {
				return nil, fmt.Errorf("%w: no variant %d", ErrMalformed, *p)
			}
			return wire.AppendUint(b, uint64(*p)), nil
		},
		parse: func(d *decoder) error {
			n, err := d.uint(uint64(most))
			if err == nil && n < uint64(least) {
				err = fmt.Errorf("%w: no variant %d", ErrMalformed, n)
			}
			*p = E(n)
			return err
		},
	}}
}

// optional makes f a field that is left out when it is absent.
func optional(f field, absent func() bool) field {
	f.optional, f.absent = true, absent
	return f
}

// simple makes a field of two functions.
func simple[T any](key uint64, p *T, app func([]byte, T) []byte, parse func(*decoder) (T, error)) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) { return app(b, *p), nil },
		parse: func(d *decoder) (err error) {
			*p, err = parse(d)
			return err
		},
	}}
}

func text(key uint64, p *string) field {
	return simple(key, p, appendText, (*decoder).text)
}

func optText(key uint64, p *string) field {
	return optional(text(key, p), func() bool { return *p == "" })
}

func boolean(key uint64, p *bool) field {
	return simple(key, p, appendBool, (*decoder).bool)
}

func integer[T ~uint8 | ~uint16 | ~uint32 | ~uint64](key uint64, p *T) field {
	return simple(key, p,
		func(b []byte, n T) []byte { return wire.AppendUint(b, uint64(n)) },
		func(d *decoder) (T, error) {
			n, err := d.uint(uint64(^T(0)))
			return T(n), err
		})
}

func texts(key uint64, p *[]string) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) {
			return appendEach(b, *p, func(b []byte, s *string) ([]byte, error) { return appendText(b, *s), nil })
		},
		parse: func(d *decoder) error {
			return parseEach(d, p, func(d *decoder, s *string) (err error) {
				*s, err = d.text()
				return err
			})
		},
	}}
}

// body is a field that is a Body.
func body(key uint64, p Body) field {
	return field{key: key, layout: layout{
		append: func(b []byte) ([]byte, error) { return p.layout().append(b) },
		parse:  func(d *decoder) error { return p.layout().parse(d) },
	}}
}

// optBody is an optional Body, absent if nil.
func optBody[T any, P pointer[T]](key uint64, p **T) field {
	return field{
		key: key, optional: true, absent: func() bool { return *p == nil },
		layout: layout{
			append: func(b []byte) ([]byte, error) { return P(*p).layout().append(b) },
			parse: func(d *decoder) error {
				*p = new(T)
				return P(*p).layout().parse(d)
			},
		},
	}
}

func list[T any, P pointer[T]](key uint64, p *[]T) field { return body(key, &listBody[T, P]{p}) }
