package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/kibana"
)

// documentRecord is a document as a record.
func documentRecord(source map[string]any) record {
	r := record{}
	for field, v := range source {
		list, many := v.([]any)
		if !many {
			list = []any{v}
		}
		for _, one := range list {
			switch x := one.(type) {
			case string:
				if at, err := time.Parse(time.RFC3339Nano, x); field == "@timestamp" && err == nil {
					x = fmt.Sprint(at.UnixMilli())
				}
				r[field] = append(r[field], x)
			case float64:
				r[field] = append(r[field], fmt.Sprintf("%.0f", x))
			}
		}
	}
	return r
}

// panelTable is the part of docs/kibana.md that this test writes.
type panelTable struct {
	asked, figures bytes.Buffer // without and with the figures of the run
}

func newPanelTable() *panelTable {
	p := &panelTable{}
	for _, b := range []*bytes.Buffer{&p.asked, &p.figures} {
		b.WriteString("| panel | documents | filter | figures, by | rows | first figure, summed | in the database |\n|---|---|---|---|---|---|---|\n")
	}
	return p
}

func (t *panelTable) add(b kibana.Board, p kibana.Panel, got []kibana.Row, want map[string][]float64) {
	ours := 0.0
	for _, r := range got {
		ours += want[strings.Join(r.Keys, "\x00")][0]
	}
	what := fmt.Sprintf("| %s | %s | %s | %s |", b.Full(p), p.Over, code(p.Filter()), p.Asked())
	fmt.Fprintf(&t.asked, "%s\n", what)
	fmt.Fprintf(&t.figures, "%s %d | %.0f | %.0f |\n", what, len(got), firstSum(got), ours)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// compare holds the page against the panels; the figures are of one run and differ
// from one to the next.
func (t *panelTable) compare(test *testing.T) {
	test.Helper()
	const begin, end = "<!-- panels: begin -->\n", "<!-- panels: end -->"
	path := filepath.Join("..", "..", "docs", "kibana.md")
	page, err := os.ReadFile(path)
	if err != nil {
		test.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), begin)
	have, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		test.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	if *update && !test.Failed() {
		if err := os.WriteFile(path, []byte(head+begin+t.figures.String()+end+tail), 0o644); err != nil {
			test.Fatal(err)
		}
		return
	}
	want := strings.Split(t.asked.String(), "\n")
	lines := strings.Split(have, "\n")
	if len(lines) != len(want) {
		test.Errorf("%s has %d lines of panels, want %d: run go test ./cmd/portcullis -run E2EKibana -update", path, len(lines), len(want))
		return
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			test.Errorf("%s: %q, want %q: run go test ./cmd/portcullis -run E2EKibana -update", path, lines[i], want[i])
			return
		}
		if cells := strings.Split(lines[i], " | "); i > 1 && len(cells) > 2 && strings.TrimSuffix(cells[len(cells)-1], " |") != cells[len(cells)-2] {
			test.Errorf("%s tells of a run in which Elasticsearch and the database differ: %s", path, lines[i])
		}
	}
}
