package elastic

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"
)

// verdictOf is what the proxy does with a request; the zero value passes it on.
type verdictOf struct {
	status int           // answer with this instead
	body   string        // and this
	delay  time.Duration // pass on after that, or once the client left
	drop   bool          // close the connection without passing on
	lose   bool          // pass on, then close the connection instead of answering
	half   bool          // pass on, then close in the middle of the answer
	busy   int           // of a bulk request, pass on every busy-th document, say 429 of the others
}

// proxy stands before the real Elasticsearch and makes faults.
type proxy struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	decide func(n int, r *http.Request) verdictOf // n counts bulk requests
	bulks  int
	sizes  []int // bytes of each bulk request, as the writer means them
}

func newProxy(t testing.TB, to string, decide func(n int, r *http.Request) verdictOf) *proxy {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, decide: decide}
	back := httputil.NewSingleHostReverseProxy(target)
	back.ErrorLog = nil
	back.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, back) }))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) set(decide func(n int, r *http.Request) verdictOf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide, p.bulks = decide, 0
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request, back http.Handler) {
	body, err := plainBody(r)
	if err != nil {
		return
	}
	r.ContentLength = int64(len(body)) // uncompressed
	p.mu.Lock()
	n := p.bulks
	if r.URL.Path == "/_bulk" {
		p.bulks++
		p.sizes = append(p.sizes, len(body))
	}
	v := p.decide(n, r)
	p.mu.Unlock()
	switch {
	case v.drop:
		hangUp(w, nil)
		return
	case v.status != 0:
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.WriteHeader(v.status)
		_, _ = io.WriteString(w, v.body)
		return
	case v.delay > 0:
		t := time.NewTimer(v.delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	if v.busy > 1 && r.URL.Path == "/_bulk" {
		p.partly(w, r, body, back, v.busy)
		return
	}
	rec := httptest.NewRecorder()
	back.ServeHTTP(rec, withBody(r, body))
	answer := rec.Body.Bytes()
	switch {
	case v.lose:
		hangUp(w, nil)
	case v.half:
		hangUp(w, append([]byte("HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"), answer[:len(answer)/2]...))
	default:
		pass(w, rec.Header(), rec.Code, answer)
	}
}

func pass(w http.ResponseWriter, h http.Header, code int, body []byte) {
	for name, v := range h {
		if name != "Content-Length" {
			w.Header()[name] = v
		}
	}
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// partly has Elasticsearch index some documents and refuses the rest as a full queue
// does.
func (p *proxy) partly(w http.ResponseWriter, r *http.Request, body []byte, back http.Handler, every int) {
	lines := bytes.SplitAfter(bytes.TrimRight(body, "\n"), []byte("\n"))
	var kept []byte
	for i := 0; i+1 < len(lines); i += 2 {
		if i/2%every == 0 {
			kept = append(append(append(kept, lines[i]...), bytes.TrimRight(lines[i+1], "\n")...), '\n')
		}
	}
	rec := httptest.NewRecorder()
	back.ServeHTTP(rec, withBody(r, kept))
	if r.Context().Err() != nil {
		return // the store did not wait for it
	}
	var in struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &in); err != nil {
		p.t.Errorf("the answer to a part: status %d, %v: %.200s", rec.Code, err, rec.Body)
	}
	var out struct {
		Items []json.RawMessage `json:"items"`
	}
	for i := 0; i+1 < len(lines); i += 2 {
		if i/2%every == 0 && len(in.Items) > 0 {
			out.Items, in.Items = append(out.Items, in.Items[0]), in.Items[1:]
			continue
		}
		out.Items = append(out.Items, json.RawMessage(`{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of primary operation"}}}`))
	}
	answer, _ := json.Marshal(out)
	pass(w, rec.Header(), rec.Code, answer)
}

func plainBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func withBody(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Header.Del("Content-Encoding")
	c.Header.Del("Accept-Encoding")
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return c
}

// hangUp resets the connection, perhaps after some bytes.
func hangUp(w http.ResponseWriter, first []byte) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = c.Write(first)
	if tcp, ok := c.(*net.TCPConn); ok && first == nil {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
