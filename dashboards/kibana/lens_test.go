package kibana

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// fromLens makes of the state that Kibana stores the aggregations that it sends: the
// rules are those of Lens, column by column, and know nothing of panels.
func fromLens(t *testing.T, what string, state map[string]any) (aggs object, filter list) {
	t.Helper()
	query := state["query"].(map[string]any)["query"].(string)
	for _, l := range state["datasourceStates"].(map[string]any)["formBased"].(map[string]any)["layers"].(map[string]any) {
		layer := l.(map[string]any)
		return fromColumns(t, what, layer["columns"].(map[string]any), layer["columnOrder"].([]any), true), fromKQL(t, query)
	}
	t.Fatalf("%s: no layer", what)
	return nil, nil
}

func fromColumns(t *testing.T, what string, columns map[string]any, order []any, top bool) object {
	t.Helper()
	figures := object{}
	for _, name := range order {
		c := columns[name.(string)].(map[string]any)
		if c["isBucketed"] == true {
			continue
		}
		var inner object
		switch c["operationType"] {
		case "sum":
			inner = object{"sum": object{"field": c["sourceField"]}}
		case "max":
			inner = object{"max": object{"field": c["sourceField"]}}
		case "unique_count":
			inner = object{"cardinality": object{"field": c["sourceField"]}}
		}
		if f, ok := c["filter"].(map[string]any); ok {
			filtered := object{"filter": object{"bool": object{"filter": fromKQL(t, f["query"].(string))}}}
			if inner != nil {
				filtered["aggs"] = object{"value": inner}
			}
			inner = filtered
		}
		if inner != nil {
			figures[name.(string)] = inner
		}
	}
	first, ok := columns[order[0].(string)].(map[string]any)
	if !ok || first["isBucketed"] != true {
		return figures
	}
	split := object{"aggs": fromColumns(t, what, columns, order[1:], false)}
	switch p := first["params"].(map[string]any); first["operationType"] {
	case "date_histogram":
		split["date_histogram"] = object{"field": first["sourceField"], "fixed_interval": every, "min_doc_count": 1}
	case "terms":
		by := p["orderBy"].(map[string]any)["columnId"].(string)
		order := by
		if by = "_count"; figures[order] != nil {
			if by = order; figures[order].(object)["filter"] != nil {
				by += "._count"
			}
		}
		split["terms"] = object{"field": first["sourceField"], "size": p["size"], "order": object{by: p["orderDirection"]}}
	default:
		t.Fatalf("%s: a split by %v", what, first["operationType"])
	}
	if top {
		return object{"split": split}
	}
	figures["split"] = split
	return figures
}

// fromKQL makes of a query what Kibana makes of it: of the language, as far as panels
// use it.
func fromKQL(t *testing.T, query string) list {
	t.Helper()
	out := list{}
	if query == "" {
		return out
	}
	term := regexp.MustCompile(`^(not )?([a-z_@.]+): (\(([^)]*)\)|"[^"]*"|[0-9]+)$`)
	for _, part := range strings.Split(query, " and ") {
		m := term.FindStringSubmatch(part)
		if m == nil {
			t.Fatalf("KQL %q", part)
		}
		values := m[3]
		if m[4] != "" {
			values = m[4]
		}
		should := list{}
		for _, v := range strings.Split(values, " or ") {
			if strings.HasPrefix(v, `"`) {
				should = append(should, object{"match_phrase": object{m[2]: strings.Trim(v, `"`)}})
			} else {
				should = append(should, object{"match": object{m[2]: v}})
			}
		}
		clause := object{"bool": object{"should": should, "minimum_should_match": 1}}
		if m[1] != "" {
			clause = object{"bool": object{"must_not": clause}}
		}
		out = append(out, clause)
	}
	return out
}

