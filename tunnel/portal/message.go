package portal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ockam/tunnel/wire"
)

// A Kind is the tag of a portal message.
type Kind byte

// The kinds of messages, as on the wire (docs/protocol.md, Portals).
const (
	Ping Kind = iota
	Pong
	Disconnect
	Payload
)

// MaxData is how many bytes a Payload that we send has at most. We accept more.
const MaxData = 48 << 10

// maxHead is the length of the head of a Payload of MaxData bytes.
const maxHead = 4

const (
	withCounter = 1 // first byte of a counter part that has a counter
	counterPart = 3
)

// ErrMessage is returned for bytes that are not a portal message.
var ErrMessage = errors.New("portal: malformed message")

// A Message is what portals say to each other.
type Message struct {
	Kind Kind
	Data []byte // of a Payload; within the parsed bytes
	// Counter numbers a Payload if Counted. The Elixir implementation counts,
	// the Rust implementation does not (docs/protocol.md, Portals).
	Counter uint16
	Counted bool
}

// Append appends the encoding of m. Only a Payload has something behind its
// tag: the Elixir implementation refuses the other kinds with trailing bytes.
func (m Message) Append(b []byte) []byte {
	b = append(b, byte(m.Kind))
	if m.Kind != Payload {
		return b
	}
	b = wire.AppendBytes(b, m.Data)
	if m.Counted {
		b = binary.LittleEndian.AppendUint16(append(b, withCounter), m.Counter)
	}
	return b
}

// ParseMessage reads a message. Bytes behind it that are not a counter are
// ignored, as the reference implementation does.
func ParseMessage(b []byte) (Message, error) {
	if len(b) == 0 {
		return Message{}, fmt.Errorf("%w: empty", ErrMessage)
	}
	m := Message{Kind: Kind(b[0])}
	if m.Kind > Payload {
		return Message{}, fmt.Errorf("%w: tag %d", ErrMessage, b[0])
	}
	if m.Kind != Payload {
		return m, nil
	}
	data, rest, err := wire.ParseBytes(b[1:])
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	m.Data = data
	if len(rest) >= counterPart && rest[0] == withCounter {
		m.Counter, m.Counted = binary.LittleEndian.Uint16(rest[1:]), true
	}
	return m, nil
}

// putHead writes the head of a Payload of n bytes so that it ends at b[end],
// where the data begin, and returns where it begins.
func putHead(b []byte, end, n int) int {
	var head [maxHead]byte
	h := wire.AppendUvarint(append(head[:0], byte(Payload)), uint64(n))
	return end - copy(b[end-len(h):end], h)
}
