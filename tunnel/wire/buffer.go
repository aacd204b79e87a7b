package wire

import "sync"

// Headroom and Tailroom are what every Buffer keeps free before and behind its
// bytes, so that a layer puts its header in front and its tag behind without
// moving the payload.
const (
	Headroom = 192
	Tailroom = 32
)

// classes are the capacities of pooled buffers, room included. The fourth holds
// a portal's largest payload (48 KiB), the fifth a read of 64 KiB.
var classes = [...]int{1 << 10, 1 << 12, 1 << 14, 56 << 10, 72 << 10}

var pools [len(classes)]sync.Pool

// A Buffer is pooled memory of one owner: whoever holds it gives it on or calls
// Release, once.
type Buffer struct {
	b     []byte
	class int // index into classes; -1: not pooled
}

// GetBuffer returns a buffer for n bytes, of undefined content.
func GetBuffer(n int) *Buffer {
	need := n + Headroom + Tailroom
	for i, size := range classes {
		if need > size {
			continue
		}
		if v := pools[i].Get(); v != nil {
			return v.(*Buffer)
		}
		return &Buffer{make([]byte, size), i}
	}
	return &Buffer{make([]byte, need), -1}
}

// Bytes returns the part between head- and tailroom: at least as many bytes as
// were asked for.
func (b *Buffer) Bytes() []byte { return b.b[Headroom : len(b.b)-Tailroom] }

// All returns the whole buffer, head- and tailroom included.
func (b *Buffer) All() []byte { return b.b }

// Cap returns how much memory the buffer holds.
func (b *Buffer) Cap() int { return len(b.b) }

// Release gives the buffer back. Its bytes may not be touched afterwards.
func (b *Buffer) Release() {
	if b != nil && b.class >= 0 {
		pools[b.class].Put(b)
	}
}