// TestKibanaAsksWhatIsTested: what Kibana would ask, read from the imported objects, is
// the query that the tests run on Elasticsearch.
func TestKibanaAsksWhatIsTested(t *testing.T) {
	boards, n := map[string]Board{}, 0
	for _, b := range Boards() {
		boards[b.ID] = b
	}
	for _, o := range imported(t) {
		if o["type"] != "dashboard" {
			continue
		}
		b := boards[o["id"].(string)]
		for _, stored := range parsed[[]map[string]any](t, b.ID, o["attributes"].(map[string]any)["panelsJSON"]) {
			i := slices.IndexFunc(b.Panels, func(p Panel) bool { return b.index(p) == stored["panelIndex"] })
			p, a := b.Panels[i], stored["embeddableConfig"].(map[string]any)["attributes"].(map[string]any)
			var aggs object
			var filter list
			switch stored["type"] {
			case "lens":
				aggs, filter = fromLens(t, b.Full(p), a["state"].(map[string]any))
			case "map":
				aggs, filter = fromMap(t, a)
			case "search":
				source := parsed[map[string]any](t, b.Full(p), a["kibanaSavedObjectMeta"].(map[string]any)["searchSourceJSON"])
				filter = fromKQL(t, source["query"].(map[string]any)["query"].(string))
			default:
				continue
			}
			n++
			for _, r := range a["references"].([]any) {
				if id := r.(map[string]any)["id"]; id != viewOf(p.Over).ID {
					t.Errorf("%s asks %v, the test asks for %s", b.Full(p), id, p.Over)
				}
			}
			same(t, b.Full(p), p, aggs, filter)
		}
	}
	if n < 120 {
		t.Errorf("%d panels were compared", n)
	}
}

// fromMap is the join of a map.
func fromMap(t *testing.T, a map[string]any) (object, list) {
	t.Helper()
	layers := parsed[[]map[string]any](t, "map", a["layerListJSON"])
	right := layers[1]["joins"].([]any)[0].(map[string]any)["right"].(map[string]any)
	if m := right["metrics"].([]any)[0].(map[string]any); m["type"] != "count" {
		t.Fatalf("a map of %v", m)
	}
	return object{"split": object{"aggs": object{}, "terms": object{"field": right["term"], "size": right["size"], "order": object{"_count": "desc"}}}},
		fromKQL(t, right["whereQuery"].(map[string]any)["query"].(string))
}

// same compares what Kibana asks with a panel's query.
func same(t *testing.T, what string, p Panel, aggs object, filter list) {
	t.Helper()
	query, err := p.Query()
	if err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Query struct {
			Bool struct{ Filter json.RawMessage }
		}
		Aggs json.RawMessage
	}
	if err := json.Unmarshal(query, &sent); err != nil {
		t.Fatal(err)
	}
	if want := text(append(list{ours()["query"]}, filter...)); string(sent.Query.Bool.Filter) != want {
		t.Errorf("%s: filter\n%s, Kibana sends\n%s", what, sent.Query.Bool.Filter, want)
	}
	if aggs != nil && string(sent.Aggs) != text(aggs) {
		t.Errorf("%s: aggregations\n%s, Kibana sends\n%s", what, sent.Aggs, text(aggs))
	}
}

// TestRows reads answers with every kind of measure.
func TestRows(t *testing.T) {
	p := Panel{ID: "p", Over: elastic.Finding, Shape: Table, By: []Split{{"rule.id", "Rule", 3}, {"event.severity", "Severity", 2}},
		Measures: []Measure{count("n"), count("some", is("rule.id", "a")), {Sum, "portcullis.count", "sum", []Term{is("rule.id", "a")}}, highest("portcullis.count", "max")}}
	rows, err := p.Rows([]byte(`{"hits":{"total":{"value":9}},"aggregations":{"split":{"buckets":[{"key":"a","doc_count":4,"split":{"buckets":[
		{"key":73,"doc_count":3,"m1":{"doc_count":2},"m2":{"doc_count":2,"value":{"value":7}},"m3":{"value":null}}]}}]}}}`))
	if err != nil || len(rows) != 1 || !slices.Equal(rows[0].Keys, []string{"a", "73"}) || !slices.Equal(rows[0].Values, []float64{3, 2, 7, 0}) {
		t.Errorf("%+v, %v", rows, err)
	}
	for _, broken := range []string{"", "{", `{"aggregations":[]}`, `{"aggregations":{"split":{"buckets":[7]}}}`} {
		if rows, err := p.Rows([]byte(broken)); err == nil && len(rows) > 0 {
			t.Errorf("%q gives %v", broken, rows)
		}
	}
}
