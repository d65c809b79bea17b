package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// Receiver takes lines over HTTP. It implements spool.Receiver; one Serve at a
// time.
type Receiver struct {
	cfg    Config
	door   *serve.Door
	origin *http.CrossOriginProtection
	addr   atomic.Pointer[net.Addr]

	received, refused, rejected atomic.Int64
	warned                      [3]atomic.Int64 // when each kind of trouble was last said, Unix nanoseconds
}

// New checks the settings and reads the certificate and the keys. It does not
// listen yet.
func New(cfg Config) (*Receiver, error) {
	cfg = cfg.withDefaults()
	if err := serve.First("push", cfg.Check); err != nil {
		return nil, err
	}
	door, err := serve.NewDoor(cfg.Access, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	return &Receiver{cfg: cfg, door: door, origin: http.NewCrossOriginProtection()}, nil
}

// Addr is the address listened on, or nil before Serve listens.
func (p *Receiver) Addr() net.Addr {
	if a := p.addr.Load(); a != nil {
		return *a
	}
	return nil
}

// Stats implements spool.Receiver.
func (p *Receiver) Stats() spool.Stats {
	return spool.Stats{
		Received: p.received.Load(), Refused: p.refused.Load() + p.door.Refused(),
		Rejected: p.rejected.Load(), Senders: p.door.Open(),
	}
}

// Serve implements spool.Receiver: it listens until ctx ends, then gives open
// requests five seconds.
func (p *Receiver) Serve(ctx context.Context, in spool.Intake) error {
	l, err := p.door.Listen(ctx, "push", p.cfg.Listen)
	if err != nil {
		return err
	}
	at := l.Addr()
	p.addr.Store(&at)
	p.cfg.Log.Info("push: listening", "address", at.String(), "path", p.cfg.Path)
	return p.door.HTTP(ctx, "push", l, p.Handler(in), p.cfg.Timeout)
}

// Handler is the receiver as a handler that stores into in, for Serve and tests.
func (p *Receiver) Handler(in intake) http.Handler {
	slots := serve.NewSlots(p.cfg.Requests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.admit(w, r) {
			return
		}
		m, ok := p.understood(w, r)
		if !ok {
			return
		}
		if !slots.Take(r.Context()) {
			p.refused.Add(1)
			serve.Write(w, http.StatusTooManyRequests, time.Second, serve.NewProblem(http.StatusTooManyRequests,
				fmt.Sprintf("%d requests are being read, which is the limit: send fewer at once", p.cfg.Requests)))
			return
		}
		defer slots.Free()
		p.take(w, r, in, m)
	})
}

// admit answers what may not come in: a wrong path or method, no key, or a web
// page that makes a visitor's browser send.
func (p *Receiver) admit(w http.ResponseWriter, r *http.Request) bool {
	v := p.door.AdmitHTTP(r)
	fail := func(status int, retry time.Duration, detail string) bool {
		serve.Write(w, status, retry, serve.NewProblem(status, detail))
		return false
	}
	switch {
	case v.Wait > 0:
		return fail(http.StatusTooManyRequests, v.Wait, "too many wrong API keys from this address")
	case !v.OK:
		return fail(http.StatusUnauthorized, 0, "send a key of keys_file as x-api-key: KEY or Authorization: Bearer KEY")
	case r.URL.Path != p.cfg.Path:
		return fail(http.StatusNotFound, 0, "log lines are taken at "+p.cfg.Path)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return fail(http.StatusMethodNotAllowed, 0, "send log lines with POST")
	case p.origin.Check(r) != nil:
		return fail(http.StatusForbidden, 0, "a web page of another origin may not send log lines")
	case r.ContentLength > p.cfg.MaxBody:
		return fail(http.StatusRequestEntityTooLarge, 0, p.tooLarge())
	}
	return true
}

// tooLarge says what a request may have.
func (p *Receiver) tooLarge() string {
	return fmt.Sprintf("a body may have %d bytes as sent (max_body) and %d after decompression (max_plain): send smaller batches", p.cfg.MaxBody, p.cfg.MaxPlain)
}

// understood answers a media type or a coding that is not understood with 415
// (RFC 9110 section 15.5.16).
func (p *Receiver) understood(w http.ResponseWriter, r *http.Request) (mode, bool) {
	m, ok := modeOf(r.Header.Get("Content-Type"))
	detail := "the content type is none of application/json, application/x-ndjson, text/plain; in UTF-8"
	if ok {
		if serve.Understands(r.Header.Get("Content-Encoding")) {
			return m, true
		}
		w.Header().Set("Accept-Encoding", serve.Codings)
		detail = "the content encoding is none of " + serve.Codings
	} else {
		w.Header().Set("Accept", "application/json, application/x-ndjson, text/plain")
	}
	p.rejected.Add(1)
	serve.Write(w, http.StatusUnsupportedMediaType, 0, serve.NewProblem(http.StatusUnsupportedMediaType, detail))
	return 0, false
}

