package secure

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

type transportFile struct {
	K1, K2 hexBytes
	Epochs map[string][]hexBytes `json:"key_epochs"`
	Frames []struct {
		Direction, What string
		Nonce           uint64
		KeyNumber       uint64 `json:"key_number"`
		Plaintext       hexBytes
		Frame           hexBytes
	}
	Sequences []struct {
		Name  string
		Steps []struct {
			Nonce    *uint64
			Frame    *hexBytes
			Accepted bool
			Highest  *uint64
			Bitmap   string
		}
	} `json:"receiver_sequences"`
	TCP []struct {
		Name string
		TCP  hexBytes
	} `json:"tcp_frames"`
}

func loadTransport(t testing.TB) *transportFile {
	t.Helper()
	f := &transportFile{}
	load(t, "transport.json", f)
	if len(f.Frames) == 0 || len(f.Sequences) == 0 || len(f.Epochs) != 2 || len(f.TCP) == 0 {
		t.Fatal("no vectors")
	}
	return f
}

// key returns the first key of a direction.
func (f *transportFile) key(direction string) []byte {
	if direction == "initiator_to_responder" {
		return f.K2
	}
	return f.K1
}

// skipTo brings a sealer to a nonce without sealing all before it.
func (s *sealer) skipTo(nonce uint64) {
	for s.nonce < nonce {
		if s.nonce++; s.nonce%rekeyInterval == 0 && s.nonce < nonce {
			s.aead = s.next(s.aead)
		}
	}
}

func (s *sealer) frame(plaintext []byte) []byte {
	frame := make([]byte, len(plaintext)+frameOverhead)
	s.seal(frame, plaintext)
	return frame
}

// TestKeyEpochs derives the recorded keys from each other with the means of the
// standard library, and compares what ours seal with them.
func TestKeyEpochs(t *testing.T) {
	f := loadTransport(t)
	for direction, keys := range f.Epochs {
		if !bytes.Equal(keys[0], f.key(direction)) {
			t.Errorf("%s: key 0 is not the handshake's", direction)
		}
		s := newSealer(keys[0])
		for j, key := range keys {
			s.skipTo(uint64(j) * rekeyInterval)
			got := s.frame([]byte("hello"))
			block, err := aes.NewCipher(key)
			if err != nil {
				t.Fatal(err)
			}
			gcm, err := cipher.NewGCM(block)
			if err != nil {
				t.Fatal(err)
			}
			iv := make([]byte, 12)
			binary.BigEndian.PutUint64(iv[4:], uint64(j)*rekeyInterval)
			equal(t, fmt.Sprintf("%s, first frame of key %d", direction, j), got, gcm.Seal(bytes.Clone(iv[4:]), iv, []byte("hello"), nil))
		}
	}
}

// TestFrames seals the recorded plaintexts, in place and out of place, and opens
// the recorded frames.
func TestFrames(t *testing.T) {
	f := loadTransport(t)
	n := 0
	for _, v := range f.Frames {
		if bytes.Contains([]byte(v.What), []byte("key-exchange-only")) {
			continue // a variant without rekeying that we do not have
		}
		n++
		t.Run(fmt.Sprintf("%s %s %d", v.Direction, v.What, v.Nonce), func(t *testing.T) {
			if v.Nonce/rekeyInterval != v.KeyNumber {
				t.Fatalf("key %d of nonce %d?", v.KeyNumber, v.Nonce)
			}
			s := newSealer(f.key(v.Direction))
			s.skipTo(v.Nonce)
			equal(t, "out of place", s.frame(v.Plaintext), v.Frame)

			s = newSealer(f.key(v.Direction))
			s.skipTo(v.Nonce)
			frame := make([]byte, len(v.Frame))
			s.seal(frame, frame[nonceSize:nonceSize+copy(frame[nonceSize:], v.Plaintext)])
			equal(t, "in place", frame, v.Frame)

			o := newOpener(f.key(v.Direction))
			o.max = v.Nonce &^ (rekeyInterval - 1) // as if all before had come
			for ; o.number < v.KeyNumber; o.number++ {
				o.current = o.next(o.current)
			}
			nonce, text, err := o.open(bytes.Clone(v.Frame))
			if err != nil || nonce != v.Nonce {
				t.Fatalf("open: nonce %d, %v", nonce, err)
			}
			equal(t, "plaintext", text, v.Plaintext)
		})
	}
	if n < 70 {
		t.Errorf("only %d frames", n)
	}
}

// TestReceiverSequences plays the recorded sequences to an opener and compares
// decision, highest nonce and bitmap after each step.
func TestReceiverSequences(t *testing.T) {
	f := loadTransport(t)
	for _, seq := range f.Sequences {
		t.Run(seq.Name, func(t *testing.T) {
			o := newOpener(f.K2)
			for i, step := range seq.Steps {
				var err error
				switch {
				case step.Frame != nil:
					_, _, err = o.open(bytes.Clone(*step.Frame))
				default: // the window alone was recorded: make the frame
					s := newSealer(f.K2)
					s.skipTo(*step.Nonce)
					_, _, err = o.open(s.frame(nil))
				}
				if (err == nil) != step.Accepted {
					t.Fatalf("step %d (%+v): %v, want accepted %v", i, step, err, step.Accepted)
				}
				if step.Highest != nil && o.max != *step.Highest {
					t.Fatalf("step %d: highest %d, want %d", i, o.max, *step.Highest)
				}
				if step.Bitmap != "" {
					if want, err := strconv.ParseUint(step.Bitmap, 16, 64); err != nil || o.seen != want {
						t.Fatalf("step %d: bitmap %016x, want %s", i, o.seen, step.Bitmap)
					}
				}
			}
		})
	}
}

