package hook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Syslog is a syslog server. It may be used from any goroutine.
type Syslog struct {
	Address   string // HOST:PORT
	Transport string // tls (RFC 5425), tcp with octet counting (RFC 6587), or udp (RFC 5426)
	TLS       *tls.Config
	// Lingers is how long a server may keep a connection open that we have ended, and
	// still counts as having taken what came before. 0: it must close it.
	Lingers time.Duration
}

// Send delivers messages in order. Over TCP they have arrived when the other side has
// closed the connection behind them: one that was left open may be dead without anybody
// knowing. By UDP each is a datagram, and nobody knows.
func (s *Syslog) Send(ctx context.Context, messages ...[]byte) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("the server cannot be reached: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // wakes whoever reads or writes
	defer stop()
	if s.Transport == "udp" {
		for _, m := range messages {
			if _, err := conn.Write(m); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		return nil
	}
	if _, err := conn.Write(Frames(messages...)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return s.closed(ctx, conn)
}

// Frames puts messages one behind the other as a stream has them, each behind its length
// (RFC 6587, section 3.4.1).
func Frames(messages ...[]byte) (out []byte) {
	for _, m := range messages {
		out = append(strconv.AppendInt(out, int64(len(m)), 10), ' ')
		out = append(out, m...)
	}
	return out
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.Transport == "tls" {
		return (&tls.Dialer{Config: s.TLS}).DialContext(ctx, "tcp", s.Address)
	}
	return new(net.Dialer).DialContext(ctx, s.Transport, s.Address)
}

// closed says that nothing more comes, and waits for the other side to do so too.
func (s *Syslog) closed(ctx context.Context, conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if s.Lingers > 0 && ctx.Err() == nil {
		if err := conn.SetReadDeadline(time.Now().Add(s.Lingers)); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	_, err := io.Copy(io.Discard, io.LimitReader(conn, answerMost))
	var late net.Error
	switch {
	case ctx.Err() != nil:
		return errors.New("the server has not closed the connection behind the messages in time, which alone would say that it took them")
	case err == nil, s.Lingers > 0 && errors.As(err, &late) && late.Timeout():
		return nil
	}
	return fmt.Errorf("the server closed the connection before it took the messages: %w", err)
}
