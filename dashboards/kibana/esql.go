package kibana

import (
	"fmt"
	"strconv"
	"strings"
)

// ESQL is the panel as a query of ES|QL, for Discover and for rules of one's own; ""
// for panels that show no figures.
func (p Panel) ESQL() string {
	if !p.measured() {
		return ""
	}
	lines := []string{"FROM " + viewOf(p.Over).Pattern()}
	where := esqlWhere(p.Where)
	for _, s := range p.By {
		if !s.time() { // a panel has no row for what has no value
			where = append(where, s.Field+" IS NOT NULL")
		}
	}
	if len(where) > 0 {
		lines = append(lines, "WHERE "+strings.Join(where, " AND "))
	}
	stats := make([]string, len(p.Measures))
	for i, m := range p.Measures {
		stats[i] = esqlName(m.Label) + " = " + m.esql()
	}
	line := "STATS " + strings.Join(stats, ", ")
	var by []string
	for _, s := range p.By {
		if s.time() {
			by = append(by, "minute = BUCKET("+timeField+", 1 minute)")
		} else {
			by = append(by, s.Field)
		}
	}
	if len(by) > 0 {
		line += " BY " + strings.Join(by, ", ")
	}
	lines = append(lines, line)
	switch {
	case len(p.By) > 0 && p.By[0].time():
		lines = append(lines, "SORT minute")
	case len(p.By) > 0:
		lines = append(lines, "SORT "+esqlName(p.Measures[0].Label)+" DESC NULLS LAST", "LIMIT "+strconv.Itoa(p.By[0].Size))
	}
	return strings.Join(lines, "\n| ")
}

// esqlName is a label as the name of a column, which begins with a letter or _.
func esqlName(label string) string {
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, label))
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

func (m Measure) esql() string {
	f := map[Op]string{Count: "COUNT(*)", Sum: "SUM(" + m.Field + ")", Max: "MAX(" + m.Field + ")", Unique: "COUNT_DISTINCT(" + m.Field + ")"}[m.Op]
	if len(m.Where) > 0 {
		f += " WHERE " + strings.Join(esqlWhere(m.Where), " AND ")
	}
	return f
}

// esqlWhere is a filter, whose parts must all hold. A field without a value is none of the values, which ES|QL
// does not say by itself.
func esqlWhere(terms []Term) []string {
	parts := make([]string, len(terms))
	for i, t := range terms {
		in := fmt.Sprintf("%s IN (%s)", t.Field, strings.Join(t.literals(), ", "))
		if t.Not {
			in = fmt.Sprintf("(%s IS NULL OR NOT %s)", t.Field, in)
		}
		parts[i] = in
	}
	return parts
}
