package portal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"ockam/tunnel"
)

// A TryWriter is a sink that can take bytes without blocking.
type TryWriter interface {
	// TryWrite writes what the sink takes now, and returns how much that was.
	TryWrite(p []byte) (int, error)
}

// A SomeWriter is a sink that tells as soon as it has taken something.
type SomeWriter interface {
	// WriteSome blocks until it has written at least one byte of p, which is not empty.
	WriteSome(p []byte) (int, error)
}

// plainWrite is how much is written at once to a sink that is not a SomeWriter:
// each write that returns is progress.
const plainWrite = 16 << 10

var errConcurrent = errors.New("portal: WriteTo while another WriteTo runs")

// HandleMessage takes a message of the peer; see tunnel.Handler. It may wait
// for room in the queue, until the stream that is in the way has taken nothing
// for Options.StallTimeout.
func (s *Stream) HandleMessage(m *tunnel.Message) error {
	defer m.Release()
	if m.Origin != s.origin {
		return tunnel.ErrNotOpen
	}
	if m.Onward.Len() > 0 {
		return fmt.Errorf("portal: %w: %d addresses behind the stream's own", ErrMessage, m.Onward.Len())
	}
	msg, err := ParseMessage(m.Payload)
	if err != nil {
		return err
	}
	switch msg.Kind {
	case Payload:
		s.handlePayload(m, msg)
	case Disconnect:
		s.handleDisconnect()
	case Pong:
		s.handlePong(m)
	case Ping: // only an outlet's name takes it
	}
	return nil
}

// deafLocked reports whether what comes in is not wanted, or not any more.
func (s *Stream) deafLocked() bool {
	return s.closed || s.err != nil || s.ended || s.opening != nil || s.abandoned || s.told
}

// turnLocked waits until no other message is being handled, and reports whether
// this one is wanted. One path delivers one message after the other; this is
// for paths that do not.
func (s *Stream) turnLocked() bool {
	for s.receiving && !s.deafLocked() {
		s.cond.Wait()
	}
	return !s.deafLocked()
}

func (s *Stream) handlePayload(m *tunnel.Message, msg Message) {
	s.mu.Lock()
	if !s.turnLocked() || len(msg.Data) == 0 && !msg.Counted {
		s.mu.Unlock()
		return
	}
	if msg.Counted {
		if msg.Counter != s.counter {
			want := s.counter
			s.mu.Unlock()
			s.reset(fmt.Errorf("%w: number %d instead of %d", ErrGap, msg.Counter, want))
			return
		}
		s.counter++
	}
	s.receiving, s.answered = true, true
	if s.closing { // a Disconnect is held back: the peer is not silent
		s.quiet, s.grace = time.Now(), s.opts.HalfCloseGrace
	}
	data := msg.Data
	if s.sink != nil && !s.sinkBusy && s.queue.empty() {
		data = s.trySinkLocked(data)
	}
	if len(data) > 0 && !s.deafLocked() {
		s.enqueueLocked(m, data)
	}
	s.receiving = false
	s.cond.Broadcast()
	if !s.queue.empty() || s.sinkErr != nil || s.deafLocked() { // the last: it waited for this message
		s.work.Broadcast()
	}
	s.mu.Unlock()
}

// trySinkLocked hands data to the sink, without the lock, and returns what the
// sink did not take.
func (s *Stream) trySinkLocked(data []byte) []byte {
	sink := s.sink
	s.sinkBusy = true
	s.mu.Unlock()
	n, err := sink.TryWrite(data)
	s.mu.Lock()
	s.sinkBusy = false
	s.received.Add(int64(n))
	if err != nil {
		s.sinkErr = err
		return nil
	}
	return data[n:]
}

// enqueueLocked queues data, which lie in m, and waits for room.
func (s *Stream) enqueueLocked(m *tunnel.Message, data []byte) {
	if s.queue.extend(data) {
		return
	}
	it := s.queue.fit(m.TakeBuffer(), data)
	if s.chargeLocked(it.buf.Cap()) {
		s.queue.push(it)
		return
	}
	it.buf.Release()
}

// chargeLocked waits until n bytes may be queued. It returns false if the
// stream is over. While it waits it holds no lock; it resets whoever takes
// nothing for too long: this stream if its own queue is full, or the one that
// has taken nothing for longest if the node's budget is used up. Who takes so
// little that there is no room within a StallTimeout is reset as well: a link
// from which nothing is read for that long would be given up by the other side,
// with all that it carries.
func (s *Stream) chargeLocked(n int) bool {
	b := s.opts.Budget
	var began time.Time
	for !s.deafLocked() {
		own := s.charged > 0 && s.charged+n > s.opts.QueueLimit
		if !own && b.take(s, n) {
			s.charged += n
			return true
		}
		s.mu.Unlock()
		culprit, left := b.blame(s, own)
		if began.IsZero() {
			began = time.Now()
		}
		left = min(left, s.opts.StallTimeout-time.Since(began))
		switch {
		case culprit == nil: // all has just been given back
		case left > 0:
			s.awaitRoom(min(left, s.opts.StallTimeout/looks))
		case culprit.reset(ErrStalled):
			b.stalled(culprit)
		}
		b.forget(s)
		s.mu.Lock()
	}
	return false
}

