// Package storetest is the contract suite of stores: it saves the same findings and
// minutes into each, asks the same questions, and demands the answers that going
// through all of them one by one gives. A store that passes can stand behind the
// console and the command line.
package storetest

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// Reader is what the console and the command line read.
type Reader interface {
	Findings(ctx context.Context, q store.FindingQuery) ([]detect.Finding, error)
	Finding(ctx context.Context, id string) (detect.Finding, bool, error)
	Rollups(ctx context.Context, since, until int64, route string) ([]detect.Rollup, error)
	Tallies(ctx context.Context, since, until int64) ([]store.Tally, error)
}

// Run tests a store. save must return when what it was given can be read.
func Run(t *testing.T, r Reader, save func(t testing.TB, fs []detect.Finding, rs []detect.Rollup)) {
	t.Run("empty", func(t *testing.T) { empty(t, r) })
	fs, rs := Findings(), Rollups()
	save(t, fs, rs)
	t.Run("queries", func(t *testing.T) { queries(t, r, fs) })
	t.Run("pages", func(t *testing.T) { pages(t, r, fs) })
	t.Run("one", func(t *testing.T) { one(t, r, fs) })
	t.Run("rollups", func(t *testing.T) { rollups(t, r, rs) })
	t.Run("tallies", func(t *testing.T) { tallies(t, r, fs) })
	t.Run("again", func(t *testing.T) {
		grown := slices.Clone(fs)
		for i := range grown {
			switch i % 4 {
			case 0:
				grown[i].LastSeen += 1e9
				grown[i].Count += 10
				grown[i].Why += ", and again"
			case 1: // some of those that counted got in after all
				grown[i].Updated += 1e9
				grown[i].LastSeen -= 1e9
				grown[i].Count = 1
				grown[i].Why += ", or fewer"
			}
		}
		save(t, grown, rs)
		save(t, fs, rs) // those that came late
		queries(t, r, grown)
		rollups(t, r, rs)
	})
}

// start is when the first finding fired: two minutes before midnight, so that a
// store that splits by day has two.
const start = 1795910280 * int64(1e9)

