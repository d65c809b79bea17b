package kibana

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// Shape is how a panel is drawn.
type Shape string

// The shapes.
const (
	Number Shape = "number" // one figure
	Bars   Shape = "bars"   // over time, stacked
	Lines  Shape = "lines"  // over time
	Ranked Shape = "ranked" // horizontal bars, the longest first
	Donut  Shape = "donut"  // shares
	Table  Shape = "table"  // rows
	Map    Shape = "map"    // countries of the world
	List   Shape = "search" // documents
	Links  Shape = "links"  // to the other dashboards
)

// Term wants a field to have one of some values, or with Not none of them.
type Term struct {
	Field  string
	Values []string
	Not    bool
}

// Op is what a measure does with the values of its field.
type Op string

// The operations.
const (
	Count  Op = "count" // of documents
	Sum    Op = "sum"
	Max    Op = "max"
	Unique Op = "unique" // distinct values, exact up to 3000
)

// Measure is a figure of each row.
type Measure struct {
	Op    Op
	Field string // "" with Count
	Label string
	Where []Term // counts only these documents
}

// Split makes rows: by the values of a field, or by time.
type Split struct {
	Field string
	Label string
	Size  int // how many values, those with the highest first measure; 0 with time
}

func (s Split) time() bool { return s.Field == timeField }

const timeField = "@timestamp"

// Panel is one part of a dashboard.
type Panel struct {
	ID       string // within its dashboard
	Title    string
	Over     elastic.Kind
	Shape    Shape
	Where    []Term
	Measures []Measure
	By       []Split  // the outer first
	Columns  []string // of a List
	Wide     int      // of 48 columns
	High     int      // in rows
	Drill    bool     // a click on a subject opens the Investigation dashboard
}

// Control is a field that a dashboard lets people choose values of.
type Control struct {
	Over  elastic.Kind
	Field string
	Title string
	One   bool // one value at a time
}

// Board is a dashboard.
type Board struct {
	ID       string
	Title    string
	About    string
	Panels   []Panel
	Controls []Control
}

// Full is the id of a panel across dashboards.
func (b Board) Full(p Panel) string { return strings.TrimPrefix(b.ID, prefix) + "/" + p.ID }

// prefix begins the id of every object: Fleet wants the name of its package there.
const prefix = "portcullis-"

// index is the id of a panel in its dashboard.
func (b Board) index(p Panel) string { return fixedID(b.ID, p.ID) }

// measured reports whether a panel shows figures, and not documents or links.
func (p Panel) measured() bool { return p.Shape != List && p.Shape != Links }

// Fields are the fields that a panel reads.
func (p Panel) Fields() []string {
	var out []string
	add := func(terms []Term) {
		for _, t := range terms {
			out = append(out, t.Field)
		}
	}
	add(p.Where)
	for _, m := range p.Measures {
		if m.Field != "" {
			out = append(out, m.Field)
		}
		add(m.Where)
	}
	for _, s := range p.By {
		out = append(out, s.Field)
	}
	return append(out, p.Columns...)
}

// typeOf is the type of a field in the mappings, "" where there is none.
func typeOf(field string) string { return mapped[field].Type }

// mapped are the fields of the mappings by name; it is never written.
var mapped = func() map[string]elastic.Field {
	out := map[string]elastic.Field{}
	for _, f := range elastic.Fields() {
		out[f.Name] = f
	}
	return out
}()

// number reports whether a field holds numbers.
func number(field string) bool {
	t := typeOf(field)
	return t == "long" || t == "double"
}

// literals are the values as query languages write them: strings in quotes, numbers not.
func (t Term) literals() []string {
	values := make([]string, len(t.Values))
	for i, v := range t.Values {
		if values[i] = v; !number(t.Field) {
			values[i] = strconv.Quote(v)
		}
	}
	return values
}

// kql is a filter as the Kibana Query Language writes it.
func kql(terms []Term) string {
	parts := make([]string, len(terms))
	for i, t := range terms {
		values := t.literals()
		part := t.Field + ": "
		if len(values) == 1 {
			part += values[0]
		} else {
			part += "(" + strings.Join(values, " or ") + ")"
		}
		if t.Not {
			part = "not " + part
		}
		parts[i] = part
	}
	return strings.Join(parts, " and ")
}

// dsl is the same filter as Kibana sends it.
func dsl(terms []Term) list {
	out := list{}
	for _, t := range terms {
		should := list{}
		for _, v := range t.Values {
			match := object{"match_phrase": object{t.Field: v}}
			if number(t.Field) {
				match = object{"match": object{t.Field: v}}
			}
			should = append(should, match)
		}
		clause := object{"bool": object{"should": should, "minimum_should_match": 1}}
		if t.Not {
			clause = object{"bool": object{"must_not": clause}}
		}
		out = append(out, clause)
	}
	return out
}

// problem says what is wrong with a panel, "" where nothing is.
func (p Panel) problem() string {
	for _, f := range p.Fields() {
		if !has(p.Over, f) {
			return fmt.Sprintf("documents of kind %s have no field %s", p.Over, f)
		}
	}
	switch {
	case p.measured() && len(p.Measures) == 0:
		return "it measures nothing"
	case p.Shape == Number && (len(p.Measures) != 1 || len(p.By) != 0):
		return "a number is one measure"
	case (p.Shape == Bars || p.Shape == Lines) && (len(p.By) == 0 || !p.By[0].time()):
		return "it needs time first"
	case (p.Shape == Donut || p.Shape == Ranked || p.Shape == Map) && (len(p.By) != 1 || p.By[0].time() || len(p.Measures) != 1):
		return "it needs one field and one measure"
	case p.Shape == List && len(p.Columns) == 0:
		return "it lists no columns"
	case p.Wide <= 0 || p.Wide > 48 || p.High <= 0:
		return "it has no size"
	}
	return ""
}

// has reports whether documents of a kind have a field that can be searched.
func has(k elastic.Kind, field string) bool {
	f, ok := mapped[field]
	return ok && f.Of(k)
}

// Filter is what a panel counts, as the Kibana Query Language writes it.
func (p Panel) Filter() string { return kql(p.Where) }

// Asked says in words what a panel asks for.
func (p Panel) Asked() string {
	if p.Shape == List {
		return "the documents, newest first"
	}
	var parts []string
	for _, m := range p.Measures {
		part := string(m.Op)
		if m.Field != "" {
			part += "(" + m.Field + ")"
		}
		if len(m.Where) > 0 {
			part += " where " + kql(m.Where)
		}
		parts = append(parts, part)
	}
	out := strings.Join(parts, ", ")
	for i, s := range p.By {
		out += map[bool]string{true: " by ", false: ", "}[i == 0] + s.Field
	}
	return out
}
