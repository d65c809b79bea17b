package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/scenario"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/config"
)

// What is demanded of the scenarios with identity, and of the same with addresses only.
// PORTCULLIS_SCENARIOS names other scenarios than the quick ones, PORTCULLIS_SEEDS other
// seeds than one of the tuning ones: numbers, or held for those that are kept apart.
const (
	scenarioNames = "quick-credential quick-rate quick-api"
	scenarioSeeds = "1"
)

// wanted are the episodes that have to be found; what is not named here is reported, and
// does not fail the test.
var wanted = []string{"bruteforce/fast", "bruteforce/distributed", "spray/fast", "stuffing/fast", "token/fast", "framed/fast", "burst/fast", "scanner/fast", "scanner/distributed", "scraping/distributed", "bola/fast", "undocumented/fast", "deprecated/fast"}

// wantedWithoutIdentity are those of them that a combined log can show.
var wantedWithoutIdentity = []string{"bruteforce/fast", "spray/fast", "stuffing/fast", "token/fast", "framed/fast", "burst/fast", "scanner/fast", "scanner/distributed", "scraping/distributed", "bola/fast", "undocumented/fast", "deprecated/fast"}

// TestScenarios replays scenarios as portcullis replay does, with all detectors as they
// are shipped, and compares what is found with what happened.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	t.Parallel()
	names, seeds := askedScenarios(t)
	for _, way := range []struct {
		name, format string
		wanted       []string
		ipOnly       bool
	}{
		{"identity", "nginx-json", wanted, false},
		{"addresses", "nginx-combined", wantedWithoutIdentity, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			var reports []*scenario.Report
			for _, name := range names {
				for _, seed := range seeds {
					r := playScenario(t, name, seed, way.format, way.ipOnly)
					t.Log("\n" + r.String())
					reports = append(reports, r)
					holds(t, r, way.wanted)
				}
			}
			t.Log(scenario.Sum(reports...))
		})
	}
}

// askedScenarios reads what the environment asks for.
func askedScenarios(t *testing.T) (names []string, seeds []uint64) {
	t.Helper()
	list, numbers := os.Getenv("PORTCULLIS_SCENARIOS"), os.Getenv("PORTCULLIS_SEEDS")
	if list == "" {
		list = scenarioNames
	}
	if numbers == "" {
		numbers = scenarioSeeds
	}
	switch numbers {
	case "held":
		return strings.Fields(list), scenario.Held
	case "tuning":
		return strings.Fields(list), scenario.Tuning
	}
	for _, s := range strings.Fields(numbers) {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PORTCULLIS_SEEDS: %v: want numbers, held or tuning", err)
		}
		seeds = append(seeds, n)
	}
	return strings.Fields(list), seeds
}

// holds demands what the shipped detectors have shown.
func holds(t *testing.T, r *scenario.Report, wanted []string) {
	t.Helper()
	for _, o := range r.Outcomes {
		if name := o.Episode.Kind + "/" + string(o.Episode.Variant); !o.Found && slices.Contains(wanted, name) {
			t.Errorf("%s, seed %d: %s was not found", r.Truth.Name, r.Truth.Seed, o.Episode.ID)
		}
	}
	listed, honest := 0, 0
	for _, o := range r.Outcomes {
		listed += o.Listed
	}
	for _, n := range r.Members {
		honest += n
	}
	if len(r.False) > 0 || honest*100 > listed {
		t.Errorf("%s, seed %d: %d false accusations, of %d members listed these are honest: %v", r.Truth.Name, r.Truth.Seed, len(r.False), listed, r.Members)
	}
}

// playScenario lets a scenario happen, feeds it to an engine while it does, and scores it.
func playScenario(t *testing.T, name string, seed uint64, format string, ipOnly bool) *scenario.Report {
	t.Helper()
	settings := scenarioSettings(t)
	found, truth := runScenario(t, settings, name, seed, format, ipOnly, nil)
	return truth.Score(asWritten(t, found), scenario.ScoreOptions{IPOnly: ipOnly, Known: secretsOf(t, settings, truth)})
}

