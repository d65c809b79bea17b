package kibana

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/kibana/kibanatest"
)

// The attributes that Kibana 8.19 takes of each type, with the kind of JSON that each
// is. For dashboards they are those of its published schema, which forbids others
// (src/platform/plugins/shared/dashboard/server/dashboard_saved_object/schema, versions
// 1 and 2); for the other types, whose schema is looser, those that its own exports have.
var attributeKinds = map[string]map[string]string{
	"dashboard": {"title": "string!", "description": "string", "kibanaSavedObjectMeta": "object", "timeRestore": "bool", "timeFrom": "string", "timeTo": "string",
		"refreshInterval": "object", "controlGroupInput": "object", "panelsJSON": "string", "optionsJSON": "string", "hits": "number", "version": "number"},
	"search": {"title": "string!", "description": "string", "columns": "array", "sort": "array", "grid": "object", "hideChart": "bool", "isTextBasedQuery": "bool",
		"usesAdHocDataView": "bool", "kibanaSavedObjectMeta": "object!", "timeRestore": "bool"},
	"index-pattern": {"title": "string!", "name": "string", "timeFieldName": "string", "sourceFilters": "string", "fields": "string", "typeMeta": "string", "fieldAttrs": "string",
		"fieldFormatMap": "string", "runtimeFieldMap": "string", "allowHidden": "bool", "allowNoIndex": "bool"},
	"controlGroupInput": {"panelsJSON": "string", "controlStyle": "string", "chainingSystem": "string", "ignoreParentSettingsJSON": "string", "showApplySelections": "bool"},
	"refreshInterval":   {"pause": "bool!", "value": "number!"},
	"lens":              {"title": "string!", "description": "string", "type": "string", "visualizationType": "string!", "state": "object!", "references": "array!"},
	"lens state":        {"datasourceStates": "object!", "visualization": "object!", "query": "object!", "filters": "array!", "internalReferences": "array", "adHocDataViews": "object"},
	"map":               {"title": "string!", "description": "string", "mapStateJSON": "string!", "layerListJSON": "string!", "uiStateJSON": "string!", "references": "array!"},
	"links":             {"title": "string", "description": "string", "layout": "string!", "links": "array!"},
	"panel":             {"type": "string!", "title": "string", "panelIndex": "string!", "gridData": "object!", "embeddableConfig": "object!"},
	"grid":              {"x": "number!", "y": "number!", "w": "number!", "h": "number!", "i": "string!"},
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

// conforms reports what an object has beside its schema, in another kind, or lacks.
func conforms(t *testing.T, what, schema string, o map[string]any) {
	t.Helper()
	want, ok := attributeKinds[schema]
	if !ok {
		t.Fatalf("%s: no schema %s", what, schema)
	}
	for name, v := range o {
		if kind, known := want[name]; !known || strings.TrimSuffix(kind, "!") != kindOf(v) {
			t.Errorf("%s: %s is %s, want %q", what, name, kindOf(v), kind)
		}
	}
	for name, kind := range want {
		if _, there := o[name]; !there && strings.HasSuffix(kind, "!") {
			t.Errorf("%s: %s is missing", what, name)
		}
	}
}

// parsed reads JSON within a string of JSON.
func parsed[T any](t *testing.T, what string, v any) T {
	t.Helper()
	var out T
	if err := json.Unmarshal([]byte(v.(string)), &out); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return out
}

// imported are the objects as Kibana reads them.
func imported(t *testing.T) []map[string]any {
	t.Helper()
	objects, err := Objects()
	if err != nil {
		t.Fatal(err)
	}
	data, err := NDJSON(objects)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for line := range strings.Lines(string(data)) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

// TestObjectsConform holds every object against the schema of its type, and every
// reference against what is there.
func TestObjectsConform(t *testing.T) {
	all := imported(t)
	there := map[string]bool{}
	for _, o := range all {
		key := kibanatest.KeyOf(o)
		if there[key] {
			t.Errorf("%s is there twice", key)
		}
		there[key] = true
		if !strings.HasPrefix(o["id"].(string), prefix) || len(o["id"].(string)) > 64 {
			t.Errorf("id %s", o["id"])
		}
	}
	for _, o := range all {
		conforms(t, kibanatest.KeyOf(o), o["type"].(string), o["attributes"].(map[string]any))
		seen := map[string]bool{}
		for _, x := range o["references"].([]any) {
			r := x.(map[string]any)
			if !there[kibanatest.KeyOf(r)] {
				t.Errorf("%s refers to %s, which is not there", kibanatest.KeyOf(o), kibanatest.KeyOf(r))
			}
			if seen[r["name"].(string)] {
				t.Errorf("%s has two references %s", kibanatest.KeyOf(o), r["name"])
			}
			seen[r["name"].(string)] = true
		}
		if o["type"] == "dashboard" {
			lookAtBoard(t, o, seen)
		}
	}
}

func lookAtBoard(t *testing.T, o map[string]any, refs map[string]bool) {
	t.Helper()
	what, a := kibanatest.KeyOf(o), o["attributes"].(map[string]any)
	conforms(t, what, "refreshInterval", a["refreshInterval"].(map[string]any))
	used := map[string]bool{oursRef: true}
	if c, ok := a["controlGroupInput"].(map[string]any); ok {
		conforms(t, what, "controlGroupInput", c)
		for id := range parsed[map[string]any](t, what, c["panelsJSON"]) {
			used["controlGroup_"+id+":optionsListDataView"] = true
		}
	}
	taken := map[[2]int]bool{}
	for _, p := range parsed[[]map[string]any](t, what, a["panelsJSON"]) {
		conforms(t, what, "panel", p)
		g := p["gridData"].(map[string]any)
		conforms(t, what, "grid", g)
		if g["i"] != p["panelIndex"] {
			t.Errorf("%s: panel %v is called %v in the grid", what, p["panelIndex"], g["i"])
		}
		x, y, w, h := int(g["x"].(float64)), int(g["y"].(float64)), int(g["w"].(float64)), int(g["h"].(float64))
		for i := x; i < x+w; i++ {
			for j := y; j < y+h; j++ {
				if taken[[2]int{i, j}] || i >= columnsOfGrid {
					t.Fatalf("%s: %v lies over another panel, or beside the grid", what, p["title"])
				}
				taken[[2]int{i, j}] = true
			}
		}
		for _, name := range lookAtPanel(t, what+" "+fmt.Sprint(p["title"]), p) {
			used[p["panelIndex"].(string)+":"+name] = true
		}
	}
	for name := range used {
		if !refs[name] {
			t.Errorf("%s: no reference %s", what, name)
		}
	}
	if len(used) != len(refs) {
		t.Errorf("%s: %d references, %d are used", what, len(refs), len(used))
	}
}

// lookAtPanel returns the references that a panel needs.
func lookAtPanel(t *testing.T, what string, p map[string]any) []string {
	t.Helper()
	config := p["embeddableConfig"].(map[string]any)
	a := config["attributes"].(map[string]any)
	var names []string
	if r, ok := a["references"].([]any); ok {
		for _, x := range r {
			names = append(names, x.(map[string]any)["name"].(string))
		}
	}
	switch p["type"] {
	case "lens":
		conforms(t, what, "lens", a)
		lookAtLens(t, what, a["state"].(map[string]any), a["visualizationType"].(string))
	case "map":
		conforms(t, what, "map", a)
		layers := parsed[[]map[string]any](t, what, a["layerListJSON"])
		if len(layers) != 2 || !strings.Contains(a["layerListJSON"].(string), names[0]) {
			t.Errorf("%s: %v", what, layers)
		}
	case "links":
		conforms(t, what, "links", a)
		for _, x := range a["links"].([]any) {
			names = append(names, x.(map[string]any)["destinationRefName"].(string))
		}
	case "search":
		delete(a, "references")
		conforms(t, what, "search", a)
	default:
		t.Errorf("%s: a panel of type %v", what, p["type"])
	}
	if d, ok := config["enhancements"].(map[string]any)["dynamicActions"].(map[string]any); ok {
		e := d["events"].([]any)[0].(map[string]any)
		names = append(names, "drilldown:"+drilldown+":"+e["eventId"].(string)+":dashboardId")
	}
	return names
}

// lookAtLens: the layer has the columns that the drawing names, in their order, of
// operations that Lens has, over fields of the mapping.
func lookAtLens(t *testing.T, what string, state map[string]any, kind string) {
	t.Helper()
	conforms(t, what, "lens state", state)
	layers := state["datasourceStates"].(map[string]any)["formBased"].(map[string]any)["layers"].(map[string]any)
	if len(layers) != 1 {
		t.Fatalf("%s: %d layers", what, len(layers))
	}
	visual := text(state["visualization"])
	for id, x := range layers {
		layer := x.(map[string]any)
		if !strings.Contains(visual, `"`+id+`"`) {
			t.Errorf("%s: layer %s is not drawn", what, id)
		}
		columns, order := layer["columns"].(map[string]any), layer["columnOrder"].([]any)
		if len(columns) != len(order) {
			t.Errorf("%s: %d columns, %d in order", what, len(columns), len(order))
		}
		buckets := true
		for _, name := range order {
			c, ok := columns[name.(string)].(map[string]any)
			if !ok || !strings.Contains(visual, `"`+name.(string)+`"`) {
				t.Errorf("%s: column %v is not there, or not drawn", what, name)
				continue
			}
			if c["isBucketed"] == true && !buckets {
				t.Errorf("%s: splits come before figures", what)
			}
			buckets = c["isBucketed"] == true
			if !slices.Contains([]string{"date_histogram", "terms", "count", "sum", "max", "unique_count"}, c["operationType"].(string)) {
				t.Errorf("%s: Lens has no operation %v", what, c["operationType"])
			}
			if f := c["sourceField"].(string); f != records && typeOf(f) == "" {
				t.Errorf("%s: no field %s", what, f)
			}
		}
	}
	if !slices.Contains([]string{"lnsMetric", "lnsXY", "lnsPie", "lnsDatatable"}, kind) {
		t.Errorf("%s: Lens has no drawing %s", what, kind)
	}
}

// TestIDsNeverChange: an installed dashboard is brought up to date only under its id.
func TestIDsNeverChange(t *testing.T) {
	var ids []string
	for _, o := range imported(t) {
		ids = append(ids, kibanatest.KeyOf(o))
	}
	want := `index-pattern portcullis-findings|index-pattern portcullis-decisions|index-pattern portcullis-audit|index-pattern portcullis-traffic|index-pattern portcullis-requests|search portcullis-search-findings|search portcullis-search-grave|search portcullis-search-decisions|search portcullis-search-failed|search portcullis-search-suspicious|search portcullis-search-audit|search portcullis-esql-overview-who|search portcullis-esql-overview-tags|search portcullis-esql-credential-abuse-refused|search portcullis-esql-rate-routes|search portcullis-esql-decisions-rules|search portcullis-esql-decisions-regret-by|dashboard portcullis-overview|dashboard portcullis-credential-abuse|dashboard portcullis-injection|dashboard portcullis-rate|dashboard portcullis-consumers|dashboard portcullis-campaigns|dashboard portcullis-decisions|dashboard portcullis-completeness|dashboard portcullis-investigation`
	if got := strings.Join(ids, "|"); got != want {
		t.Errorf("ids\n%s\nwant\n%s", got, want)
	}
	if got := fixedID("a", "bc"); got != fixedID("a", "bc") || got == fixedID("ab", "c") || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got) {
		t.Errorf("id %s", got)
	}
}

// TestRules: what the API of each kind of rule demands.
func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range DetectionRules() {
		id := r["rule_id"].(string)
		if seen[id] || r["query"] == "" || len(r["index"].(list)) != 2 || r["risk_score"].(int) > 100 || r["enabled"] != false {
			t.Errorf("%v", r)
		}
		seen[id] = true
		if !slices.Contains([]string{"low", "medium", "high", "critical"}, r["severity"].(string)) {
			t.Errorf("%s: severity %v", id, r["severity"])
		}
	}
	for _, a := range AlertRules("") {
		p := a.Body["params"].(object)
		if seen[a.ID] || p["searchType"] != "esqlQuery" || a.Body["enabled"] != false {
			t.Errorf("%v", a)
		}
		seen[a.ID] = true
	}
}

