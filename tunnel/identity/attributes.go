package identity

import (
	"fmt"
	"maps"
	"slices"
)

// Attributes are what a credential says about its subject. Names and values
// are UTF-8 by convention only.
type Attributes struct {
	// Schema numbers the meaning of the names; 1 is a project member. Nothing
	// checks the values against it.
	Schema uint64
	// Values holds the attributes by name.
	Values map[string]string
}

// ParseAttributes decodes attributes. Where a name is given twice, the last
// value counts. Bytes after them are ignored; b is not kept.
func ParseAttributes(b []byte) (Attributes, error) {
	var a Attributes
	if err := (&decoder{b}).attributes(&a); err != nil {
		return Attributes{}, err
	}
	return a, nil
}

func (d *decoder) attributes(a *Attributes) error {
	return d.record(2,
		func() (err error) { a.Schema, err = d.uint(); return err },
		func() error {
			n, indefinite, err := d.head(majorMap)
			if err != nil {
				return err
			}
			a.Values = map[string]string{}
			return d.each(n, indefinite, func() error {
				name, err := d.bytes()
				if err != nil {
					return err
				}
				value, err := d.bytes()
				if err != nil {
					return err
				}
				a.Values[string(name)] = string(value)
				return nil
			})
		})
}

// Bytes returns the encoded attributes, sorted by the bytes of their names.
func (a Attributes) Bytes() []byte { return a.append(nil) }

// append sorts by raw name bytes, as the reference implementation does. That
// is none of the orders that CBOR itself defines: "aa" comes before "b".
func (a Attributes) append(b []byte) []byte {
	b = appendHead(b, majorArray, 2)
	b = appendHead(b, majorUint, a.Schema)
	b = appendHead(b, majorMap, uint64(len(a.Values)))
	for _, name := range slices.Sorted(maps.Keys(a.Values)) {
		b = appendBytes(b, []byte(name))
		b = appendBytes(b, []byte(a.Values[name]))
	}
	return b
}

// String returns the attributes in the order in which they are encoded.
func (a Attributes) String() string {
	s := fmt.Sprintf("schema %d", a.Schema)
	for _, name := range slices.Sorted(maps.Keys(a.Values)) {
		s += fmt.Sprintf(", %q=%q", name, a.Values[name])
	}
	return s
}

// clone returns a copy that shares nothing with a.
func (a Attributes) clone() Attributes {
	a.Values = maps.Clone(a.Values)
	return a
}
