package relay

// OriginEnded gives the name back.
func (t *target) OriginEnded(err error) {
	e, s := t.entry, t.entry.server
	s.mu.Lock()
	gone := e.target.Load() == t && s.removeLocked(e)
	s.mu.Unlock()
	if gone {
		s.released(e, err)
	}
}

// displace takes the name of t away from another owner, if there is room for it.
func (s *Server) displace(t *target) error {
	s.mu.Lock()
	e := s.names[t.entry.name]
	other := e != nil && e.claim.Owner != t.entry.claim.Owner
	full := s.counts[t.origin] >= s.maxPerOrigin() // in all there is room for one instead of another
	s.mu.Unlock()
	switch {
	case !other:
		return nil
	case full:
		return ErrLimit
	}
	e.onLost()
	return nil
}

// onLost is called when the registry takes the name away.
func (e *entry) onLost() {
	s := e.server
	s.mu.Lock()
	gone := s.removeLocked(e)
	e.lost = true
	s.mu.Unlock()
	if gone {
		s.released(e, ErrTaken)
	}
}

func (s *Server) removeLocked(e *entry) bool {
	if s.names[e.name] != e {
		return false
	}
	t := e.target.Load()
	delete(s.names, e.name)
	s.countLocked(t.origin, -1)
	e.lost = true
	e.reg.Close()
	t.origin.Detach(t)
	return true
}

func (s *Server) released(e *entry, err error) {
	s.registry().Release(e.claim)
	if s.Released != nil {
		s.Released(Event{
			Name: e.name, Address: s.address(e.name), Origin: e.target.Load().origin,
			Owner: e.claim.Owner, Err: err,
		})
	}
}
