package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/dashboards/kibana"
)

// esql is the answer of Elasticsearch to a query of ES|QL.
type esqlAnswer struct {
	Columns []struct{ Name, Type string }
	Values  [][]any
}

func (k *kibanaRig) esql(query string) esqlAnswer {
	k.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		k.t.Fatal(err)
	}
	var a esqlAnswer
	if err := json.Unmarshal(k.search.ask(http.MethodPost, "/_query", string(body)), &a); err != nil {
		k.t.Fatalf("%v for\n%s", err, query)
	}
	return a
}

// rows are the figures of an answer by the values that they are grouped by, as expected has them.
func (a esqlAnswer) rows(p kibana.Panel) (map[string][]float64, error) {
	out := map[string][]float64{}
	for _, line := range a.Values {
		if len(line) != len(p.Measures)+len(p.By) {
			return nil, fmt.Errorf("%d columns, not %d and %d", len(line), len(p.Measures), len(p.By))
		}
		var keys []string
		for _, v := range line[len(p.Measures):] {
			if at, ok := moment(v); ok {
				v = strconv.FormatInt(int64(at), 10)
			}
			keys = append(keys, fmt.Sprint(v))
		}
		key := strings.Join(keys, "\x00")
		for _, v := range line[:len(p.Measures)] {
			n, ok := moment(v)
			if !ok {
				n, _ = v.(float64) // null is the sum of nothing
			}
			out[key] = append(out[key], n)
		}
	}
	return out, nil
}

// moment is a time in milliseconds.
func moment(v any) (float64, bool) {
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339, text)
	return float64(at.UnixMilli()), err == nil
}

// sameByESQL asks for a panel's figures by its ES|QL text, and says how they differ from
// those of the database. A row is missing only where others that count as much are there.
func (k *kibanaRig) sameByESQL(p kibana.Panel, want map[string][]float64) string {
	k.t.Helper()
	got, err := k.esql(p.ESQL()).rows(p)
	if err != nil {
		return err.Error()
	}
	for key, figures := range got {
		if !slices.Equal(figures, want[key]) {
			return fmt.Sprintf("ES|QL: row %q: %v in Elasticsearch, %v in the database", key, figures, want[key])
		}
	}
	limit := 1000 // of ES|QL by itself
	if n := len(p.By); n > 0 && p.By[0].Size > 0 {
		limit = p.By[0].Size
	}
	if len(got) < min(len(want), limit) {
		return fmt.Sprintf("ES|QL: %d rows in Elasticsearch, %d in the database", len(got), len(want))
	}
	return k.topByESQL(p, got, want)
}

// topByESQL: what was left out beyond the limit has no more than what is shown.
func (k *kibanaRig) topByESQL(p kibana.Panel, got, want map[string][]float64) string {
	if len(p.By) == 0 || p.By[0].Field == "@timestamp" || len(got) == 0 {
		return ""
	}
	least := slices.MinFunc(slices.Collect(maps.Values(got)), func(a, b []float64) int { return int(a[0] - b[0]) })[0]
	for key, figures := range want {
		if _, shown := got[key]; !shown && figures[0] > least {
			return fmt.Sprintf("ES|QL: row %q with %v is left out, one with %v is shown", key, figures[0], least)
		}
	}
	return ""
}

// rulesByESQL runs the query of each alert rule: it has to be one, and to find what is there.
func (k *kibanaRig) rulesByESQL() {
	k.t.Helper()
	hits := 0
	for _, rule := range kibana.AlertRules("") {
		query := rule.Body["params"].(map[string]any)["esqlQuery"].(map[string]any)["esql"].(string)
		a := k.esql(query)
		if len(a.Columns) == 0 {
			k.t.Errorf("%s: no columns", rule.Body["name"])
		}
		hits += min(1, len(a.Values))
	}
	if hits < 3 {
		k.t.Errorf("%d alert rules find something in this scenario: that shows little", hits)
	}
}
