package udp

import "ockam/transports"

// newer reports whether message number a was begun after b. Numbers go round;
// at a distance of exactly half of them each is older than the other.
func newer(a, b uint16) bool {
	d := a - b
	return d != 0 && d < 1<<15
}

// An assembly puts the messages of one peer together: one at a time, parts in
// order. Nothing is repeated, and nothing is waited for.
type assembly struct {
	begun    bool
	expected uint16 // number of the message being put together, or of the next
	buf      []byte
}

// add takes a part. It returns the message, in memory that is the caller's until
// the next call if it is but one part, and for good otherwise; nil if none is
// complete. Ok is false if the part, or what was before it, is lost.
//
// Grow is asked before more than the room there is gets used.
func (a *assembly) add(d datagram, grow func(more int) bool) (message []byte, ok bool) {
	ok = true
	switch {
	case !a.begun:
		a.begun, a.expected = true, d.number
	case newer(d.number, a.expected):
		ok = len(a.buf) == 0
		a.buf, a.expected = nil, d.number
	case d.number != a.expected:
		return nil, false
	}
	if int64(d.offset) != int64(len(a.buf)) || len(a.buf)+len(d.part) > transports.MaxFrame {
		a.skip()
		return nil, false
	}
	if d.last && len(a.buf) == 0 {
		a.expected++
		return d.part, ok
	}
	if !a.append(d.part, grow) {
		a.skip()
		return nil, false
	}
	if !d.last {
		return nil, ok
	}
	message = a.buf
	a.skip()
	return message, ok
}

// append puts part behind what there is. Memory grows with what has come.
func (a *assembly) append(part []byte, grow func(more int) bool) bool {
	need := len(a.buf) + len(part)
	if need > cap(a.buf) {
		room := min(max(2*cap(a.buf), need, 4*maxPart), transports.MaxFrame)
		if !grow(room - cap(a.buf)) {
			return false
		}
		a.buf = append(make([]byte, 0, room), a.buf...)
	}
	a.buf = append(a.buf, part...)
	return true
}

// skip gives up the message, of which further parts are late from now on.
func (a *assembly) skip() {
	a.buf = nil
	a.expected++
}
