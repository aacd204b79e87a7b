package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math"
)

const (
	rekeyInterval = 32 // frames sealed with one key
	windowSize    = 32 // how far a nonce may be from the highest accepted one
	nonceSize     = 8  // on the wire, in front of the ciphertext
	tagSize       = 16
	frameOverhead = nonceSize + tagSize
)

func newAEAD(raw []byte) cipher.AEAD {
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err) // 32 bytes are a valid key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block is of the size GCM wants
	}
	return aead
}

// scratch is memory that would otherwise be allocated for each frame, since
// what is given to a cipher.AEAD escapes.
type scratch struct {
	iv  [12]byte // 4 zero bytes and the nonce
	key [32 + tagSize]byte
}

// next derives the key that follows: the first 32 bytes of zeros sealed under
// the reserved nonce (Noise section 4.2, REKEY).
func (s *scratch) next(aead cipher.AEAD) cipher.AEAD {
	binary.BigEndian.PutUint64(s.iv[4:], math.MaxUint64)
	clear(s.key[:])
	aead.Seal(s.key[:0], s.iv[:], s.key[:32], nil)
	n := newAEAD(s.key[:32])
	clear(s.key[:])
	return n
}

// A sealer seals the frames of one direction in order. It is not safe for
// concurrent use.
type sealer struct {
	aead  cipher.AEAD
	nonce uint64 // of the next frame
	scratch
}

func newSealer(raw []byte) *sealer { return &sealer{aead: newAEAD(raw)} }

// check reports whether another frame can be sealed.
func (s *sealer) check() error {
	if s.aead == nil || s.nonce == math.MaxUint64 {
		return ErrExhausted
	}
	return nil
}

// seal seals plaintext into frame, which is frameOverhead longer. Plaintext
// lies in place at frame[8:], or does not overlap frame.
func (s *sealer) seal(frame, plaintext []byte) {
	if s.nonce > 0 && s.nonce%rekeyInterval == 0 {
		s.aead = s.next(s.aead)
	}
	binary.BigEndian.PutUint64(s.iv[4:], s.nonce)
	copy(frame, s.iv[4:])
	s.aead.Seal(frame[nonceSize:nonceSize], s.iv[:], plaintext, nil)
	s.nonce++
}

// wipe forgets the key.
func (s *sealer) wipe() { s.aead = nil }

// An opener opens the frames of one direction, which may be lost, repeated and
// out of order within a window. It is not safe for concurrent use.
type opener struct {
	number            uint64 // of the current key: frames 32*number … 32*number+31
	current, previous cipher.AEAD
	candidate         cipher.AEAD // the next key, once computed: forged frames cost one AEAD each
	max               uint64
	seen              uint64 // bit i: frame max-i was accepted
	scratch
}

func newOpener(raw []byte) *opener { return &opener{current: newAEAD(raw)} }

// open opens frame in place and returns its nonce and plaintext. Unless it
// succeeds, nothing has changed.
func (o *opener) open(frame []byte) (nonce uint64, plaintext []byte, err error) {
	if len(frame) < frameOverhead {
		return 0, nil, ErrOpen
	}
	nonce = binary.BigEndian.Uint64(frame)
	if err := o.checkWindow(nonce); err != nil {
		return 0, nil, err
	}
	aead := o.keyFor(nonce)
	if aead == nil {
		return 0, nil, ErrWindow
	}
	copy(o.iv[4:], frame[:nonceSize])
	ct := frame[nonceSize:]
	plaintext, err = aead.Open(ct[:0], o.iv[:], ct, nil)
	if err != nil {
		return 0, nil, ErrOpen
	}
	o.accept(nonce)
	return nonce, plaintext, nil
}

func (o *opener) checkWindow(n uint64) error {
	switch {
	case n == math.MaxUint64: // reserved for making keys
		return ErrWindow
	case n > o.max:
		if n-o.max > windowSize {
			return ErrWindow
		}
	case o.max-n > windowSize:
		return ErrWindow
	case o.seen>>(o.max-n)&1 == 1:
		return ErrReplay
	}
	return nil
}

// keyFor returns the key of frame n, nil if it is out of reach.
func (o *opener) keyFor(n uint64) cipher.AEAD {
	if o.current == nil {
		return nil
	}
	switch j := n / rekeyInterval; {
	case j == o.number:
		return o.current
	case j == o.number+1:
		if o.candidate == nil {
			o.candidate = o.next(o.current)
		}
		return o.candidate
	case j+1 == o.number:
		return o.previous
	}
	return nil
}

// accept notes that frame n was opened.
func (o *opener) accept(n uint64) {
	if n > o.max {
		o.seen = o.seen<<(n-o.max) | 1
		o.max = n
	} else {
		o.seen |= 1 << (o.max - n)
	}
	if n/rekeyInterval > o.number {
		o.previous, o.current, o.candidate = o.current, o.candidate, nil
		o.number++
	}
}

// wipe forgets the keys.
func (o *opener) wipe() { o.current, o.previous, o.candidate = nil, nil, nil }
