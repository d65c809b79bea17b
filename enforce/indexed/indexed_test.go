package indexed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
	fixture "github.com/portcullis/portcullis/fixtures/elastic"
)

func open(t testing.TB, url string) (*elastic.Store, *Index) {
	t.Helper()
	s, err := elastic.New(elastic.Config{Enabled: true, URLs: []string{url}, Layout: elastic.LayoutIndex}, elastic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, New(s, nil)
}

// TestComesBack holds for any strings, also those that are not UTF-8.
func TestComesBack(t *testing.T) {
	_, x := open(t, "http://127.0.0.1:1")
	rapid.Check(t, func(t *rapid.T) {
		var d enforce.Decision
		for name, s := range texts(&d) {
			*s = rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, name)
		}
		d.Rate, d.Score = rapid.Float64Range(0, 1e9).Draw(t, "rate"), rapid.Float64Range(0, 1e300).Draw(t, "score")
		d.Created, d.Expires, d.Trigger = rapid.Int64().Draw(t, "created"), rapid.Int64().Draw(t, "expires"), rapid.Int64().Draw(t, "trigger")
		d.Offence, d.People = rapid.Int().Draw(t, "offence"), rapid.Int64().Draw(t, "people")
		doc, err := x.DecisionDoc(d, 7)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeDecision(doc.Source); err != nil || got != d {
			t.Fatalf("error %v\ngot  %+v\nwant %+v", err, got, d)
		}
		var c enforce.Change
		for name, s := range changeTexts(&c) {
			*s = string(rapid.SliceOf(rapid.Byte()).Draw(t, name))
		}
		c.At = rapid.Int64().Draw(t, "at")
		if doc, err = x.ChangeDoc(d.ID, c, 3); err != nil {
			t.Fatal(err)
		}
		if got, err := decodeChange(doc.Source); err != nil || got != c {
			t.Fatalf("error %v\ngot  %+v\nwant %+v", err, got, c)
		}
	})
}

