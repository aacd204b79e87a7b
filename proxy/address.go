package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keepAlive notices an application whose machine vanished within a minute or so.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

const unixPrefix = "unix:"

// split returns the network and the address of host:port or unix:/path.
func split(addr string) (network, address string) {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", addr
}

// Listen listens on host:port or unix:/path. The file of a Unix socket that
// nobody serves any more is replaced; if somebody does, or if the file is not a
// socket, the error wraps syscall.EADDRINUSE. The listener removes its file when
// it is closed.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	network, address := split(addr)
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := lc.Listen(ctx, network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(ctx, address); err == nil {
			l, err = lc.Listen(ctx, network, address)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("proxy: listen on %s: %w", addr, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		return ownFile(u, address), nil
	}
	return l, nil
}

// removeStale removes the socket file at path if connecting to it is refused.
func removeStale(ctx context.Context, path string) error {
	before, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if before.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is there and is not a socket: %w", path, syscall.EADDRINUSE)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %w", syscall.EADDRINUSE, err)
	}
	if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
		return syscall.EADDRINUSE // somebody else was faster
	}
	return os.Remove(path)
}

// A fileListener removes its own file when closed, and not the one of somebody
// who has replaced it.
type fileListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
}

func ownFile(l *net.UnixListener, path string) net.Listener {
	l.SetUnlinkOnClose(false)
	info, err := os.Lstat(path)
	if err != nil { // an abstract name has no file
		return l
	}
	return &fileListener{UnixListener: l, path: path, info: info}
}

// Close closes the listener and removes its file.
func (l *fileListener) Close() error {
	l.once.Do(func() {
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			_ = os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// Dial connects to host:port or unix:/path. All addresses of a host are tried.
func Dial(ctx context.Context, addr string) (net.Conn, error) {
	network, address := split(addr)
	d := net.Dialer{KeepAliveConfig: keepAlive}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	return c, nil
}
