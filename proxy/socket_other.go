//go:build !linux

package proxy

import "net"

func newSocket(c net.Conn) socket { return plainSocket{c} }
