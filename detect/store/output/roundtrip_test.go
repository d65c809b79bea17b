package output_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
	"github.com/portcullis/portcullis/ingest/source/otlp"
	sysloginput "github.com/portcullis/portcullis/ingest/source/syslog"
)

// intake takes lines as the spool of a source does.
type intake struct {
	mu    sync.Mutex
	lines []string
}

// Append implements spool.Intake.
func (in *intake) Append(lines []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lines = append(in.lines, strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")...)
	return nil
}

func (in *intake) all() []string { in.mu.Lock(); defer in.mu.Unlock(); return in.lines }

// serving runs a receiver until the test ends.
func serving(t *testing.T, serve func(ctx context.Context) error, listens func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	outputtest.Await(t, "it listens", func() string { return "" }, listens)
}

// came sends documents, and returns the JSON that came of each, by its id.
func came(t *testing.T, kind string, section any, in *intake, doc func(line string) string) map[string]map[string]any {
	t.Helper()
	f := &outputtest.Feed{Docs: outputtest.Docs(t, 2*len(outputtest.Hostile)), Step: 9}
	c := outputtest.Config(kind, section)
	r := outputtest.Launch(t, c, f.Output())
	outputtest.Await(t, "all is sent", func() string { return r.Stats().Error }, func() bool { return f.Noted() == len(f.Docs) })
	docs := map[string]map[string]any{}
	for _, line := range in.all() {
		var d map[string]any
		if err := json.Unmarshal([]byte(doc(line)), &d); err != nil {
			t.Fatalf("%v: %.300q", err, line)
		}
		id, _ := d["portcullis.id"].(string)
		docs[id] = d
	}
	for _, d := range f.Docs {
		var was map[string]any
		if err := json.Unmarshal(d.Source, &was); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"event.dataset", "url.original", "portcullis.route", "message"} {
			if docs[d.ID][field] != was[field] {
				t.Errorf("%s of %s is %.80q, and was %.80q", field, d.ID, docs[d.ID][field], was[field])
			}
		}
	}
	if len(in.all()) != len(f.Docs) {
		t.Errorf("%d lines came of %d documents", len(in.all()), len(f.Docs))
	}
	return docs
}

// TestOTLPSource: what goes out by OTLP comes in by our own source.
func TestOTLPSource(t *testing.T) {
	in := &intake{}
	o, err := otlp.New(otlp.Config{GRPC: otlp.Off, HTTP: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	serving(t, func(ctx context.Context) error { return o.Serve(ctx, in) }, func() bool { _, ok := o.Addr(); return ok })
	at, _ := o.Addr()
	docs := came(t, "otlp", &output.OTLPConfig{URL: "http://" + at.HTTP.String() + "/v1/logs", Gzip: true}, in, func(line string) string { return line })
	for _, d := range docs {
		if d["event.dataset"] == "portcullis.access" && (d["resource.service.name"] != "portcullis" || d["severity"] == nil || d["http.response.status_code"] != 404.0) {
			t.Errorf("a request came as %v", d)
		}
	}
}

// TestSyslogSource: what goes out by syslog comes in by our own source.
func TestSyslogSource(t *testing.T) {
	in := &intake{}
	s, err := sysloginput.New(sysloginput.Config{Listen: []string{"tcp://127.0.0.1:0"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	serving(t, func(ctx context.Context) error { return s.Serve(ctx, in) }, func() bool {
		select {
		case <-s.Listening():
			return true
		default:
			return false
		}
	})
	came(t, "syslog", &output.SyslogConfig{Address: s.Addr()[0].String(), Transport: "tcp", App: "api_gateway"}, in, func(line string) string {
		_, doc, _ := strings.Cut(line, " - {")
		return "{" + doc
	})
}
