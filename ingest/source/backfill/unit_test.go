package backfill

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		key string
		cfg Config
	}{
		{"", Config{Paths: []string{"a"}, Since: "7d", Until: "24h"}},
		{"", Config{Paths: []string{"a"}, Since: "2w"}},
		{"", Config{Paths: []string{"a"}, Since: "2026-01-31", Until: "2026-01-31T00:00:00.5-01:30"}},
		{"since", Config{Paths: []string{"a"}, Since: "2026-01-31", Until: "2026-01-31T00:00:00.5+01:30"}},
		{"paths", Config{}},
		{"paths", Config{Paths: []string{"[a"}}},
		{"since", Config{Paths: []string{"a"}, Since: "yesterday"}},
		{"since", Config{Paths: []string{"a"}, Since: "-3h"}},
		{"since", Config{Paths: []string{"a"}, Since: "1d", Until: "2d"}},
		{"until", Config{Paths: []string{"a"}, Until: "2026-02-30"}},
		{"until", Config{Paths: []string{"a"}, Until: "9999-01-01"}},
	} {
		var keys []string
		c.cfg.Check(func(key, message string) { keys = append(keys, key) })
		if c.key == "" && len(keys) > 0 || c.key != "" && !slices.Contains(keys, c.key) {
			t.Errorf("%+v: Check reports %v, want %q", c.cfg, keys, c.key)
		}
	}
	if _, err := New(Config{Paths: []string{"a"}}); err == nil || !strings.Contains(err.Error(), "TimeOf") {
		t.Errorf("New without TimeOf: %v", err)
	}
}

func TestInstant(t *testing.T) {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	for in, want := range map[string]string{
		"":                          "1970-01-01T00:00:00.000000042Z",
		"2026-01-31":                "2026-01-31T00:00:00Z",
		"2026-01-31T10:00:00+02:00": "2026-01-31T08:00:00Z",
		"2026-01-31T10:00:00.25Z":   "2026-01-31T10:00:00.25Z",
		"7d":                        "2026-01-25T12:00:00Z",
		"2w":                        "2026-01-18T12:00:00Z",
		"36h":                       "2026-01-31T00:00:00Z",
		"1h30m":                     "2026-02-01T10:30:00Z",
		"0d":                        "2026-02-01T12:00:00Z",
	} {
		got, err := Instant(in, now, 42)
		if text := time.Unix(0, got).UTC().Format(time.RFC3339Nano); err != nil || text != want {
			t.Errorf("Instant(%q) = %s, %v, want %s", in, text, err, want)
		}
	}
}

func FuzzInstant(f *testing.F) {
	for _, s := range []string{"7d", "65535w", "2026-01-31", "2026-01-31T10:00:00+02:00", "-1h", "9999999h", "0001-01-01", "d"} {
		f.Add(s)
	}
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Instant(s, now, 0)
		if at := time.Unix(0, got); err == nil && s != "" && (at.Before(earliest) || at.After(latest)) {
			t.Fatalf("%q is %s", s, at)
		}
	})
}

func TestSeries(t *testing.T) {
	for name, want := range map[string]string{
		"access.log":               "access.log",
		"access.log.2.gz":          "access.log",
		"access.log-20260102.zst":  "access.log",
		"access.log.2026-01-02T03": "access.log",
		"access-20260102.log":      "access.log",
		"access-2026-01-02.log.xz": "access.log",
		"dir.d/u_ex260102.log":     "dir.d/u_ex260102.log",
		"web-1.log":                "web-1.log",
		"web-12.log.gz":            "web-12.log",
		"host1.log":                "host1.log",
		"2026/01/02/access.log":    "2026/01/02/access.log",
		"access":                   "access",
	} {
		if got := series(name); got != want {
			t.Errorf("series(%q) = %q, want %q", name, got, want)
		}
	}
}
