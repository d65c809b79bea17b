package rule_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/ingest/openapi"
	"github.com/portcullis/portcullis/internal/config"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata")

// TestCases runs every log of testdata the way a replay does, with the default
// settings, and compares the findings: severity, rule, subject, count, time.
//
// A line of a log may stand for many: "x30 every 2s: LINE" is repeated, its time
// moves on and {n} counts from 0. The log is then sorted by time. A case may have a format of
// its own, and an API's document, which covers /api.
func TestCases(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := summary(replay(t, readingOf(t, archive), expand(t, section(t, archive, "log").Data)))
			want := section(t, archive, "want")
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("got:\n%swant:\n%s", got, want.Data)
			}
		})
	}
}

func section(t *testing.T, a *txtar.Archive, name string) *txtar.File {
	t.Helper()
	for i := range a.Files {
		if a.Files[i].Name == name {
			return &a.Files[i]
		}
	}
	t.Fatalf("no section %q", name)
	return nil
}

// summary is the want section: one line per finding, in order of firing.
func summary(found map[string]detect.Finding) string {
	var list []detect.Finding
	for _, f := range found {
		list = append(list, f)
	}
	detect.SortFindings(list)
	slices.SortStableFunc(list, func(a, b detect.Finding) int {
		if a.FiredAt != b.FiredAt {
			return 0
		}
		return strings.Compare(a.Rule+a.Subject.Value, b.Rule+b.Subject.Value)
	})
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%s %s %s %s %d %s\n", f.Severity, f.Rule, f.Subject.Kind, f.Subject.Value, f.Count, detect.FormatTime(f.FiredAt))
	}
	return b.String()
}

// reading is how the lines of a case are read.
type reading struct {
	format string
	api    *openapi.API
}

func readingOf(t *testing.T, a *txtar.Archive) reading {
	t.Helper()
	r := reading{format: "nginx-combined"}
	for _, f := range a.Files {
		switch f.Name {
		case "format":
			r.format = strings.TrimSpace(string(f.Data))
		case "openapi":
			path := filepath.Join(t.TempDir(), "openapi.yaml")
			err := os.WriteFile(path, f.Data, 0o600)
			if err == nil {
				r.api, err = openapi.Open([]openapi.Document{{File: path, Covers: []string{"/api"}}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// realEngine is made as "portcullis replay" makes it, all detectors on.
func realEngine(t testing.TB, rules ...string) *detect.Engine {
	t.Helper()
	e, err := detect.New(realConfig(t, rules...))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// realConfig is what realEngine is made of.
func realConfig(t testing.TB, rules ...string) detect.Config {
	t.Helper()
	return reading{format: "nginx-combined"}.config(t, rules...)
}

func (r reading) config(t testing.TB, rules ...string) detect.Config {
	t.Helper()
	var settings struct {
		Identity identity.Config `yaml:"identity" doc:"."`
		Engine   detect.Options  `yaml:"engine" doc:"."`
	}
	if err := config.Load("defaults", nil, nil, &settings); err != nil {
		t.Fatal(err)
	}
	key := [identity.KeyBytes]byte{1, 2, 3}
	settings.Identity.Key = key
	var o decode.Options
	cfg := detect.Config{LateSeconds: int64(settings.Engine.Late / time.Second), IdleSeconds: int64(settings.Engine.Idle / time.Second),
		MaxClients: settings.Engine.MaxClients, Workers: 1, Seed: 7}
	for _, dst := range []any{&cfg.Inspect, &o.Routes} {
		if err := config.Load("defaults", nil, nil, dst); err != nil {
			t.Fatal(err)
		}
	}
	f, err := format.Open(r.format)
	if err != nil {
		t.Fatal(err)
	}
	o.API = r.api
	plan := decode.NewPlan(map[string]format.Format{source: f}, settings.Identity, o)
	redact, err := identity.Config{Key: key}.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Redact = func(line string) string { return strings.Clone(redact.Line(line)) }
	cfg.NewDecoder = func() (detect.Decoder, error) { return plan.New() }
	for _, name := range rules {
		spec, _ := detect.SpecOf(name)
		cfg.Rules = append(cfg.Rules, detect.RuleConfig{Name: name, Spec: spec, Config: detecttest.Default(t, name)})
	}
	return cfg
}

const source = "access.log"

// batches cuts a log into blocks of whole lines, as a file source does.
func batches(data []byte, use func(*ingest.Batch)) {
	const block = 64 << 10
	for off := 0; off < len(data); {
		end := min(off+block, len(data))
		end = off + bytes.LastIndexByte(data[off:end], '\n') + 1
		use(&ingest.Batch{Source: source, File: 1, Offset: int64(off), Data: data[off:end], Mark: ingest.Mark{Source: source, Offset: int64(end)}})
		off = end
	}
}

func replay(t *testing.T, r reading, log []byte) map[string]detect.Finding {
	t.Helper()
	e, err := detect.New(r.config(t, detect.Rules()...))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	batches(log, e.Feed)
	s := e.Finish()
	if row := s.Ledger[0]; row.Rejected > 0 || row.Late > 0 || row.Future > 0 {
		t.Errorf("the case's log is not what it seems: %+v", row)
	}
	return detecttest.ByID(nil, s.Findings)
}

var (
	many  = regexp.MustCompile(`^x(\d+) every (\S+): (.*)$`)
	stamp = regexp.MustCompile(`\[([^\]]+)\]`)
)

const layout = "02/Jan/2006:15:04:05 -0700"

// expand writes the lines out and sorts them by time.
func expand(t *testing.T, log []byte) []byte {
	t.Helper()
	type timed struct {
		at   time.Time
		line string
	}
	var list []timed
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		n, every := 1, time.Duration(0)
		if m := many.FindStringSubmatch(line); m != nil {
			var err1, err2 error
			n, err1 = strconv.Atoi(m[1])
			every, err2 = time.ParseDuration(m[2])
			if line = m[3]; err1 != nil || err2 != nil {
				t.Fatalf("%q: %v %v", m[0], err1, err2)
			}
		}
		m := stamp.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no time in %q", line)
		}
		at, err := time.Parse(layout, m[1])
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			then := at.Add(time.Duration(i) * every)
			text := strings.Replace(line, m[1], then.Format(layout), 1)
			list = append(list, timed{then, strings.ReplaceAll(text, "{n}", strconv.Itoa(i))})
		}
	}
	slices.SortStableFunc(list, func(a, b timed) int { return a.at.Compare(b.at) })
	var out bytes.Buffer
	for _, l := range list {
		out.WriteString(l.line + "\n")
	}
	return out.Bytes()
}
