package api

import (
	"fmt"
	"math"

	"ockam/tunnel/wire"
)

// A Body is what can stand behind a header: a pointer to a struct, mostly, whose
// Layout ties its fields to their places on the wire.
type Body interface{ Layout() Layout }

// Append appends v to b. It fails only for values that have no encoding:
// addresses that were not made by package multiaddr, enums out of range.
func Append(b []byte, v Body) ([]byte, error) { return v.Layout().Append(b) }

// Parse reads v from the beginning of b and returns what follows. What it reads
// shares no memory with b. On error v is undefined.
func Parse(b []byte, v Body) (rest []byte, err error) {
	d := Decoder{b: b}
	if err := v.Layout().Parse(&d); err != nil {
		return nil, err
	}
	return d.b, nil
}

// Pointer is a constraint: the pointer to T is a Body.
type Pointer[T any] interface {
	*T
	Body
}

// AppendList appends list as an array.
func AppendList[T any, P Pointer[T]](b []byte, list []T) ([]byte, error) {
	return Append(b, &ListBody[T, P]{List: &list})
}

// ParseList reads an array. The result shares no memory with b.
func ParseList[T any, P Pointer[T]](b []byte) (list []T, rest []byte, err error) {
	rest, err = Parse(b, &ListBody[T, P]{List: &list})
	return list, rest, err
}

// A ListBody is a list as a Body.
type ListBody[T any, P Pointer[T]] struct{ List *[]T }

// Layout returns how it is written and read; see Body.
func (l *ListBody[T, P]) Layout() Layout {
	return Layout{
		Append: func(b []byte) ([]byte, error) {
			return AppendEach(b, *l.List, func(b []byte, v *T) ([]byte, error) { return P(v).Layout().Append(b) })
		},
		Parse: func(d *Decoder) error { return ParseEach(d, l.List, parseBody[T, P]) },
	}
}

func parseBody[T any, P Pointer[T]](d *Decoder, v *T) error { return P(v).Layout().Parse(d) }

// AppendEach appends list as an array, each element by one.
func AppendEach[T any](b []byte, list []T, one func([]byte, *T) ([]byte, error)) ([]byte, error) {
	b = AppendHead(b, MajorArray, uint64(len(list)))
	var err error
	for i := range list {
		if b, err = one(b, &list[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ParseEach reads an array; an empty one leaves a list that is not nil.
func ParseEach[T any](d *Decoder, list *[]T, one func(*Decoder, *T) error) error {
	*list = []T{}
	return d.Each(MajorArray, func() error {
		var v T
		if err := one(d, &v); err != nil {
			return err
		}
		*list = append(*list, v)
		return nil
	})
}

// A Layout is how a type is written and read.
type Layout struct {
	Append func(b []byte) ([]byte, error)
	Parse  func(d *Decoder) error
}

// A Field is an entry of a map, or an element of an array, tied to a variable.
type Field struct {
	Key      uint64
	Optional bool
	Absent   func() bool // of an Optional field: it is left out
	Layout
}

// maxFields is the largest number of fields: the head of their map is a byte.
const maxFields = 23

// Record lays fields out as a map from key to value. Keys ascend.
func Record(fields ...Field) Layout {
	return Layout{
		Append: func(b []byte) ([]byte, error) {
			at, n := len(b), byte(0)
			b = append(b, 0)
			for _, f := range fields {
				if f.Optional && f.Absent() {
					continue
				}
				var err error
				if b, err = f.Append(wire.AppendUint(b, f.Key)); err != nil {
					return nil, err
				}
				n++
			}
			b[at] = MajorMap<<5 | n
			return b, nil
		},
		Parse: func(d *Decoder) error { return d.record(fields) },
	}
}

func (d *Decoder) record(fields []Field) error {
	var seen [maxFields]bool
	err := d.Each(MajorMap, func() error {
		key, err := d.key()
		if err != nil {
			return err
		}
		for i, f := range fields {
			if f.Key == key {
				seen[i] = true
				return f.read(d)
			}
		}
		return d.Skip()
	})
	if err != nil {
		return err
	}
	return complete(fields, seen[:])
}

// key reads the key of an entry, a small integer.
func (d *Decoder) key() (uint64, error) { return d.Uint(math.MaxUint32) }

func (f Field) read(d *Decoder) error {
	if f.Optional && d.Null() {
		return nil
	}
	if err := f.Parse(d); err != nil {
		return fmt.Errorf("field %d: %w", f.Key, err)
	}
	return nil
}

func complete(fields []Field, seen []bool) error {
	for i, f := range fields {
		if !f.Optional && !seen[i] {
			return fmt.Errorf("%w: field %d", ErrMissing, f.Key)
		}
	}
	return nil
}

// Tuple lays fields out as an array. The key of a field is its index; between
// them may be gaps. Optional fields stand at the end only.
func Tuple(fields ...Field) Layout {
	return Layout{
		Append: func(b []byte) ([]byte, error) {
			at, n := len(b), uint64(0)
			b = append(b, 0)
			for _, f := range fields {
				if f.Optional && f.Absent() {
					break
				}
				for ; n < f.Key; n++ {
					b = append(b, cborNull)
				}
				var err error
				if b, err = f.Append(b); err != nil {
					return nil, err
				}
				n++
			}
			b[at] = MajorArray<<5 | byte(n)
			return b, nil
		},
		Parse: func(d *Decoder) error { return d.tuple(fields) },
	}
}

func (d *Decoder) tuple(fields []Field) error {
	var seen [maxFields]bool
	i, at := uint64(0), 0
	err := d.Each(MajorArray, func() error {
		defer func() { i++ }()
		if at == len(fields) || fields[at].Key != i {
			return d.Skip()
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

// AppendVariant appends a plain enum: its number, then its fields.
func AppendVariant(b []byte, number uint64, fields Layout) ([]byte, error) {
	return fields.Append(wire.AppendUint(append(b, MajorArray<<5|2), number))
}

// Choice is a plain enum without fields in any variant.
func Choice[E ~uint8](key uint64, p *E, least, most E) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) {
			if *p < least || *p > most {
				return nil, fmt.Errorf("%w: no variant %d", ErrMalformed, *p)
			}
			return append(b, MajorArray<<5|2, byte(*p), MajorArray<<5), nil
		},
		Parse: func(d *Decoder) error {
			n, err := d.Variant()
			if err != nil {
				return err
			}
			if n < uint64(least) || n > uint64(most) {
				return fmt.Errorf("%w: no variant %d", ErrMalformed, n)
			}
			*p = E(n)
			return d.Skip()
		},
	}}
}

// Index is an index-only enum.
func Index[E ~uint8](key uint64, p *E, least, most E) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) {
			if *p < least || *p > most {
				return nil, fmt.Errorf("%w: no variant %d", ErrMalformed, *p)
			}
			return wire.AppendUint(b, uint64(*p)), nil
		},
		Parse: func(d *Decoder) error {
			n, err := d.Uint(uint64(most))
			if err == nil && n < uint64(least) {
				err = fmt.Errorf("%w: no variant %d", ErrMalformed, n)
			}
			*p = E(n)
			return err
		},
	}}
}

