package syslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

// datagramBatch is how many bytes of datagrams are appended at once.
const datagramBatch = 256 << 10

// datagramListener reads a unix datagram socket. The kernel lets its senders
// wait, so nothing is dropped here.
type datagramListener struct {
	r     *Receiver
	conn  *net.UnixConn
	lines []byte
}

func (r *Receiver) listenDatagrams(path string) (listener, error) {
	if err := clearStale(path, "unixgram"); err != nil {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := r.setMode(path); err != nil {
		conn.Close()
		return nil, err
	}
	return &datagramListener{r: r, conn: conn}, nil
}

func (r *Receiver) listenUnix(path string) (listener, error) {
	if err := clearStale(path, "unix"); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err := r.setMode(path); err != nil {
		l.Close()
		return nil, err
	}
	return &streamListener{Listener: l, r: r}, nil
}

func (r *Receiver) setMode(path string) error {
	mode, err := strconv.ParseUint(r.cfg.SocketMode, 8, 9)
	if err != nil {
		return err
	}
	return os.Chmod(path, fs.FileMode(mode))
}

// clearStale removes a socket that a killed process left; one that somebody
// listens on stays, and the bind then says that it is in use.
func clearStale(path, network string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // what else is there, bind tells
	}
	conn, err := net.DialTimeout(network, path, time.Second)
	if err == nil {
		conn.Close()
		return &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", path, syscall.EADDRINUSE)}
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

func (l *datagramListener) Addr() net.Addr { return l.conn.LocalAddr() }

// Close also removes the socket's file, unless the listener was replaced.
func (l *datagramListener) Close() error {
	name := l.conn.LocalAddr().String()
	return errors.Join(l.conn.Close(), ignoreMissing(os.Remove(name)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// serve reads all that waits with one turn of the poller, until ctx ends.
func (l *datagramListener) serve(ctx context.Context, in spool.Intake) {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		l.r.cfg.Log.Error("syslog: socket", "listen", l.Addr().String(), "error", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, l.r.cfg.MaxMessage+1) // one more, to see that it is too long
	for ctx.Err() == nil {
		n := 0
		var failed error
		l.lines = l.lines[:0]
		err := raw.Read(func(fd uintptr) bool {
			n, failed = l.fill(int(fd), buf)
			return n > 0 || failed != nil
		})
		if err == nil {
			err = failed
		}
		if l.r.store(ctx, in, l.lines, n) != nil {
			return // only when ctx ended: the spool had no room until then
		}
		if err != nil && ctx.Err() == nil {
			l.r.cfg.Log.Error("syslog: read", "listen", l.Addr().String(), "error", err)
			pause(ctx, time.Second)
		}
	}
}

// fill reads datagrams until none waits or the batch is large enough.
func (l *datagramListener) fill(fd int, buf []byte) (messages int, err error) {
	for len(l.lines) < datagramBatch {
		n, err := syscall.Read(fd, buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return messages, nil
		case err != nil:
			return messages, err
		case n > l.r.cfg.MaxMessage:
			l.r.rejected.Add(1)
			l.r.troubles.note("a message on " + l.Addr().String() + " was longer than max_message")
			continue
		}
		if msg := trim(buf[:n]); len(msg) > 0 {
			l.lines = spool.AppendLine(l.lines, msg)
			messages++
		}
	}
	return messages, nil
}
