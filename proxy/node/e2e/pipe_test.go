//go:build linux

package e2e_test

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"ockam/transports/transporttest"
)

// The plain pipe is what the program is measured against: three processes
// that carry one application connection over one TCP connection from each to
// the next, sealed in AES-256-GCM records of at most 64 KiB between the
// first and the third. It has no protocol, no names, no handshake and one
// fixed key, so it is a yardstick for speed and nothing else.
//
// A record is a big-endian u32 with the length of what follows, the
// ciphertext and its tag. The nonce is the record's number in its direction.

const (
	pipeRecord = 64 << 10 // plaintext bytes in a record, at most
	pipeTag    = 16
	pipeBuffer = 4 + pipeRecord + pipeTag

	pipeListen = "OCKAM_E2E_LISTEN"
	pipeNext   = "OCKAM_E2E_NEXT"
)

// pipeMain is the main function of a process of the plain pipe.
func pipeMain(role string) int {
	carry, ok := map[string]func(a, b net.Conn){
		"seal":    func(app, net net.Conn) { joinSealed(app, net, 0) },
		"forward": joinRecords,
		"open":    func(net, target net.Conn) { joinSealed(target, net, 1) },
	}[role]
	if !ok {
		fmt.Fprintln(os.Stderr, "plain pipe: no such role:", role)
		return 2
	}
	l, err := net.Listen("tcp", os.Getenv(pipeListen))
	if err != nil {
		fmt.Fprintln(os.Stderr, "plain pipe:", err)
		return 1
	}
	for {
		in, err := l.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "plain pipe:", err)
			return 1
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", os.Getenv(pipeNext))
			if err != nil {
				return
			}
			defer out.Close()
			carry(in, out)
		}()
	}
}

// both runs two directions and returns when both have ended.
func both(a, b func()) {
	done := make(chan struct{})
	go func() { defer close(done); a() }()
	b()
	<-done
}

// joinSealed joins an application's socket with a socket that carries
// records. Side is 0 at the client's end and 1 at the target's.
func joinSealed(plain, sealed net.Conn, side byte) {
	both(
		func() { finish(sealed, sealRecords(sealed, plain, side)) },
		func() { finish(plain, openRecords(plain, sealed, 1-side)) },
	)
}

// joinRecords passes whole records on, both ways.
func joinRecords(a, b net.Conn) {
	both(
		func() { finish(b, copyRecords(b, a)) },
		func() { finish(a, copyRecords(a, b)) },
	)
}

// finish passes an end of stream on, and an error as a reset.
func finish(c net.Conn, err error) {
	t := c.(*net.TCPConn)
	if err == nil {
		_ = t.CloseWrite()
		return
	}
	_ = t.SetLinger(0)
	_ = t.Close()
}

