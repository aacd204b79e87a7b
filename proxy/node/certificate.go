package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"ockam/tunnel"
	"ockam/tunnel/multiaddr"
	"ockam/tunnel/wire"
)

const (
	// certificateTimeout bounds the wait for a provider's answer.
	certificateTimeout = 30 * time.Second
	// A certificate is used for certificateAge; one that cannot be had anew is
	// used for certificateRetry more, and again.
	certificateAge   = 24 * time.Hour
	certificateRetry = 12 * time.Hour
	// certificatePause is the least time between two questions that fail.
	certificatePause = 2 * time.Second
)

// certificateRequest asks a provider for a certificate: an empty structure.
var certificateRequest = []byte{0x80}

// A certificateReply is a provider's answer (Ockam protocol, TLS at inlets).
type certificateReply struct {
	kind       uint64 // 0: here it is; 1: later; 2: never
	given      bool
	chain, key []byte // PEM; the key is PKCS #8
}

// parse reads a provider's answer, {1: kind, 2: {1: chain, 2: key}?}.
func (r *certificateReply) parse(b []byte) error {
	kind := false
	_, err := parseMap(b, func(k uint64, v []byte) (rest []byte, err error) {
		switch k {
		case 1:
			kind = true
			r.kind, rest, err = wire.ParseUint(v, 255)
		case 2:
			if len(v) > 0 && v[0] == cborNull {
				return v[1:], nil
			}
			r.given = true
			rest, err = parseMap(v, r.part)
		default:
			rest, err = wire.SkipItem(v)
		}
		return rest, err
	})
	if err == nil && (!kind || r.given && (r.chain == nil || r.key == nil)) {
		err = wire.ErrMalformed
	}
	return err
}

func (r *certificateReply) part(k uint64, v []byte) (rest []byte, err error) {
	switch k {
	case 1:
		r.chain, rest, err = wire.ParseByteString(v)
	case 2:
		r.key, rest, err = wire.ParseByteString(v)
	default:
		rest, err = wire.SkipItem(v)
	}
	return rest, err
}

const (
	cborMap  = 5 << 5
	cborNull = 0xf6
	cborEnd  = 0xff
)

// parseMap reads a map from numbers; value takes each value off what it is given.
func parseMap(b []byte, value func(k uint64, v []byte) ([]byte, error)) ([]byte, error) {
	major, n, endless, b, err := wire.ParseHead(b)
	if err == nil && major != cborMap {
		err = wire.ErrMalformed
	}
	for i := uint64(0); err == nil && (endless || i < n); i++ {
		if endless && len(b) > 0 && b[0] == cborEnd {
			return b[1:], nil
		}
		var k uint64
		if k, b, err = wire.ParseUint(b, math.MaxUint64); err == nil {
			b, err = value(k, b)
		}
	}
	return b, err
}

// parseCertificate reads a provider's answer.
func parseCertificate(b []byte) (*tls.Certificate, error) {
	var r certificateReply
	if err := r.parse(b); err != nil {
		return nil, fmt.Errorf("node: answer of the certificate provider: %w", err)
	}
	switch {
	case r.kind == 1:
		return nil, errors.New("node: the certificate provider has no certificate yet")
	case r.kind != 0 || !r.given:
		return nil, errors.New("node: the certificate provider has no certificate for us")
	}
	c, err := tls.X509KeyPair(r.chain, r.key)
	if err != nil {
		return nil, fmt.Errorf("node: certificate of the provider: %w", err)
	}
	return &c, nil
}

// certificates asks for a certificate when one is needed, and keeps it.
type certificates struct {
	ask    func(context.Context) (*tls.Certificate, error)
	failed func(error)
	turn   chan struct{} // held by who asks

	mu   sync.Mutex
	cert *tls.Certificate
	due  time.Time // when to ask again
	err  error     // of the last question, until due, if there is no certificate
}

// tlsFrom is what an inlet speaks TLS with whose certificate is to be had at from.
func (n *Node) tlsFrom(from []multiaddr.Hop, name string) *tls.Config {
	c := &certificates{
		turn: make(chan struct{}, 1),
		ask:  func(ctx context.Context) (*tls.Certificate, error) { return n.certificate(ctx, from) },
		failed: func(err error) {
			n.event("inlet", name, false, "gets no certificate: %v", err)
		},
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func (c *certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current(hello.Context())
}

// current returns the certificate, after asking for it if it is due.
func (c *certificates) current(ctx context.Context) (*tls.Certificate, error) {
	if cert, err := c.known(); cert != nil || err != nil {
		return cert, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if cert, err := c.known(); cert != nil || err != nil { // meanwhile
		return cert, err
	}
	cert, err := c.ask(ctx)
	if err != nil {
		c.failed(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		c.cert, c.err, c.due = cert, nil, now.Add(certificateAge)
	case c.cert != nil:
		c.due = now.Add(certificateRetry)
	default:
		c.err, c.due = err, now.Add(certificatePause)
	}
	return c.cert, c.err
}

// known returns what need not be asked for; nothing if it is due.
func (c *certificates) known() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().After(c.due) {
		return nil, nil
	}
	return c.cert, c.err
}

// certificate asks the provider at from for a certificate.
func (n *Node) certificate(ctx context.Context, from []multiaddr.Hop) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, certificateTimeout)
	defer cancel()
	w, err := n.connect(ctx, target{hops: from})
	if err != nil {
		return nil, err
	}
	defer w.close()
	b, err := tunnel.Ask(ctx, n.router, w.path, w.rest, certificateRequest)
	if err != nil {
		return nil, err
	}
	return parseCertificate(b)
}
