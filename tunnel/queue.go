package tunnel

import (
	"context"
	"net"
	"runtime"
	"sync"

	"ockam/transports"
	"ockam/tunnel/wire"
)

const (
	queueLimit   = 256 << 10 // bytes that wait for the network, or one frame
	segmentSize  = 100 << 10 // holds two sealed messages of a portal
	claimRoom    = 256       // what routes and headers add to a payload, about
	maxBatch     = 16        // segments written at once
	maxRounds    = 4         // batches a sender writes for others before it leaves the rest
	yieldBelow   = 16 << 10  // a sender yields once for others only when less than this waits
	smallSegment = 4 << 10
)

// A segment is a run of whole frames in the order in which they were placed.
type segment struct {
	b       []byte
	pending int // places in b that are not committed
	next    *segment
}

var (
	segments      = sync.Pool{New: func() any { return &segment{b: make([]byte, 0, segmentSize)} }}
	smallSegments = sync.Pool{New: func() any { return &segment{b: make([]byte, 0, smallSegment)} }}
)

func newSegment(n int) *segment {
	switch {
	case n <= smallSegment/2:
		return smallSegments.Get().(*segment)
	case n <= segmentSize:
		return segments.Get().(*segment)
	default:
		return &segment{b: make([]byte, 0, n)}
	}
}

func (s *segment) free() {
	s.b, s.pending, s.next = s.b[:0], 0, nil
	switch cap(s.b) {
	case segmentSize:
		segments.Put(s)
	case smallSegment:
		smallSegments.Put(s)
	}
}

// A queue holds the frames of a link that the network has not taken yet.
//
// Whoever has committed a frame and finds nobody writing writes all that is ready,
// without blocking; what the network does not take is left to a goroutine that
// lives until nothing is left, and owns the connection meanwhile. So there is
// one writer at a time (the field writing), no lock is held over a write, and
// frames of many senders leave in one.
type queue struct {
	conn    transports.Conn
	try     transports.TryWriter // nil if the connection cannot try
	writeFn func()               // writeLoop, made once: a go statement with it allocates nothing
	wg      sync.WaitGroup       // the writer goroutine

	mu      sync.Mutex
	room    sync.Cond // for claim
	idle    sync.Cond // for flush
	err     error
	shut    bool // nothing new is taken
	queued  int  // bytes placed or claimed, and not yet given to the network
	claims  int  // claims that are not yet committed
	first   *segment
	last    *segment
	writing bool

	// Owned by the writer.
	out   []*segment // being written
	bufs  net.Buffers
	batch [maxBatch + 2][]byte // memory of bufs
	head  []byte               // of a message that is written directly
}

func (q *queue) init(conn transports.Conn) {
	q.conn = conn
	q.try, _ = conn.(transports.TryWriter)
	q.writeFn = q.writeLoop
	q.room.L, q.idle.L = &q.mu, &q.mu
}

func (q *queue) claim(n int) (int, error) {
	n += claimRoom
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && !q.shut && q.queued > 0 && q.queued+n > queueLimit {
		q.room.Wait()
	}
	if q.err != nil {
		return 0, q.err
	}
	if q.shut {
		return 0, ErrClosed
	}
	q.queued += n
	q.claims++
	if q.queued < queueLimit {
		q.room.Signal() // there may be room for the next as well
	}
	return n, nil
}

func (q *queue) tryClaim(n int) (int, bool) {
	n += claimRoom
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil || q.shut || q.queued > 0 && q.queued+n > queueLimit {
		return 0, false
	}
	q.queued += n
	q.claims++
	return n, true
}

func (q *queue) unclaim(claim int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims--
	q.releaseLocked(claim)
}

func (q *queue) releaseLocked(n int) {
	q.queued -= n
	q.room.Signal()
	if q.queued == 0 {
		q.idle.Broadcast()
	}
}

// place takes n bytes at the end of the queue, in exchange for the claim.
func (q *queue) place(claim, n int) ([]byte, *segment, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		q.claims--
		q.releaseLocked(claim)
		return nil, nil, q.err
	}
	q.queued += n - claim
	s := q.last
	if s == nil || cap(s.b)-len(s.b) < n {
		s = newSegment(n)
		if q.last == nil {
			q.first = s
		} else {
			q.last.next = s
		}
		q.last = s
	}
	at := len(s.b)
	s.b = s.b[:at+n]
	s.pending++
	return s.b[at : at+n : at+n], s, nil
}

// commit says that a place has been filled. It does not write.
func (q *queue) commit(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims--
	s.pending--
}

