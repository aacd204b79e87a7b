package portal

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ockam/tunnel"
)

// A Stream is one end of a byte stream, a net.Conn with CloseWrite. Read and
// Write may be called by different goroutines; everything else by anybody, at
// any time. Whoever has a stream must call Close.
//
// Messages come in on the goroutine that reads the link or channel. Messages
// leave on the goroutine that calls Write, ReadFrom, CloseWrite or Close, which
// therefore block while the path has no room, at most until its link gives up.
// A deadline that passes meanwhile is noticed afterwards.
//
//	opening ── Pong ──► open ── CloseWrite, grace ──► told ──┐
//	   │                 │ └── Disconnect ──► ended ─────────┼──► closed
//	   └── Disconnect ──►│ └── link lost, gap, stall ► reset ┘
//	      refused
type Stream struct {
	path   tunnel.Path
	origin *tunnel.Origin // of the path: only what it brings is for this stream
	dialed bool
	opts   Options
	reg    *tunnel.Registration
	local  tunnel.Route
	peer   tunnel.Route // from the far node on; set before the stream is open

	room     chan struct{} // wakes the receiver that waits for room
	patience *time.Timer   // of that receiver
	account  account       // guarded by opts.Budget.mu

	mu   sync.Mutex
	cond sync.Cond // anything below has changed
	// work is for a WriteTo that has nothing to do: a payload that its sink
	// takes at once, or a turn that ends, is no reason to wake it. Waking it for
	// each message costs more than all else that a small message costs.
	work sync.Cond

	// How it ends.
	opening   chan error // of a dialed stream until it is open: the answer
	abandoned bool       // Dial gave up: a late Pong gets a Disconnect
	err       error      // reset, and why
	ended     bool       // the peer's Disconnect has come
	closing   bool       // CloseWrite or Close was called: no more data from here
	closed    bool       // Close was called
	owed      bool       // a Disconnect is to be sent
	told      bool       // a Disconnect has been sent, or is being sent
	timer     *time.Timer
	grace     time.Duration // of silence before a Disconnect that is held back
	quiet     time.Time     // since when there has been silence

	// Received bytes.
	receiving  bool // a message is being handled: the next one waits its turn
	queue      fifo
	charged    int // capacity of what is queued
	counter    uint16
	reading    bool // WriteTo runs
	sink       TryWriter
	sinkEnd    writeDeadliner
	sinkBusy   bool // somebody writes to the sink
	sinkFront  bool // and what it writes is the front of the queue
	sinkErr    error
	received   atomic.Int64 // bytes taken by Read or the sink
	readEnd    time.Time
	readTimer  *time.Timer
	answered   bool // the last byte that moved came from the peer
	writeEnd   time.Time
	writeTimer *time.Timer
	sending    bool // somebody sends: the next one waits its turn
	sent       int64
	source     readDeadliner
	registered bool
}

type (
	readDeadliner  interface{ SetReadDeadline(time.Time) error }
	writeDeadliner interface{ SetWriteDeadline(time.Time) error }
)

var _ net.Conn = (*Stream)(nil)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// newStream registers a stream over path at a fresh address, which only what
// the path brings back reaches.
func newStream(r *tunnel.Router, path tunnel.Path, opts Options, dialed bool) (*Stream, error) {
	s := &Stream{path: path, origin: path.Origin(), opts: opts, dialed: dialed, room: make(chan struct{}, 1)}
	s.cond.L, s.work.L = &s.mu, &s.mu
	if dialed {
		s.opening = make(chan error, 1)
	}
	a := tunnel.RandomAddress()
	s.local = tunnel.NewRoute(a)
	reg, err := r.Handle(a, s, tunnel.Access{Open: []tunnel.Source{s.origin}})
	if err != nil {
		return nil, err
	}
	s.reg, s.registered = reg, true
	if err := s.origin.Attach(s); err != nil {
		reg.Close()
		return nil, s.resetError(err)
	}
	return s, nil
}

// Origin returns the link or channel that the stream runs over.
func (s *Stream) Origin() *tunnel.Origin { return s.origin }

// LocalAddr returns the stream's own address, an Addr.
func (s *Stream) LocalAddr() net.Addr { return Addr{Route: s.local} }

// RemoteAddr returns the peer's address, an Addr.
func (s *Stream) RemoteAddr() net.Addr { return Addr{Route: s.peer, Peer: s.origin.Peer} }

// Moved returns how many bytes have been sent, and how many of those received
// have been taken.
func (s *Stream) Moved() (sent, received int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.received.Load()
}

// OriginEnded resets the stream; see tunnel.Dependent.
func (s *Stream) OriginEnded(err error) { s.reset(err) }

