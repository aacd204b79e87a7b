package multiaddr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// errTruncated is the cause when bytes end within a component.
var errTruncated = errors.New("cut short")

// AppendBinary appends the binary form to b: for each component its code as a
// varint, then 4 or 16 address bytes, a big-endian port, or a name with its
// length (Ockam protocol, MultiAddr, binary). It fails only for components
// that were not made by Parse or ParseBinary.
func (a Addr) AppendBinary(b []byte) ([]byte, error) {
	for _, c := range a {
		c, err := newComponent(c.Protocol, c.Value)
		if err != nil {
			return nil, fmt.Errorf("multiaddr: %w", err)
		}
		b = binary.AppendUvarint(b, uint64(c.Protocol))
		switch c.Protocol {
		case IP4, IP6:
			b = append(b, netip.MustParseAddr(c.Value).AsSlice()...)
		case TCP:
			port, _ := strconv.ParseUint(c.Value, 10, 16) // newComponent has checked it
			b = binary.BigEndian.AppendUint16(b, uint16(port))
		case DNSAddr, Service, Node, Project, Space, Secure, Worker:
			b = binary.AppendUvarint(b, uint64(len(c.Value)))
			b = append(b, c.Value...)
		}
	}
	return b, nil
}

// MarshalBinary returns the binary form. With it an Addr becomes a byte
// string in CBOR, as the node API wants it.
func (a Addr) MarshalBinary() ([]byte, error) {
	return a.AppendBinary(nil)
}

// UnmarshalBinary sets a to what ParseBinary reads from b.
func (a *Addr) UnmarshalBinary(b []byte) error {
	parsed, err := ParseBinary(b)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// ParseBinary reads the binary form, which must fill b. No bytes are the
// empty place. It refuses unknown codes, integers longer than needed, values
// that are cut short, and names that are not UTF-8. The result does not share
// memory with b.
func ParseBinary(b []byte) (Addr, error) {
	var addr Addr
	for rest := b; len(rest) > 0; {
		c, tail, err := parseComponent(rest)
		if err != nil {
			return nil, fmt.Errorf("multiaddr: byte %d: %w", len(b)-len(rest), err)
		}
		addr = append(addr, c)
		rest = tail
	}
	return addr, nil
}

// parseComponent reads the component that b begins with.
func parseComponent(b []byte) (Component, []byte, error) {
	code, b, err := parseUvarint(b)
	if err != nil {
		return Component{}, nil, fmt.Errorf("protocol code: %w", err)
	}
	p := Protocol(code)
	if !p.known() {
		return Component{}, nil, fmt.Errorf("%w: code %d", ErrUnknownProtocol, code)
	}
	size := uint64(0)
	switch p {
	case IP4:
		size = 4
	case IP6:
		size = 16
	case TCP:
		size = 2
	case DNSAddr, Service, Node, Project, Space, Secure, Worker:
		size, b, err = parseUvarint(b)
		if err != nil {
			return Component{}, nil, fmt.Errorf("length of /%s: %w", p, err)
		}
	}
	if size > uint64(len(b)) {
		return Component{}, nil, fmt.Errorf("value of /%s: %w", p, errTruncated)
	}
	raw, rest := b[:size], b[size:]
	var value string
	switch p {
	case IP4, IP6:
		ip, _ := netip.AddrFromSlice(raw) // 4 or 16 bytes always are an address
		value = ip.String()
	case TCP:
		value = strconv.FormatUint(uint64(binary.BigEndian.Uint16(raw)), 10)
	case DNSAddr, Service, Node, Project, Space, Secure, Worker:
		value = string(raw)
	}
	c, err := newComponent(p, value)
	return c, rest, err
}

// parseUvarint reads an unsigned LEB128 integer in its shortest form.
func parseUvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	switch {
	case n == 0:
		return 0, nil, errTruncated
	case n < 0:
		return 0, nil, errors.New("integer above 64 bits")
	case n > 1 && b[n-1] == 0:
		return 0, nil, errors.New("encoding is not minimal")
	}
	return v, b[n:], nil
}