// Answer is the body of every answer to a request whose body was read.
type Answer struct {
	*serve.Problem               // nil: all is well
	Accepted       int64         `json:"accepted"`         // records in the spool
	Rejected       int64         `json:"rejected"`         // records that are none, left out
	Next           *int64        `json:"next,omitempty"`   // where the request was not taken whole: index of the first record to send again
	Errors         []RecordError `json:"errors,omitempty"` // the first rejected records
}

// take reads the body, stores it and answers.
func (p *Receiver) take(w http.ResponseWriter, r *http.Request, in intake, m mode) {
	q := &request{to: in, maxLine: p.cfg.MaxLine, memory: p.cfg.Memory, wait: func() bool { return pause(r.Context()) }}
	body, free := serve.Body(http.MaxBytesReader(w, r.Body, p.cfg.MaxBody), r.Header.Get("Content-Encoding"), p.cfg.MaxPlain)
	defer free()
	err := q.read(body, m)
	p.received.Add(q.stored.accepted)
	p.rejected.Add(q.stored.rejected)
	p.sayRejected(r, q)
	answer := Answer{Accepted: q.stored.accepted, Rejected: q.stored.rejected, Errors: dealtWith(q.errs, q.stored.next)}
	status, retry := http.StatusOK, time.Duration(0)
	if err != nil {
		var detail string
		status, retry, detail = p.failed(r, err)
		answer.Next = &q.stored.next
		problem := serve.NewProblem(status, detail)
		answer.Problem = &problem
	} else if answer.Accepted == 0 && answer.Rejected > 0 {
		status = http.StatusBadRequest
		problem := serve.NewProblem(status, "no record of the request is one; errors says why")
		answer.Problem = &problem
	}
	serve.Write(w, status, retry, answer)
}

// dealtWith keeps the errors of the records before next.
func dealtWith(errs []RecordError, next int64) []RecordError {
	for i, e := range errs {
		if e.Index >= next {
			return errs[:i]
		}
	}
	return errs
}

// failed finds the status of a request that was not taken whole.
func (p *Receiver) failed(r *http.Request, err error) (status int, retry time.Duration, detail string) {
	var tooLarge *http.MaxBytesError
	var stored *storeError
	switch {
	case errors.Is(err, spool.ErrFull):
		p.refused.Add(1)
		p.say(sayFull, "push: the spool is full, senders are told to wait", r, "error", err.Error())
		return http.StatusTooManyRequests, p.cfg.Retry, "the spool is full: send again from record next"
	case errors.As(err, &stored):
		p.refused.Add(1)
		p.say(sayDisk, "push: the spool cannot be written, senders are told to wait", r, "error", err.Error())
		return http.StatusServiceUnavailable, p.cfg.Retry, "the spool cannot be written: send again from record next; the log of portcullis says why"
	}
	p.rejected.Add(1)
	p.say(sayBad, "push: a request could not be read", r, "error", fmt.Sprintf("%.200q", err.Error()))
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, serve.ErrPlain):
		return http.StatusRequestEntityTooLarge, 0, p.tooLarge()
	case serve.IsTimeout(err):
		return http.StatusRequestTimeout, 0, fmt.Sprintf("the request did not arrive within %s (timeout)", p.cfg.Timeout)
	case errors.Is(err, serve.ErrCoding):
		return http.StatusBadRequest, 0, "the body is damaged, or not what Content-Encoding says"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadRequest, 0, "the body was cut off"
	}
	return http.StatusBadRequest, 0, "the body could not be read"
}

// What is said at most once a minute each, however many senders are in trouble.
const (
	sayFull = iota
	sayDisk
	sayBad
)

// say warns, once a minute for each kind.
func (p *Receiver) say(kind int, message string, r *http.Request, more ...any) {
	now, last := time.Now().UnixNano(), p.warned[kind].Load()
	if now-last < int64(time.Minute) || !p.warned[kind].CompareAndSwap(last, now) {
		return
	}
	p.cfg.Log.Warn(message, append([]any{"sender", r.RemoteAddr}, more...)...)
}

// sayRejected warns of records that were left out.
func (p *Receiver) sayRejected(r *http.Request, q *request) {
	if q.stored.rejected > 0 {
		p.say(sayBad, "push: records were rejected; the answer named them", r, "rejected", q.stored.rejected,
			"first", fmt.Sprintf("%.80q", q.sample))
	}
}

var _ spool.Receiver = (*Receiver)(nil)