func pipeAEAD() cipher.AEAD {
	block, err := aes.NewCipher([]byte("a fixed key of thirty-two bytes!"))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// sealRecords reads what there is from src, at most a record, and writes it
// sealed to dst, until the end of src.
func sealRecords(dst io.Writer, src io.Reader, side byte) error {
	aead, buf := pipeAEAD(), make([]byte, pipeBuffer)
	nonce := [12]byte{side}
	for n := uint64(0); ; n++ {
		got, err := src.Read(buf[4 : 4+pipeRecord])
		if got > 0 {
			binary.BigEndian.PutUint64(nonce[4:], n)
			sealed := aead.Seal(buf[4:4], nonce[:], buf[4:4+got], nil)
			binary.BigEndian.PutUint32(buf, uint32(len(sealed)))
			if _, err := dst.Write(buf[:4+len(sealed)]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// openRecords writes the plaintext of the records in src to dst.
func openRecords(dst io.Writer, src io.Reader, side byte) error {
	aead := pipeAEAD()
	nonce := [12]byte{side}
	var n uint64
	return eachRecord(src, func(record []byte) error {
		binary.BigEndian.PutUint64(nonce[4:], n)
		n++
		plain, err := aead.Open(record[4:4], nonce[:], record[4:], nil)
		if err != nil {
			return err
		}
		_, err = dst.Write(plain)
		return err
	})
}

// copyRecords writes the records in src to dst.
func copyRecords(dst io.Writer, src io.Reader) error {
	return eachRecord(src, func(record []byte) error {
		_, err := dst.Write(record)
		return err
	})
}

// eachRecord calls f with every whole record of src, its length included.
// It returns nil when src ends between two records.
func eachRecord(src io.Reader, f func(record []byte) error) error {
	r := bufio.NewReaderSize(src, 2*pipeBuffer)
	for {
		head, err := r.Peek(4)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return nil
		} else if err != nil {
			return err
		}
		n := binary.BigEndian.Uint32(head)
		if n < pipeTag || n > pipeRecord+pipeTag {
			return fmt.Errorf("plain pipe: record of %d bytes", n)
		}
		record, err := r.Peek(4 + int(n))
		if err != nil {
			return err
		}
		if err := f(record); err != nil {
			return err
		}
		if _, err := r.Discard(len(record)); err != nil {
			return err
		}
	}
}

// startPlainPipe starts the three processes in front of target and returns
// them with the address that takes the application's connections.
func startPlainPipe(t testing.TB, target string) (string, []*process) {
	t.Helper()
	next := target
	var all []*process
	for _, role := range []string{"open", "forward", "seal"} {
		listen := freePort(t)
		p := start(t, command{
			name: "plain-" + role,
			argv: []string{"/proc/self/exe"},
			env:  []string{roleVariable + "=" + role, pipeListen + "=" + listen, pipeNext + "=" + next},
		})
		waitListening(t, p, listen)
		next, all = listen, append(all, p)
	}
	return next, all
}

func TestPlainPipe(t *testing.T) {
	target := newTarget(t)
	addr, processes := startPlainPipe(t, target.addr)
	for _, n := range []int{0, 1, pipeRecord - 1, pipeRecord, pipeRecord + 1, 3 << 20} {
		if err := checkSource(addr, n); err != nil {
			t.Errorf("source of %d bytes: %v", n, err)
		}
		if err := checkSink(addr, n); err != nil {
			t.Errorf("sink of %d bytes: %v", n, err)
		}
	}
	if err := checkEcho(addr, "through three processes"); err != nil {
		t.Error(err)
	}
	if err := checkHalfClose(addr); err != nil {
		t.Error(err)
	}
	for _, p := range processes {
		if !p.running() {
			t.Errorf("%s has ended", p.name)
		}
	}
}

// TestPlainPipeRefusesAlteredRecords shows that the yardstick pays for what
// it is compared with: it does authenticate what it carries.
func TestPlainPipeRefusesAlteredRecords(t *testing.T) {
	var sealed, plain strings.Builder
	text := strings.Repeat("0123456789abcdef", 10000)
	if err := sealRecords(&sealed, strings.NewReader(text), 0); err != nil {
		t.Fatal(err)
	}
	if err := openRecords(&plain, strings.NewReader(sealed.String()), 0); err != nil || plain.String() != text {
		t.Fatalf("round trip: %v, %d bytes of %d", err, plain.Len(), len(text))
	}
	for _, at := range []int{4, 100, sealed.Len() - 1} {
		b := []byte(sealed.String())
		b[at] ^= 1
		plain.Reset()
		if err := openRecords(&plain, strings.NewReader(string(b)), 0); err == nil {
			t.Errorf("record altered at %d was accepted", at)
		}
		if !strings.HasPrefix(text, plain.String()) {
			t.Errorf("record altered at %d: wrong bytes delivered", at)
		}
	}
}

// listenFree listens on a loopback port that nobody is given who asks for any.
func listenFree(t testing.TB) *net.TCPListener {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", transporttest.FreeAddress(t)); err == nil {
			return l.(*net.TCPListener)
		}
	}
	t.Fatal("no free port")
	return nil
}

// freePort returns an address that was free a moment ago, for a process that
// is about to start. In this process use listenFree: a child that is being
// started at this moment may hold a copy of the closed socket until it runs.
func freePort(t testing.TB) string {
	t.Helper()
	return transporttest.FreeAddress(t)
}

// waitListening waits until addr takes connections.
func waitListening(t testing.TB, p *process, addr string) {
	t.Helper()
	eventually(t, slow(10*time.Second), func() error {
		if !p.running() {
			t.Fatalf("%s ended at its start: %s", p.name, tail(p.output(), 2000))
		}
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}
