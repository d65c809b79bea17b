package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Limits of the HTTP servers. A request's head must come within headerTime, the
// whole of it within the receiver's own limit: nobody holds a connection by
// sending a byte a minute.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	endTime    = 5 * time.Second // what open requests get when ctx ends
	answerTime = 30 * time.Second
	maxHeader  = 16 << 10
	maxStreams = 64 // requests at once on one HTTP/2 connection
)

// HTTP serves h on l until ctx ends, then gives open requests five seconds. body
// is how long a request may take to arrive. It returns nil after an orderly end.
func (d *Door) HTTP(ctx context.Context, part string, l net.Listener, h http.Handler, body time.Duration) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime, ReadTimeout: body,
		WriteTimeout: body + answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		// Scanners' broken handshakes are noise unless somebody looks for them.
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	done := make(chan error, 1)
	go func() {
		if d.tls == nil {
			done <- server.Serve(l)
			return
		}
		server.TLSConfig = d.tls.Clone()
		done <- server.ServeTLS(l, "", "")
	}()
	select {
	case err := <-done:
		_ = server.Close() // nothing is served any more; the error says why
		return fmt.Errorf("%s: serve: %w", part, err)
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		d.log.Warn(part+": requests were cut off at the end; their senders got no answer and send them again", "error", err.Error())
		_ = server.Close() // what Shutdown could not wait for
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: serve: %w", part, err)
	}
	return nil
}

// Problem is an answer that says what is wrong, as RFC 9457 has it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// NewProblem makes a problem that its status describes.
func NewProblem(status int, detail string) Problem {
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// Write answers with body, which is or contains a Problem; retry > 0 becomes
// Retry-After in whole seconds (RFC 9110 section 10.2.3).
func Write(w http.ResponseWriter, status int, retry time.Duration, body any) {
	if retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="portcullis"`)
	}
	kind := "application/problem+json"
	if status < 300 {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The sender may be gone by now; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(body)
}
