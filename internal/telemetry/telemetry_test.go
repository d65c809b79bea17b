package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestQuoteShowsAndCaps(t *testing.T) {
	for in, want := range map[string]string{
		"plain":              `"plain"`,
		"a\nb\x1b[31m":       `"a\nb\x1b[31m"`,
		"bidi\u202egnp.exe":  `"bidi\u202egnp.exe"`,
		"\xff\xfe":           `"\xff\xfe"`,
		`"quoted" \ and <b>`: `"\"quoted\" \\ and <b>"`,
		"naïve 日本":           `"naïve 日本"`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
	long := strings.Repeat("é", 5000)
	got := Quote(long)
	if len(got) > MaxQuote+40 || !strings.HasSuffix(got, "... (10000 bytes)") {
		t.Errorf("a long value: %d bytes, ends in %q", len(got), got[len(got)-30:])
	}
	if !utf8.ValidString(got) || strings.Contains(got, `\x`) {
		t.Error("the cut split a character")
	}
}

func TestLoggerKeepsOneRecordALine(t *testing.T) {
	hostile := "x\nlevel=ERROR msg=\"forged\"\x1b]0;owned\a\u202e\u009b31m"
	for _, format := range []Format{Text, JSON} {
		var buf bytes.Buffer
		log := NewLogger(&buf, nil, format)
		log.Info(hostile, "value", hostile, "error", errors.New(hostile), "n", 7, hostile, true,
			"big", strings.Repeat("A", 100_000), slog.Group("g", "inner", hostile))
		out := buf.String()
		if strings.Count(out, "\n") != 1 {
			t.Errorf("%s: %d lines, want 1:\n%s", format, strings.Count(out, "\n"), out)
		}
		if strings.ContainsAny(out, "\x1b\a\u202e\u009b") {
			t.Errorf("%s: control characters reached the log: %q", format, out)
		}
		if len(out) > 3*MaxValue {
			t.Errorf("%s: record of %d bytes: not capped", format, len(out))
		}
		if format == JSON {
			var rec map[string]any
			if err := json.Unmarshal(buf.Bytes(), &rec); err != nil {
				t.Errorf("not JSON: %v", err)
			}
			if rec["n"] != float64(7) {
				t.Errorf("n = %v", rec["n"])
			}
		}
	}
}

func TestLoggerLevelCanChange(t *testing.T) {
	var buf bytes.Buffer
	level := new(slog.LevelVar)
	log := NewLogger(&buf, level, Text)
	log.Debug("unseen")
	level.Set(slog.LevelDebug)
	log.Debug("seen")
	if out := buf.String(); strings.Contains(out, "unseen") || !strings.Contains(out, "seen") {
		t.Errorf("log: %s", out)
	}
}

func TestParse(t *testing.T) {
	for name, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "WARN": slog.LevelWarn} {
		if got, err := ParseLevel(name); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), `"loud"`) {
		t.Errorf("ParseLevel(loud): %v", err)
	}
	if f, err := ParseFormat("JSON"); err != nil || f != JSON {
		t.Errorf("ParseFormat(JSON) = %v, %v", f, err)
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("ParseFormat(xml) passed")
	}
}

