package als

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	alspb "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

const (
	// grace is how long streams get when Serve ends. Envoy does not end one by
	// itself, so this is only for what is on its way.
	grace = time.Second
	// again is how long a stream waits before it tries a full spool again.
	again = 100 * time.Millisecond
	// storeAt is how much of a message is stored at once: its lines are a few times
	// as long as the message.
	storeAt = 4 << 20
	// keep is how large a buffer an idle stream keeps.
	keep = 256 << 10
)

// intake is where lines go; spool.Intake is one.
type intake interface {
	Append(lines []byte) error
}

// Receiver takes Envoy's access logs. It implements spool.Receiver; one Serve at
// a time.
type Receiver struct {
	cfg  Config
	door *serve.Door
	addr atomic.Pointer[net.Addr]

	received, dropped, refused, rejected atomic.Int64
	warned                               [3]atomic.Int64 // when each kind of trouble was last said, Unix nanoseconds
}

// New checks the settings and reads the certificate and the keys. It does not
// listen yet.
func New(cfg Config) (*Receiver, error) {
	cfg = cfg.withDefaults()
	if err := serve.First("als", cfg.Check); err != nil {
		return nil, err
	}
	door, err := serve.NewDoor(cfg.Access, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("als: %w", err)
	}
	return &Receiver{cfg: cfg, door: door}, nil
}

// Addr is the address listened on, or nil before Serve listens.
func (a *Receiver) Addr() net.Addr {
	if p := a.addr.Load(); p != nil {
		return *p
	}
	return nil
}

// Stats implements spool.Receiver. Dropped are entries that were read but could
// not be stored before the end: the spool was full, or its disk failed.
func (a *Receiver) Stats() spool.Stats {
	return spool.Stats{
		Received: a.received.Load(), Dropped: a.dropped.Load(), Refused: a.refused.Load() + a.door.Refused(),
		Rejected: a.rejected.Load(), Senders: a.door.Open(),
	}
}

// Serve implements spool.Receiver: it listens until ctx ends, then gives streams
// a second.
func (a *Receiver) Serve(ctx context.Context, in spool.Intake) error {
	l, err := a.door.Listen(ctx, "als", a.cfg.Listen)
	if err != nil {
		return err
	}
	at := l.Addr()
	a.addr.Store(&at)
	a.cfg.Log.Info("als: listening", "address", at.String())
	s := a.door.GRPC(serve.GRPCLimits{MaxMessage: a.cfg.MaxMessage, InFlight: a.cfg.Streams})
	alspb.RegisterAccessLogServiceServer(s, &service{to: a, in: in, ended: ctx.Done(), slots: serve.NewSlots(a.cfg.Streams)})
	return a.door.ServeGRPC(ctx, "als", l, s, grace)
}

// service is the gRPC service of one Serve.
type service struct {
	alspb.UnimplementedAccessLogServiceServer
	to    *Receiver
	in    intake
	ended <-chan struct{} // closed when Serve is to end
	slots serve.Slots     // streams whose handler runs: one may outlive its connection while it holds entries
}

// StreamAccessLogs implements alspb.AccessLogServiceServer.
func (s *service) StreamAccessLogs(stream grpc.ClientStreamingServer[alspb.StreamAccessLogsMessage, alspb.StreamAccessLogsResponse]) error {
	if !s.slots.Take(stream.Context()) {
		s.to.refused.Add(1)
		return status.Errorf(codes.Unavailable, "%d streams are open, which is the limit (max_streams)", s.to.cfg.Streams)
	}
	defer s.slots.Free()
	b := batch{service: s}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(&alspb.StreamAccessLogsResponse{})
		case err != nil:
			s.broken(err)
			return err
		}
		if err := b.take(m); err != nil {
			return err
		}
	}
}

// broken counts a message that could not be read; that a stream ends otherwise is
// how streams end.
func (s *service) broken(err error) {
	if code := status.Code(err); code == codes.Internal || code == codes.ResourceExhausted {
		s.to.rejected.Add(1)
		s.to.say(sayBad, "als: a message could not be read; its entries are lost and Envoy opens a new stream", "error", fmt.Sprintf("%.200q", err.Error()))
	}
}

// batch holds the lines of one stream that are not stored yet.
type batch struct {
	*service
	tail    []byte // the identifier that ends each line
	buf     []byte
	records int64
}

// take stores the entries of a message.
func (b *batch) take(m *alspb.StreamAccessLogsMessage) error {
	if id := m.GetIdentifier(); id != nil {
		b.tail = appendIdentifier(b.tail[:0], id.GetLogName(), id.GetNode())
	}
	for _, e := range m.GetHttpLogs().GetLogEntry() {
		start := len(b.buf)
		b.buf = appendHTTP(b.buf, e, b.tail)
		if err := b.added(start); err != nil {
			return err
		}
	}
	for _, e := range m.GetTcpLogs().GetLogEntry() {
		start := len(b.buf)
		b.buf = appendTCP(b.buf, e, b.tail)
		if err := b.added(start); err != nil {
			return err
		}
	}
	return b.store()
}

// added looks at the line that was appended at start.
func (b *batch) added(start int) error {
	if n := len(b.buf) - start - 1; n > b.to.cfg.MaxLine {
		b.to.rejected.Add(1)
		b.to.say(sayBad, "als: an entry is too long and was rejected: raise max_line or log fewer headers",
			"bytes", n, "beginning", fmt.Sprintf("%.80q", b.buf[start:start+80]))
		b.buf = b.buf[:start]
		return nil
	}
	b.records++
	if len(b.buf) < storeAt {
		return nil
	}
	return b.store()
}

// store appends to the spool, for as long as that takes. Meanwhile the stream is
// not read. When Serve ends first, what is held is dropped and counted.
func (b *batch) store() error {
	if len(b.buf) == 0 {
		return nil
	}
	for held := false; ; held = true {
		err := b.in.Append(b.buf)
		if err == nil {
			b.to.received.Add(b.records)
			break
		}
		if !held {
			b.to.refused.Add(1)
			b.to.sayHeld(err)
		}
		if !b.wait() {
			b.to.dropped.Add(b.records)
			b.to.cfg.Log.Error("als: entries were lost: they could not be stored before the end", "entries", b.records, "error", err.Error())
			return status.Error(codes.Unavailable, "the receiver ends")
		}
	}
	b.buf, b.records = b.buf[:0], 0
	if cap(b.buf) > keep {
		b.buf = nil
	}
	return nil
}

// wait pauses a moment; false means that Serve ends.
func (s *service) wait() bool {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ended:
		return false
	}
}

// What is said at most once a minute each, however many streams are in trouble.
const (
	sayFull = iota
	sayDisk
	sayBad
)

// sayHeld says why streams are not read.
func (a *Receiver) sayHeld(err error) {
	if errors.Is(err, spool.ErrFull) {
		a.say(sayFull, "als: the spool is full, streams are not read until there is room", "error", err.Error())
		return
	}
	a.say(sayDisk, "als: the spool cannot be written, streams are not read until it can", "error", err.Error())
}

// say warns, once a minute for each kind.
func (a *Receiver) say(kind int, message string, more ...any) {
	now, last := time.Now().UnixNano(), a.warned[kind].Load()
	if now-last >= int64(time.Minute) && a.warned[kind].CompareAndSwap(last, now) {
		a.cfg.Log.Warn(message, more...)
	}
}

var _ spool.Receiver = (*Receiver)(nil)
