package portal

import "ockam/tunnel/wire"

// gatherSize is how much room a buffer gets in which small payloads are gathered.
const gatherSize = 14 << 10

// An item is queued bytes. What cap(data) has beyond len(data) is room for more.
type item struct {
	buf  *wire.Buffer
	data []byte
}

// A fifo holds received bytes in the buffers in which they came, or, where they
// would fill less than half of these, gathered in others.
type fifo struct {
	items []item
	head  int
}

func (q *fifo) empty() bool { return q.head == len(q.items) }

func (q *fifo) front() *item { return &q.items[q.head] }

// extend adds data in the room of the last item, if it is large enough.
func (q *fifo) extend(data []byte) bool {
	if q.empty() {
		return false
	}
	last := &q.items[len(q.items)-1]
	n := len(last.data)
	if cap(last.data)-n < len(data) {
		return false
	}
	last.data = last.data[:n+len(data)]
	copy(last.data[n:], data)
	return true
}

// fit returns an item of data, which lies in buf, and consumes buf: it is kept
// if data fill it well, else they are copied.
func (q *fifo) fit(buf *wire.Buffer, data []byte) item {
	if buf != nil && 2*len(data) >= buf.Cap() {
		return item{buf, data[:len(data):len(data)]}
	}
	room := len(data)
	if !q.empty() { // more small ones are likely
		room = max(room, gatherSize)
	}
	b := wire.GetBuffer(room)
	it := item{b, b.Bytes()[:copy(b.Bytes(), data)]}
	buf.Release()
	return it
}

func (q *fifo) push(it item) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
}

// pop releases the first item and returns its capacity.
func (q *fifo) pop() int {
	it := q.front()
	n := it.buf.Cap()
	it.buf.Release()
	*it = item{}
	if q.head++; q.empty() {
		q.items, q.head = q.items[:0], 0
	}
	return n
}

// take drops n bytes of the first item and returns the capacity of the buffer
// if that was all of it.
func (q *fifo) take(n int) int {
	it := q.front()
	if it.data = it.data[n:]; len(it.data) > 0 {
		return 0
	}
	return q.pop()
}

// drop releases all items but the first keep, and returns their capacity.
func (q *fifo) drop(keep int) int {
	n := 0
	for i := q.head + keep; i < len(q.items); i++ {
		n += q.items[i].buf.Cap()
		q.items[i].buf.Release()
		q.items[i] = item{}
	}
	q.items = q.items[:min(len(q.items), q.head+keep)]
	if q.empty() {
		q.items, q.head = q.items[:0], 0
	}
	return n
}