func scrape(t *testing.T, c *Collector) string {
	t.Helper()
	reg := NewRegistry("1.2.3")
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	MetricsHandler(reg, nil).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("scrape: %d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestCollectorExportsAtScrapeTime(t *testing.T) {
	lines := 41.0
	c, err := NewCollector([]Desc{
		{Name: "portcullis_lines_total", Help: "Lines read.", Labels: []string{"source"}},
		{Name: "portcullis_lag_bytes", Help: "Bytes unread.", Kind: Gauge},
	}, func(emit func(string, float64, ...string)) {
		lines++
		emit("portcullis_lines_total", lines, "edge")
		emit("portcullis_lag_bytes", 9)
	})
	if err != nil {
		t.Fatal(err)
	}
	out := scrape(t, c)
	for _, want := range []string{
		"# TYPE portcullis_lines_total counter", `portcullis_lines_total{source="edge"} 42`,
		"# TYPE portcullis_lag_bytes gauge", "portcullis_lag_bytes 9",
		`portcullis_telemetry_dropped_total{collector="portcullis_lines_total"} 0`,
		"go_goroutines", "process_resident_memory_bytes", "go_build_info", `version="1.2.3"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the scrape misses %q", want)
		}
	}
}

func TestCollectorIsBounded(t *testing.T) {
	c, err := NewCollector([]Desc{
		{Name: "portcullis_x_total", Labels: []string{"l"}},
		{Name: "portcullis_y", Kind: Gauge},
	}, func(emit func(string, float64, ...string)) {
		for i := range 10_000 {
			emit("portcullis_x_total", 1, fmt.Sprintf("client-%d", i))
		}
		emit("portcullis_x_total", 1, "client-0")         // twice
		emit("portcullis_x_total", 1)                     // too few labels
		emit("portcullis_unknown", 1)                     // not described
		emit("portcullis_x_total", math.NaN(), "nan")     // no counter
		emit("portcullis_y", 1, "label it does not have") // too many
		emit("portcullis_y", -3)
	})
	if err != nil {
		t.Fatal(err)
	}
	out := scrape(t, c)
	if n := strings.Count(out, "portcullis_x_total{"); n != MaxSeries {
		t.Errorf("%d series, want %d", n, MaxSeries)
	}
	if !strings.Contains(out, "portcullis_y -3") {
		t.Error("a good sample after bad ones is gone")
	}
	want := fmt.Sprintf(`portcullis_telemetry_dropped_total{collector="portcullis_x_total"} %d`, 10_000-MaxSeries+5)
	if !strings.Contains(out, want) {
		t.Errorf("the scrape misses %q", want)
	}
}

func TestCollectorCleansLabels(t *testing.T) {
	c, err := NewCollector([]Desc{{Name: "portcullis_z", Kind: Gauge, Labels: []string{"l"}}},
		func(emit func(string, float64, ...string)) {
			emit("portcullis_z", 1, "bad \xff\xfe bytes \x1b[2J\u202e"+strings.Repeat("é", 500))
		})
	if err != nil {
		t.Fatal(err)
	}
	out := scrape(t, c)
	_, line, _ := strings.Cut(out, "portcullis_z{")
	line, _, _ = strings.Cut(line, "\n")
	if !utf8.ValidString(line) || strings.ContainsAny(line, "\x1b\u202e") || len(line) > MaxLabel+40 {
		t.Errorf("label: %q", line)
	}
}

func TestCollectorRefusesBadDescriptions(t *testing.T) {
	run := func(func(string, float64, ...string)) {}
	for name, descs := range map[string][]Desc{
		"none":             nil,
		"twice":            {{Name: "portcullis_a", Kind: Gauge}, {Name: "portcullis_a", Kind: Gauge}},
		"counter's name":   {{Name: "portcullis_a"}},
		"bad label":        {{Name: "portcullis_a", Kind: Gauge, Labels: []string{"__reserved"}}},
		"label named once": {{Name: "portcullis_a", Kind: Gauge, Labels: []string{"l", "l"}}},
	} {
		if _, err := NewCollector(descs, run); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHealth(t *testing.T) {
	get := func(h http.Handler) (int, string) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		return rec.Code, rec.Body.String()
	}
	if code, body := get(Healthz()); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	var err error
	ready := func() error { return err }
	if code, _ := get(Readyz(ready, nil)); code != 200 {
		t.Errorf("ready: %d", code)
	}
	err = errors.New("source edge: permission denied\x1b[2J")
	if code, body := get(Readyz(ready, nil)); code != 503 || !strings.Contains(body, "permission denied") || strings.Contains(body, "\x1b") {
		t.Errorf("not ready: %d %q", code, body)
	}
	hide := func(*http.Request) bool { return false }
	if code, body := get(Readyz(ready, hide)); code != 503 || strings.Contains(body, "permission") {
		t.Errorf("hidden: %d %q", code, body)
	}
}
