package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/dashboards/kibana"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
)

// record is what the database says of one document: the values of each field.
type record map[string][]string

func (r record) matches(terms []kibana.Term) bool {
	for _, t := range terms {
		one := slices.ContainsFunc(r[t.Field], func(v string) bool { return slices.Contains(t.Values, v) })
		if one == t.Not {
			return false
		}
	}
	return true
}

// keys are the rows that a record counts in: one for each combination of its values.
func (r record) keys(by []kibana.Split) []string {
	keys := []string{""}
	for i, s := range by {
		var next []string
		for _, k := range keys {
			for _, v := range r[s.Field] {
				if s.Field == "@timestamp" {
					ms, _ := strconv.ParseInt(v, 10, 64)
					v = strconv.FormatInt(ms-ms%60_000, 10)
				}
				if i > 0 {
					v = k + "\x00" + v
				}
				next = append(next, v)
			}
		}
		keys = next
	}
	return keys
}

// put sets a number, where there is one.
func (r record) put(field string, n int64) {
	if n != 0 {
		r[field] = []string{strconv.FormatInt(n, 10)}
	}
}

func (r record) text(field, s string) {
	if s != "" {
		r[field] = []string{s}
	}
}

func at(ns int64) record { return record{"@timestamp": {strconv.FormatInt(ns/1e6, 10)}} }

func findingRecord(f detect.Finding) record {
	r := at(f.FiredAt)
	r.text("rule.id", f.Rule)
	r.text("rule.category", string(f.Family))
	r.put("event.severity", map[detect.Severity]int64{detect.Info: 1, detect.Low: 21, detect.Medium: 47, detect.High: 73, detect.Critical: 99}[f.Severity])
	r["portcullis.subject.kind"], r["portcullis.subject.value"] = []string{f.Subject.Kind}, []string{f.Subject.Value}
	r["portcullis.route"] = []string{f.Route}
	r["portcullis.count"] = []string{strconv.FormatInt(f.Count, 10)}
	r.put("portcullis.successes", f.Standing.Successes)
	r.put("portcullis.people", f.Standing.People)
	spec, _ := detect.SpecOf(f.Rule)
	r["tags"] = spec.Tags
	for _, tag := range spec.Tags {
		if id, ok := strings.CutPrefix(tag, "attack:"); ok {
			id, _, _ = strings.Cut(id, ".")
			if !slices.Contains(r["threat.technique.id"], id) {
				r["threat.technique.id"] = append(r["threat.technique.id"], id)
			}
		}
	}
	return r
}

func decisionRecord(d enforce.Decision) record {
	r := at(d.Created)
	for field, v := range map[string]string{"portcullis.state": string(d.State), "event.action": string(d.Action), "rule.id": d.Rule,
		"portcullis.subject.kind": d.Subject.Kind, "portcullis.subject.value": d.Subject.Value, "portcullis.route": d.Route} {
		r[field] = []string{v}
	}
	r.text("portcullis.code", d.Code)
	r.put("portcullis.people", d.People)
	r.put("portcullis.successes", d.Good)
	return r
}

func rollupRecord(u detect.Rollup) record {
	r := at(u.Minute * 1e9)
	r["portcullis.route"], r["portcullis.source"], r["portcullis.part"] = []string{u.Route}, []string{u.Source}, []string{""}
	r.put("portcullis.minute", u.Minute)
	for field, n := range map[string]int64{"requests": u.Requests, "status_2xx": u.S2xx, "status_3xx": u.S3xx, "status_4xx": u.S4xx, "status_5xx": u.S5xx,
		"refused": u.Refused, "denied": u.Denied, "bytes_out": u.BytesOut, "duration_ns": u.Nanos} {
		r.put("portcullis."+field, n)
	}
	return r
}