// A windowModel says which nonces an opener must accept: those that it has not
// accepted, not more than 32 from the highest accepted one.
type windowModel struct {
	accepted map[uint64]bool
	max      uint64
}

func (w *windowModel) accept(n uint64) bool {
	if w.accepted[n] || n > w.max && n-w.max > 32 || n < w.max && w.max-n > 32 {
		return false
	}
	w.accepted[n] = true
	w.max = max(w.max, n)
	return true
}

// TestWindow sends frames lost, doubled, out of order and forged, and compares
// with the model.
func TestWindow(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	const frames = 400
	sealed := make([][]byte, frames)
	s := newSealer(key)
	for i := range sealed {
		sealed[i] = s.frame(fmt.Appendf(nil, "message %d", i))
	}
	rapid.Check(t, func(t *rapid.T) {
		o, model := newOpener(key), windowModel{accepted: map[uint64]bool{}}
		at := 0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			at = min(max(at+rapid.IntRange(-40, 42).Draw(t, "move"), 0), frames-1)
			frame := bytes.Clone(sealed[at])
			if rapid.IntRange(0, 4).Draw(t, "forge") == 0 {
				frame[rapid.IntRange(nonceSize, len(frame)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				if _, _, err := o.open(frame); err == nil {
					t.Fatalf("a forged frame %d opens", at)
				}
				continue
			}
			nonce, text, err := o.open(frame)
			if want := model.accept(uint64(at)); (err == nil) != want {
				t.Fatalf("frame %d after highest %d: %v, want accepted %v", at, model.max, err, want)
			}
			if err == nil && (nonce != uint64(at) || string(text) != fmt.Sprintf("message %d", at)) {
				t.Fatalf("frame %d is %d: %q", at, nonce, text)
			}
			if o.max != model.max {
				t.Fatalf("highest %d, want %d", o.max, model.max)
			}
		}
	})
}

// TestWindowOrders is what the checklist asks for: in order, shuffled in groups
// of 30, two thirds lost.
func TestWindowOrders(t *testing.T) {
	key := bytes.Repeat([]byte{9}, 32)
	for _, tt := range []struct {
		name  string
		order func() []int
	}{
		{"in order", func() (o []int) {
			for i := range 200 {
				o = append(o, i)
			}
			return o
		}},
		{"groups of 30 backwards", func() (o []int) {
			for g := 0; g < 210; g += 30 {
				for i := 29; i >= 0; i-- {
					o = append(o, g+i)
				}
			}
			return o
		}},
		{"every third", func() (o []int) {
			for i := 0; i < 600; i += 3 {
				o = append(o, i)
			}
			return o
		}},
		{"every 32nd", func() (o []int) {
			for i := 0; i < 3200; i += 32 {
				o = append(o, i)
			}
			return o
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, o := newSealer(key), newOpener(key)
			sealed := map[int][]byte{}
			for i := range 3300 {
				sealed[i] = s.frame([]byte{byte(i)})
			}
			for _, i := range tt.order() {
				if _, text, err := o.open(sealed[i]); err != nil || text[0] != byte(i) {
					t.Fatalf("frame %d: %v", i, err)
				}
			}
		})
	}
}

// TestForgedNextKey has frames of the next key forged: each costs one opening,
// and the key is made once.
func TestForgedNextKey(t *testing.T) {
	key := bytes.Repeat([]byte{3}, 32)
	s, o := newSealer(key), newOpener(key)
	if _, _, err := o.open(s.frame(nil)); err != nil {
		t.Fatal(err)
	}
	forged := make([]byte, 64)
	binary.BigEndian.PutUint64(forged, 32)
	if n := testing.AllocsPerRun(1000, func() {
		if _, _, err := o.open(forged); !errors.Is(err, ErrOpen) {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations a forged frame", n)
	}
	for range 31 {
		s.frame(nil)
	}
	if _, _, err := o.open(s.frame([]byte("x"))); err != nil {
		t.Errorf("the genuine frame 32 afterwards: %v", err)
	}
}

func TestLastNonce(t *testing.T) {
	s := newSealer(bytes.Repeat([]byte{1}, 32))
	s.nonce = math.MaxUint64 - 1
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	s.frame(nil)
	if err := s.check(); !errors.Is(err, ErrExhausted) {
		t.Errorf("the nonce that is reserved for making keys may be used: %v", err)
	}
	o := newOpener(bytes.Repeat([]byte{1}, 32))
	o.max, o.number = math.MaxUint64-1, (math.MaxUint64-1)/rekeyInterval
	frame := bytes.Repeat([]byte{0xff}, 40)
	if _, _, err := o.open(frame); !errors.Is(err, ErrWindow) {
		t.Errorf("the reserved nonce is opened: %v", err)
	}
	o.wipe()
	s.wipe()
	if _, _, err := o.open(make([]byte, 40)); err == nil || s.check() == nil {
		t.Error("keys are used after they were wiped")
	}
}

// TestShortFrames opens frames that are too short to be any.
func TestShortFrames(t *testing.T) {
	o := newOpener(bytes.Repeat([]byte{1}, 32))
	for n := range frameOverhead + 1 {
		if _, _, err := o.open(make([]byte, n)); !errors.Is(err, ErrOpen) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
