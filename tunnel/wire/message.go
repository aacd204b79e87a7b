package wire

import (
	"unicode/utf8"
)

// emptyTrace is the tracing context that we write: the text "{}", which is what
// the reference implementation writes when nothing is traced.
const emptyTrace = "\x62{}"

// A Header is a message on a TCP link without what nobody needs: the tracing
// context is checked, then dropped. The fields lie within the parsed bytes.
type Header struct {
	Onward, Return Route
	Payload        []byte
}

// ParseMessage reads the message that fills a frame (docs/protocol.md, Message).
// It accepts what the reference implementation accepts: three or more elements,
// a fourth that is null or UTF-8 text, bytes behind the message.
func ParseMessage(b []byte) (Header, error) {
	var h Header
	n, b, err := ParseArrayHead(b)
	if err != nil {
		return h, err
	}
	each := elements{n}
	for field := range 3 {
		var ok bool
		if ok, b, err = each.more(b); err != nil {
			return Header{}, err
		} else if !ok {
			return Header{}, ErrMalformed
		}
		switch field {
		case 0:
			h.Onward, b, err = ParseRoute(b)
		case 1:
			h.Return, b, err = ParseRoute(b)
		default:
			h.Payload, b, err = ParseByteString(b)
		}
		if err != nil {
			return Header{}, err
		}
	}
	ok, b, err := each.more(b)
	if err != nil || !ok {
		return h, err
	}
	if b, err = skipTrace(b); err != nil {
		return Header{}, err
	}
	_, err = each.skipRest(b)
	return h, err
}

// skipTrace skips a tracing context, which is untrusted text that we never use.
func skipTrace(b []byte) ([]byte, error) {
	if len(b) > 0 && b[0] == null {
		return b[1:], nil
	}
	major, n, indef, rest, err := ParseHead(b)
	if err != nil {
		return nil, err
	}
	if major != majorText || indef {
		return nil, ErrMalformed
	}
	if n > uint64(len(rest)) {
		return nil, ErrTruncated
	}
	if !utf8.Valid(rest[:n]) {
		return nil, ErrMalformed
	}
	return rest[n:], nil
}

// MessageSize returns the length of the message that AppendMessageHead,
// a payload of n bytes and AppendMessageTail make.
func MessageSize(onward, ret Route, n int) int {
	return 1 + onward.Size() + ret.Size() + headLen(n) + n + len(emptyTrace)
}

// AppendMessageHead appends everything of a message that stands before a
// payload of n bytes.
func AppendMessageHead(b []byte, onward, ret Route, n int) []byte {
	b = ret.AppendTo(onward.AppendTo(append(b, majorArray|4)))
	return appendHead(b, majorBytes, uint64(n))
}

// AppendMessageTail appends what stands behind the payload.
func AppendMessageTail(b []byte) []byte { return append(b, emptyTrace...) }
