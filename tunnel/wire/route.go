package wire

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Transport types of an Address (docs/protocol.md, Addresses).
const (
	Local     uint8 = 0 // a worker of the node
	TCP       uint8 = 1 // host:port
	UDP       uint8 = 2 // host:port
	WebSocket uint8 = 3 // host:port
	Bluetooth uint8 = 4 // the device's local name
	Unix      uint8 = 5 // a path in the file system
)

// An Address names a worker of a node (type Local) or a place that a transport
// reaches. Two addresses are equal when both parts are. Name holds any bytes.
type Address struct {
	Type uint8
	Name string
}

// LocalAddress is the address of the worker called name.
func LocalAddress(name string) Address { return Address{Local, name} }

// ParseAddress reads the textual form: NAME, or TYPE#NAME.
func ParseAddress(s string) (Address, error) {
	kind, name, ok := strings.Cut(s, "#")
	if !ok {
		return Address{Local, s}, nil
	}
	n, err := strconv.ParseUint(kind, 10, 8)
	if err != nil || strings.Contains(name, "#") {
		return Address{}, fmt.Errorf("wire: %q is not an address: want NAME or TYPE#NAME", s)
	}
	return Address{uint8(n), name}, nil
}

// String gives the textual form TYPE#NAME.
func (a Address) String() string {
	if !utf8.ValidString(a.Name) {
		return strconv.Itoa(int(a.Type)) + "#" + strconv.QuoteToASCII(a.Name)
	}
	return strconv.Itoa(int(a.Type)) + "#" + a.Name
}

// AppendAddress appends a in CBOR, shortest form.
func AppendAddress(b []byte, a Address) []byte {
	b = appendHead(append(b, majorArray|2), majorUint, uint64(a.Type))
	return append(appendHead(b, majorBytes, uint64(len(a.Name))), a.Name...)
}

// A Route is a list of addresses, first hop first, in the form they have on the
// wire: looking at the first, dropping it and comparing cost nothing. A Route
// that was parsed lies within the input; it is valid as long as that is. The
// zero Route is empty.
type Route struct {
	n int
	b []byte // the addresses in CBOR, shortest form, without the array's head
}

// NewRoute encodes addrs.
func NewRoute(addrs ...Address) Route {
	var r Route
	for _, a := range addrs {
		r.b = AppendAddress(r.b, a)
		r.n++
	}
	return r
}

// Len returns the number of hops.
func (r Route) Len() int { return r.n }

// Size returns the length of the encoded route, its head included.
func (r Route) Size() int { return headLen(r.n) + len(r.b) }

// AppendTo appends r as a CBOR array.
func (r Route) AppendTo(b []byte) []byte {
	return append(appendHead(b, majorArray, uint64(r.n)), r.b...)
}

// AppendHops appends the addresses of r without the array's head.
func (r Route) AppendHops(b []byte) []byte { return append(b, r.b...) }

// First returns the first hop as encoded by AppendAddress, nil if r is empty.
func (r Route) First() []byte {
	if r.n == 0 {
		return nil
	}
	return r.b[:addressLen(r.b)]
}

// Rest returns r without its first hop; the rest of an empty route is empty.
func (r Route) Rest() Route {
	if r.n == 0 {
		return r
	}
	return Route{r.n - 1, r.b[addressLen(r.b):]}
}

// WithoutLast returns r without its last hop.
func (r Route) WithoutLast() Route {
	if r.n == 0 {
		return r
	}
	return Route{r.n - 1, r.b[:len(r.b)-len(r.Last())]}
}

// Last returns the last hop as encoded by AppendAddress, nil if r is empty.
func (r Route) Last() []byte {
	b := r.b
	for i := 1; i < r.n; i++ {
		b = b[addressLen(b):]
	}
	return b
}

// Join returns a new route of the hops of r, then those of s.
func (r Route) Join(s Route) Route {
	return Route{r.n + s.n, append(append(make([]byte, 0, len(r.b)+len(s.b)), r.b...), s.b...)}
}

// Clone returns a copy that does not lie within anything else.
func (r Route) Clone() Route { return Route{r.n, bytes.Clone(r.b)} }

// Prepend builds the route of the encoded address first followed by r in dst,
// which must not overlap r, if it is large enough, else in new memory.
func (r Route) Prepend(dst, first []byte) Route {
	if need := len(first) + len(r.b); need > cap(dst) {
		dst = make([]byte, 0, need)
	}
	return Route{r.n + 1, append(append(dst[:0], first...), r.b...)}
}

// Within reports whether r lies in mem.
func (r Route) Within(mem []byte) bool {
	if len(r.b) == 0 {
		return false
	}
	from, at := uintptr(unsafe.Pointer(unsafe.SliceData(mem))), uintptr(unsafe.Pointer(unsafe.SliceData(r.b)))
	return at-from < uintptr(len(mem))
}

