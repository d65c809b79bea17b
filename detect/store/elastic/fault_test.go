package elastic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// sampleEvent is an ordinary request.
func sampleEvent(n int) ingest.Event {
	return ingest.Event{
		Time: (1795910280 + int64(n)%300) * 1e9, Client: addr(n), Method: "GET", Target: fmt.Sprintf("/orders/%d?page=%d&sort=asc", n*7919%100000, n%9),
		Host: "api.example.org", Protocol: "HTTP/1.1", Status: uint16(200 + n%5*51), Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		Referer: "https://www.example.org/orders", BytesOut: int64(n * 31 % 20000), Duration: int64(n%90+3) * 1e6, Route: "/orders/{id}",
		Line: fmt.Sprintf(`%s - - [28/Nov/2026:23:58:00 +0000] "GET /orders/%d?page=%d&sort=asc HTTP/1.1" %d %d "https://www.example.org/orders" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" 0.0%02d`,
			addr(n), n*7919%100000, n%9, 200+n%5*51, n*31%20000, n%90+3),
		Pos: ingest.Position{Source: "gate", File: 77, Offset: int64(n) * 230},
	}
}

// mixed makes documents of all kinds that this package makes, from..to-1.
func (r *rig) mixed(t testing.TB, from, to int) []Doc {
	t.Helper()
	docs := r.numbered(t, from, to)
	var rs []detect.Rollup
	for n := from; n < to; n++ {
		ev := sampleEvent(n)
		d, err := r.AccessDoc(&ev, Verdict{Classes: []string{"sqli"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
		rs = append(rs, detect.Rollup{Minute: 1795910280 + int64(n)*60, Source: "gate", Requests: int64(n)})
	}
	return append(docs, r.docs(t, nil, rs)...)
}

// TestFaults writes through each fault, and demands every document once.
func TestFaults(t *testing.T) {
	first := func(k int, v verdictOf) func(int, *http.Request) verdictOf {
		return func(n int, r *http.Request) verdictOf {
			if r.URL.Path == "/_bulk" && n < k {
				return v
			}
			return verdictOf{}
		}
	}
	faults := map[string]struct {
		decide func(int, *http.Request) verdictOf
		says   string
	}{
		"429":                {first(3, verdictOf{status: 429, body: `{"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"},"status":429}`}), "the cluster is busy"},
		"503":                {first(3, verdictOf{status: 503, body: "upstream"}), "503"},
		"html instead":       {first(2, verdictOf{status: 200, body: "<html>"}), "is there a proxy in between"},
		"reset before":       {first(3, verdictOf{drop: true}), "reset"},
		"answer lost":        {first(3, verdictOf{lose: true}), "reset"},
		"answer cut":         {first(3, verdictOf{half: true}), "read the answer"},
		"too slow":           {first(2, verdictOf{delay: 5 * time.Second}), "deadline"},
		"some are busy":      {first(6, verdictOf{busy: 3}), "es_rejected_execution_exception"},
		"too large":          {tooMuch(20 << 10), "413"},
		"login refused":      {first(3, verdictOf{status: 401, body: `{"error":{"type":"security_exception","reason":"unable to authenticate with provided credentials"},"status":401}`}), "wrong, expired or revoked"},
		"privilege is taken": {first(3, verdictOf{status: 403, body: `{"error":{"type":"security_exception","reason":"action [indices:data/write/bulk] is unauthorized"},"status":403}`}), "lacks a privilege"},
	}
	together(t, func(t *testing.T, layout string) {
		p := newProxy(t, server(t).URL(), func(int, *http.Request) verdictOf { return verdictOf{} })
		base := installed(t, p.URL, layout)
		var all []Doc
		for name, f := range faults {
			t.Run(name, func(t *testing.T) {
				p.set(f.decide)
				r := newRig(t, p.URL, layout, func(c *Config, _ *Options) { c.Timeout, c.Namespace = 2*time.Second, base.cfg.Namespace })
				docs := r.mixed(t, len(all), len(all)+60)
				all = append(all, docs...)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
				defer cancel()
				if err := r.Write(ctx, docs); err != nil {
					t.Fatalf("%v; %s", err, r.Health().Error)
				}
				wants(t, r.log.String(), f.says)
				if h := r.Health(); h.Error != "" || h.Written+h.Existing < int64(len(docs)) || h.Rejected != 0 || h.Retried == 0 {
					t.Errorf("%+v", h)
				}
				r.exactly(t, all)
			})
		}
	})
}

// tooMuch refuses requests over a size.
func tooMuch(limit int64) func(int, *http.Request) verdictOf {
	return func(_ int, r *http.Request) verdictOf {
		if r.URL.Path == "/_bulk" && r.ContentLength > limit {
			return verdictOf{status: 413, body: `{"error":{"type":"content_too_long_exception","reason":"entity content is too long"},"status":413}`}
		}
		return verdictOf{}
	}
}

// TestRandomFaults goes on for rounds of faults at random requests, while each batch
// is written again as after a crash, and data streams roll over.
func TestRandomFaults(t *testing.T) {
	together(t, func(t *testing.T, layout string) {
		rnd := rand.New(rand.NewPCG(5, 8))
		menu := []verdictOf{{status: 429}, {status: 503}, {drop: true}, {lose: true}, {half: true}, {busy: 2}, {}, {}, {}, {}, {}, {}}
		p := newProxy(t, server(t).URL(), func(_ int, r *http.Request) verdictOf {
			if r.URL.Path != "/_bulk" {
				return verdictOf{}
			}
			return menu[rnd.IntN(len(menu))] // under the proxy's lock
		})
		r := installed(t, p.URL, layout, func(c *Config, _ *Options) { c.Bulk.Bytes = 64 << 10 })
		var all []Doc
		for round := range 6 {
			docs := r.mixed(t, round*30, round*30+30)
			if round > 0 { // what was read again: the batch before, or a part of it
				for _, d := range all[len(all)-60:] {
					d.Again = true
					docs = append(docs, d)
				}
			}
			if err := r.Write(t.Context(), docs); err != nil {
				t.Fatal(err)
			}
			if layout == LayoutDataStream {
				for _, k := range []Kind{Access, Finding, Traffic} {
					must(t, "POST", "/"+r.base(k)+"/_rollover", "{}", nil)
				}
			}
			all = append(all, docs[:90]...)
		}
		r.exactly(t, all)
		t.Logf("%+v", r.Health())
	})
}

// TestPoison has single documents refused for what is in them.
func TestPoison(t *testing.T) {
	together(t, func(t *testing.T, layout string) {
		r := installed(t, server(t).URL(), layout)
		good := r.mixed(t, 0, 30)
		bad := func(source string) Doc {
			return Doc{Kind: Access, ID: DocID(source), Time: good[0].Time, Source: []byte(source)}
		}
		poison := []Doc{
			bad(`{"@timestamp":"2026-11-28T00:00:00Z","source.ip":"not an address"}`),
			bad(`{"@timestamp":"yesterday"}`),
			bad(`{"@timestamp":"2026-11-28T00:00:00Z","http.response.status_code":{"a":1}}`),
			bad(`{"@timestamp":"2026-11-28T00:00:00Z"`),
			bad("{\n}"), bad("[]"), {Kind: Finding, Source: []byte("{}")},
		}
		docs := slices.Insert(slices.Clone(good), 45, poison...)
		if err := r.Write(t.Context(), docs); err != nil {
			t.Fatal(err)
		}
		if len(r.rejected.docs) != len(poison) || r.Health().Rejected != int64(len(poison)) {
			t.Errorf("%d rejected, want %d: %q", len(r.rejected.docs), len(poison), r.rejected.why)
		}
		wants(t, strings.Join(r.rejected.why, "\n"), "document_parsing_exception", "source.ip", "one line")
		r.exactly(t, good)
	})
}

// TestRejectedFails: what cannot be kept must not be lost by going on.
func TestRejectedFails(t *testing.T) {
	r := installed(t, server(t).URL(), LayoutIndex, func(_ *Config, o *Options) {
		o.Rejected = func(context.Context, Doc, string) error { return errors.New("the topic is away") }
	})
	err := r.Write(t.Context(), []Doc{{Kind: Access, ID: "a", Source: []byte(`{"@timestamp":"never"}`)}})
	if err == nil || !strings.Contains(err.Error(), "the topic is away") {
		t.Errorf("Write ended with %v", err)
	}
}

// TestTooLargeAlone: one document that no request can hold.
func TestTooLargeAlone(t *testing.T) {
	p := newProxy(t, server(t).URL(), func(_ int, r *http.Request) verdictOf {
		if r.ContentLength > 20<<10 {
			return verdictOf{status: http.StatusRequestEntityTooLarge}
		}
		return verdictOf{}
	})
	r := installed(t, p.URL, LayoutIndex, func(c *Config, _ *Options) { c.Compress = false })
	docs := r.numbered(t, 0, 20)
	large := Doc{Kind: Finding, ID: "large", Time: docs[0].Time, Source: []byte(`{"@timestamp":"2026-11-28T00:00:00Z","message":"` + strings.Repeat("x", 30<<10) + `"}`)}
	if err := r.Write(t.Context(), append(slices.Clone(docs), large)); err != nil {
		t.Fatal(err)
	}
	if len(r.rejected.docs) != 1 || r.rejected.docs[0].ID != "large" {
		t.Errorf("rejected: %q", r.rejected.why)
	}
	r.exactly(t, docs)
}

// TestRestart stops and kills Elasticsearch under a writer.
func TestRestart(t *testing.T) {
	for name, end := range map[string]func(testing.TB) error{
		"stop": func(t testing.TB) error { return server(t).Stop() }, "kill": func(t testing.TB) error { return server(t).Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			r := installed(t, server(t).URL(), LayoutIndex)
			if err := r.Write(t.Context(), r.mixed(t, 0, 50)); err != nil {
				t.Fatal(err)
			}
			all := r.mixed(t, 0, 1500)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			in := make(chan Piece)
			done := make(chan error, 1)
			go func() { done <- r.Pump(ctx, in) }()
			var wg sync.WaitGroup
			wg.Go(func() {
				defer close(in)
				for chunk := range slices.Chunk(all, 20) {
					select {
					case in <- Piece{Docs: chunk}:
					case <-ctx.Done():
						return
					}
				}
			})
			eventually(t, "some are written", func() bool { return r.Health().Written > 300 })
			if err := end(t); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the writer notices", func() bool { return r.Health().Error != "" })
			if err := server(t).Start(); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			r.exactly(t, all)
			if h := r.Health(); h.Error != "" {
				t.Errorf("%+v", h)
			}
		})
	}
}
