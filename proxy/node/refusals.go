package node

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Bounds of what is logged about refusals. Anybody can be refused as often as it
// likes, with a new identity each time, and must not fill a disk.
const (
	// refusalLines is how many refusals of one kind are logged in a period, and
	// refusalLinesPerPeer how many of them for one peer.
	refusalLines        = 20
	refusalLinesPerPeer = 3
	// A period begins with a refusal and lasts for refusalPeriod; after one with
	// more refusals than one peer has lines comes one of twice the length.
	refusalPeriod        = 10 * time.Second
	longestRefusalPeriod = 10 * time.Minute
	// maxRefusalPeers is how many peers of a kind are counted, and maxRefusalKinds
	// how many kinds are told from each other.
	maxRefusalPeers = 256
	maxRefusalKinds = 64
	// maxRefusalPeer is how much of a peer's name is looked at, in bytes.
	maxRefusalPeer = 128
	// maxRefusalPath is how much of the path of a request is logged, in bytes.
	maxRefusalPath = 256
)

// A refused is what is refused: what its refusals say, and the resource they are
// for. Nothing in it is chosen by a peer.
type refused struct{ message, kind, name string }

// refusals logs what a node refuses: the first refusals of each peer at each
// resource one by one, and of a flood only how many there were, and of how many
// peers. So the flood of one peer does not hide what another one is refused. It is
// safe for concurrent use.
type refusals struct {
	log *zap.Logger

	mu     sync.Mutex
	closed bool
	floods map[refused]*flood
}

// A flood is what was refused in a period.
type flood struct {
	period time.Duration
	timer  *time.Timer // ends the period
	lines  int
	logged map[string]int // lines of each peer

	hidden int                 // refusals that were not logged
	peers  map[string]struct{} // whose they were
	more   bool                // … or of more than these
}

// refused is what its refusals are logged as.
func (w *warden) refused(message string) refused {
	return refused{message, w.of.Type.String(), w.of.Name}
}

func newRefusals(log *zap.Logger) *refusals {
	return &refusals{log: log, floods: make(map[refused]*flood)}
}

// say logs, unless it is too much, that a peer was refused something.
func (r *refusals) say(level zapcore.Level, what refused, peer string, fields ...zap.Field) {
	if r.log.Core().Enabled(level) && r.admit(what, peer) {
		r.log.Log(level, what.message, append(what.fields(), fields...)...)
	}
}

func (w refused) fields() []zap.Field {
	var f []zap.Field
	if w.kind != "" {
		f = append(f, zap.String("kind", w.kind))
	}
	if w.name != "" {
		f = append(f, zap.String("name", w.name))
	}
	return f
}

// admit counts a refusal, and reports whether it is to be logged.
func (r *refusals) admit(what refused, peer string) bool {
	peer = peer[:min(len(peer), maxRefusalPeer)]
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.floods[what]
	if f == nil && len(r.floods) >= maxRefusalKinds {
		what = refused{message: "refused"} // all others together
		f = r.floods[what]
	}
	if f == nil {
		f = &flood{period: refusalPeriod}
		f.clear()
		if !r.closed {
			f.timer = time.AfterFunc(f.period, func() { r.end(what) })
		}
		r.floods[what] = f
	}
	return f.admit(peer)
}

func (f *flood) admit(peer string) bool {
	if f.lines < refusalLines && f.logged[peer] < refusalLinesPerPeer {
		f.lines++
		f.logged[peer]++
		return true
	}
	f.hidden++
	if _, known := f.peers[peer]; !known && len(f.peers) >= maxRefusalPeers {
		f.more = true
	} else {
		f.peers[peer] = struct{}{}
	}
	return false
}

func (f *flood) clear() {
	f.lines, f.hidden, f.more = 0, 0, false
	f.logged, f.peers = make(map[string]int), make(map[string]struct{})
}

// end ends a period, and begins the next one if this one was not quiet.
func (r *refusals) end(what refused) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.floods[what]
	if r.closed || f == nil {
		return
	}
	if f.hidden == 0 && f.lines <= refusalLinesPerPeer {
		delete(r.floods, what)
		return
	}
	r.sum(what, f)
	f.clear()
	f.period = min(2*f.period, longestRefusalPeriod)
	f.timer.Reset(f.period)
}

// sum logs what a period had beside what was logged.
func (r *refusals) sum(what refused, f *flood) {
	if f.hidden == 0 {
		return
	}
	fields := append(what.fields(), zap.String("what", what.message), zap.Int("count", f.hidden), zap.Int("peers", len(f.peers)))
	if f.more {
		fields = append(fields, zap.Bool("more_peers", true))
	}
	r.log.Warn("more refusals", append(fields, zap.Duration("within", f.period))...)
}

// close logs what is left to be said. What is refused from then on is logged up to
// the same bounds, and not summed up.
func (r *refusals) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for what, f := range r.floods {
		f.timer.Stop()
		r.sum(what, f)
	}
}
