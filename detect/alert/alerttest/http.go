// Package alerttest is the contract suite of channels: what each must do, whatever the
// service behind it. Its messages say which rule is broken.
package alerttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
)

// HTTP describes a channel whose service is told by HTTP requests of JSON.
type HTTP struct {
	// Open makes the channel for a service at an address, with a secret in its settings
	// where it has one.
	Open func(url string) (alert.Notifier, error)
	// Secret must not be told in an error.
	Secret string
	// Accept answers as the service does when it takes a request; nil: 200 with no body.
	Accept func(w http.ResponseWriter, r *http.Request, body []byte)
	// Busy answers as the service does when it wants to be asked again in seven seconds;
	// nil: 429 with Retry-After.
	Busy func(w http.ResponseWriter)
	// Most is how many bytes of a request the service takes.
	Most int
	// Shows checks one request of a notice.
	Shows func(t *testing.T, n *alert.Notice, r Request)
}

// Request is one that came.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         []byte
	JSON         map[string]any // nil where the body is no object
}

// server records requests, and answers as it is told.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request, body []byte)
	got    []Request
}

func newServer(t *testing.T, h *HTTP) *server {
	s := &server{answer: h.accept}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client gave up
		}
		req := Request{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: body}
		if !json.Valid(body) {
			t.Errorf("the body is no JSON: %.200q", body)
		}
		_ = json.Unmarshal(body, &req.JSON) // a list stays nil
		s.mu.Lock()
		s.got = append(s.got, req)
		answer := s.answer
		s.mu.Unlock()
		answer(w, r, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (h *HTTP) accept(w http.ResponseWriter, r *http.Request, body []byte) {
	if h.Accept != nil {
		h.Accept(w, r, body)
	}
}

func (s *server) set(answer func(w http.ResponseWriter, r *http.Request, body []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// take returns what came and forgets it.
func (s *server) take() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.got
	s.got = nil
	return out
}

// Notice is an ordinary one.
func Notice(kind alert.Kind) *alert.Notice {
	n := alert.NoticeOf(&alert.Alert{ID: "0123456789abcdef", Campaign: "credential on /login", Rule: "campaign", Family: detect.Credential, Severity: detect.High,
		Confidence: 0.95, Route: "/login", Subjects: []detect.Subject{{Kind: "ip", Value: "192.0.2.7"}}, Clients: 57, Findings: 112, Requests: 5043,
		Why: "57 clients in 3 networks, mostly on \"/login\"", Tags: []string{"owasp:api2:2023", "attack:T1110"},
		First: 1_700_000_000e9, Last: 1_700_000_600e9, Opened: 1_700_000_605e9}, kind, false)
	n.ID, n.Channel, n.Version, n.Link = "0123456789abcdef-desk-1", "desk", "1.2.3", "https://portcullis.example.org/alerts?id=0123456789abcdef"
	n.At = time.Unix(1_700_000_620, 0).UTC()
	if kind == alert.Resolved {
		n.Closed = n.At
	}
	return n
}

// Hostile is one whose texts no escaping has touched yet: line ends, markup of all
// services, characters that reorder text, and too much of it.
func Hostile() *alert.Notice {
	n := Notice(alert.Firing)
	evil := "<!channel> @everyone <@U1> [x](https://evil.example) **b** `c` | \\ = ^ \r\nBcc: all@example.org\r\n\r\n.\r\n\tX \u202eabc\u2066 <script>alert(1)</script> & CEF:0|x| "
	evil += strings.Repeat("€", 8192/3)
	n.Title, n.Text, n.Why, n.Route, n.Campaign, n.Rule = evil, evil+"\n"+evil, evil, evil, evil, evil
	n.Subjects, n.Clients = []string{"consumer:" + evil}, 1
	return n
}

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// RunHTTP demands of a channel what every channel must do.
func RunHTTP(t *testing.T, h HTTP) {
	t.Run("tells", func(t *testing.T) { h.tells(t) })
	t.Run("busy", func(t *testing.T) { h.busy(t) })
	t.Run("refused", func(t *testing.T) { h.refused(t) })
	t.Run("silent", func(t *testing.T) { h.silent(t) })
	t.Run("hostile", func(t *testing.T) { h.hostile(t) })
}

func (h *HTTP) open(t *testing.T, url string) alert.Notifier {
	t.Helper()
	n, err := h.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tells: every kind of notice is taken, and the same one again is the same.
func (h *HTTP) tells(t *testing.T) {
	s := newServer(t, h)
	to := h.open(t, s.URL)
	for _, kind := range []alert.Kind{alert.Firing, alert.Update, alert.Reminder, alert.Escalation, alert.Again, alert.Resolved, alert.Test} {
		n := Notice(kind)
		for range 2 {
			if err := to.Notify(t.Context(), n); err != nil {
				t.Fatalf("%s is not told: %v", kind, err)
			}
		}
		got := s.take()
		if len(got) < 2 || len(got)%2 != 0 {
			t.Fatalf("%s told twice is %d requests", kind, len(got))
		}
		for _, r := range got {
			h.Shows(t, n, r)
		}
		if a, b := got[0], got[len(got)/2]; !bytes.Equal(unstamped(a), unstamped(b)) || a.Path != b.Path {
			t.Errorf("%s told again is another request:\n%s\n%s", kind, a.Body, b.Body)
		}
	}
}

// unstamped is a body without the time at which it was sent.
func unstamped(r Request) []byte {
	at := bytes.Index(r.Body, []byte(`"endsAt":`))
	if at < 0 {
		return r.Body
	}
	return r.Body[:at]
}

// busy: what the service asks for is told, and the next try is taken.
func (h *HTTP) busy(t *testing.T) {
	s := newServer(t, h)
	to := h.open(t, s.URL)
	busy := h.Busy
	if busy == nil {
		busy = func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}
	later := time.Now().Add(time.Minute)
	for name, x := range map[string]struct {
		answer func(w http.ResponseWriter)
		after  time.Duration
	}{
		"429": {busy, 7 * time.Second},
		"503 until a date": {func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", later.UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, time.Minute},
		"500": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }, 0},
		"502": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, 0},
	} {
		s.set(func(w http.ResponseWriter, _ *http.Request, _ []byte) { x.answer(w) })
		err := to.Notify(t.Context(), Notice(alert.Firing))
		var r *alert.Refusal
		if !errors.As(err, &r) {
			t.Errorf("%s: got %v, want a refusal", name, err)
			continue
		}
		if r.Final || r.After > x.after || r.After < x.after-10*time.Second || (r.After == 0) != (x.after == 0) {
			t.Errorf("%s: %+v, want another try after about %s", name, r, x.after)
		}
	}
	s.set(h.accept)
	if err := to.Notify(t.Context(), Notice(alert.Firing)); err != nil {
		t.Errorf("the next try: %v", err)
	}
}

// refused: what is wrong with the notice is final, what somebody may mend is not; nothing
// is sent elsewhere, and no error tells the secret.
func (h *HTTP) refused(t *testing.T) {
	s := newServer(t, h)
	to := h.open(t, s.URL)
	elsewhere := newServer(t, h)
	for status, final := range map[int]bool{http.StatusBadRequest: true, http.StatusUnauthorized: false, http.StatusForbidden: false, http.StatusNotFound: false, http.StatusTemporaryRedirect: false} {
		s.set(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.Repeat("no\x1b[31m ", 100_000)) // the client may have enough before
		})
		err := to.Notify(t.Context(), Notice(alert.Firing))
		var r *alert.Refusal
		switch {
		case !errors.As(err, &r) || r.Status != status:
			t.Errorf("%d: got %v, want a refusal with that status", status, err)
			continue
		case r.Final != final:
			t.Errorf("%d: final is %t", status, r.Final)
		}
		h.quiet(t, err)
	}
	if got := elsewhere.take(); len(got) > 0 {
		t.Error("a redirection was followed: the secret went to whom the settings do not name")
	}
}