// Optional makes f a field that is left out when it is absent.
func Optional(f Field, absent func() bool) Field {
	f.Optional, f.Absent = true, absent
	return f
}

// Simple makes a field of two functions.
func Simple[T any](key uint64, p *T, app func([]byte, T) []byte, parse func(*Decoder) (T, error)) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) { return app(b, *p), nil },
		Parse: func(d *Decoder) (err error) {
			*p, err = parse(d)
			return err
		},
	}}
}

// Text is a text.
func Text(key uint64, p *string) Field {
	return Simple(key, p, AppendText, (*Decoder).Text)
}

// OptText is an optional text; the empty one is absent.
func OptText(key uint64, p *string) Field {
	return Optional(Text(key, p), func() bool { return *p == "" })
}

// Bool is a boolean.
func Bool(key uint64, p *bool) Field {
	return Simple(key, p, AppendBool, (*Decoder).Bool)
}

// Uint is a number that is not negative.
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64](key uint64, p *T) Field {
	return Simple(key, p,
		func(b []byte, n T) []byte { return wire.AppendUint(b, uint64(n)) },
		func(d *Decoder) (T, error) {
			n, err := d.Uint(uint64(^T(0)))
			return T(n), err
		})
}

// Texts is an array of texts.
func Texts(key uint64, p *[]string) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) {
			return AppendEach(b, *p, func(b []byte, s *string) ([]byte, error) { return AppendText(b, *s), nil })
		},
		Parse: func(d *Decoder) error {
			return ParseEach(d, p, func(d *Decoder, s *string) (err error) {
				*s, err = d.Text()
				return err
			})
		},
	}}
}

// Sub is a field that is a Body.
func Sub(key uint64, p Body) Field {
	return Field{Key: key, Layout: Layout{
		Append: func(b []byte) ([]byte, error) { return p.Layout().Append(b) },
		Parse:  func(d *Decoder) error { return p.Layout().Parse(d) },
	}}
}

// OptSub is an optional Body, absent if nil.
func OptSub[T any, P Pointer[T]](key uint64, p **T) Field {
	return Field{
		Key: key, Optional: true, Absent: func() bool { return *p == nil },
		Layout: Layout{
			Append: func(b []byte) ([]byte, error) { return P(*p).Layout().Append(b) },
			Parse: func(d *Decoder) error {
				*p = new(T)
				return P(*p).Layout().Parse(d)
			},
		},
	}
}

// List is an array of Bodies.
func List[T any, P Pointer[T]](key uint64, p *[]T) Field { return Sub(key, &ListBody[T, P]{List: p}) }
