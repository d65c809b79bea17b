package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/portcullis/portcullis/internal/telemetry"
)

// problem is an error that a caller of the API may see, as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`

	retryAfter int // seconds; 0: none
}

// Error implements error.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// failf-like constructors keep the titles stable for programs.
func newProblem(status int, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

func badRequest(detail string) error { return newProblem(http.StatusBadRequest, detail) }
func notFound(detail string) error   { return newProblem(http.StatusNotFound, detail) }

// fail answers with err: a problem as it is, anything else as 500 without its
// text, which goes to the log.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		if r.Context().Err() != nil {
			return // the caller hung up; nobody to answer
		}
		s.log.Error("console: request failed", "method", r.Method, "path", telemetry.Quote(r.URL.Path), "error", err)
		p = newProblem(http.StatusInternalServerError, "the console could not read its store; the log of portcullis says why")
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="portcullis"`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	// The caller may be gone by now; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(p)
}

// reply answers with a JSON document.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
