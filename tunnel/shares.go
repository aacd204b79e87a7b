package tunnel

// A Caller is where requests come from: the link or channel that brings them
// and, if that is not where they begin, the hop behind it. The node there has
// written the hop in front of the return route, so that a peer behind an honest
// relay cannot choose it.
type Caller struct {
	origin *Origin
	hop    string
}

// CallerOf returns who sent m.
func CallerOf(m *Message) Caller {
	c := Caller{origin: m.Origin}
	if m.Return.Len() > 2 { // more than the link and the peer
		c.hop = string(m.Return.Rest().First())
	}
	return c
}

// Link returns the link by which the caller's requests reach this node, below all
// channels; nil if they come from this node.
func (c Caller) Link() *Origin {
	o := c.origin
	for o != nil && o.Outer != nil {
		o = o.Outer
	}
	return o
}

// Shares counts what is under way for callers, so that none of them has all the
// places. It is not safe for concurrent use.
type Shares struct {
	total   int
	callers map[Caller]int
	origins map[*Origin]int // all over a link or channel, also in channels within it
}

// A Limit is how much may be under way at once.
type Limit struct {
	Total     int
	PerOrigin int // over one link or channel, also in channels within it
	PerPeer   int // of these, for the peer at its other end
	PerHop    int // of these, from one hop behind the peer
}

// Take takes a place for c, to be given back with Release, and reports whether
// there was one. A worker of this node has only Total above it.
func (s *Shares) Take(c Caller, most Limit) bool {
	each := most.PerPeer
	if c.hop != "" {
		each = most.PerHop
	}
	if s.total >= most.Total || c.origin != nil && s.callers[c] >= each {
		return false
	}
	for o := c.origin; o != nil; o = o.Outer {
		if s.origins[o] >= most.PerOrigin {
			return false
		}
	}
	if s.callers == nil {
		s.callers, s.origins = make(map[Caller]int), make(map[*Origin]int)
	}
	s.total++
	s.callers[c]++
	for o := c.origin; o != nil; o = o.Outer {
		s.origins[o]++
	}
	return true
}

// Release gives a place of c back.
func (s *Shares) Release(c Caller) {
	s.total--
	release(s.callers, c)
	for o := c.origin; o != nil; o = o.Outer {
		release(s.origins, o)
	}
}

func release[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] == 0 {
		delete(counts, k)
	}
}

// Total returns how many places are taken.
func (s *Shares) Total() int { return s.total }
