package rule_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// picks are the detectors whose lines are picked from the time of the finding; others
// show what led to it, too.
var picks = map[string]bool{"rate-route": true, "rate-asn": true, "rate-global": true, "rate-identity": true, "heavy-client": true, "scraping": true}

// TestFindingsHaveLines: whoever is found is shown by lines of the log, which are of the
// subject and of the time of the finding, in whatever order they came.
func TestFindingsHaveLines(t *testing.T) {
	logs := sightLogs(t)
	seen := map[string]int{}
	for name, log := range logs {
		at := map[ingest.Position]*ingest.Event{}
		for i := range log {
			if log[i].Line == "" {
				log[i].Line = log[i].Method + " " + log[i].Target + " as " + log[i].Consumer
			}
			at[log[i].Pos] = &log[i]
		}
		for _, f := range detecttest.Run(t, detecttest.Setup{Late: bound, Configure: limited}, log) {
			lines := f.EvidenceLines()
			if len(lines) == 0 {
				t.Errorf("%s: %s %s of %v, %d requests, has no line", name, f.Severity, f.Rule, f.Subject, f.Count)
			}
			seen[f.Rule]++
			for _, e := range lines {
				ev := lineAt(at, &e)
				if ev == nil || !strings.HasPrefix(ev.Line, e.Line) || e.Line+e.Note == "" || e.Time != ev.Time {
					t.Errorf("%s: %s: %+v is no line of the log", name, f.Rule, e)
					continue
				}
				if sec := e.Time / 1e9; sec < f.FirstSeen/1e9 && picks[f.Rule] || sec > f.LastSeen/1e9 {
					t.Errorf("%s: %s from %s to %s has a line of %s", name, f.Rule, detect.FormatTime(f.FirstSeen), detect.FormatTime(f.LastSeen), detect.FormatTime(e.Time))
				}
				if !about(&f, ev) {
					t.Errorf("%s: %s of %v has a line of %v %s %s", name, f.Rule, f.Subject, ev.Client, ev.Route, ev.Consumer)
				}
			}
		}
	}
	for _, rule := range detect.Rules() {
		if seen[rule] == 0 {
			t.Errorf("nothing was found by %s: this shows nothing of it", rule)
		}
	}
	t.Log(slices.Sorted(maps.Keys(seen)))
}

func lineAt(at map[ingest.Position]*ingest.Event, e *detect.Evidence) *ingest.Event {
	for _, file := range []uint64{0, 1} {
		if ev := at[ingest.Position{Source: e.Source, File: file, Offset: e.Offset}]; ev != nil {
			return ev
		}
	}
	return nil
}

// about tells whether a line is one of the subject's, as far as a test can tell.
func about(f *detect.Finding, ev *ingest.Event) bool {
	switch f.Subject.Kind {
	case "ip":
		return ev.Client.String() == f.Subject.Value
	case "route":
		return ev.Route == f.Subject.Value
	case "consumer":
		return ev.Consumer == f.Subject.Value
	}
	return true
}
