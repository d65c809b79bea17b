package push

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// raw opens a connection and writes what a client would.
func raw(t *testing.T, p *Receiver, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSlowBody: a sender that drips its body is cut off at the timeout with 408,
// and nothing of it is kept.
func TestSlowBody(t *testing.T) {
	var s store
	p, _ := serving(t, Config{Timeout: time.Second}, &s)
	c := raw(t, p, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nfirst line\n")
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || s.text() != "" {
		t.Errorf("status %d, kept %q", resp.StatusCode, s.text())
	}
}

// TestCutBody: a sender that goes away within its body leaves nothing behind, be
// it counted or chunked.
func TestCutBody(t *testing.T) {
	var s store
	p, _ := serving(t, Config{}, &s)
	for i, head := range []string{"Content-Length: 1000\r\n\r\na\nb\n", "Transfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n"} {
		c := raw(t, p, "POST / HTTP/1.1\r\nHost: x\r\n"+head)
		c.Close()
		eventually(t, "the request has failed", func() bool { return p.Stats().Rejected == int64(i)+1 })
	}
	if s.text() != "" || p.Stats().Received != 0 {
		t.Errorf("kept %q", s.text())
	}
}

// TestConnections: one more connection than the limit waits until another ends,
// and is counted.
func TestConnections(t *testing.T) {
	var s store
	p, url := serving(t, Config{Access: serve.Access{Connections: 2}}, &s)
	first := raw(t, p, "")
	raw(t, p, "")
	eventually(t, "both are in", func() bool { return p.Stats().Senders == 2 && p.Stats().Refused == 1 })
	got := make(chan int, 1)
	c := client(t)
	go func() {
		resp, err := c.Post(url, "text/plain", strings.NewReader("a\n"))
		if err != nil {
			got <- 0
			return
		}
		resp.Body.Close()
		got <- resp.StatusCode
	}()
	select {
	case <-got:
		t.Fatal("the third did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if status := <-got; status != 200 {
		t.Errorf("status %d", status)
	}
}

// TestSlots: requests beyond the limit wait for the others.
func TestSlots(t *testing.T) {
	g := gate{entered: make(chan struct{}), release: make(chan struct{})}
	_, url := serving(t, Config{Requests: 1}, &g)
	answers := make(chan int, 3)
	c := client(t)
	for range 3 {
		go func() {
			resp, err := c.Post(url, "text/plain", strings.NewReader("a\n"))
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	for range 3 {
		<-g.entered
		select {
		case <-g.entered:
			t.Fatal("two requests were read at once")
		case <-time.After(20 * time.Millisecond):
		}
		g.release <- struct{}{}
		if status := <-answers; status != 200 {
			t.Errorf("status %d", status)
		}
	}
}

// TestOpenByAccident: New refuses settings that let anybody in.
func TestOpenByAccident(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Listen: "0.0.0.0:8088"}, "open to other machines"},
		{Config{Listen: ":8088"}, "open to other machines"},
		{Config{Listen: "192.0.2.1:8088", Access: serve.Access{Cert: "c", Key: "k"}}, "open to other machines"},
		{Config{Listen: "logs.example:8088", Access: serve.Access{Keys: "k"}}, "open to other machines"},
		{Config{Listen: "127.0.0.1"}, "no address with a port"},
		{Config{Access: serve.Access{Cert: "c"}}, "set both or neither"},
		{Config{Access: serve.Access{ClientCA: "c"}}, "needs tls_cert"},
		{Config{Access: serve.Access{Keys: "no/such/file"}}, "keys_file"},
		{Config{Access: serve.Access{Cert: "no/such", Key: "no/such"}}, "tls_cert"},
		{Config{Path: "logs"}, "path"},
		{Config{MaxPlain: 1}, "max_plain"},
		{Config{Timeout: time.Millisecond}, "timeout"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.cfg, err, c.want)
		}
	}
	if _, err := New(Config{Listen: "0.0.0.0:0", Access: serve.Access{Insecure: true}}); err != nil {
		t.Errorf("insecure: %v", err)
	}
}

// TestAddressInUse: the error says what to do.
func TestAddressInUse(t *testing.T) {
	var s store
	first, _ := serving(t, Config{}, &s)
	p, err := New(Config{Listen: first.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Serve(t.Context(), &s); err == nil || !strings.Contains(err.Error(), "another program has the port") {
		t.Errorf("got %v", err)
	}
}

// FuzzBody: no body brings the receiver down, whatever it claims to be; what is
// stored are whole lines, as many as the answer says.
func FuzzBody(f *testing.F) {
	f.Add("application/json", "gzip", compressed(f, "gzip", []byte(`[{"a":1}]`)))
	f.Add("application/x-ndjson", "zstd", compressed(f, "zstd", []byte("{}\n")))
	f.Add("text/plain", "deflate", compressed(f, "deflate", []byte("a\nb")))
	f.Add("text/plain", "deflate", compressed(f, "raw deflate", []byte("a\nb")))
	f.Add("", "", []byte("[{\"a\":"))
	f.Fuzz(func(t *testing.T, contentType, coding string, body []byte) {
		m, ok := modeOf(contentType)
		if !ok || !serve.Understands(coding) {
			return
		}
		var s store
		q := &request{to: &s, maxLine: 1 << 10, memory: 64 << 10, wait: func() bool { return false }}
		r, free := serve.Body(strings.NewReader(string(body)), coding, 1<<20)
		defer free()
		err := q.read(r, m)
		if n := int64(strings.Count(s.text(), "\n")); n != q.stored.accepted {
			t.Fatalf("%d lines, the answer says %d (%v)", n, q.stored.accepted, err)
		}
		if len(s.text()) > 1<<20+int(q.stored.accepted) {
			t.Fatal(fmt.Sprint("more was stored than a body may hold: ", len(s.text())))
		}
	})
}

// BenchmarkNDJSON posts batches of 1000 lines over loopback.
func BenchmarkNDJSON(b *testing.B) {
	body := numbered(1000)
	_, url := serving(b, Config{}, discard{})
	c := client(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		resp, err := c.Post(url, "application/x-ndjson", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkArray does the same with JSON arrays.
func BenchmarkArray(b *testing.B) {
	body := "[" + strings.ReplaceAll(strings.TrimSpace(numbered(1000)), "\n", ",") + "]"
	_, url := serving(b, Config{}, discard{})
	c := client(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		resp, err := c.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "lines/s")
}

// discard is an intake that keeps nothing.
type discard struct{}

func (discard) Append([]byte) error { return nil }

// TestAllocations: a line costs no allocation; only requests do.
func TestAllocations(t *testing.T) {
	count := func(lines int) float64 {
		body := []byte(numbered(lines))
		return testing.AllocsPerRun(20, func() {
			q := &request{to: discard{}, maxLine: 1 << 20, memory: 1 << 20, wait: func() bool { return false }}
			if err := q.read(&chunked{body, chunkSize}, modeNDJSON); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := count(10), count(5000); many > few+20 {
		t.Errorf("5000 lines cost %.0f allocations, 10 lines %.0f", many, few)
	}
}