// push writes what is ready if nobody does.
func (q *queue) push() {
	q.mu.Lock()
	if q.writing || q.err != nil || q.first == nil {
		q.mu.Unlock()
		return
	}
	q.writing = true
	if q.claims > 0 && q.queued < yieldBelow { // others are about to commit: let them, once
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
	}
	q.drainLocked()
}

// acquire makes the caller the writer of an idle queue, for n bytes.
func (q *queue) acquire(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.try == nil || q.writing || q.first != nil || q.err != nil || q.shut {
		return false
	}
	q.writing = true
	q.queued += n
	return true
}

// takeLocked moves what is ready at the front of the queue to q.out.
func (q *queue) takeLocked() bool {
	q.bufs, q.out = q.batch[:0], q.out[:0]
	for len(q.out) < maxBatch && q.first != nil && q.first.pending == 0 {
		s := q.first
		if q.first = s.next; q.first == nil {
			q.last = nil
		}
		q.out = append(q.out, s)
		q.bufs = append(q.bufs, s.b)
	}
	return len(q.out) > 0
}

// drainLocked writes what is ready. It is called with the lock held by the
// writer, and returns without.
func (q *queue) drainLocked() {
	for round := 0; q.err == nil && q.takeLocked(); round++ {
		q.mu.Unlock()
		if q.try == nil || round == maxRounds {
			q.handOver()
			return
		}
		n, err := q.try.TryWrite(q.bufs)
		if err != nil {
			_ = q.fail(err)
			_ = q.conn.Close() // ends Serve, which tells everybody
		} else if q.bufs = transports.Advance(q.bufs, n); len(q.bufs) > 0 {
			q.handOver()
			return
		}
		q.mu.Lock()
		q.wroteLocked()
	}
	q.writing = false
	q.mu.Unlock()
}

// wroteLocked frees what has been written.
func (q *queue) wroteLocked() {
	n := 0
	for i, s := range q.out {
		n += len(s.b)
		s.free()
		q.out[i] = nil
	}
	q.out = q.out[:0]
	clear(q.batch[:])
	q.releaseLocked(n)
}

// handOver leaves the connection, and what is in q.bufs, to a goroutine. After
// fail it starts none, so that join waits for all there are.
func (q *queue) handOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		q.wroteLocked()
		q.writing = false
		return
	}
	q.wg.Add(1)
	go q.writeFn()
}

// writeLoop writes, blocking, until nothing is ready.
func (q *queue) writeLoop() {
	defer q.wg.Done()
	for {
		if err := q.conn.Write(q.bufs); err != nil {
			_ = q.fail(err)
			_ = q.conn.Close()
		}
		q.mu.Lock()
		q.wroteLocked()
		if q.err != nil || !q.takeLocked() {
			q.writing = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
	}
}

// writeDirect writes q.head, payload and the tail, as the writer that acquire
// made of the caller. What the network does not take is copied.
func (q *queue) writeDirect(payload []byte) {
	q.bufs = append(q.batch[:0], q.head, payload, messageTail)
	total := len(q.head) + len(payload) + len(messageTail)
	n, err := q.try.TryWrite(q.bufs)
	if err == nil && n < total {
		rest := newSegment(total - n)
		for _, b := range transports.Advance(q.bufs, n) {
			rest.b = append(rest.b, b...)
		}
		clear(q.batch[:])
		q.out = append(q.out[:0], rest)
		q.bufs = append(q.batch[:0], rest.b)
		q.mu.Lock()
		q.releaseLocked(n)
		q.mu.Unlock()
		q.handOver()
		return
	}
	clear(q.batch[:])
	if err != nil {
		_ = q.fail(err)
		_ = q.conn.Close()
	}
	q.mu.Lock()
	q.releaseLocked(total)
	q.drainLocked()
}

var messageTail = wire.AppendMessageTail(nil)

// close has the queue take nothing new. What is claimed may still be placed.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	q.room.Broadcast()
}

// fail ends the queue; the first reason counts, and is returned if it is not
// this one. After close that is ErrClosed, whatever ends it. It does not tell the outer layers: Link.Serve does, without locks.
func (q *queue) fail(err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.err = err
	if q.shut {
		q.err = ErrClosed
	}
	q.room.Broadcast()
	q.idle.Broadcast()
	if q.shut {
		return ErrClosed
	}
	return nil
}

// join waits for the writer goroutine; the connection has been closed.
func (q *queue) join() { q.wg.Wait() }

func (q *queue) flush(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.err == nil && q.queued > 0 && ctx.Err() == nil {
		q.idle.Wait()
	}
	if q.err != nil {
		return q.err
	}
	return ctx.Err()
}