// TestFields demands that each document has every field once, and only those of its
// mapping.
func TestFields(t *testing.T) {
	_, x := open(t, "http://127.0.0.1:1")
	var docs []elastic.Doc
	add := func(d elastic.Doc, err error) {
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	for n := range 8 {
		add(x.DecisionDoc(decision(n), 1))
	}
	add(x.ChangeDoc("d", enforce.Change{Who: "a\xff", Why: "b"}, 1))
	add(x.CommandDoc(enforce.Command{Who: "a", Verb: enforce.VerbAllow, Arg: "b", Why: "c", Result: "d\xff"}))
	for _, d := range docs {
		in := json.NewDecoder(bytes.NewReader(d.Source))
		if _, err := in.Token(); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for in.More() {
			token, err := in.Token()
			var value json.RawMessage
			if err == nil {
				err = in.Decode(&value)
			}
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint(token)
			known := slices.ContainsFunc(elastic.Fields(), func(f elastic.Field) bool {
				return f.Name == name && (f.Kinds == nil || slices.Contains(f.Kinds, d.Kind))
			})
			if seen[name] || !known {
				t.Errorf("a %s document has %s twice (%v), or its mapping lacks it (%v)", d.Kind, name, seen[name], !known)
			}
			seen[name] = true
		}
	}
}

const start = 1795910280 * int64(1e9) // two minutes before midnight

func decision(n int) enforce.Decision {
	subjects := []detect.Subject{{Kind: "ip", Value: "192.0.2.7"}, {Kind: "cidr", Value: "2001:db8:0:1::/64"}, {Kind: "account", Value: "Mallory\xff"}, {Kind: "account", Value: "192.0.2.7"}}
	states := []enforce.State{enforce.Proposed, enforce.Approved, enforce.Pushed, enforce.Verified, enforce.NotEnforced, enforce.Expired, enforce.Released}
	return enforce.Decision{
		ID: fmt.Sprintf("d%03d", n), Subject: subjects[n%len(subjects)], Action: enforce.Block, State: states[n%len(states)], Rule: "auth-burst",
		Findings: "f1 f2", Score: float64(n) / 3, Why: "12 refused logins \xfe", By: "policy", Offence: 1, People: 2, Good: 3,
		Created: start + int64(n/2)*11e9 + 1, Expires: start + 1e12, Trigger: start, Checked: start + 5,
	}
}

func want(all []enforce.Decision, keep func(enforce.Decision) bool, limit int) []enforce.Decision {
	var out []enforce.Decision
	for _, d := range all {
		if keep(d) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b enforce.Decision) int {
		if a.Created != b.Created {
			return int((b.Created - a.Created) / 1e9)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out[:min(len(out), limit)]
}

// TestReal writes decisions in several states into a real Elasticsearch and asks what
// the ledger is asked.
func TestReal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Elasticsearch; leave out -short")
	}
	server, err := fixture.New(t.TempDir())
	if errors.Is(err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/elastic.sh fetch", err)
	}
	if err == nil {
		t.Cleanup(func() { _ = server.Stop() })
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, x := open(t, server.URL())
	if _, err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []enforce.Decision
	var docs []elastic.Doc
	add := func(doc elastic.Doc, err error) {
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	for n := range 40 {
		d := decision(n)
		all = append(all, d)
		add(x.DecisionDoc(d, int64(n*10+2)))
		d.State, d.Why = enforce.Proposed, "an older state"
		add(x.DecisionDoc(d, int64(n*10+1)))
	}
	changes := []enforce.Change{
		{At: start, Who: "policy", To: enforce.Proposed, Why: "score 9"}, {At: start, Who: "Ann", From: enforce.Proposed, To: enforce.Approved, Why: "yes \xff"},
		{At: start + 200e9, Who: "gateway", From: enforce.Approved, To: enforce.Pushed},
	}
	for range 2 {
		for i, c := range changes {
			add(x.ChangeDoc("d001", c, int64(i)))
		}
	}
	add(x.CommandDoc(enforce.Command{ID: 1, At: start, Who: "Ann", Verb: enforce.VerbAllow, Arg: "192.0.2.9\xff", Why: "our own", Result: "done", Done: true}))
	for _, d := range docs { // one by one, so that the older state comes after
		if err := s.Write(t.Context(), []elastic.Doc{d}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask(t, x, all)
	if got, err := x.History(t.Context(), "d001"); err != nil || !reflect.DeepEqual(got, changes) {
		t.Errorf("history %+v, error %v, want %+v", got, err, changes)
	}
	if h := s.Health(); h.Rejected != 0 || h.Existing != 43 {
		t.Errorf("%+v", h)
	}
}

func ask(t *testing.T, x *Index, all []enforce.Decision) {
	for name, q := range map[string]struct {
		query enforce.DecisionQuery
		keep  func(enforce.Decision) bool
		limit int
	}{
		"all":          {enforce.DecisionQuery{}, func(enforce.Decision) bool { return true }, 100},
		"few":          {enforce.DecisionQuery{Limit: 5}, func(enforce.Decision) bool { return true }, 5},
		"live":         {enforce.DecisionQuery{Live: true}, func(d enforce.Decision) bool { return d.State.Live() }, 100},
		"state":        {enforce.DecisionQuery{State: enforce.Pushed}, func(d enforce.Decision) bool { return d.State == enforce.Pushed }, 100},
		"since":        {enforce.DecisionQuery{Since: start + 55e9 + 1}, func(d enforce.Decision) bool { return d.Created >= start+55e9+1 }, 100},
		"value":        {enforce.DecisionQuery{Subject: detect.Subject{Value: "192.0.2.7"}}, func(d enforce.Decision) bool { return d.Subject.Value == "192.0.2.7" }, 100},
		"kind, value":  {enforce.DecisionQuery{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.7"}}, func(d enforce.Decision) bool { return d.Subject == decision(0).Subject }, 100},
		"IPv6 client":  {enforce.DecisionQuery{Subject: detect.Subject{Kind: "ip", Value: "2001:db8:0:1::77"}}, func(d enforce.Decision) bool { return d.Subject.Kind == "cidr" }, 100},
		"hostile":      {enforce.DecisionQuery{Subject: detect.Subject{Value: "Mallory\xff"}}, func(d enforce.Decision) bool { return d.Subject.Value == "Mallory\xff" }, 100},
		"second page":  {enforce.DecisionQuery{Limit: 1, After: "d038"}, func(d enforce.Decision) bool { return d.ID == "d039" }, 1},
		"and nobody's": {enforce.DecisionQuery{Subject: detect.Subject{Value: "192.0.2.8"}}, func(enforce.Decision) bool { return false }, 1},
	} {
		got, err := x.Decisions(t.Context(), q.query)
		if w := want(all, q.keep, q.limit); err != nil || !slices.Equal(got, w) {
			t.Errorf("%s: %d decisions, want %d, error %v", name, len(got), len(w), err)
		}
	}
	if _, err := x.Decisions(t.Context(), enforce.DecisionQuery{After: "none"}); err == nil || !strings.Contains(err.Error(), "start from the first page") {
		t.Errorf("after a decision that is not there: %v", err)
	}
	if _, ok, err := x.Decision(t.Context(), "none"); ok || err != nil {
		t.Errorf("a decision that is not there: %v, error %v", ok, err)
	}
}
