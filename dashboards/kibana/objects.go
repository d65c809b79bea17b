package kibana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// Object is a saved object as Kibana exports and imports it.
type Object struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	Attributes object `json:"attributes"`
	References list   `json:"references"`
	Core       string `json:"coreMigrationVersion"`
	Version    string `json:"typeMigrationVersion"`
	Managed    bool   `json:"managed"`
}

// Objects are all saved objects: data views first, since the others refer to them.
func Objects() ([]Object, error) {
	var out []Object
	for _, v := range Views() {
		out = append(out, v.object())
	}
	for _, s := range Searches() {
		out = append(out, s.object())
	}
	out = append(out, esqlSearches()...)
	for _, b := range Boards() {
		for _, p := range b.Panels {
			if why := p.problem(); why != "" {
				return nil, fmt.Errorf("kibana: panel %s: %s", b.Full(p), why)
			}
		}
		out = append(out, b.object())
	}
	return out, nil
}

// NDJSON are objects one a line, the way in which they are imported.
func NDJSON[T any](objects []T) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, o := range objects {
		if err := enc.Encode(o); err != nil {
			return nil, fmt.Errorf("kibana: %w", err)
		}
	}
	return b.Bytes(), nil
}

// object is a data view. Fields are read from the indices; what they say and how they
// are shown is kept with it.
func (v View) object() Object {
	said, formats := object{}, object{}
	for _, f := range elastic.Fields() {
		if !f.Of(v.Kind) || !strings.HasPrefix(f.Name, "portcullis.") {
			continue
		}
		said[f.Name] = object{"customDescription": shorten(f.Doc)}
	}
	for field, format := range fieldFormats() {
		if has(v.Kind, field) {
			formats[field] = format
		}
	}
	return Object{v.ID, "index-pattern", object{
		"title": v.Pattern(), "name": v.Name, "timeFieldName": timeField, "sourceFilters": "[]", "fields": "[]", "typeMeta": "{}",
		"fieldAttrs": text(said), "fieldFormatMap": text(formats), "runtimeFieldMap": "{}", "allowHidden": false, "allowNoIndex": true,
	}, list{}, coreVersion, dataViewVersion, false}
}

// describedMax is how long Kibana lets the description of a field be.
const describedMax = 300

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= describedMax {
		return s
	}
	return string([]rune(s)[:describedMax])
}

// fieldFormats say how values are shown. A subject is no link to its dashboard: its text
// may be an attacker's, and would stand in the query of the address. The drill-down makes
// a filter of it instead.
func fieldFormats() map[string]object {
	nanos := object{"id": "duration", "params": object{"inputFormat": "nanoseconds", "outputFormat": "humanizePrecise", "outputPrecision": 2, "useShortSuffix": true}}
	size := object{"id": "bytes", "params": object{}}
	severities := list{}
	for _, s := range Severities {
		severities = append(severities, object{"key": fmt.Sprint(s.Number), "value": s.Name})
	}
	return map[string]object{
		"event.duration": nanos, "portcullis.duration_ns": nanos,
		"http.request.bytes": size, "http.response.body.bytes": size, "portcullis.bytes_out": size,
		"portcullis.confidence":     {"id": "percent", "params": object{"pattern": "0%"}},
		"event.severity":            {"id": "static_lookup", "params": object{"lookupEntries": severities, "unknownKeyValue": "other"}},
		"source.as.number":          {"id": "number", "params": object{"pattern": "0"}},
		"http.response.status_code": {"id": "number", "params": object{"pattern": "0"}},
	}
}

// Severities are the numbers of event.severity, the lowest first.
var Severities = []struct {
	Number int
	Name   string
}{{1, "info"}, {21, "low"}, {47, "medium"}, {73, "high"}, {99, "critical"}}

// Search is a saved search.
type Search struct {
	ID, Title, About string
	Over             elastic.Kind
	Where            []Term
	Columns          []string
}

func (s Search) object() Object {
	refs := list{ref("kibanaSavedObjectMeta.searchSourceJSON.index", "index-pattern", viewOf(s.Over).ID)}
	return Object{s.ID, "search", s.attributes(), refs, coreVersion, searchVersion, false}
}

func (s Search) attributes() object {
	columns := list{}
	for _, c := range s.Columns {
		columns = append(columns, c)
	}
	return object{
		"title": s.Title, "description": s.About, "columns": columns, "sort": list{list{timeField, "desc"}}, "grid": object{},
		"hideChart": false, "isTextBasedQuery": false, "timeRestore": false, "usesAdHocDataView": false,
		"kibanaSavedObjectMeta": object{"searchSourceJSON": text(object{
			"query": object{"language": "kuery", "query": kql(s.Where)}, "filter": list{}, "highlightAll": true, "version": true,
			"indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
		})},
	}
}

// esqlSearches are saved searches of ES|QL text, made from panels.
func esqlSearches() []Object {
	var out []Object
	for _, q := range []struct{ board, panel, name string }{
		{prefix + "overview", "who", "subjects"}, {prefix + "overview", "tags", "tags"}, {prefix + "credential-abuse", "refused", "refused logins by minute"},
		{prefix + "rate", "routes", "routes"}, {prefix + "decisions", "rules", "rules and what became of decisions"}, {prefix + "decisions", "regret-by", "decisions taken back"},
	} {
		if p, ok := panelOf(q.board, q.panel); ok {
			out = append(out, esqlSearch(fixedSearch(q.board, q.panel), "[Portcullis] ES|QL: "+q.name, p))
		}
	}
	return out
}

func fixedSearch(board, panel string) string {
	return prefix + "esql-" + board[len(prefix):] + "-" + panel
}

// panelOf finds a panel.
func panelOf(board, panel string) (Panel, bool) {
	for _, b := range Boards() {
		for _, p := range b.Panels {
			if b.ID == board && p.ID == panel {
				return p, true
			}
		}
	}
	return Panel{}, false
}

// esqlSearch is a saved search of the ES|QL text of a panel. Such a search carries its
// data view with it.
func esqlSearch(id, title string, p Panel) Object {
	pattern := viewOf(p.Over).Pattern()
	return Object{id, "search", object{
		"title": title, "description": p.Title + ", as a query to go on from.", "columns": list{}, "sort": list{}, "grid": object{}, "hideChart": false,
		"isTextBasedQuery": true, "timeRestore": false, "usesAdHocDataView": false,
		"kibanaSavedObjectMeta": object{"searchSourceJSON": text(object{
			"query": object{"esql": p.ESQL()}, "filter": list{},
			"index": object{"id": fixedID(id, "view"), "title": pattern, "name": pattern, "timeFieldName": timeField, "type": "esql",
				"sourceFilters": list{}, "fieldFormats": object{}, "runtimeFieldMap": object{}, "allowNoIndex": false, "allowHidden": false},
		})},
	}, list{}, coreVersion, searchVersion, false}
}