// TestESQL: every field that the text of a query names is in the mapping, and strings
// cannot end it.
func TestESQL(t *testing.T) {
	dotted := regexp.MustCompile(`[a-z_]+(\.[a-z_0-9]+)+`)
	var all []string
	for _, b := range Boards() {
		for _, p := range b.Panels {
			all = append(all, p.ESQL())
			names := map[string]bool{"minute": true}
			for _, m := range p.Measures {
				if n := esqlName(m.Label); names[n] || !regexp.MustCompile(`^[a-z_][a-z0-9_]*$`).MatchString(n) {
					t.Errorf("%s: column %q is there twice, or no name", b.Full(p), n)
				} else {
					names[n] = true
				}
			}
		}
	}
	for _, a := range AlertRules("") {
		all = append(all, a.Body["params"].(object)["esqlQuery"].(object)["esql"].(string))
	}
	n := 0
	for _, q := range all {
		_, body, _ := strings.Cut(q, "\n")
		body = regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, "")
		for _, f := range dotted.FindAllString(body, -1) {
			n++
			if typeOf(f) == "" {
				t.Errorf("no field %s in %s", f, q)
			}
		}
	}
	if n < 200 {
		t.Errorf("%d fields were looked at", n)
	}
	if got := kql([]Term{is("rule.id", `a" or "b`)}); got != `rule.id: "a\" or \"b"` {
		t.Errorf("%s", got)
	}
}
