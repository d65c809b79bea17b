package telemetry

import (
	"io"
	"net/http"
)

// Healthz answers 200 for as long as the process serves requests at all: a
// supervisor restarts it otherwise.
func Healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok")
	})
}

// Readyz answers 200 while ready returns nil, and 503 with the reason otherwise:
// started, sources readable, state loaded. A nil ready is always ready. ready is
// called by every probe and must be quick and safe for concurrent use. show says
// whether a caller may see the reason, which can name files; nil shows it to all.
func Readyz(ready func() error, show func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if ready != nil {
			err = ready()
		}
		switch {
		case err == nil:
			plain(w, http.StatusOK, "ready")
		case show == nil || show(r):
			plain(w, http.StatusServiceUnavailable, "not ready: "+clean(err.Error()))
		default:
			plain(w, http.StatusServiceUnavailable, "not ready")
		}
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The probe hung up: nobody is left to tell.
	_, _ = io.WriteString(w, text+"\n")
}