// runScenario returns what is found in a scenario; more are lines that come when it is over.
func runScenario(t *testing.T, settings *Settings, name string, seed uint64, format string, ipOnly bool, more func(*scenario.Truth) []string) (map[string]detect.Finding, *scenario.Truth) {
	t.Helper()
	s, err := scenario.Named(name, seed)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	enricher, err := newEnricher(settings, false, log)
	if err != nil {
		t.Fatal(err)
	}
	defer enricher.Close()
	e, err := newEngine(settings, engineOptions{formats: map[string]string{name: format}, log: log, enrich: enricher})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	in := &feeder{source: name, engine: e, found: map[string]detect.Finding{}}
	out := scenario.Outputs{JSON: in}
	if ipOnly {
		out = scenario.Outputs{Combined: in}
	}
	truth, err := s.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := int64(truth.Lines)
	if more != nil {
		for _, l := range more(truth) {
			if _, err := io.WriteString(in, l); err != nil {
				t.Fatal(err)
			}
			lines++
		}
	}
	last := e.Finish()
	merge(in.found, last.Findings)
	addCampaigns(settings, in.found)
	for _, row := range last.Ledger {
		if row.Rejected > 0 || row.Processed != lines {
			t.Errorf("%s: %d of %d lines were read, %d rejected", name, row.Processed, lines, row.Rejected)
		}
	}
	return in.found, truth
}

// scenarioSettings are the shipped ones with what the shop's operator knows.
func scenarioSettings(t *testing.T) *Settings {
	t.Helper()
	dir := t.TempDir()
	if err := scenario.WriteKnowledge(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, scenario.ConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Settings{Detectors: sections()}
	if err := config.Load(path, data, nil, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// feeder hands blocks of lines to an engine.
type feeder struct {
	source string
	engine *detect.Engine
	offset int64
	blocks int
	found  map[string]detect.Finding
}

// Write implements io.Writer for whole lines.
func (f *feeder) Write(p []byte) (int, error) {
	end := f.offset + int64(len(p))
	f.engine.Feed(&ingest.Batch{Source: f.source, Offset: f.offset, Data: bytes.Clone(p), Mark: ingest.Mark{Source: f.source, Offset: end}})
	f.offset = end
	if f.blocks++; f.blocks%1024 == 0 {
		merge(f.found, f.engine.Findings())
	}
	return len(p), nil
}

// asWritten are findings as they stand in the output.
func asWritten(t *testing.T, found map[string]detect.Finding) []scenario.Finding {
	t.Helper()
	var text bytes.Buffer
	list := make([]detect.Finding, 0, len(found))
	for _, f := range found {
		list = append(list, f)
	}
	detect.SortFindings(list)
	enc := json.NewEncoder(&text)
	for _, f := range list {
		if err := enc.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	out, err := scenario.ReadFindings(&text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// secretsOf tells which key, token or session of a scenario a pseudonym stands for.
func secretsOf(t *testing.T, s *Settings, truth *scenario.Truth) map[scenario.Subject]scenario.Subject {
	t.Helper()
	_, cfg, err := identityOf(s, false)
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	known := map[scenario.Subject]scenario.Subject{}
	learn := func(raw scenario.Subject) {
		var ev ingest.Event
		switch {
		case raw.Kind == "session":
			ev.Session = raw.Value
		case strings.HasPrefix(raw.Value, "Bearer "):
			ev.Token = raw.Value
		case raw.Kind == "key":
			ev.Key = raw.Value
		default:
			return
		}
		who.Resolve(&ev)
		known[scenario.Subject{Kind: raw.Kind, Value: fmt.Sprint(ev.Session, ev.Token, ev.Key)}] = raw
	}
	for _, h := range truth.Honest {
		learn(h.Subject)
	}
	for _, e := range truth.Episodes {
		for _, raw := range e.Subjects {
			learn(raw)
		}
	}
	return known
}
