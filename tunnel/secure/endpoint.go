package secure

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"ockam/tunnel"
)

// Limits, in bytes, of what waits at an endpoint for its handshake to finish.
// The first message, which is the one that is waited for, is always taken.
const (
	maxWaiting     = 256 << 10 // while nobody has proved anything
	maxBehind      = 1 << 20   // while a message is being checked, which takes milliseconds
	maxWaitingAll  = 32 << 20  // at all endpoints of a listener together
	messageAtLeast = 512       // what a message takes besides its bytes
)

// An endpoint is the one address of a channel that the peer knows: handshake
// messages arrive there, later frames. While the handshake is under way it keeps
// what arrives, so that a frame right behind the third message is not lost while
// that is being verified on another goroutine.
type endpoint struct {
	channel atomic.Pointer[Channel] // set when everything that waited has been passed on
	all     *atomic.Int64           // bytes that wait at all endpoints of a listener

	mu     sync.Mutex
	inbox  []*tunnel.Message
	bytes  int
	limit  int
	closed bool
	arrive chan struct{} // holds one token when inbox may have become non-empty
}

func newEndpoint(all *atomic.Int64) *endpoint {
	return &endpoint{all: all, limit: maxWaiting, arrive: make(chan struct{}, 1)}
}

// HandleMessage opens a frame, or keeps a message for the handshake.
func (e *endpoint) HandleMessage(m *tunnel.Message) error {
	if c := e.channel.Load(); c != nil {
		return c.handleFrame(m)
	}
	e.mu.Lock()
	if c := e.channel.Load(); c != nil {
		e.mu.Unlock()
		return c.handleFrame(m)
	}
	if !e.admitsLocked(m) {
		e.mu.Unlock()
		m.Release()
		return ErrBusy
	}
	m = keep(m)
	e.inbox = append(e.inbox, m)
	e.countLocked(weight(m))
	e.mu.Unlock()
	select {
	case e.arrive <- struct{}{}:
	default:
	}
	return nil
}

func (e *endpoint) admitsLocked(m *tunnel.Message) bool {
	switch n := weight(m); {
	case e.closed || m.Return.Size() > maxRoute:
		return false
	case len(e.inbox) == 0 && len(m.Payload) <= maxHandshakeMessage:
		return true
	default:
		return e.bytes+n <= e.limit && e.all.Load()+int64(n) <= maxWaitingAll
	}
}

func (e *endpoint) countLocked(n int) {
	e.bytes += n
	e.all.Add(int64(n))
}

func weight(m *tunnel.Message) int { return messageAtLeast + m.Return.Size() + len(m.Payload) }

// keep returns a message with all that is needed of m, which it consumes: the
// buffer of m may be larger than that by the size of a frame.
func keep(m *tunnel.Message) *tunnel.Message {
	k := tunnel.NewMessage()
	k.Return, k.Payload, k.Origin = m.Return.Clone(), bytes.Clone(m.Payload), m.Origin
	m.Release()
	return k
}

// next waits for a message. The caller releases it.
func (e *endpoint) next(ctx context.Context) (*tunnel.Message, error) {
	for {
		if m := e.first(); m != nil {
			return m, nil
		}
		select {
		case <-e.arrive:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *endpoint) first() *tunnel.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.inbox) == 0 {
		return nil
	}
	m := e.inbox[0]
	e.inbox = e.inbox[1:]
	e.countLocked(-weight(m))
	return m
}

func (e *endpoint) setLimit(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.limit = n
}

// finish makes c the receiver of frames, those first that came meanwhile.
func (e *endpoint) finish(c *Channel) {
	for {
		e.mu.Lock()
		waiting := e.inbox
		if len(waiting) == 0 {
			e.channel.Store(c)
			e.mu.Unlock()
			return
		}
		e.inbox = nil
		e.countLocked(-e.bytes)
		e.mu.Unlock()
		for _, m := range waiting {
			_ = c.handleFrame(m) // a frame that does not open is dropped
		}
	}
}

// abandon drops what waits.
func (e *endpoint) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for _, m := range e.inbox {
		m.Release()
	}
	e.inbox = nil
	e.countLocked(-e.bytes)
}

// establish reads handshake messages at e until one completes the handshake,
// and returns it (to be released), its payload's sender and the keys, if it was
// the last message.
func (e *endpoint) establish(ctx context.Context, cfg *Config, h *handshake) (*result, error) {
	var last error
	for bad := 0; bad <= maxBadMessages; bad++ {
		e.setLimit(maxWaiting)
		m, err := e.next(ctx)
		if err != nil {
			if last != nil {
				err = fmt.Errorf("%w; before that: %w", err, last)
			}
			return nil, err
		}
		e.setLimit(maxBehind)
		payload, static, keys, err := h.open(m.Payload)
		if err == nil {
			r := &result{msg: m, keys: keys}
			if r.peer, err = cfg.verify(payload, static); err == nil {
				return r, nil
			}
			r.wipe()
			m.Release()
			return nil, err // the peer authenticated itself: nothing better will come
		}
		m.Release()
		last = err
	}
	return nil, last
}
