package otlp

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// Path is where OTLP/HTTP takes logs (specification, "OTLP/HTTP Request").
const Path = "/v1/logs"

// The two encodings; an answer has the one of its request.
const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// handler serves OTLP/HTTP.
type handler struct {
	to     *Receiver
	in     intake
	slots  serve.Slots
	origin *http.CrossOriginProtection
}

// Handler is OTLP/HTTP as a handler that stores into in, for Serve and tests.
func (o *Receiver) Handler(in intake) http.Handler {
	return &handler{o, in, serve.NewSlots(o.cfg.Requests), http.NewCrossOriginProtection()}
}

// refusal is an answer other than success.
type refusal struct {
	status int
	retry  time.Duration
	detail string
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/protobuf" {
		kind = typeProto
	}
	if no := h.admit(w, r, kind); no != nil {
		answerStatus(w, kind, no)
		return
	}
	if !h.slots.Take(r.Context()) {
		h.to.refused.Add(1)
		answerStatus(w, kind, &refusal{http.StatusTooManyRequests, time.Second, "too many requests are being read: send fewer at once"})
		return
	}
	defer h.slots.Free()
	var done outcome
	req, no := h.read(w, r, kind, &done)
	if no != nil {
		h.to.rejected.Add(1)
		h.to.say(sayBad, "otlp: a request could not be read", "sender", r.RemoteAddr, "error", fmt.Sprintf("%.200q", no.detail))
		answerStatus(w, kind, no)
		return
	}
	err := h.to.export(h.in, req, &done)
	h.to.count(&done)
	if err != nil {
		answerStatus(w, kind, &refusal{statusOf(err), h.to.cfg.Retry, h.to.trouble(err)})
		return
	}
	answer(w, kind, http.StatusOK, done.response())
}

// statusOf is 429 for a full spool, else 503; both are retried.
func statusOf(err error) int {
	if errors.Is(err, spool.ErrFull) {
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}

// admit finds what may not come in or is not understood.
func (h *handler) admit(w http.ResponseWriter, r *http.Request, kind string) *refusal {
	v := h.to.door.AdmitHTTP(r)
	switch {
	case v.Wait > 0:
		return &refusal{http.StatusTooManyRequests, v.Wait, "too many wrong API keys from this address"}
	case !v.OK:
		w.Header().Set("WWW-Authenticate", `Bearer realm="portcullis"`)
		return &refusal{http.StatusUnauthorized, 0, "send a key of keys_file as x-api-key: KEY or Authorization: Bearer KEY"}
	case r.URL.Path != Path:
		return &refusal{http.StatusNotFound, 0, "only logs are taken, at " + Path}
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{http.StatusMethodNotAllowed, 0, "send with POST"}
	case h.origin.Check(r) != nil:
		return &refusal{http.StatusForbidden, 0, "a web page of another origin may not send logs"}
	case kind != typeProto && kind != typeJSON:
		w.Header().Set("Accept", typeProto+", "+typeJSON)
		return &refusal{http.StatusUnsupportedMediaType, 0, "the content type is neither application/x-protobuf nor application/json"}
	case !serve.Understands(r.Header.Get("Content-Encoding")):
		w.Header().Set("Accept-Encoding", serve.Codings)
		return &refusal{http.StatusUnsupportedMediaType, 0, "the content encoding is none of " + serve.Codings}
	}
	return nil
}

// read reads and decodes the body.
func (h *handler) read(w http.ResponseWriter, r *http.Request, kind string, done *outcome) (*collectorpb.ExportLogsServiceRequest, *refusal) {
	most := int64(h.to.cfg.MaxBody)
	body, free := serve.Body(http.MaxBytesReader(w, r.Body, most), r.Header.Get("Content-Encoding"), most)
	defer free()
	data, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), errors.Is(err, serve.ErrPlain):
		return nil, &refusal{http.StatusRequestEntityTooLarge, 0, fmt.Sprintf("a request may have %d bytes, as sent and after decompression (max_body): send smaller batches", most)}
	case err != nil && serve.IsTimeout(err):
		return nil, &refusal{http.StatusRequestTimeout, 0, "the request did not arrive in time (timeout)"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, 0, "the body was cut off, or is not what Content-Encoding says"}
	}
	if kind == typeJSON {
		req, bad, err := fromJSON(data)
		if req == nil {
			return nil, &refusal{http.StatusBadRequest, 0, err.Error()}
		}
		for range bad {
			done.reject(err.Error())
		}
		return req, nil
	}
	req := &collectorpb.ExportLogsServiceRequest{}
	if err := serve.Unmarshal(data, req); err != nil {
		return nil, &refusal{http.StatusBadRequest, 0, err.Error()}
	}
	return req, nil
}

// answerStatus answers with a google.rpc.Status, as the specification wants of
// every failure.
func answerStatus(w http.ResponseWriter, kind string, no *refusal) {
	if no.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((no.retry+time.Second-1)/time.Second)))
	}
	answer(w, kind, no.status, &rpcstatus.Status{Message: no.detail})
}

// answer writes a message in the encoding of the request, or in JSON where that
// had none of the two.
func answer(w http.ResponseWriter, kind string, status int, m proto.Message) {
	marshal := proto.Marshal
	if kind != typeProto {
		kind, marshal = typeJSON, protojson.Marshal
	}
	data, err := marshal(m)
	if err != nil { // a detail that is no UTF-8
		data, kind = nil, typeJSON
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data) // the sender may be gone by now
}
