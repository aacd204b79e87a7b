package portal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/wire"
)

// lateAnswers is how long the address of a stream that was given up stays, so
// that an outlet which answers late is told.
const lateAnswers = 30 * time.Second

// A Dialer opens streams to one outlet.
type Dialer struct {
	Options
	Router *tunnel.Router // of this node, for the streams' own addresses
	Path   tunnel.Path    // to the far node
	Route  tunnel.Route   // of the outlet, from the far node on
	// Timeout bounds the wait for the answer. 0: DefaultOpenTimeout.
	Timeout time.Duration
}

// Dial opens a stream and waits until the outlet has answered. It returns
// ErrRefused if that does not want the stream, an error that wraps
// os.ErrDeadlineExceeded if no answer came in time (at an outlet that we may
// not use, none ever comes), and the context's error if that ended first.
//
// An outlet of the reference implementation that answers and then ends the stream
// at once, because its target refused, looks like a target that accepted and ended:
// the stream opens, and is at its end.
func (d *Dialer) Dial(ctx context.Context) (*Stream, error) {
	s, err := newStream(d.Router, d.Path, d.withDefaults(), true)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	answer := s.opening
	s.mu.Unlock()
	if answer == nil { // the path was lost just now
		return nil, s.giveUp()
	}
	if err := sendKind(d.Path, d.Route, s.local, Ping); err != nil {
		s.reset(err)
		return nil, s.giveUp()
	}
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = DefaultOpenTimeout
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case err = <-answer:
		if err == nil {
			return s, nil
		}
	case <-t.C:
		err = fmt.Errorf("portal: no answer from %v within %v: %w", d.Route, timeout, os.ErrDeadlineExceeded)
	case <-ctx.Done():
		err = fmt.Errorf("portal: dial %v: %w", d.Route, context.Cause(ctx))
	}
	_ = s.giveUp()
	return nil, err
}

// giveUp leaves a stream that Dial does not return, and returns why it is over.
func (s *Stream) giveUp() error {
	s.mu.Lock()
	switch {
	case s.opening != nil: // an answer may come late
		s.opening, s.abandoned = nil, true
		s.timer = time.AfterFunc(lateAnswers, s.unregister)
		s.mu.Unlock()
		return nil
	case s.err != nil || s.ended:
		defer s.mu.Unlock()
		return s.err
	}
	s.mu.Unlock()
	return s.Close() // the answer came just now
}

// handlePong opens the stream: the answer's return route is where it goes.
func (s *Stream) handlePong(m *tunnel.Message) {
	s.mu.Lock()
	first := bytes.Equal(m.Return.First(), s.origin.Address())
	peer := m.Return.Rest()
	if !s.dialed || s.peer.Len() > 0 || s.err != nil || s.ended || !first || peer.Len() == 0 {
		s.mu.Unlock()
		return
	}
	if s.opening != nil && strings.HasPrefix(wire.DecodeAddress(peer.Last()).Name, refusing) {
		s.refusedLocked()
		s.mu.Unlock()
		s.unregister()
		return
	}
	s.peer = peer.Clone()
	if s.abandoned {
		s.timer.Stop()
		s.mu.Unlock()
		_ = s.Close()
		return
	}
	s.opening <- nil
	s.opening = nil
	s.mu.Unlock()
}
