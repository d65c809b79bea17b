// Package detecttest drives detectors the way the engine does: it is the
// contract suite of the detect room. It renders no log lines; events are handed
// over as they are, so that a detector's test says what it is about.
package detecttest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/config"
)

// Setup says how an engine under test is made.
type Setup struct {
	Rules      []string // all registered ones if empty
	Workers    int
	Late       int64
	MaxClients int
	Live       bool
	Emit       func(detect.Finding)
	Saw        func(detect.Sighting)
	Configure  func(rule string, cfg any) // changes a rule's defaults
}

// Log is a list of events that stands for a log file.
type Log []ingest.Event

// Decode implements detect.Decoder: a line of a batch is the number of an event.
func (l Log) Decode(b *ingest.Batch, each func(*ingest.Event), _ func(ingest.Reject)) {
	for i := 0; i+4 <= len(b.Data); i += 4 {
		ev := l[binary.BigEndian.Uint32(b.Data[i:])]
		each(&ev)
	}
}

// Batch makes a batch of the events from, from+1 … to-1 of a log. Its mark is to.
func Batch(from, to int) *ingest.Batch {
	b := &ingest.Batch{Source: "test", Offset: int64(from), Mark: ingest.Mark{Source: "test", Offset: int64(to)}}
	for i := from; i < to; i++ {
		b.Data = binary.BigEndian.AppendUint32(b.Data, uint32(i))
	}
	return b
}

// Default returns the default config section of a rule.
func Default(t testing.TB, rule string) any {
	spec, ok := detect.SpecOf(rule)
	if !ok {
		t.Fatalf("no rule %q is registered", rule)
	}
	cfg := spec.Config()
	if err := config.Load("defaults", nil, nil, cfg); err != nil {
		t.Fatalf("the defaults of %s do not load: %v", rule, err)
	}
	return cfg
}

// Config is what an engine that reads with a decoder is made of.
func Config(t testing.TB, s Setup, d detect.Decoder) detect.Config {
	names := s.Rules
	if len(names) == 0 {
		names = detect.Rules()
	}
	cfg := detect.Config{
		LateSeconds: s.Late, Workers: s.Workers, MaxClients: s.MaxClients, Live: s.Live, Emit: s.Emit, Saw: s.Saw, Seed: 7,
		Redact:     strings.Clone,
		NewDecoder: func() (detect.Decoder, error) { return d, nil },
	}
	if err := config.Load("defaults", nil, nil, &cfg.Inspect); err != nil {
		t.Fatalf("inspect defaults: %v", err)
	}
	for _, n := range names {
		spec, ok := detect.SpecOf(n)
		if !ok {
			t.Fatalf("no rule %q is registered", n)
		}
		rc := detect.RuleConfig{Name: n, Spec: spec, Config: Default(t, n)}
		if s.Configure != nil {
			s.Configure(n, rc.Config)
		}
		cfg.Rules = append(cfg.Rules, rc)
	}
	return cfg
}

// Engine makes an engine that reads the log.
func Engine(t testing.TB, s Setup, log Log) *detect.Engine {
	e, err := detect.New(Config(t, s, log))
	if err != nil {
		t.Fatalf("engine: %v", err)
	}
	return e
}

// Run feeds a whole log and returns the findings by id.
func Run(t testing.TB, s Setup, log Log) map[string]detect.Finding {
	e := Engine(t, s, log)
	defer e.Close()
	for i := 0; i < len(log); i += 100 {
		e.Feed(Batch(i, min(i+100, len(log))))
	}
	return ByID(nil, e.Finish().Findings)
}

// ByID adds findings to a map; a later state of the same finding replaces an
// earlier one, as in every store.
func ByID(m map[string]detect.Finding, list []detect.Finding) map[string]detect.Finding {
	if m == nil {
		m = map[string]detect.Finding{}
	}
	for _, f := range list {
		m[f.ID] = f
	}
	return m
}

// Diff says how two results differ, or "".
func Diff(want, got map[string]detect.Finding) string {
	var b strings.Builder
	for id, w := range want {
		g, ok := got[id]
		switch {
		case !ok:
			fmt.Fprintf(&b, "missing: %s\n", brief(w))
		case g != w:
			fmt.Fprintf(&b, "differs:\n  want %+v\n  got  %+v\n", w, g)
		}
	}
	for id, g := range got {
		if _, ok := want[id]; !ok {
			fmt.Fprintf(&b, "unexpected: %s\n", brief(g))
		}
	}
	return b.String()
}

func brief(f detect.Finding) string {
	return fmt.Sprintf("%s %s %s %s fired %s count %d", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Value, detect.FormatTime(f.FiredAt), f.Count)
}
