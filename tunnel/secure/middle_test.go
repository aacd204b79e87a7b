package secure_test

import (
	"net"
	"sync"
	"testing"

	"ockam/transports/transporttest"
	"ockam/tunnel"
)

// A meddler sits between two nodes and decides on every frame what is delivered
// instead; i counts the frames of a direction.
type meddler struct {
	toBob, toAlice func(i int, f frame) []frame // nil: as it came
}

// through links alice to bob by way of m, and returns alice's end.
func (m *meddler) through(alice, bob *node) *tunnel.Link {
	alice.t.Helper()
	a, ma := transporttest.Pipe(transporttest.PipeOptions{})
	mb, b := transporttest.Pipe(transporttest.PipeOptions{})
	link := alice.link(a, nil)
	bob.link(b, bob.links)
	var wg sync.WaitGroup
	pass := func(from, to *transporttest.PipeConn, change func(int, frame) []frame) {
		wg.Go(func() {
			defer func() { _ = to.Close() }() // what ends at one side ends at the other
			for i := 0; ; i++ {
				b, err := receive(from)
				if err != nil {
					return
				}
				f := parseFrame(alice.t, b)
				out := []frame{f}
				if change != nil {
					out = change(i, f)
				}
				for _, f := range out {
					if to.Write(net.Buffers{f.bytes()}) != nil {
						return
					}
				}
			}
		})
	}
	pass(ma, mb, m.toBob)
	pass(mb, ma, m.toAlice)
	alice.t.Cleanup(func() {
		_ = ma.Close()
		_ = mb.Close()
		wg.Wait()
	})
	return link
}

// A recorder keeps the frames that pass a meddler.
type recorder struct {
	mu     sync.Mutex
	frames []frame
}

func (r *recorder) pass(_ int, f frame) []frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, f)
	return []frame{f}
}

func (r *recorder) all() []frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]frame(nil), r.frames...)
}

func TestMeddlerPasses(t *testing.T) {
	alice, bob := newNode(t), newNode(t)
	bob.listenChannels(newListener())
	var there, back recorder
	c := alice.connect((&meddler{there.pass, back.pass}).through(alice, bob))
	alice.works(c)
	if a, b := len(there.all()), len(back.all()); a != 3 || b != 2 {
		t.Errorf("%d frames there and %d back, want 3 and 2", a, b)
	}
}
