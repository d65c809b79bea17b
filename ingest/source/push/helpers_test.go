package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("write segment: input/output error")

// store is an intake in memory that fails as it is told. Faults are used up in
// order, nil for a success; then all is well.
type store struct {
	mu     sync.Mutex
	lines  []byte
	calls  int
	faults []error
}

// Append implements spool.Intake.
func (s *store) Append(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(s.faults) > 0 {
		err := s.faults[0]
		s.faults = s.faults[1:]
		if err != nil {
			return err
		}
	}
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return fmt.Errorf("half a line was appended: %.80q", lines)
	}
	s.lines = append(s.lines, lines...)
	return nil
}

func (s *store) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.lines)
}

// serving starts a receiver on loopback and ends it with the test.
func serving(t testing.TB, cfg Config, in spool.Intake) (p *Receiver, url string) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, in) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	eventually(t, "it listens", func() bool { return p.Addr() != nil })
	scheme := "http"
	if cfg.Access.Cert != "" {
		scheme = "https"
	}
	return p, scheme + "://" + p.Addr().String() + "/"
}

// eventually polls for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("ten seconds passed before: %s", what)
}

// result is an answer read whole.
type result struct {
	status int
	header http.Header
	Answer
	problem struct{ Title, Detail string }
}

// post sends a body with headers given as name, value pairs.
func post(t testing.TB, client *http.Client, url string, body io.Reader, headers ...string) result {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, client, req, headers...)
}

// send sends a request.
func send(t testing.TB, client *http.Client, req *http.Request, headers ...string) result {
	t.Helper()
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := result{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(data, &r.Answer); err != nil {
		t.Fatalf("status %d: the answer is no JSON: %v: %s", r.status, err, data)
	}
	if r.status >= 400 {
		if err := json.Unmarshal(data, &r.problem); err != nil || r.problem.Detail == "" {
			t.Errorf("status %d: the answer says nothing: %s", r.status, data)
		}
		if got := r.header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("status %d: content type %q", r.status, got)
		}
	}
	return r
}

// client is one whose connections end with the test.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// cut runs a body through a splitter in chunks and returns the lines and what was
// wrong.
func cut(m mode, body string, chunk, maxLine int) (string, []RecordError, tally, error) {
	var s store
	q := &request{to: &s, maxLine: maxLine, memory: 1 << 20, wait: func() bool { return false }}
	err := q.read(&chunked{[]byte(body), chunk}, m)
	return s.text(), q.errs, q.stored, err
}

// chunked is a reader of small pieces.
type chunked struct {
	data []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.data)
	c.data = c.data[n:]
	return n, nil
}

// numbered makes n NDJSON lines.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"n\":%d,\"pad\":\"%s\"}\n", i, bytes.Repeat([]byte("x"), 80))
	}
	return b.String()
}
