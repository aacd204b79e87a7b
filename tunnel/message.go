package tunnel

import (
	"sync"

	"ockam/tunnel/wire"
)

// scratchSize holds a return route of three random addresses and one in front.
const scratchSize = 160

// A Message is on its way along Onward. HandleMessage consumes it: afterwards,
// error or not, the caller may not touch it. Its routes and payload lie in its
// own pooled buffer and are gone with it.
type Message struct {
	Onward, Return Route
	Payload        []byte
	Origin         *Origin // who brought it; nil: a worker of this node. Set by links and channels only

	buf     *wire.Buffer
	from    int // where Payload begins in buf, if own
	own     bool
	depth   int // how often it was passed on within this node
	scratch [scratchSize]byte
}

var messages = sync.Pool{New: func() any { return new(Message) }}

// NewMessage returns an empty message. Release it, or have it consumed.
func NewMessage() *Message { return messages.Get().(*Message) }

// Release gives the message and its buffer back.
func (m *Message) Release() {
	if m == nil {
		return
	}
	m.buf.Release()
	m.Onward, m.Return, m.Payload, m.Origin = Route{}, Route{}, nil, nil
	m.buf, m.from, m.own, m.depth = nil, 0, false, 0
	messages.Put(m)
}

// SetBuffer gives buf to the message and makes buf.All()[from:to] its payload.
// What stands before and behind in buf is room for the headers and tags of the
// layers below.
func (m *Message) SetBuffer(buf *wire.Buffer, from, to int) {
	m.buf, m.from, m.own = buf, from, true
	m.Payload = buf.All()[from:to:to]
}

// TakeBuffer takes the buffer out of the message, which keeps no payload. The
// caller owns it; slices of the old payload stay valid until it is released.
func (m *Message) TakeBuffer() *wire.Buffer {
	b := m.buf
	m.buf, m.own, m.Payload = nil, false, nil
	return b
}

// Around returns the payload with head bytes in front and tail bytes behind it
// in the same buffer, or nil if there is no such room. Only who made the
// message with SetBuffer has room; what was received has none.
func (m *Message) Around(head, tail int) []byte {
	if !m.own || m.from < head {
		return nil
	}
	all := m.buf.All()
	to := m.from + len(m.Payload) + tail
	if to > len(all) {
		return nil
	}
	return all[m.from-head : to]
}

// PrependReturn puts an encoded address in front of the return route.
func (m *Message) PrependReturn(first []byte) {
	dst := m.scratch[:]
	if m.Return.Within(dst) || m.Onward.Within(dst) { // an answer's onward route was a return route
		dst = nil
	}
	m.Return = m.Return.Prepend(dst, first)
}

// A Handler takes messages. It is called on the goroutine that read the frame;
// it consumes the message and must not block but for room in a link's queue.
type Handler interface{ HandleMessage(*Message) error }

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(*Message) error

// HandleMessage calls f.
func (f HandlerFunc) HandleMessage(m *Message) error { return f(m) }

// A Gate looks at a message before its handler does; an error refuses it.
type Gate func(*Message) error