// Reset ends the stream in both directions for the reason given, which Read,
// Write and whoever else waits return. What is queued is dropped. The peer gets
// a Disconnect, by Close: the wire cannot say more.
func (s *Stream) Reset(cause error) { s.reset(cause) }

func (s *Stream) resetError(cause error) error { return fmt.Errorf("%w: %w", ErrReset, cause) }

// reset does not block and does not send: the reader of a link may call it.
// It reports whether it was this call that ended the stream.
func (s *Stream) reset(cause error) bool {
	s.mu.Lock()
	if s.err != nil || s.closed {
		s.mu.Unlock()
		return false
	}
	s.err = s.resetError(cause)
	if s.opening != nil {
		s.opening <- s.err
		s.opening = nil
	}
	s.dropLocked()
	s.unlockAndWake()
	return true
}

// unlockAndWake is called when the stream is over: it wakes all who wait for it,
// also in a source or sink, and takes its address back.
func (s *Stream) unlockAndWake() {
	source, sink := s.source, s.sinkEnd
	s.wakeLocked()
	s.mu.Unlock()
	s.wakeReceiver()
	if source != nil {
		_ = source.SetReadDeadline(longAgo)
	}
	if sink != nil {
		_ = sink.SetWriteDeadline(longAgo)
	}
	s.unregister()
}

// wakeLocked wakes all who wait, to look again.
func (s *Stream) wakeLocked() {
	s.cond.Broadcast()
	s.work.Broadcast()
}

func (s *Stream) unregister() {
	s.mu.Lock()
	was := s.registered
	s.registered = false
	s.mu.Unlock()
	if was {
		s.reg.Close()
		s.origin.Detach(s)
	}
}

// Close ends the stream in both directions: what was written is sent, then a
// Disconnect if the peer needs one; what was not read is dropped. It blocks
// while the path has no room for the Disconnect, unless a Write is under way,
// which then sends it.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed, s.closing = true, true
	s.dropLocked()
	for _, t := range []*time.Timer{s.timer, s.readTimer, s.writeTimer} {
		if t != nil {
			t.Stop()
		}
	}
	s.unlockAndWake()
	s.tell()
	return nil
}

// CloseWrite says that there is nothing more to write. See
// Options.HalfCloseGrace for when the peer is told: then it ends the stream as
// a whole. It does not wait for that.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	if s.closed || s.err != nil || s.ended || s.closing {
		defer s.mu.Unlock()
		if s.closed {
			return net.ErrClosed
		}
		return s.err // nil if there is nothing left to do
	}
	s.closing = true
	if s.dialed && s.opts.HalfCloseGrace > 0 {
		s.grace, s.quiet = s.opts.HalfCloseGrace, time.Now()
		if s.answered {
			s.grace /= 4
		}
		s.armLocked(s.grace)
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	s.endHere()
	return nil
}

// endHere sends the Disconnect and ends the stream here: what is queued may
// still be read.
func (s *Stream) endHere() {
	s.tell()
	s.unregister()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
	s.watchLocked()
}

// tell sends a Disconnect after everything that has been written, if the peer
// does not know of the end.
func (s *Stream) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = true
	if s.sending {
		return // the sender will do it
	}
	s.sending = true
	s.passTurnLocked()
}

// armLocked has tick called after d.
func (s *Stream) armLocked(d time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.tick)
	} else {
		s.timer.Reset(d)
	}
}

// watchLocked makes sure that bytes which are queued at the end of the stream,
// when nobody comes any more to find the queue full, are not kept for ever.
func (s *Stream) watchLocked() {
	if !s.queue.empty() && s.err == nil && !s.closed {
		s.armLocked(s.opts.StallTimeout)
	}
}

// tick does what is due by time: it sends a Disconnect that was held back, and
// resets a stream that keeps its last bytes for too long.
func (s *Stream) tick() {
	s.mu.Lock()
	switch {
	case s.closed || s.err != nil:
	case s.closing && !s.told && !s.ended:
		if !s.queue.empty() || s.receiving || s.opts.Budget.Held() {
			s.quiet = time.Now() // the peer may want to say more and cannot
		}
		if left := time.Until(s.quiet.Add(s.grace)); left > 0 {
			s.armLocked(left)
			break
		}
		s.mu.Unlock()
		s.endHere()
		return
	case !s.queue.empty() && (s.ended || s.told):
		if left := s.opts.Budget.left(s); left > 0 {
			s.armLocked(left)
			break
		}
		s.mu.Unlock()
		if s.reset(ErrStalled) {
			s.opts.Budget.resets.Add(1)
		}
		return
	}
	s.mu.Unlock()
}