// Findings are those that Run saves: grave and slight, of several rules and
// subjects, with bytes that no store may trip over.
func Findings() []detect.Finding {
	rules := []struct {
		id     string
		family detect.Family
	}{{"auth-burst", detect.Credential}, {"client-spike", detect.Rate}, {"sql-injection", detect.Injection}}
	subjects := []detect.Subject{
		{Kind: "ip", Value: "192.0.2.7"}, {Kind: "ip", Value: "2001:db8::7"}, {Kind: "account", Value: "Mallory O'Hara"},
		{Kind: "account", Value: "192.0.2.7"}, {Kind: "route", Value: "/a/\xff\x00{id}"}, {Kind: "route", Value: "/" + strings.Repeat("long", 600)},
		{Kind: "route", Value: "/" + strings.Repeat("long", 600) + "er"}, {Kind: "cidr", Value: "2001:db8::/64"}, {Kind: "global"},
	}
	var out []detect.Finding
	for n := range 60 {
		rule := rules[n%len(rules)]
		f := detect.Finding{
			Rule: rule.id, Version: 1 + n%2, Family: rule.family, Severity: detect.Severity(n % 5), Confidence: float64(n) / 60,
			Subject: subjects[n%len(subjects)], Window: start + int64(n)*1e9, FirstSeen: start + int64(n)*1e9,
			FiredAt:  start + int64(n/2)*7e9 + 3, // two at once, and no whole milliseconds
			LastSeen: start + int64(n)*9e9 + int64(n), Count: int64(n) * 1000, Updated: start + int64(n)*9e9,
			Why: fmt.Sprintf("%d refused logins \"<b>\" \xfe", n), Route: []string{"", "/login", "/b\n\xff"}[n%3],
			Members:  []string{"", detect.PackMembers([]detect.Member{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.9"}, Score: 0.25, Count: int64(n)}, {Subject: detect.Subject{Kind: "account", Value: "a b\n"}, Score: 0.5, Count: 1}})}[n%2],
			Suspects: []string{"", detect.PackSuspects([]detect.Suspects{{Class: detect.Class{Route: "/login", Agent: "curl/8 \"x\""}, Clients: int64(n), Standing: detect.Standing{Successes: 1, People: 1}}})}[n%2],
			Standing: detect.Standing{Successes: int64(n % 4), People: int64(n % 3), Since: start - int64(n)},
		}
		f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
		for i := range n % (detect.MaxEvidence + 1) {
			f.Evidence[i] = detect.Evidence{Source: "gate", Offset: int64(n*100 + i), Time: f.FirstSeen,
				Line: fmt.Sprintf("GET /%d \x00\xff\\ \u2028 HTTP/1.1", i), Agent: []string{"", "curl/8 \xff"}[i%2], Note: []string{"", "tried \xc3\x28"}[i%2]}
		}
		out = append(out, f)
	}
	return out
}

// Rollups are the minutes that Run saves.
func Rollups() []detect.Rollup {
	var out []detect.Rollup
	for m := range int64(5) {
		for i, route := range []string{"", "/login", "/b\n\xff", "/" + strings.Repeat("long", 600)} {
			for _, source := range []string{"gate-1", "gate-2"} {
				n := m*10 + int64(i)
				out = append(out, detect.Rollup{Minute: start/1e9 + m*60, Source: source, Route: route, Requests: n + 4, S2xx: n, S3xx: 1, S4xx: 2,
					S5xx: 1, Refused: n % 2, Denied: n % 3, BytesOut: n << 40, Nanos: n * 1e9})
			}
		}
	}
	return out
}

func empty(t *testing.T, r Reader) {
	ctx := t.Context()
	if got, err := r.Findings(ctx, store.FindingQuery{}); err != nil || len(got) != 0 {
		t.Errorf("an empty store has %d findings, error %v", len(got), err)
	}
	if _, ok, err := r.Finding(ctx, "none"); ok || err != nil {
		t.Errorf("an empty store has a finding: %v, error %v", ok, err)
	}
	if got, err := r.Rollups(ctx, 0, 0, store.AnyRoute); err != nil || len(got) != 0 {
		t.Errorf("an empty store has %d minutes, error %v", len(got), err)
	}
	if _, err := r.Findings(ctx, store.FindingQuery{After: "none"}); err == nil || !strings.Contains(err.Error(), "start from the first page") {
		t.Errorf("to go on after a finding that is not there: %v", err)
	}
}

// Queries is the table of questions.
func Queries() map[string]store.FindingQuery {
	mid := start + 100e9
	return map[string]store.FindingQuery{
		"all":              {},
		"since":            {Since: mid},
		"since, exactly":   {Since: start + 7e9 + 3},
		"since, just past": {Since: start + 7e9 + 4},
		"until":            {Until: mid},
		"until, exactly":   {Until: start + 7e9 + 3},
		"between":          {Since: start + 21e9, Until: start + 70e9},
		"seen since":       {SeenSince: start + 300e9},
		"rule":             {Rule: "auth-burst"},
		"no such rule":     {Rule: "auth"},
		"family":           {Family: "injection"},
		"subject":          {Subject: detect.Subject{Kind: "ip", Value: "192.0.2.7"}},
		"value alone":      {Subject: detect.Subject{Value: "192.0.2.7"}},
		"kind alone":       {Subject: detect.Subject{Kind: "ip"}},
		"case counts":      {Subject: detect.Subject{Value: "mallory o'hara"}},
		"blanks, quotes":   {Subject: detect.Subject{Value: "Mallory O'Hara"}},
		"no wildcard":      {Subject: detect.Subject{Value: "192.0.2.*"}},
		"hostile value":    {Subject: detect.Subject{Kind: "route", Value: "/a/\xff\x00{id}"}},
		"long value":       {Subject: detect.Subject{Value: "/" + strings.Repeat("long", 600)}},
		"medium and above": {MinSeverity: detect.Medium},
		"critical":         {MinSeverity: detect.Critical},
		"few":              {Limit: 3},
		"many":             {Limit: 1 << 30},
		"everything": {Since: start, Until: start + 1e12, SeenSince: start, Rule: "sql-injection", Family: "injection",
			Subject: detect.Subject{Kind: "ip", Value: "2001:db8::7"}, MinSeverity: detect.Low, Limit: 2},
	}
}

func queries(t *testing.T, r Reader, fs []detect.Finding) {
	for name, q := range Queries() {
		got, err := r.Findings(t.Context(), q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		same(t, name, got, expected(fs, q))
	}
}

func same(t *testing.T, name string, got, want []detect.Finding) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s: finding %d: %s", name, i, differ(got[i], want[i]))
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d findings, want %d", name, len(got), len(want))
	}
}

// differ names the first fields that differ.
func differ(got, want detect.Finding) string {
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		a, b := g.Field(i).Interface(), w.Field(i).Interface()
		if a != b {
			return fmt.Sprintf("%s is %.300q, want %.300q", g.Type().Field(i).Name, fmt.Sprint(a), fmt.Sprint(b))
		}
	}
	return "nothing differs"
}

// expected goes through all findings.
func expected(fs []detect.Finding, q store.FindingQuery) []detect.Finding {
	var out []detect.Finding
	for _, f := range fs {
		if q.Since != 0 && f.FiredAt < q.Since || q.Until != 0 && f.FiredAt >= q.Until || f.LastSeen < q.SeenSince ||
			q.Rule != "" && f.Rule != q.Rule || q.Family != "" && string(f.Family) != q.Family ||
			q.Subject.Kind != "" && f.Subject.Kind != q.Subject.Kind || q.Subject.Value != "" && f.Subject.Value != q.Subject.Value ||
			f.Severity < q.MinSeverity {
			continue
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b detect.Finding) int {
		return cmp.Or(cmp.Compare(b.FiredAt, a.FiredAt), cmp.Compare(a.ID, b.ID))
	})
	limit := 100
	if q.Limit > 0 {
		limit = q.Limit
	}
	return out[:min(len(out), limit)]
}

// pages walks through all findings; a page begins behind the last of the one before.
func pages(t *testing.T, r Reader, fs []detect.Finding) {
	var got []detect.Finding
	q := store.FindingQuery{Limit: 7, Since: start}
	for {
		page, err := r.Findings(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	same(t, "page by page", got, expected(fs, store.FindingQuery{}))
}

func one(t *testing.T, r Reader, fs []detect.Finding) {
	for _, f := range fs[:10] {
		got, ok, err := r.Finding(t.Context(), f.ID)
		if err != nil || !ok || got != f {
			t.Errorf("finding %s: there %v, error %v: %s", f.ID, ok, err, differ(got, f))
		}
	}
}

func rollups(t *testing.T, r Reader, all []detect.Rollup) {
	first := start / 1e9
	for _, q := range []struct {
		since, until int64
		route        string
	}{
		{0, 0, ""}, {0, 0, "/login"}, {0, 0, store.AnyRoute}, {0, 0, "/b\n\xff"}, {0, 0, "/b\n\xfe"},
		{first + 60, 0, ""}, {first + 61, first + 180, ""}, {0, first + 120, store.AnyRoute}, {0, 0, "/" + strings.Repeat("long", 600)},
	} {
		var want []detect.Rollup
		for _, u := range all {
			if u.Minute >= q.since && (q.until == 0 || u.Minute < q.until) && (q.route == store.AnyRoute || u.Route == q.route) {
				want = append(want, u)
			}
		}
		slices.SortFunc(want, func(a, b detect.Rollup) int {
			return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Route, b.Route))
		})
		got, err := r.Rollups(t.Context(), q.since, q.until, q.route)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("rollups %d to %d of %.40q: error %v, %d of %d, %.600q, want %.600q",
				q.since, q.until, q.route, err, len(got), len(want), fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}
