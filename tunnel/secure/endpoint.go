package secure

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ockam/tunnel"
)

// Limits of what waits at an endpoint for its handshake to finish, in bytes. The
// first message, which is the one that is waited for, is always taken.
const (
	maxWaiting     = 1 << 20
	maxWaitingAll  = 32 << 20 // at all endpoints of a listener together
	messageAtLeast = 512      // what a message takes besides its bytes
)

// maxPause is how long a link is kept from reading on when more comes than may
// wait. It is our own work that it waits for, never the peer's.
const maxPause = 2 * time.Second

// An endpoint is the one address of a channel that the peer knows: handshake
// messages arrive there, later frames. While the handshake is under way it keeps
// what arrives, so that frames right behind the third message are not lost while
// that is being verified on another goroutine: a channel does not survive the
// loss of more than 32.
type endpoint struct {
	channel atomic.Pointer[Channel] // set when everything that waited has been passed on
	all     *atomic.Int64           // bytes that wait at all endpoints of a listener
	arrive  chan struct{}           // holds one token when inbox may have become non-empty

	mu     sync.Mutex
	room   sync.Cond // signaled when there may be room, or nothing to wait for
	inbox  []*tunnel.Message
	bytes  int
	busy   bool // what has arrived is being dealt with
	lossy  bool // a pause was in vain: do not make another
	closed bool
}

func newEndpoint(all *atomic.Int64) *endpoint {
	e := &endpoint{all: all, arrive: make(chan struct{}, 1)}
	e.room.L = &e.mu
	return e
}

// HandleMessage opens a frame, or keeps a message for the handshake.
func (e *endpoint) HandleMessage(m *tunnel.Message) error {
	if c := e.channel.Load(); c != nil {
		return c.handleFrame(m)
	}
	e.mu.Lock()
	ok := e.admitsLocked(m) || e.pauseLocked(m)
	if c := e.channel.Load(); c != nil {
		e.mu.Unlock()
		return c.handleFrame(m)
	}
	if !ok {
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

// admitsLocked reports whether m may wait.
func (e *endpoint) admitsLocked(m *tunnel.Message) bool {
	switch n := weight(m); {
	case e.closed || m.Return.Size() > maxRoute:
		return false
	case len(e.inbox) == 0 && len(m.Payload) <= maxHandshakeMessage:
		return true
	default:
		return e.bytes+n <= maxWaiting && e.all.Load()+int64(n) <= maxWaitingAll
	}
}

// pauseLocked waits until m may wait, and reports whether it may.
func (e *endpoint) pauseLocked(m *tunnel.Message) bool {
	late := false
	t := time.AfterFunc(maxPause, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		late = true
		e.room.Broadcast()
	})
	defer t.Stop()
	for e.channel.Load() == nil && !e.admitsLocked(m) {
		if e.lossy = e.lossy || late; e.lossy || e.closed || !e.busy && len(e.inbox) == 0 {
			return false
		}
		e.room.Wait()
	}
	return true
}

// countLocked notes that n bytes more wait.
func (e *endpoint) countLocked(n int) {
	e.bytes += n
	e.all.Add(int64(n))
	if n <= 0 {
		e.room.Broadcast()
	}
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

// setBusy says whether what has arrived is being dealt with.
func (e *endpoint) setBusy(busy bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy = busy
	e.room.Broadcast()
}

// finish makes c the receiver of frames, those first that came meanwhile.
func (e *endpoint) finish(c *Channel) {
	for {
		e.mu.Lock()
		waiting := e.inbox
		if len(waiting) == 0 {
			e.channel.Store(c)
			e.room.Broadcast()
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
		e.setBusy(false)
		m, err := e.next(ctx)
		if err != nil {
			if last != nil {
				err = fmt.Errorf("%w; before that: %w", err, last)
			}
			return nil, err
		}
		e.setBusy(true)
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
