package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

// handshakeFor bounds a TLS handshake.
const handshakeFor = 10 * time.Second

// streamListener takes connections: TCP, TLS and unix.
type streamListener struct {
	net.Listener
	r      *Receiver
	secure bool
}

func (r *Receiver) listenTCP(ctx context.Context, a address) (listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.where)
	if err != nil {
		return nil, err
	}
	return &streamListener{Listener: l, r: r, secure: a.scheme == "tls"}, nil
}

// serve accepts until ctx ends, and joins what serves the connections.
func (l *streamListener) serve(ctx context.Context, in spool.Intake) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept ends with that
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() == nil { // out of file descriptors, most likely
				l.r.cfg.Log.Error("syslog: accept", "listen", l.Addr().String(), "error", err, "hint", "raise LimitNOFILE, or lower max_connections")
				pause(ctx, time.Second)
			}
			continue
		}
		if !l.admit(conn) {
			l.r.refused.Add(1)
			conn.Close()
			continue
		}
		all.Go(func() {
			defer l.r.senders.Add(-1)
			l.talk(ctx, conn, in)
		})
	}
}

// admit counts the connection in, unless its sender may not send or there are
// too many.
func (l *streamListener) admit(conn net.Conn) bool {
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil && !l.r.allowed(a.Addr()) {
		l.r.troubles.note(fmt.Sprintf("%v may not send", conn.RemoteAddr()))
		return false
	}
	if l.r.senders.Add(1) > int64(l.r.cfg.MaxConnections) {
		l.r.senders.Add(-1)
		l.r.troubles.note(fmt.Sprintf("%v is one more than max_connections", conn.RemoteAddr()))
		return false
	}
	return true
}

// talk reads a connection to its end.
func (l *streamListener) talk(ctx context.Context, raw net.Conn, in spool.Intake) {
	// A connection that is closed without more ado, also by the kernel for a
	// process that was killed, is reset: its sender must not take that for the
	// orderly end that says that all was stored.
	tcp, _ := raw.(*net.TCPConn)
	if tcp != nil {
		_ = tcp.SetLinger(0)
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := raw
	if l.secure {
		c, err := l.handshake(ctx, raw)
		if err != nil {
			l.r.refused.Add(1)
			l.r.troubles.note(fmt.Sprintf("%v: TLS: %.200q", raw.RemoteAddr(), err.Error()))
			return
		}
		conn = c
	}
	if l.drain(ctx, conn, in) != io.EOF {
		return
	}
	if tcp != nil {
		_ = tcp.SetLinger(-1) // all is stored: end in good order
	}
	_ = raw.SetWriteDeadline(time.Now().Add(time.Second)) // for the close_notify
	_ = conn.Close()
}

func (l *streamListener) handshake(ctx context.Context, raw net.Conn) (net.Conn, error) {
	conn := tls.Server(raw, l.r.tls)
	ctx, cancel := context.WithTimeout(ctx, handshakeFor)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, nil
}

// drain stores what comes. io.EOF says that the sender ended in good order and
// everything is stored. What was read is stored before more is read, so that a
// spool without room is felt by the sender.
func (l *streamListener) drain(ctx context.Context, conn net.Conn, in spool.Intake) error {
	f := &frames{max: l.r.cfg.MaxMessage}
	var lines []byte
	for {
		if l.r.cfg.Idle > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(l.r.cfg.Idle))
			if ctx.Err() != nil { // the deadline of its end may have been overwritten
				return ctx.Err()
			}
		}
		n, err := conn.Read(f.space())
		f.fed(n)
		messages := 0
		lines = lines[:0]
		f.take(errors.Is(err, io.EOF), func(msg []byte) {
			if msg = trim(msg); len(msg) > 0 {
				lines = spool.AppendLine(lines, msg)
				messages++
			}
		}, func() {
			l.r.rejected.Add(1)
			l.r.troubles.note(fmt.Sprintf("%v sent a message longer than max_message", conn.RemoteAddr()))
		})
		if failed := l.r.store(ctx, in, lines, messages); failed != nil {
			return failed
		}
		if err == io.EOF && len(f.buf)+f.skip > 0 {
			l.r.rejected.Add(1)
			l.r.troubles.note(fmt.Sprintf("%v ended in the middle of a counted message", conn.RemoteAddr()))
		}
		if err != nil {
			return err
		}
	}
}
