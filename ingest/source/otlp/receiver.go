package otlp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// grace is how long open gRPC calls get when Serve ends.
const grace = 5 * time.Second

// Receiver takes OTLP logs. It implements spool.Receiver; one Serve at a time.
type Receiver struct {
	cfg   Config
	door  *serve.Door
	addrs atomic.Pointer[Addrs]

	received, refused, rejected atomic.Int64
	warned                      [3]atomic.Int64 // when each kind of trouble was last said, Unix nanoseconds
}

// Addrs are the addresses listened on; one that is off is nil.
type Addrs struct{ GRPC, HTTP net.Addr }

// New checks the settings and reads the certificate and the keys. It does not
// listen yet.
func New(cfg Config) (*Receiver, error) {
	cfg = cfg.withDefaults()
	if err := serve.First("otlp", cfg.Check); err != nil {
		return nil, err
	}
	door, err := serve.NewDoor(cfg.Access, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	return &Receiver{cfg: cfg, door: door}, nil
}

// Addr tells the addresses listened on; ok is false before Serve listens.
func (o *Receiver) Addr() (a Addrs, ok bool) {
	if p := o.addrs.Load(); p != nil {
		return *p, true
	}
	return Addrs{}, false
}

// Stats implements spool.Receiver.
func (o *Receiver) Stats() spool.Stats {
	return spool.Stats{
		Received: o.received.Load(), Refused: o.refused.Load() + o.door.Refused(),
		Rejected: o.rejected.Load(), Senders: o.door.Open(),
	}
}

// Serve implements spool.Receiver: it listens until ctx ends, then gives open
// requests five seconds. If one listener fails, the other ends too.
func (o *Receiver) Serve(ctx context.Context, in spool.Intake) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listeners, addrs, err := o.listen(ctx)
	if err != nil {
		return err
	}
	o.addrs.Store(&addrs)
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			defer cancel()
			errs <- o.serve(ctx, l, in)
		}()
	}
	var all []error
	for range listeners {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// listener is one of the two.
type listener struct {
	net.Listener
	isGRPC bool
}

// listen opens the listeners that are not off, all or none.
func (o *Receiver) listen(ctx context.Context) (all []listener, addrs Addrs, err error) {
	for _, at := range []struct {
		address string
		addr    *net.Addr
		isGRPC  bool
	}{{o.cfg.GRPC, &addrs.GRPC, true}, {o.cfg.HTTP, &addrs.HTTP, false}} {
		if at.address == Off {
			continue
		}
		l, err := o.door.Listen(ctx, "otlp", at.address)
		if err != nil {
			for _, open := range all {
				_ = open.Close() // nobody has been let in
			}
			return nil, Addrs{}, err
		}
		*at.addr = l.Addr()
		all = append(all, listener{l, at.isGRPC})
		o.cfg.Log.Info("otlp: listening", "address", l.Addr().String())
	}
	return all, addrs, nil
}

// serve serves one listener.
func (o *Receiver) serve(ctx context.Context, l listener, in intake) error {
	if !l.isGRPC {
		return o.door.HTTP(ctx, "otlp", l, o.Handler(in), o.cfg.Timeout)
	}
	s := o.door.GRPC(serve.GRPCLimits{MaxMessage: o.cfg.MaxBody, InFlight: o.cfg.Requests})
	collectorpb.RegisterLogsServiceServer(s, logs{to: o, in: in})
	return o.door.ServeGRPC(ctx, "otlp", l, s, grace)
}

// What is said at most once a minute each, however many senders are in trouble.
const (
	sayFull = iota
	sayDisk
	sayBad
)

// say warns, once a minute for each kind.
func (o *Receiver) say(kind int, message string, more ...any) {
	now, last := time.Now().UnixNano(), o.warned[kind].Load()
	if now-last >= int64(time.Minute) && o.warned[kind].CompareAndSwap(last, now) {
		o.cfg.Log.Warn(message, more...)
	}
}

var _ spool.Receiver = (*Receiver)(nil)
