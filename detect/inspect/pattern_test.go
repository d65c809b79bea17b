package inspect

import (
	"net/url"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// TestPatterns runs the examples and counter-examples of every data file.
func TestPatterns(t *testing.T) {
	in := New(Config{})
	seen := map[string]bool{}
	for _, p := range loadRules().patterns {
		if seen[p.name] {
			t.Errorf("two patterns are called %q", p.name)
		}
		seen[p.name] = true
		if len(p.match) == 0 {
			t.Errorf("%s has no example", p.name)
		}
		for _, s := range p.match {
			v := in.Inspect(example(p, s))
			if v.Score < in.Threshold() && p.weight >= in.Threshold() || v.Score == 0 {
				t.Errorf("%s: %q scores %d (%s)", p.name, s, v.Score, v.Why)
			}
			if v.Score >= in.Threshold() && !slices.Contains(v.Classes, classNames[p.class]) && p.weight >= in.Threshold() {
				t.Errorf("%s: %q is %v, not %s", p.name, s, v.Classes, classNames[p.class])
			}
			if !fires(in, p, s) {
				t.Errorf("%s: its own sign is not among the evidence of %q", p.name, s)
			}
		}
		for _, s := range p.quiet {
			if v := in.Inspect(example(p, s)); v.Score >= in.Threshold() {
				t.Errorf("%s: the honest %q scores %d (%s)", p.name, s, v.Score, v.Why)
			}
		}
	}
}

// example is a request with a text where the pattern looks: in an agent, if only there.
func example(p pattern, s string) *ingest.Event {
	if p.in == ctxAgent {
		return &ingest.Event{Agent: s}
	}
	return &ingest.Event{Target: "/x?q=" + url.QueryEscape(s)}
}

// fires says whether the pattern itself fires on s, not only others.
func fires(in *Inspector, p pattern, s string) bool {
	l := in.begin()
	for _, ctx := range [...]context{ctxValue, ctxName, ctxPath, ctxAgent} {
		if text := url.QueryEscape(s); ctx == ctxAgent {
			l.field("agent", "", ctx, s, false)
		} else {
			l.field("query", "q", ctx, text, true)
		}
		if slices.ContainsFunc(l.ev, func(e evidence) bool { return e.why == p.why && e.class == p.class }) {
			return true
		}
	}
	return false
}
