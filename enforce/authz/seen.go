package authz

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	authpb "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/enforce/authz/schema"
)

// seen is what a gateway tells of a request beside what the list is asked by.
type seen struct {
	fields schema.Fields // nil: nothing
	body   []byte
	sent   bool // bodies are sent
	cut    bool // there was more
}

// wrong is one thing that is wrong with a request, as a client is told.
type wrong struct {
	In     string `json:"in,omitempty"`
	Name   string `json:"name,omitempty"`
	Detail string `json:"detail"`
}

// refusal is why a request is refused for itself.
type refusal struct {
	status int
	detail string
	allow  string
	errors []wrong
}

// headerFields are those of forward-auth, which sends them along.
type headerFields http.Header

// Field implements schema.Fields.
func (h headerFields) Field(_, canonical string) (string, bool) {
	v, there := h[canonical]
	return joined(v), there
}

// envoyFields are those of ext_authz, in small letters.
type envoyFields map[string]string

// Field implements schema.Fields.
func (h envoyFields) Field(lower, _ string) (string, bool) {
	v, there := h[lower]
	return v, there
}

// read takes the body of a question, which a gateway sends that is told to. What cannot be
// read to its end is no body: then the gateway hung up.
func (x *seen) read(r *http.Request, most int) {
	if r.ContentLength == 0 || r.Body == nil {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	if err != nil || len(body) == 0 {
		return
	}
	x.sent, x.cut = true, len(body) > most
	x.body = body[:min(len(body), most)]
}

// partialField is there where Envoy is told to send bodies, and says whether there was more.
const partialField = "x-envoy-auth-partial-body"

// seenBy is what Envoy sends.
func seenBy(h *authpb.AttributeContext_HttpRequest, most int) seen {
	fields := h.GetHeaders()
	partial, sent := fields[partialField]
	body := h.GetRawBody()
	if len(body) == 0 && h.GetBody() != "" {
		body = []byte(h.GetBody())
	}
	return seen{fields: envoyFields(fields), body: body[:min(len(body), most)],
		sent: sent || len(body) > 0, cut: partial == "true" || len(body) > most}
}

// screens reports whether requests themselves are looked at.
func (s *Service) screens() bool { return s.look.rules != nil || s.look.inspect != "" }

// screen looks at a request that may pass by the list. It fails open: a fault of the looking
// itself is counted, and the request passes.
func (s *Service) screen(w *worker, v verdict) (out verdict) {
	if w.seen.fields == nil {
		return v
	}
	defer func() {
		if r := recover(); r != nil {
			s.look.note(kindError, false, "error", fmt.Sprintf("%.200v", r))
			w.checker, w.inspect = nil, nil // in what state they are nobody knows
			s.look.equip(w)
			out = v
		}
	}()
	if w.inspect != nil {
		if s.attacks(w, &v); v.outcome == faulty {
			return v
		}
	}
	if w.checker != nil {
		s.validated(w, &v)
	}
	return v
}

// validated holds a request against the documents.
func (s *Service) validated(w *worker, v *verdict) {
	q := schema.Request{Method: w.ev.Method, Target: w.ev.Target, Host: w.ev.Host, Fields: w.seen.fields, Body: w.seen.body, Sent: w.seen.sent, Cut: w.seen.cut}
	is := w.checker.Check(&q)
	if is.Kind == "" {
		return
	}
	refuse, first := s.look.validate == modeEnforce, is.Faults[0]
	s.look.note(string(is.Kind), refuse, "method", is.Method, "route", is.Route, "in", first.In, "name", first.Name, "why", first.Why)
	if !refuse {
		return
	}
	r := &refusal{status: is.Status, allow: is.Allow, detail: "The request is not as the API's description has it."}
	for _, f := range is.Faults {
		r.errors = append(r.errors, wrong{f.In, f.Name, f.Why})
	}
	v.outcome, v.refusal = faulty, r
}

// attacks looks for injections. Which and where is for the log: who attacks learns nothing.
func (s *Service) attacks(w *worker, v *verdict) {
	found := w.inspect.InspectRequest(w.ev.Method, w.ev.Target, w.seen.inspected(), string(w.seen.body))
	if !refusable(found, w.inspect.Threshold()) {
		return
	}
	refuse := s.look.inspect == modeEnforce
	s.look.note(kindInjection, refuse, "class", found.Class, "field", fieldName(found.Field), "score", found.Score)
	if refuse {
		v.outcome, v.refusal = faulty, &refusal{status: http.StatusForbidden, detail: "The request is refused for what it holds."}
	}
}

// refusable reports whether a verdict of inspection suffices. Who only asks for what a server
// should not hand out, or names a scanner as its agent, attacks nothing yet; under it an
// attack may hide.
func refusable(v inspect.Verdict, score int) bool {
	return v.Score > 0 && !v.Recon() && (v.NearCertain || v.Score >= score)
}

// fieldName is where an attack was found; the name of a parameter is a client's word.
func fieldName(field string) string {
	in, name, named := strings.Cut(field, ".")
	if named && !plainName(name) {
		return in
	}
	return field
}

// notInspected are fields that gateways write, or that hold what is looked at elsewhere.
var notInspected = map[string]bool{"x-forwarded-uri": true, "x-forwarded-method": true, "x-forwarded-proto": true, "x-forwarded-port": true,
	"x-portcullis-key": true, "x-request-id": true, "content-length": true, "connection": true, partialField: true}

// maxFields bounds the fields that are inspected; gateways allow about a hundred.
const maxFields = 128

// inspected are the fields for inspection.
func (x *seen) inspected() [][2]string {
	var out [][2]string
	add := func(name, value string) {
		if len(out) < maxFields && value != "" && name[0] != ':' && !notInspected[name] && !strings.HasPrefix(name, "x-envoy-") {
			out = append(out, [2]string{name, value})
		}
	}
	switch h := x.fields.(type) {
	case headerFields:
		for name, values := range h {
			for _, v := range values {
				add(strings.ToLower(name), v)
			}
		}
	case envoyFields:
		for name, v := range h {
			add(name, v)
		}
	}
	return out
}
