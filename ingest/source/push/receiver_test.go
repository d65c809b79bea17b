package push

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// TestSenders: what each shipper sends comes out as the same lines.
func TestSenders(t *testing.T) {
	for _, c := range []struct{ name, contentType, body, want string }{
		{"Kong http-log", "application/json", `{"request":{"uri":"/a"}}`, "{\"request\":{\"uri\":\"/a\"}}\n"},
		{"Kong http-log in batches", "application/json; charset=utf-8", `[{"a":1},{"b":2}]`, "{\"a\":1}\n{\"b\":2}\n"},
		{"APISIX http-logger, new_line", "text/plain", "{\"a\":1}\n{\"b\":2}", "{\"a\":1}\n{\"b\":2}\n"},
		{"Vector, ndjson", "application/x-ndjson", "{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}\n{\"b\":2}\n"},
		{"Fluent Bit, json_stream", "application/json", `{"a":1}{"b":2}`, "{\"a\":1}\n{\"b\":2}\n"},
		{"curl --data-binary", "application/x-www-form-urlencoded", "192.0.2.1 - - [x] \"GET / HTTP/1.1\" 200 1\n", "192.0.2.1 - - [x] \"GET / HTTP/1.1\" 200 1\n"},
		{"no type", "", "[{\"a\":1}]", "{\"a\":1}\n"},
		{"nothing", "application/json", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s store
			p, url := serving(t, Config{}, &s)
			r := post(t, client(t), url, strings.NewReader(c.body), "Content-Type", c.contentType)
			n := int64(strings.Count(c.want, "\n"))
			if r.status != http.StatusOK || r.Accepted != n || r.Rejected != 0 || r.Next != nil {
				t.Errorf("status %d, %+v", r.status, r.Answer)
			}
			if s.text() != c.want {
				t.Errorf("got %q, want %q", s.text(), c.want)
			}
			if st := p.Stats(); st.Received != n || st.Rejected != 0 || st.Refused != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// compressors make each coding that is understood.
var compressors = map[string]func(io.Writer) io.WriteCloser{
	"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"GZIP": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser {
		z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // the option is valid
		return z
	},
	"deflate":     func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"raw deflate": func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z },
}

func compressed(t testing.TB, coding string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := compressors[coding](&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCodings: every coding, whole, cut, damaged, and as a bomb.
func TestCodings(t *testing.T) {
	plain := []byte(numbered(500))
	for name := range compressors {
		t.Run(name, func(t *testing.T) {
			var s store
			_, url := serving(t, Config{MaxBody: 1 << 20, MaxPlain: 4 << 20, Memory: 8 << 20}, &s)
			coding := strings.TrimPrefix(name, "raw ")
			body := compressed(t, name, plain)
			for range 2 { // the second time with a decoder from the pool
				if r := post(t, client(t), url, bytes.NewReader(body), "Content-Encoding", coding, "Content-Type", "application/x-ndjson"); r.status != 200 || r.Accepted != 500 {
					t.Fatalf("whole: status %d %+v %+v", r.status, r.Answer, r.problem)
				}
			}
			if want := string(plain) + string(plain); s.text() != want {
				t.Fatalf("got %d bytes, want %d", len(s.text()), len(want))
			}
			before := s.text()
			if r := post(t, client(t), url, bytes.NewReader(body[:len(body)*2/3]), "Content-Encoding", coding); r.status != 400 || *r.Next != 0 {
				t.Errorf("cut: status %d %+v", r.status, r.Answer)
			}
			if r := post(t, client(t), url, strings.NewReader("plainly not compressed"), "Content-Encoding", coding); r.status != 400 {
				t.Errorf("damaged: status %d %+v", r.status, r.Answer)
			}
			bomb := compressed(t, name, bytes.Repeat([]byte("{}\n"), 16<<20/3))
			if r := post(t, client(t), url, bytes.NewReader(bomb), "Content-Encoding", coding); r.status != 413 {
				t.Errorf("bomb of %d bytes: status %d %+v", len(bomb), r.status, r.Answer)
			}
			if s.text() != before {
				t.Error("something of the bad requests was kept")
			}
		})
	}
}

// TestRefusals: what is not understood says so, and costs nothing.
func TestRefusals(t *testing.T) {
	var s store
	_, url := serving(t, Config{Path: "/logs", MaxBody: 2000, MaxPlain: 2000}, &s)
	url += "logs"
	c := client(t)
	request := func(method, url string, body io.Reader, headers ...string) result {
		req, err := http.NewRequestWithContext(t.Context(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		return send(t, c, req, headers...)
	}
	if r := request(http.MethodGet, url, nil); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: status %d, %v", r.status, r.header)
	}
	if r := request(http.MethodPost, url+"/x", strings.NewReader("a")); r.status != 404 {
		t.Errorf("another path: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader("a"), "Content-Type", "application/msgpack"); r.status != 415 || r.header.Get("Accept") == "" {
		t.Errorf("msgpack: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader("a"), "Content-Type", "text/plain; charset=UTF-16"); r.status != 415 {
		t.Errorf("UTF-16: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader("a"), "Content-Encoding", "br"); r.status != 415 || r.header.Get("Accept-Encoding") != serve.Codings {
		t.Errorf("brotli: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader("a"), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); r.status != 403 {
		t.Errorf("a web page: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader(numbered(100))); r.status != 413 {
		t.Errorf("too large: status %d", r.status)
	}
	// Without Content-Length the size shows while reading.
	if r := request(http.MethodPost, url, io.LimitReader(strings.NewReader(numbered(100)), 9000)); r.status != 413 || *r.Next != 0 {
		t.Errorf("too large, chunked: status %d", r.status)
	}
	if r := request(http.MethodPost, url, strings.NewReader("[1,2]"), "Content-Type", "application/json"); r.status != 400 || r.Rejected != 2 || len(r.Errors) != 2 {
		t.Errorf("nothing good: status %d %+v", r.status, r.Answer)
	}
	if s.text() != "" {
		t.Errorf("kept %q", s.text())
	}
}

// TestPartlyBad: the good records are kept, the bad are named, and only the first
// of very many.
func TestPartlyBad(t *testing.T) {
	var s store
	p, url := serving(t, Config{}, &s)
	r := post(t, client(t), url, strings.NewReader(`[{"a":1}, 2, {"b":3}]`), "Content-Type", "application/json")
	if r.status != 200 || r.Accepted != 2 || r.Rejected != 1 || len(r.Errors) != 1 || r.Errors[0] != (RecordError{1, notObject}) {
		t.Errorf("status %d %+v", r.status, r.Answer)
	}
	r = post(t, client(t), url, strings.NewReader(`[{"a":1}`+strings.Repeat(",7", 1000)+"]"), "Content-Type", "application/json")
	if r.status != 200 || r.Accepted != 1 || r.Rejected != 1000 || len(r.Errors) != maxErrors {
		t.Errorf("status %d, accepted %d, rejected %d, %d errors", r.status, r.Accepted, r.Rejected, len(r.Errors))
	}
	if st := p.Stats(); st.Received != 3 || st.Rejected != 1001 {
		t.Errorf("stats %+v", st)
	}
}

// TestSpoolTrouble: a full spool is 429, a broken disk 503, and nothing of the
// request is kept, so that sending it again makes no double.
func TestSpoolTrouble(t *testing.T) {
	s := store{faults: []error{fmt.Errorf("append: %w", spool.ErrFull), errDisk}}
	p, url := serving(t, Config{Retry: 7 * time.Second}, &s)
	body := numbered(10)
	for _, want := range []int{429, 503, 200} {
		r := post(t, client(t), url, strings.NewReader(body))
		if r.status != want {
			t.Fatalf("status %d, want %d: %+v", r.status, want, r.problem)
		}
		if want != 200 && (r.header.Get("Retry-After") != "7" || *r.Next != 0 || r.Accepted != 0) {
			t.Errorf("status %d: %v %+v", want, r.header, r.Answer)
		}
	}
	if s.text() != body {
		t.Errorf("got %d bytes, want %d", len(s.text()), len(body))
	}
	if st := p.Stats(); st.Refused != 2 || st.Received != 10 {
		t.Errorf("stats %+v", st)
	}
}

// TestParts: a request larger than its memory is stored in parts; where one
// fails, the answer says how far it came, and sending the rest completes it.
func TestParts(t *testing.T) {
	s := store{faults: []error{nil, spool.ErrFull, nil, errDisk}}
	_, url := serving(t, Config{Memory: 64 << 10}, &s)
	all := strings.SplitAfter(numbered(3000), "\n")
	r := post(t, client(t), url, strings.NewReader(strings.Join(all, "")), "Content-Type", "application/x-ndjson")
	if r.status != 503 || r.Accepted == 0 || *r.Next != r.Accepted || s.calls != 4 {
		t.Fatalf("status %d, %d calls, %+v", r.status, s.calls, r.Answer)
	}
	r = post(t, client(t), url, strings.NewReader(strings.Join(all[*r.Next:], "")), "Content-Type", "application/x-ndjson")
	if r.status != 200 {
		t.Fatalf("the rest: status %d", r.status)
	}
	if s.text() != strings.Join(all, "") {
		t.Error("the lines are not those that were sent, once each and in order")
	}
}

// TestKeys: a right key in either header comes in, a wrong one does not and is
// not read; too many wait; a changed file counts at once.
func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	key := "0123456789abcdef0123"
	if err := os.WriteFile(file, []byte("# shippers\n"+key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s store
	_, url := serving(t, Config{Access: serve.Access{Keys: file}}, &s)
	c := client(t)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 10 * time.Second
	if r := post(t, c, url, strings.NewReader("a"), "X-Api-Key", key); r.status != 200 {
		t.Errorf("x-api-key: status %d", r.status)
	}
	if r := post(t, c, url, strings.NewReader("b"), "Authorization", "bearer "+key); r.status != 200 {
		t.Errorf("bearer: status %d", r.status)
	}
	read := &counter{r: strings.NewReader(numbered(100_000))}
	if r := post(t, c, url, read, "Expect", "100-continue", "X-Api-Key", "wrong"); r.status != 401 || r.header.Get("WWW-Authenticate") == "" || read.n > 0 {
		t.Errorf("wrong key: status %d, %d bytes read", r.status, read.n)
	}
	for i := range 12 {
		r := post(t, c, url, strings.NewReader("x"))
		if want := map[bool]int{true: 401, false: 429}[i < 9]; r.status != want {
			t.Fatalf("no key, %d times: status %d, want %d", i+2, r.status, want)
		}
	}
	if r := post(t, c, url, strings.NewReader("c"), "X-Api-Key", key); r.status != 200 {
		t.Errorf("a key known from here: status %d", r.status)
	}
	if s.text() != "a\nb\nc\n" {
		t.Errorf("kept %q", s.text())
	}
}

// counter counts what is read of it.
type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// TestTLS: HTTP/2 over TLS with a client certificate, and not without one.
func TestTLS(t *testing.T) {
	a := servetest.NewAuthority(t)
	cert, key := a.Issue("server")
	var s store
	_, url := serving(t, Config{Access: serve.Access{Cert: cert, Key: key, ClientCA: a.CA}}, &s)
	tr := &http.Transport{TLSClientConfig: a.Client("shipper"), ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("a\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 || s.text() != "a\n" {
		t.Errorf("%s, status %d, kept %q", resp.Proto, resp.StatusCode, s.text())
	}
	bare := &http.Transport{TLSClientConfig: a.Client("")}
	t.Cleanup(bare.CloseIdleConnections)
	if resp, err := (&http.Client{Transport: bare}).Post(url, "text/plain", strings.NewReader("b\n")); err == nil {
		resp.Body.Close()
		t.Error("a client without a certificate came in")
	}
}

// gate is an intake that waits until it is let go.
type gate struct {
	store
	entered, release chan struct{}
}

func (g *gate) Append(lines []byte) error {
	g.entered <- struct{}{}
	<-g.release
	return g.store.Append(lines)
}

// TestOrderlyEnd: a request under way when ctx ends is still taken and answered.
func TestOrderlyEnd(t *testing.T) {
	g := gate{entered: make(chan struct{}), release: make(chan struct{})}
	p, err := New(Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, &g) }()
	eventually(t, "it listens", func() bool { return p.Addr() != nil })
	go func() {
		<-g.entered
		cancel()
		close(g.release)
	}()
	if r := post(t, client(t), "http://"+p.Addr().String()+"/", strings.NewReader("a\nb\n")); r.status != 200 || r.Accepted != 2 {
		t.Errorf("status %d %+v", r.status, r.Answer)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if g.text() != "a\nb\n" {
		t.Errorf("kept %q", g.text())
	}
}
