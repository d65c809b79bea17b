package config

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (go test -update rewrites it):\n%s", name, got)
	}
}

// TestExample: the example loads back to the defaults, and so does the example
// with the commented entries of its lists put in force.
func TestExample(t *testing.T) {
	data, err := Example(newSettings())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.yaml", data)
	plain, loaded := newSettings(), newSettings()
	if err := Load("defaults", nil, nil, plain); err != nil {
		t.Fatal(err)
	}
	if err := Load("example.yaml", data, nil, loaded); err != nil {
		t.Fatalf("the example does not load: %v", err)
	}
	plain.Sources = []source{} // sources: [] is not nil
	if !reflect.DeepEqual(plain, loaded) {
		t.Errorf("got\n%+v want\n%+v", loaded, plain)
	}
}

// TestExampleEntry: the commented entry of a list is itself right.
func TestExampleEntry(t *testing.T) {
	data, err := Example(newSettings())
	if err != nil {
		t.Fatal(err)
	}
	_, entry, ok := strings.Cut(string(data), "# an entry:\n")
	if !ok {
		t.Fatal("no entry shown")
	}
	var b strings.Builder
	b.WriteString("sources:\n")
	for line := range strings.Lines(entry) {
		if !strings.HasPrefix(line, "# ") {
			break
		}
		b.WriteString(strings.Replace(strings.TrimPrefix(line, "# "), `path: ""`, `path: "/a"`, 1))
	}
	s := newSettings()
	if err := Load("entry", []byte(b.String()), nil, s); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if len(s.Sources) != 1 || s.Sources[0].Format != "auto" || s.Sources[0].Tail.Poll != 250*time.Millisecond {
		t.Errorf("got %+v from\n%s", s.Sources, b.String())
	}
}

// TestExampleOfValues: what dst holds where there is no default is shown too.
func TestExampleOfValues(t *testing.T) {
	s := newSettings()
	s.Sources = []source{{Name: "edge", Path: "/a\n\"b", From: []string{"x, y"}}, {Path: "/c"}}
	data, err := Example(s)
	if err != nil {
		t.Fatal(err)
	}
	loaded := newSettings()
	if err := Load("e", data, nil, loaded); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if got := loaded.Sources; len(got) != 2 || got[0].Path != "/a\n\"b" || got[0].From[0] != "x, y" || got[1].Path != "/c" {
		t.Errorf("got %+v from\n%s", got, data)
	}
	if s.Window != 0 || s.Rules[0].Value.(*burst).Limit != 0 {
		t.Error("Example changed what it was given")
	}
}

// TestSchema checks the schema's form; its vocabulary is held by the golden file.
func TestSchema(t *testing.T) {
	data, err := Schema(newSettings(), "settings <of> a & b")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", data)
	var top struct {
		Schema     string `json:"$schema"`
		Closed     *bool  `json:"additionalProperties"`
		Properties map[string]struct {
			Default any `json:"default"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(data, &top); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(top.Schema, "2020-12/schema") || top.Closed == nil || *top.Closed {
		t.Error("not a closed schema of draft 2020-12")
	}
	if top.Properties["window"].Default != "30s" || top.Properties["limit"].Default != 10.0 {
		t.Errorf("defaults: %v", top.Properties)
	}
	if _, ok := top.Properties["token"]; ok {
		t.Error("a secret may not be given inline")
	}
}

func TestReference(t *testing.T) {
	data, err := Reference(newSettings())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "reference.md", data)
}

func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "30s": 30 * time.Second, "7d": 168 * time.Hour, "1w": 168 * time.Hour, "1w1d2h": 194 * time.Hour,
		"1.5d": 36 * time.Hour, "-1d": -24 * time.Hour, "1d30m": 24*time.Hour + 30*time.Minute, "0d": 0, "250ms": 250 * time.Millisecond,
	} {
		got, err := ParseDuration(s)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", s, got, err)
			continue
		}
		if back, err := ParseDuration(FormatDuration(got)); err != nil || back != got {
			t.Errorf("%s: %s does not read back", s, FormatDuration(got))
		}
	}
	for _, s := range []string{"", "-", "d", "5", "1d-2h", "xd", "1dd", "d1", "--1d", "1h1d", "nand", "infd", "1e9d", "999999999d", "0x1d", "1_0d", "-+1d", "99999999h"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "64KiB": 65536, "1.5MiB": 3 << 19, "10MB": 1e7, "2 GiB": 2 << 30, "5B": 5, "7kB": 7000,
	} {
		got, err := ParseSize(s)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", s, got, err)
			continue
		}
		if back, err := ParseSize(FormatSize(got)); err != nil || back != got {
			t.Errorf("%s: %s does not read back", s, FormatSize(got))
		}
	}
	for _, s := range []string{"", "B", "1.5", "9999999999GiB", "1e30TiB", "NaNKiB", "64 kib", "0x5KiB", "--1KB"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
	if got := FormatSize(math.MaxInt64); got != "9223372036854775807" {
		t.Errorf("got %s", got)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"window", "limit", "state_dir", "idle_timeout", "path"}
	for word, want := range map[string]string{
		"windwo": "window", "Limit": "limit", "state-dir": "state_dir", "idle_timout": "idle_timeout", "pth": "path",
		"limits": "limit", "zebra": "", "": "", strings.Repeat("x", 1000): "",
	} {
		if got, ok := Nearest(word, keys); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// TestManyProblems: a file that is all mistakes gives a bounded report.
func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for range 5000 {
		b.WriteString("limit: x\n")
	}
	ps, ok := Load("f", []byte(b.String()), nil, newSettings()).(Problems)
	if !ok || len(ps) != maxProblems+1 || !strings.Contains(ps[maxProblems].Message, "4800 more problems") {
		t.Errorf("got %d problems", len(ps))
	}
}

// FuzzLoad: whatever the file holds, Load ends with values or with problems that
// point into the file and can be printed.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range append(files, "testdata/example.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, s := range []string{
		strings.Repeat("[", 5000), strings.Repeat("- ", 5000), strings.Repeat("{a: ", 300), "a: \x00", "\xff", "? ? ?", "- &a [*a]",
		"<<: *x", "!!binary x", "sources: [{tail: {poll: 1}}]", "\"\\ud800\": 1", "...\n---\n...", ": :", "%", "a:\n\t\tb", "|\n >",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Load("f.yaml", data, nil, newSettings())
		if err == nil {
			return
		}
		ps, ok := err.(Problems)
		if !ok || len(ps) == 0 {
			t.Fatalf("got %T %v, want Problems", err, err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range ps {
			if p.Line < 0 || p.Line > lines+1 || p.Message == "" || p.Line > 0 && p.Column < 1 {
				t.Errorf("place or message: %+v", p)
			}
			if s := p.String(); strings.ContainsAny(s, "\n\r\x00\x1b") || !utf8.ValidString(s) {
				t.Errorf("cannot be printed: %q", s)
			}
		}
	})
}