// fromDatabase reads what the database holds of all kinds but requests, which it does
// not keep.
func (k *kibanaRig) fromDatabase() (map[elastic.Kind][]record, error) {
	ctx := context.Background()
	db, err := store.OpenClient(filepath.Join(k.state, storeFile))
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }() // it was read only
	ledger, err := enforce.OpenLedger(ctx, db.SQL())
	if err != nil {
		return nil, err
	}
	out := map[elastic.Kind][]record{}
	err = eachFinding(ctx, db, store.FindingQuery{}, 0, func(f detect.Finding) error {
		out[elastic.Finding] = append(out[elastic.Finding], findingRecord(f))
		return nil
	})
	minutes, rollErr := db.Rollups(ctx, 0, 0, store.AnyRoute)
	for _, u := range minutes {
		out[elastic.Traffic] = append(out[elastic.Traffic], rollupRecord(u))
	}
	list, listErr := ledger.Decisions(ctx, enforce.DecisionQuery{Limit: 10_000})
	for _, d := range list {
		out[elastic.Decision] = append(out[elastic.Decision], decisionRecord(d))
	}
	steps, stepErr := ledger.Steps(ctx, 0, 10_000)
	for _, s := range steps {
		r := at(s.Change.At)
		r.text("user.name", s.Change.Who)
		r["portcullis.state"], r["portcullis.decision"] = []string{string(s.Change.To)}, []string{s.Decision}
		out[elastic.Audit] = append(out[elastic.Audit], r)
	}
	done, doneErr := ledger.Answered(ctx, 0, 10_000)
	for _, c := range done {
		r := at(c.At)
		r.text("user.name", c.Who)
		r.text("event.action", c.Verb)
		out[elastic.Audit] = append(out[elastic.Audit], r)
	}
	return out, errors.Join(err, rollErr, listErr, stepErr, doneErr)
}

// settled waits until Elasticsearch has all that the database has, and nothing changes
// any more, and returns what that is; requests as their documents say.
func (k *kibanaRig) settled() map[elastic.Kind][]record {
	k.t.Helper()
	var last map[elastic.Kind][]record
	states := kibana.Panel{Over: elastic.Decision, Measures: []kibana.Measure{{Op: kibana.Count}}, By: []kibana.Split{{Field: "portcullis.state", Size: 10}}}
	sums := kibana.Panel{Over: elastic.Finding, Measures: []kibana.Measure{{Op: kibana.Sum, Field: "portcullis.count"}}}
	requests := kibana.Panel{Over: elastic.Traffic, Measures: []kibana.Measure{{Op: kibana.Sum, Field: "portcullis.requests"}}}
	said, since := "", time.Now()
	await(k.t, "Elasticsearch has what the database has", func() string { return said + "\n" + tail(k.words(), 2000) }, func() bool {
		now, err := k.fromDatabase()
		if err != nil {
			said = err.Error()
			return false
		}
		if !reflect.DeepEqual(last, now) { // a campaign grows for a while
			last, since = now, time.Now()
		}
		if n := figureOf(kibana.Measure{Op: kibana.Sum, Field: "portcullis.requests"}, allRoutes(now[elastic.Traffic])); int(n) != k.lines-k.rejected {
			said = fmt.Sprintf("%.0f of %d requests are in the database", n, k.lines-k.rejected)
			return false
		}
		for kind, list := range now {
			if n := k.search.count(string(kind)); n != len(list) {
				said = fmt.Sprintf("%d of %d of kind %s", n, len(list), kind)
				return false
			}
		}
		for _, p := range []kibana.Panel{states, sums, requests} {
			if said = rowsDiffer(p, k.ask(p), expected(p, now[p.Over])); said != "" {
				return false
			}
		}
		return k.search.count("access") == k.lines-k.rejected && time.Since(since) > atRest
	})
	last[elastic.Access] = k.requests()
	return last
}

// atRest is how long the database must have stayed as it is: longer than findings are
// gathered to campaigns.
const atRest = 6 * time.Second

// allRoutes are the minutes of all routes together.
func allRoutes(minutes []record) []record {
	return slices.DeleteFunc(slices.Clone(minutes), func(r record) bool { return r["portcullis.route"][0] != "" })
}

// requests reads the documents of requests back, and compares them with the log.
func (k *kibanaRig) requests() []record {
	k.t.Helper()
	var out []record
	for after := ""; ; {
		body := `{"size":5000,"sort":[{"portcullis.offset":"asc"}]` + after + `}`
		var page struct {
			Hits struct {
				Hits []struct {
					Source map[string]any `json:"_source"`
					Sort   []int64
				}
			}
		}
		if err := json.Unmarshal(k.search.ask(http.MethodPost, "/portcullis.access-*/_search", body), &page); err != nil {
			k.t.Fatal(err)
		}
		if len(page.Hits.Hits) == 0 {
			return out
		}
		for _, h := range page.Hits.Hits {
			out = append(out, documentRecord(h.Source))
			after = fmt.Sprintf(`,"search_after":[%d]`, h.Sort[0])
		}
	}
}