// Equal reports whether r and s have the same hops.
func (r Route) Equal(s Route) bool { return r.n == s.n && bytes.Equal(r.b, s.b) }

// Addresses decodes the hops.
func (r Route) Addresses() []Address {
	out := make([]Address, 0, r.n)
	for ; r.n > 0; r = r.Rest() {
		out = append(out, DecodeAddress(r.First()))
	}
	return out
}

// String joins the hops with " => ".
func (r Route) String() string {
	var s []string
	for _, a := range r.Addresses() {
		s = append(s, a.String())
	}
	return strings.Join(s, " => ")
}

// DecodeAddress decodes an address in shortest form, as Route.First returns it.
func DecodeAddress(enc []byte) Address {
	var a Address
	i := 2
	if a.Type = enc[1]; a.Type == majorUint|24 {
		a.Type, i = enc[2], 3
	}
	a.Name = string(enc[i+nameHead(enc[i:]):])
	return a
}

// nameHead returns the length of the head of the byte string that b begins with.
func nameHead(b []byte) int {
	switch info := b[0] & 0x1f; {
	case info < 24:
		return 1
	case info == 24:
		return 2
	case info == 25:
		return 3
	default:
		return 5
	}
}

// addressLen returns the length of the address that b begins with; b is known
// to be in shortest form.
func addressLen(b []byte) int {
	i := 2
	if b[1] == majorUint|24 {
		i = 3
	}
	switch info := b[i] & 0x1f; {
	case info < 24:
		return i + 1 + int(info)
	case info == 24:
		return i + 2 + int(b[i+1])
	case info == 25:
		return i + 3 + (int(b[i+1])<<8 | int(b[i+2]))
	default:
		return i + 5 + (int(b[i+1])<<24 | int(b[i+2])<<16 | int(b[i+3])<<8 | int(b[i+4]))
	}
}

// checkAddress returns the length of the address in shortest form that b begins
// with, or 0 if it does not begin with one.
func checkAddress(b []byte) int {
	if len(b) < 3 || b[0] != majorArray|2 {
		return 0
	}
	i := 2
	if b[1] == majorUint|24 {
		if len(b) < 4 || b[2] < 24 {
			return 0
		}
		i = 3
	} else if b[1] > 23 {
		return 0
	}
	if b[i]&0xe0 != majorBytes {
		return 0
	}
	n, at := 0, i+1
	switch info := int(b[i] & 0x1f); {
	case info < 24:
		n = info
	case info > 26 || len(b) < at+1<<(info-24):
		return 0
	default:
		for range 1 << (info - 24) {
			n = n<<8 | int(b[at])
			at++
		}
		if headLen(n) != at-i {
			return 0 // not the shortest form
		}
	}
	if n > len(b)-at {
		return 0
	}
	return at + n
}

// ParseRoute reads a route. If it is in shortest form, as peers send it, the
// result lies within b; otherwise it is made anew in that form.
func ParseRoute(b []byte) (Route, []byte, error) {
	if len(b) == 0 {
		return Route{}, nil, ErrTruncated
	}
	n, body := int(b[0])-majorArray, b[1:]
	if n == 24 && len(body) > 0 {
		n, body = int(body[0]), body[1:]
	} else if n < 0 || n > 23 {
		return parseRouteSlow(b)
	}
	if n > MaxHops {
		return Route{}, nil, ErrTooManyHops
	}
	at := 0
	for range n {
		l := checkAddress(body[at:])
		if l == 0 {
			return parseRouteSlow(b)
		}
		at += l
	}
	return Route{n, body[:at:at]}, body[at:], nil
}

func parseRouteSlow(b []byte) (Route, []byte, error) {
	n, b, err := ParseArrayHead(b)
	if err != nil {
		return Route{}, nil, err
	}
	var r Route
	for each := (elements{n}); ; {
		var ok bool
		if ok, b, err = each.more(b); err != nil || !ok {
			return r, b, err
		}
		if r.n++; r.n > MaxHops {
			return Route{}, nil, ErrTooManyHops
		}
		var a Address
		if a, b, err = parseAddressSlow(b); err != nil {
			return Route{}, nil, err
		}
		r.b = AppendAddress(r.b, a)
	}
}

func parseAddressSlow(b []byte) (a Address, rest []byte, err error) {
	n, b, err := ParseArrayHead(b)
	if err != nil {
		return a, nil, err
	}
	each := elements{n}
	var name []byte
	for field := range 2 {
		var ok bool
		if ok, b, err = each.more(b); err != nil {
			return a, nil, err
		} else if !ok {
			return a, nil, ErrMalformed
		}
		if field == 0 {
			var kind uint64
			kind, b, err = ParseUint(b, 0xff)
			a.Type = uint8(kind)
		} else {
			name, b, err = ParseByteString(b)
		}
		if err != nil {
			return a, nil, err
		}
	}
	a.Name = string(name)
	rest, err = each.skipRest(b)
	return a, rest, err
}
