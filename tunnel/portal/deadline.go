package portal

import (
	"net"
	"time"
)

// SetDeadline sets both deadlines; see net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read and WriteTo; see net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	return s.setDeadline(&s.readEnd, &s.readTimer, t)
}

// SetWriteDeadline sets the deadline of Write and ReadFrom; see net.Conn. A
// write that waits for room on the path when its first deadline is set notices
// it only when there is room, or when the link gives up. What a write had begun
// to send when its deadline passed counts as written.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(&s.writeEnd, &s.writeTimer, t)
}

func (s *Stream) setDeadline(end *time.Time, timer **time.Timer, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	*end = t
	switch {
	case t.IsZero():
		if *timer != nil {
			(*timer).Stop()
		}
	case *timer == nil:
		*timer = time.AfterFunc(time.Until(t), s.wake)
	default:
		(*timer).Reset(time.Until(t))
	}
	return nil
}

func (s *Stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}
