package hindsight

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/detect"
)

//go:embed report.html
var page string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"time": func(ns int64) string {
		if ns == 0 {
			return ""
		}
		return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05Z")
	},
	"lasted": func(o Outcome) string { return time.Duration(o.To - o.From).Round(time.Second).String() },
	"count":  func(n any) string { return count(reflect.ValueOf(n).Int()) },
	"who":    func(s detect.Subject) string { return s.Kind + ":" + short(s.Value) },
	"narrow": func(o Outcome) bool { return o.narrowed() },
	"score":  func(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) },
}).Parse(page))

// short caps what a client may have written.
func short(s string) string { return cut(s, 80) }

// cut leaves so many characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// count writes a number with thin spaces between thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// worstListed bounds the decisions in the page.
const worstListed = 200

// bar is one row of a chart: parts of a whole, in percent.
type bar struct {
	Name       string
	Good, Rest float64
	Text       string
}

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	set := r.AsSet()
	worst := set.Worst()
	view := struct {
		*Report
		Set        *Trial
		Thresholds []bar
		Rules      []Sum
		RuleBars   []bar
		Hours      []column
		Sums       []Sum
		Worst      []Outcome
		More       int
	}{Report: r, Set: set, Rules: set.Rules(), Worst: worst[:min(len(worst), worstListed)], More: max(0, len(worst)-worstListed)}
	for i := range r.Trials {
		view.Sums = append(view.Sums, r.Trials[i].Sum(""))
	}
	view.Thresholds = bars(view.Sums, func(i int) string {
		name := fmt.Sprintf("score %g", r.Trials[i].Threshold)
		if r.Trials[i].Set {
			name += ", as set"
		}
		return name
	})
	view.RuleBars = bars(view.Rules, func(i int) string { return view.Rules[i].Rule })
	view.Hours = set.columns(r.Total.First, r.Total.Last)
	return pageTemplate.Execute(w, view)
}

// bars are the refused requests of sums, the good ones apart.
func bars(sums []Sum, name func(int) string) []bar {
	most := int64(1)
	for i := range sums {
		most = max(most, sums[i].Hits.Refused)
	}
	out := make([]bar, len(sums))
	for i := range sums {
		h := &sums[i].Hits
		out[i] = bar{Name: name(i), Good: 100 * float64(h.Authenticated) / float64(most), Rest: 100 * float64(h.Refused-h.Authenticated) / float64(most),
			Text: fmt.Sprintf("%s refused, %s of them good", count(h.Refused), count(h.Authenticated))}
	}
	return out
}

// column is a part of the log's time: how many decisions were in force in it.
type column struct {
	X, Y, Width, Height float64
	Text                string
}

// parts is how many columns there are.
const parts = 96

// columns counts the decisions in force over the time of the log, in a chart of 960 by
// 120.
func (t *Trial) columns(first, last int64) []column {
	counts, step := t.inForce(first, last)
	most := max(1, slices.Max(append(counts, 0)))
	out := make([]column, len(counts))
	for k, n := range counts {
		height := 120 * float64(n) / float64(most)
		out[k] = column{X: float64(k) * 10, Y: 120 - height, Width: 9, Height: height,
			Text: fmt.Sprintf("%s: %d in force", time.Unix(0, first+int64(k)*step).UTC().Format("2006-01-02 15:04Z"), n)}
	}
	return out
}

// inForce counts the decisions in force in equal parts of the time of the log, each step
// nanoseconds long; nil where the log has no length.
func (t *Trial) inForce(first, last int64) (counts []int, step int64) {
	if last <= first {
		return nil, 0
	}
	step = (last-first)/parts + 1
	counts = make([]int, parts)
	for i := range t.Outcomes {
		o := &t.Outcomes[i]
		if o.From == 0 || o.To < first || o.From > last {
			continue
		}
		for k := max(0, (o.From-first)/step); k <= min(parts-1, (o.To-1-first)/step); k++ {
			counts[k]++
		}
	}
	return counts, step
}
