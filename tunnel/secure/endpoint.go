package secure

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"ockam/tunnel"
)

// Limits of what waits for a handshake to finish.
const (
	maxInbox      = 64
	maxInboxBytes = 512 << 10
)

// An endpoint is the one address of a channel that the peer knows: handshake
// messages arrive there, later frames. While the handshake is under way it keeps
// what arrives, so that a frame right behind the third message is not lost while
// that is being verified on another goroutine.
type endpoint struct {
	channel atomic.Pointer[Channel] // set when everything that waited has been passed on

	mu     sync.Mutex
	inbox  []*tunnel.Message
	bytes  int
	closed bool
	arrive chan struct{} // holds one token when inbox may have become non-empty
}

func newEndpoint() *endpoint { return &endpoint{arrive: make(chan struct{}, 1)} }

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
	if e.closed || len(e.inbox) == maxInbox || e.bytes+len(m.Payload) > maxInboxBytes {
		e.mu.Unlock()
		m.Release()
		return ErrBusy
	}
	e.inbox = append(e.inbox, m)
	e.bytes += len(m.Payload)
	e.mu.Unlock()
	select {
	case e.arrive <- struct{}{}:
	default:
	}
	return nil
}

// next waits for a message. The caller releases it.
func (e *endpoint) next(ctx context.Context) (*tunnel.Message, error) {
	for {
		e.mu.Lock()
		if len(e.inbox) > 0 {
			m := e.inbox[0]
			e.inbox = e.inbox[1:]
			e.bytes -= len(m.Payload)
			e.mu.Unlock()
			return m, nil
		}
		e.mu.Unlock()
		select {
		case <-e.arrive:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// finish makes c the receiver of frames, those first that came meanwhile.
func (e *endpoint) finish(c *Channel) {
	for {
		e.mu.Lock()
		if len(e.inbox) == 0 {
			e.channel.Store(c)
			e.mu.Unlock()
			return
		}
		waiting := e.inbox
		e.inbox, e.bytes = nil, 0
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
}

// establish reads handshake messages at e until one completes the handshake,
// and returns it (to be released), its payload's sender and the keys, if it was
// the last message.
func (e *endpoint) establish(ctx context.Context, cfg *Config, h *handshake) (*result, error) {
	var last error
	for range maxBadMessages {
		m, err := e.next(ctx)
		if err != nil {
			return nil, errors.Join(err, last)
		}
		payload, static, keys, err := h.open(m.Payload)
		if err == nil {
			r := &result{msg: m, keys: keys}
			if r.peer, err = cfg.verify(payload, static); err == nil {
				return r, nil
			}
			m.Release()
			return nil, err // the peer authenticated itself: nothing better will come
		}
		m.Release()
		last = err
	}
	return nil, last
}
