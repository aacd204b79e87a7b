package transporttest

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

func (s suite) closeEndsReceive(t *testing.T) {
	a, b := s.pair(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		_, err := a.Receive(alloc)
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // let it block; if it does not, Close is first, and the result the same
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v", err)
	}
	if s.tr.Traits().Reliable {
		if _, err := b.Receive(alloc); !errors.Is(err, io.EOF) {
			t.Errorf("the other end's Receive: %v", err)
		}
	}
	if _, err := a.Receive(alloc); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive after Close: %v", err)
	}
	if err := a.Write(net.Buffers{s.frame(0, 1)}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}

func (s suite) closeEndsWrite(t *testing.T) {
	a, _ := s.pair(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		for {
			if err := a.Write(net.Buffers{s.frame(0, min(64<<10, s.tr.Traits().MaxFrame))}); err != nil {
				ended <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond) // let it fill what there is to fill
	_ = a.Close()
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
}

func (s suite) closeEndsAccept(t *testing.T) {
	l := s.listen(t, s.tr)
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.Close()
		}
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond)
	_ = l.Close()
	if err := within(t, ended); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}
