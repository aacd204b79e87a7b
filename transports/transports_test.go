package transports_test

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"ockam/transports"
)

func TestAdvance(t *testing.T) {
	whole := []byte("0123456789")
	for n := range len(whole) + 1 {
		batch := net.Buffers{whole[:3], nil, whole[3:4], whole[4:8], whole[8:], nil}
		rest := transports.Advance(batch, n)
		if got := bytes.Join(rest, nil); !bytes.Equal(got, whole[n:]) {
			t.Errorf("Advance(%d) leaves %q, want %q", n, got, whole[n:])
		}
		if n == len(whole) && len(rest) > 0 {
			t.Errorf("Advance of all leaves %d buffers", len(rest))
		}
	}
}

func TestCheckLength(t *testing.T) {
	traits := transports.Traits{MaxFrame: transports.MaxFrame}
	if err := traits.CheckLength(16_777_216); err != nil {
		t.Error(err)
	}
	if err := traits.CheckLength(16_777_217); !errors.Is(err, transports.ErrFrameTooLarge) {
		t.Error(err)
	}
}