// quiet demands that an error is short, harmless and tells no secret.
func (h *HTTP) quiet(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); len(s) > 1000 || strings.ContainsAny(s, "\x1b\r\n") || h.Secret != "" && strings.Contains(s, h.Secret) {
		t.Errorf("an error that is too long, or tells what it must not: %.400q", s)
	}
}

// silent: a service that does not answer, or is not there, is an error in time.
func (h *HTTP) silent(t *testing.T) {
	s := newServer(t, h)
	to := h.open(t, s.URL)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	s.set(func(_ http.ResponseWriter, r *http.Request, _ []byte) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- to.Notify(ctx, Notice(alert.Firing)) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no answer is taken for one")
		} else {
			h.quiet(t, err)
		}
	case <-time.After(patience):
		t.Fatal("Notify does not end with its context")
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if err := h.open(t, gone.URL).Notify(t.Context(), Notice(alert.Firing)); err == nil {
		t.Error("a service that is not there is taken for one")
	} else {
		h.quiet(t, err)
	}
}

// hostile: whatever the texts hold, it is one request of a size that the service takes,
// whose headers are as always.
func (h *HTTP) hostile(t *testing.T) {
	s := newServer(t, h)
	to := h.open(t, s.URL)
	if err := to.Notify(t.Context(), Notice(alert.Firing)); err != nil {
		t.Fatal(err)
	}
	plain := s.take()
	n := Hostile()
	if err := to.Notify(t.Context(), n); err != nil {
		t.Fatalf("hostile text is not told: %v", err)
	}
	got := s.take()
	if len(got) != len(plain) {
		t.Fatalf("%d requests, and %d with hostile text", len(plain), len(got))
	}
	for i, r := range got {
		if len(r.Body) > h.Most {
			t.Errorf("%d bytes, the service takes %d", len(r.Body), h.Most)
		}
		for name := range r.Header {
			if plain[i].Header.Get(name) == "" {
				t.Errorf("hostile text made a header %q", name)
			}
		}
		if r.Path != plain[i].Path {
			t.Errorf("hostile text changed the path: %q", r.Path)
		}
		h.Shows(t, n, r)
	}
}
