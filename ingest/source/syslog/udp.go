package syslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

const (
	datagrams   = 64    // read with one call of recvmmsg(2)
	longestUDP  = 65535 // what an IP packet can carry, headers included
	drainFor    = time.Second
	drainSilent = 20 * time.Millisecond
)

// batchReader is what ipv4 and ipv6 packet connections have in common.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

// udpListener reads one UDP socket.
type udpListener struct {
	r     *Receiver
	conn  *net.UDPConn
	batch batchReader
	seen  uint32 // the kernel's count of drops
	lines []byte
}

func (r *Receiver) listenUDP(ctx context.Context, where string) (listener, error) {
	pc, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", where)
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn) // what ListenPacket gives for udp
	l := &udpListener{r: r, conn: conn, batch: ipv4.NewPacketConn(conn)}
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok && a.IP.To4() == nil {
		l.batch = ipv6.NewPacketConn(conn)
	}
	got, err := tune(conn, r.cfg.ReadBuffer)
	if err != nil {
		r.cfg.Log.Warn("syslog: the UDP socket cannot be set up: drops may go uncounted", "listen", where, "error", err)
	} else if got < r.cfg.ReadBuffer {
		r.cfg.Log.Warn("syslog: the kernel grants a smaller buffer: bursts over UDP may be lost", "listen", where, "read_buffer", r.cfg.ReadBuffer,
			"granted", got, "hint", fmt.Sprintf("sysctl net.core.rmem_max=%d, or give the process CAP_NET_ADMIN", r.cfg.ReadBuffer))
	}
	return l, nil
}

func (l *udpListener) Addr() net.Addr { return l.conn.LocalAddr() }

func (l *udpListener) Close() error { return l.conn.Close() }

// serve reads until ctx ends, and then what is in the kernel's buffer already.
func (l *udpListener) serve(ctx context.Context, in spool.Intake) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	size := min(l.r.cfg.MaxMessage+1, longestUDP) // one more, to see that it is too long
	ms := make([]ipv4.Message, datagrams)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, size)}
		ms[i].OOB = make([]byte, overflowSpace)
	}
	for ctx.Err() == nil {
		n, err := l.batch.ReadBatch(ms, 0)
		if err == nil {
			l.take(in, ms[:n])
		} else if ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.r.cfg.Log.Error("syslog: read", "listen", l.Addr().String(), "error", err)
			pause(ctx, time.Second)
		}
	}
	end := time.Now().Add(drainFor)
	for silent := 0; silent < 2 && time.Now().Before(end); { // once, it may be the deadline of ctx
		if l.conn.SetReadDeadline(time.Now().Add(drainSilent)) != nil {
			return
		}
		n, err := l.batch.ReadBatch(ms, 0)
		if err != nil {
			silent++
			continue
		}
		l.take(in, ms[:n])
	}
}

// take appends a batch of datagrams. Nobody can be told to wait: what does not
// go into the spool is lost.
func (l *udpListener) take(in spool.Intake, ms []ipv4.Message) {
	l.lines = l.lines[:0]
	n := int64(0)
	for i := range ms {
		m := &ms[i]
		if m.NN > 0 {
			if total, ok := overflowed(m.OOB[:m.NN]); ok {
				l.r.overflow.Add(int64(total - l.seen)) // it wraps around with 32 bits
				l.seen = total
			}
		}
		if !l.permitted(m.Addr) {
			continue
		}
		if m.N > l.r.cfg.MaxMessage {
			l.r.rejected.Add(1)
			l.r.troubles.note(fmt.Sprintf("%v sent a message longer than max_message", m.Addr))
			continue
		}
		if text := trim(m.Buffers[0][:m.N]); len(text) > 0 {
			l.lines = spool.AppendLine(l.lines, text)
			n++
		}
	}
	if n == 0 {
		return
	}
	if in.Append(l.lines) != nil { // the spool says what is wrong with it
		l.r.dropped.Add(n)
		return
	}
	l.r.received.Add(n)
}

func (l *udpListener) permitted(from net.Addr) bool {
	if len(l.r.allow) == 0 {
		return true
	}
	if u, ok := from.(*net.UDPAddr); ok {
		if a, ok := netip.AddrFromSlice(u.IP); ok && l.r.allowed(a) {
			return true
		}
	}
	l.r.rejected.Add(1)
	l.r.troubles.note(fmt.Sprintf("%v may not send", from))
	return false
}

// trim drops the line ends and NULs that senders put behind a message.
func trim(b []byte) []byte { return bytes.TrimRight(b, "\r\n\x00") }
