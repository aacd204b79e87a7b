package portal

import (
	"io"
	"net"
	"os"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// A ReadyReader is a source that has no use for memory until there are bytes.
type ReadyReader interface {
	// ReadReady waits until something can be read, then asks borrow for memory
	// and reads into it. It calls giveBack when there turned out to be nothing,
	// and waits again. It returns with the memory borrowed, whatever it returns.
	ReadReady(borrow func() []byte, giveBack func()) (int, error)
}

// writeErrLocked says why nothing can be written any more.
func (s *Stream) writeErrLocked() error {
	switch {
	case s.closed:
		return net.ErrClosed
	case s.err != nil:
		return s.err
	case s.ended:
		return ErrEnded
	case s.closing:
		return net.ErrClosed
	case !s.writeEnd.IsZero() && !time.Now().Before(s.writeEnd):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// takeTurn waits until nobody else sends, and tells whether there is a deadline.
func (s *Stream) takeTurn() (late bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sending && s.writeErrLocked() == nil {
		s.cond.Wait()
	}
	if err := s.writeErrLocked(); err != nil {
		return false, err
	}
	s.sending = true
	s.answered = false // before the answer can come
	return !s.writeEnd.IsZero(), nil
}

// passTurnLocked ends the caller's turn. If a Disconnect has become due
// meanwhile, it sends that.
func (s *Stream) passTurnLocked() {
	if s.owed && !s.told && !s.ended && s.peer.Len() > 0 {
		s.told = true
		s.mu.Unlock()
		_ = s.send(Disconnect) // the path is lost: then there is nobody to tell
		s.mu.Lock()
	}
	s.sending = false
	s.cond.Broadcast()
}

// send sends a message of one byte.
func (s *Stream) send(k Kind) error { return sendKind(s.path, s.peer, s.local, k) }

func sendKind(p tunnel.Path, to, from tunnel.Route, k Kind) error {
	m := tunnel.NewMessage()
	m.Onward, m.Return = to, from
	b := wire.GetBuffer(1)
	b.Bytes()[0] = byte(k)
	m.SetBuffer(b, wire.Headroom, wire.Headroom+1)
	err := p.Send(m)
	m.Release()
	return err
}

// sendData sends b.Bytes()[maxHead:maxHead+n], and releases b. The caller has
// the turn.
func (s *Stream) sendData(b *wire.Buffer, n int) error {
	m := tunnel.NewMessage()
	m.Onward, m.Return = s.peer, s.local
	at := wire.Headroom + maxHead
	m.SetBuffer(b, putHead(b.All(), at, n), at+n)
	err := s.path.Send(m)
	m.Release()
	return err
}

// Write sends p, in pieces of at most MaxData bytes. It returns ErrEnded if the
// peer has ended the stream, an error that wraps ErrReset if it was reset.
func (s *Stream) Write(p []byte) (int, error) {
	for done := 0; ; {
		piece := p[done:min(len(p), done+MaxData)]
		b := wire.GetBuffer(len(piece) + maxHead)
		copy(b.Bytes()[maxHead:], piece)
		err := s.sendPiece(b, len(piece))
		if err == nil || isLate(err) {
			done += len(piece)
		}
		if err != nil || done == len(p) {
			return done, plainError(err)
		}
	}
}

// lost resets the stream because a payload could not be sent, which would leave
// a hole, and returns why it is over.
func (s *Stream) lost(err error) error {
	s.reset(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return net.ErrClosed
}

// ReadFrom sends what r yields until it ends; see io.ReaderFrom. If r is a
// ReadyReader no memory is held while it has nothing. If r has SetReadDeadline,
// a reset or Close of the stream ends a read that is waiting, with a deadline in
// the past. An error of the stream tells itself by ErrReset, ErrEnded,
// net.ErrClosed or os.ErrDeadlineExceeded; any other is of r.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	in := reader{size: smallRead}
	in.r = r
	in.ready, _ = r.(ReadyReader)
	in.borrowFn, in.giveBackFn = in.borrow, in.giveBack
	source, _ := r.(readDeadliner)
	s.mu.Lock()
	s.source = source
	over := s.writeErrLocked()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.source = nil
	}()
	for total := int64(0); ; {
		if over != nil {
			return total, over
		}
		n, err := in.read()
		if n > 0 {
			over := s.sendPiece(in.take(), n)
			if over == nil || isLate(over) {
				total += int64(n)
			}
			if over != nil {
				return total, plainError(over)
			}
		}
		if err == nil {
			continue
		}
		in.giveBack()
		if err == io.EOF { //nolint:errorlint // a Reader returns it bare
			return total, nil
		}
		s.mu.Lock()
		over := s.writeErrLocked()
		s.mu.Unlock()
		if over != nil {
			err = over
		}
		return total, err
	}
}

// sendPiece sends n bytes of b, which it consumes, in a turn of its own.
func (s *Stream) sendPiece(b *wire.Buffer, n int) error {
	late, err := s.takeTurn()
	if err != nil {
		b.Release()
		return err
	}
	if n == 0 {
		b.Release()
	} else if late {
		return s.sendLate(b, n)
	} else {
		err = s.sendData(b, n)
	}
	return s.sentPiece(n, err)
}

// sentPiece ends the turn in which n bytes were sent.
func (s *Stream) sentPiece(n int, err error) error {
	s.mu.Lock()
	if err == nil && n > 0 {
		s.sent += int64(n)
	}
	s.passTurnLocked()
	s.mu.Unlock()
	if err != nil {
		return s.lost(err)
	}
	return nil
}

// A lateError is why a write returned before the path took its last piece,
// which is sent all the same.
type lateError struct{ error }

func isLate(err error) bool {
	_, ok := err.(lateError) //nolint:errorlint // never wrapped
	return ok
}

// plainError is what callers see of err: a deadline must be a net.Error itself.
func plainError(err error) error {
	if late, ok := err.(lateError); ok { //nolint:errorlint // never wrapped
		return late.error
	}
	return err
}

// sendLate is sendData, and the end of the turn, for a stream with a write
// deadline: since nothing else interrupts a path, a goroutine waits for it, at
// most until its link gives up.
func (s *Stream) sendLate(b *wire.Buffer, n int) error {
	var done, left bool // guarded by s.mu
	var err error
	go func() {
		sendErr := s.sendData(b, n)
		s.mu.Lock()
		done, err = true, sendErr
		s.cond.Broadcast()
		s.mu.Unlock()
		if left {
			_ = s.sentPiece(n, sendErr)
		}
	}()
	s.mu.Lock()
	for !done && s.writeErrLocked() == nil {
		s.cond.Wait()
	}
	if !done {
		left = true
		err := s.writeErrLocked()
		s.mu.Unlock()
		return lateError{err}
	}
	s.mu.Unlock()
	return s.sentPiece(n, err)
}

// smallRead is what is held for a source that is not a ReadyReader and does not
// yield much.
const smallRead = 4<<10 - wire.Headroom - wire.Tailroom - maxHead

// A reader reads a source into pooled buffers, behind room for a head.
type reader struct {
	r          io.Reader
	ready      ReadyReader
	buf        *wire.Buffer
	size       int
	borrowFn   func() []byte
	giveBackFn func()
}

func (in *reader) read() (int, error) {
	if in.ready != nil {
		in.size = MaxData
		return in.ready.ReadReady(in.borrowFn, in.giveBackFn)
	}
	b := in.borrow()
	n, err := in.r.Read(b)
	switch {
	case n == len(b):
		in.size = MaxData
	case n < smallRead/2:
		in.size = smallRead
	}
	return n, err
}

func (in *reader) borrow() []byte {
	if in.buf == nil {
		in.buf = wire.GetBuffer(in.size + maxHead)
	}
	return in.buf.Bytes()[maxHead : maxHead+in.size]
}

func (in *reader) take() *wire.Buffer {
	b := in.buf
	in.buf = nil
	return b
}

func (in *reader) giveBack() {
	in.buf.Release()
	in.buf = nil
}
