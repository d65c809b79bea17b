package otlp

import (
	"context"
	"errors"
	"fmt"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

// memory is how many bytes of lines of one request are held at once. A request
// whose resource is large and whose records are many can grow far beyond its own
// size: past this it is stored in parts, and a failure in a later one makes its
// sender send the earlier ones twice.
const memory = 16 << 20

// intake is where lines go; spool.Intake is one.
type intake interface {
	Append(lines []byte) error
}

// outcome is what became of the records of a request.
type outcome struct {
	accepted, rejected int64
	why                string // of the first that was rejected
}

// reject counts a record that can be no line.
func (o *outcome) reject(why string) {
	o.rejected++
	if o.why == "" {
		o.why = why
	}
}

// response says nothing of a full success, as the specification wants.
func (o *outcome) response() *collectorpb.ExportLogsServiceResponse {
	if o.rejected == 0 {
		return &collectorpb.ExportLogsServiceResponse{}
	}
	return &collectorpb.ExportLogsServiceResponse{PartialSuccess: &collectorpb.ExportLogsPartialSuccess{
		RejectedLogRecords: o.rejected, ErrorMessage: o.why,
	}}
}

// export stores the records of a request. The error is the intake's.
func (o *Receiver) export(in intake, req *collectorpb.ExportLogsServiceRequest, done *outcome) error {
	b := batch{in: in, most: o.cfg.MaxLine, done: done}
	var resource []byte
	for _, rl := range req.GetResourceLogs() {
		resource = appendResource(resource[:0], rl.GetResource().GetAttributes())
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				if err := b.add(r, resource); err != nil {
					return err
				}
			}
		}
	}
	return b.store()
}

// batch collects lines and stores them.
type batch struct {
	in      intake
	most    int // bytes of a line
	done    *outcome
	buf     []byte
	records int64
}

func (b *batch) add(r *logspb.LogRecord, resource []byte) error {
	start := len(b.buf)
	var ok bool
	b.buf, ok = appendLine(b.buf, r, resource)
	switch {
	case !ok:
		b.done.reject("a record has neither a body nor attributes")
	case len(b.buf)-start-1 > b.most:
		b.buf = b.buf[:start]
		b.done.reject(fmt.Sprintf("a record is a line of more than %d bytes (max_line)", b.most))
	default:
		b.records++
	}
	if len(b.buf) < memory {
		return nil
	}
	return b.store()
}

func (b *batch) store() error {
	if len(b.buf) == 0 {
		return nil
	}
	if err := b.in.Append(b.buf); err != nil {
		return err
	}
	b.done.accepted += b.records
	b.buf, b.records = b.buf[:0], 0
	return nil
}

// count adds what became of a request to the statistics.
func (o *Receiver) count(done *outcome) {
	o.received.Add(done.accepted)
	o.rejected.Add(done.rejected)
	if done.rejected > 0 {
		o.say(sayBad, "otlp: records were rejected; the answer said so", "rejected", done.rejected, "first", done.why)
	}
}

// logs is the gRPC service.
type logs struct {
	collectorpb.UnimplementedLogsServiceServer
	to *Receiver
	in intake
}

// Export implements collectorpb.LogsServiceServer.
func (l logs) Export(_ context.Context, req *collectorpb.ExportLogsServiceRequest) (*collectorpb.ExportLogsServiceResponse, error) {
	var done outcome
	err := l.to.export(l.in, req, &done)
	l.to.count(&done)
	if err != nil {
		return nil, l.to.unavailable(err)
	}
	return done.response(), nil
}

// unavailable tells a gRPC sender to come again.
func (o *Receiver) unavailable(err error) error {
	s := status.New(codes.Unavailable, o.trouble(err))
	if with, e := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(o.cfg.Retry)}); e == nil {
		s = with
	}
	return s.Err()
}

// trouble counts and says why a request was not taken, and words it for its
// sender.
func (o *Receiver) trouble(err error) string {
	o.refused.Add(1)
	if errors.Is(err, spool.ErrFull) {
		o.say(sayFull, "otlp: the spool is full, senders are told to wait", "error", err.Error())
		return "the spool is full: send again later"
	}
	o.say(sayDisk, "otlp: the spool cannot be written, senders are told to wait", "error", err.Error())
	return "the spool cannot be written: send again later; the log of portcullis says why"
}