// awaitRoom waits until there may be room, at most for d. There is one receiver
// at a time, which may use patience.
func (s *Stream) awaitRoom(d time.Duration) {
	b := s.opts.Budget
	b.held.Add(1)
	defer b.held.Add(-1)
	if s.patience == nil {
		s.patience = time.NewTimer(d)
	} else {
		s.patience.Reset(d)
	}
	select {
	case <-s.room:
	case <-s.patience.C:
	}
	s.patience.Stop()
}

func (s *Stream) wakeReceiver() {
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// refusedLocked ends a stream that the far side does not want.
func (s *Stream) refusedLocked() {
	s.opening <- ErrRefused
	s.opening = nil
	s.ended, s.closing = true, true
}

func (s *Stream) handleDisconnect() {
	s.mu.Lock()
	if s.opening != nil {
		s.refusedLocked()
		s.mu.Unlock()
		s.unregister()
		return
	}
	if !s.turnLocked() {
		abandoned := s.abandoned
		s.mu.Unlock()
		if abandoned {
			s.unregister()
		}
		return
	}
	s.ended = true
	s.wakeLocked()
	s.watchLocked()
	s.mu.Unlock()
	s.unregister()
}

// consumedLocked notes that the reader or the sink took n bytes of the front.
func (s *Stream) consumedLocked(n int) {
	if n == 0 {
		return
	}
	freed := s.queue.take(n)
	s.charged -= freed
	s.received.Add(int64(n))
	s.opts.Budget.progress(s, freed)
	if freed > 0 {
		s.wakeReceiver()
	}
}

// dropLocked gives back what is queued, but not what is being written to the
// sink: the writer does that.
func (s *Stream) dropLocked() {
	keep := 0
	if s.sinkFront {
		keep = 1
	}
	freed := s.queue.drop(keep)
	s.charged -= freed
	s.opts.Budget.watch(s, nil)
	s.opts.Budget.progress(s, freed)
}

// readErrLocked says why there is nothing to read; nil if there will be.
func (s *Stream) readErrLocked() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.err != nil:
		return s.err
	case !s.readEnd.IsZero() && !time.Now().Before(s.readEnd):
		return os.ErrDeadlineExceeded
	case !s.queue.empty() || s.receiving:
		return nil
	case s.ended:
		return io.EOF
	case s.told:
		return ErrHalfClosed
	}
	return nil
}

// Read returns received bytes. After the peer's end it returns io.EOF, after a
// reset an error that wraps ErrReset, and ErrHalfClosed if this side has ended
// the stream before the peer did.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.readErrLocked(); err != nil {
			return 0, err
		}
		if len(p) == 0 {
			return 0, nil
		}
		if !s.queue.empty() && !s.reading {
			break
		}
		s.cond.Wait()
	}
	done := 0
	for done < len(p) && !s.queue.empty() {
		n := copy(p[done:], s.queue.front().data)
		s.consumedLocked(n)
		done += n
	}
	return done, nil
}

// WriteTo writes what is received to w until the peer's end, when it returns
// nil; see io.WriterTo. Nobody may Read meanwhile.
//
// If w is a TryWriter, it is tried on the goroutine that reads the link, and
// WriteTo writes only what it did not take. If w has SetWriteDeadline, a reset
// or Close of the stream ends a write that is waiting, with a deadline in the
// past. An error of the stream tells itself by ErrReset, ErrHalfClosed,
// net.ErrClosed or os.ErrDeadlineExceeded; any other is of w.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	try, _ := w.(TryWriter)
	end, _ := w.(writeDeadliner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading {
		return 0, errConcurrent
	}
	s.reading, s.sink, s.sinkEnd, s.sinkErr = true, try, end, nil
	if p, ok := w.(Pender); ok && s.err == nil && !s.closed {
		s.opts.Budget.watch(s, p)
	}
	before := s.received.Load()
	err := s.drainLocked(w)
	s.sink, s.sinkEnd = nil, nil
	s.opts.Budget.watch(s, nil)
	for s.sinkBusy {
		s.cond.Wait()
	}
	s.reading = false
	if s.err != nil {
		err = s.err // why the sink was interrupted
	}
	if err == io.EOF { //nolint:errorlint // our own; a reset must not pass for it, whatever it wraps
		err = nil
	}
	return s.received.Load() - before, err
}

func (s *Stream) drainLocked(w io.Writer) error {
	for {
		if s.sinkErr != nil {
			return s.sinkErr
		}
		if err := s.readErrLocked(); err != nil {
			return err
		}
		if s.queue.empty() || s.sinkBusy {
			s.work.Wait()
			continue
		}
		data := s.queue.front().data
		s.sinkBusy, s.sinkFront = true, true
		s.mu.Unlock()
		n, err := writeSome(w, data)
		s.mu.Lock()
		s.sinkBusy, s.sinkFront = false, false
		s.consumedLocked(n)
		if s.closed || s.err != nil {
			s.dropLocked()
		}
		if err != nil {
			return err
		}
	}
}

func writeSome(w io.Writer, p []byte) (int, error) {
	if sw, ok := w.(SomeWriter); ok {
		return sw.WriteSome(p)
	}
	return w.Write(p[:min(len(p), plainWrite)])
}
