package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// Listen listens on a TCP address, for at most Access.Connections connections at
// once: more wait in the kernel's queue, and that they had to is counted.
func (d *Door) Listen(ctx context.Context, part, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", part, err, listenHint(err))
	}
	return &limited{Listener: l, door: d, slots: make(chan struct{}, d.access.Connections), done: make(chan struct{})}, nil
}

// listenHint says what the operator can do.
func listenHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program has the port: see ss -ltnp, or set another address in listen"
	case errors.Is(err, os.ErrPermission):
		return "ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address: set one it has in listen"
	}
	return "check listen"
}

// limited is a listener with a bounded number of open connections.
type limited struct {
	net.Listener
	door  *Door
	slots chan struct{}
	once  sync.Once
	done  chan struct{}
}

// Accept waits for a free slot, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	default:
		l.door.held.Add(1)
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.door.open.Add(1)
	return &conn{Conn: c, free: func() { l.door.open.Add(-1); <-l.slots }}, nil
}

// Close ends a waiting Accept too.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// conn gives its slot back once, when it is closed.
type conn struct {
	net.Conn
	once sync.Once
	free func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.free)
	return err
}
