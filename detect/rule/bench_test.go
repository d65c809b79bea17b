package rule_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/fixtures/traffic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/config"
)

const benchStart = 1_700_000_000

// plainLog is ordinary traffic: 1000 clients, a thousand requests a second.
func plainLog(n int) detecttest.Log {
	log := make(detecttest.Log, n)
	for i := range log {
		log[i] = ingest.Event{Time: benchStart*1e9 + int64(i)*1e6, Client: netip.AddrFrom4([4]byte{10, 0, byte(i % 1000 >> 8), byte(i % 1000)}),
			Method: "GET", Target: "/v1/products/17?page=2", Route: "/v1/products/{id}", RouteID: 1, Status: 200, BytesOut: 512,
			Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", Pos: ingest.Position{Source: "b", File: 1, Offset: int64(i) * 200},
			Line: "a line"}
	}
	return log
}

// oddLog is what concerns the detectors: every event is an offence of one of ten
// clients, ten a second each.
func oddLog(n int, change func(i int, ev *ingest.Event)) detecttest.Log {
	log := plainLog(n)
	for i := range log {
		log[i].Client = netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 10)})
		log[i].Time = benchStart*1e9 + int64(i)*1e7
		change(i, &log[i])
	}
	return log
}

// handOver is a decoder that costs next to nothing: it hands over the events of
// a log in one reused event, as decode does.
type handOver struct {
	log  detecttest.Log
	next int
	ev   ingest.Event
}

const batchSize = 1000

func (h *handOver) Decode(_ *ingest.Batch, each func(*ingest.Event), _ func(ingest.Reject)) {
	for range batchSize {
		h.ev = h.log[h.next]
		h.next = (h.next + 1) % len(h.log)
		each(&h.ev)
	}
}

func observe(b *testing.B, log detecttest.Log, rules ...string) {
	b.Helper()
	engine := func() *detect.Engine {
		cfg := detect.Config{LateSeconds: 30, Workers: 1, Seed: 7, NewDecoder: func() (detect.Decoder, error) { return &handOver{log: log}, nil }}
		if err := config.Load("defaults", nil, nil, &cfg.Inspect); err != nil {
			b.Fatal(err)
		}
		for _, name := range rules {
			spec, _ := detect.SpecOf(name)
			cfg.Rules = append(cfg.Rules, detect.RuleConfig{Name: name, Spec: spec, Config: detecttest.Default(b, name)})
		}
		e, err := detect.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	e := engine()
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batchSize {
		if n > 0 && n%len(log) == 0 { // the log starts again, so the engine does
			b.StopTimer()
			e = engine()
			b.StartTimer()
		}
		e.Feed(&ingest.Batch{Source: "b"})
	}
}

// BenchmarkObserve is the engine with one detector alone, without parsing: "plain"
// is traffic that concerns none of them but rate-client (none/plain is the engine without any), "odd" only what does.
func BenchmarkObserve(b *testing.B) {
	odd := map[string]func(int, *ingest.Event){
		"auth-burst":   func(_ int, ev *ingest.Event) { ev.Status, ev.Kind = 401, ingest.RouteLogin },
		"auth-account": func(i int, ev *ingest.Event) { ev.Status, ev.User = 401, fmt.Sprint("user", i%5) },
		"rate-client":  func(int, *ingest.Event) {},
		"injection": func(_ int, ev *ingest.Event) {
			ev.Target = "/items?q=1%27%20UNION%20SELECT%20password%20FROM%20users--"
		},
		"scanner": func(i int, ev *ingest.Event) {
			ev.Target, ev.RouteID, ev.Status = fmt.Sprintf("/probe/%d", i), 0, 404
		},
	}
	plain := plainLog(100_000)
	for _, name := range detect.Rules() {
		b.Run(name+"/plain", func(b *testing.B) { observe(b, plain, name) })
		if change := odd[name]; change != nil {
			log := oddLog(20_000, change)
			b.Run(name+"/odd", func(b *testing.B) { observe(b, log, name) })
		}
	}
	b.Run("none/plain", func(b *testing.B) { observe(b, plain) })
	b.Run("all/plain", func(b *testing.B) { observe(b, plain, detect.Rules()...) })
}

// BenchmarkEngine is the whole path over generated traffic with attackers: parse,
// identity, routes, all detectors, on one core.
func BenchmarkEngine(b *testing.B) {
	const lines = 200_000
	var log bytes.Buffer
	if _, err := traffic.Write(&log, traffic.Options{Lines: lines, Seed: 1, Attackers: true}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(log.Len()))
	found := 0
	for b.Loop() {
		e := realEngine(b, detect.Rules()...)
		batches(log.Bytes(), e.Feed)
		found = len(e.Finish().Findings)
		e.Close()
	}
	b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(found), "findings")
}

// TestTrafficFindsTheAttackersOnly: of generated traffic all four attackers are
// found by their families, and no ordinary client is.
func TestTrafficFindsTheAttackersOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	var log bytes.Buffer
	truth, err := traffic.Write(&log, traffic.Options{Lines: 120_000, Seed: 3, Attackers: true})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // subject: family
	for _, a := range truth.Attackers {
		want[subjectOf(a.Addr)] = a.Kind.Family()
	}
	if len(want) != 4 {
		t.Fatalf("the log has %d attackers, want 4", len(want))
	}
	got := map[string]bool{}
	for _, f := range replay(t, reading{format: "nginx-combined"}, log.Bytes()) {
		family, attacker := want[f.Subject.Value]
		if !attacker {
			t.Errorf("ordinary %s found: %s: %s", f.Subject.Value, f.Rule, f.Why)
		}
		if string(f.Family) == family {
			got[f.Subject.Value] = true
		}
	}
	for subject, family := range want {
		if !got[subject] {
			t.Errorf("%s not found by a rule of %s", subject, family)
		}
	}
}

func subjectOf(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}
