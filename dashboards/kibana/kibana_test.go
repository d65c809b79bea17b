package kibana

import (
	"testing"
)

func TestPanelsAreSound(t *testing.T) {
	seen := map[string]bool{}
	n := 0
	for _, b := range Boards() {
		for _, p := range b.Panels {
			n++
			if why := p.problem(); why != "" {
				t.Errorf("%s: %s", b.Full(p), why)
			}
			if seen[b.Full(p)] {
				t.Errorf("%s is there twice", b.Full(p))
			}
			seen[b.Full(p)] = true
		}
		for _, c := range b.Controls {
			if !has(c.Over, c.Field) || c.Title == "" {
				t.Errorf("%s: control over %s", b.ID, c.Field)
			}
		}
	}
	t.Log(n, "panels")
	for _, s := range Searches() {
		for _, c := range s.Columns {
			if !has(s.Over, c) {
				t.Errorf("%s: column %s", s.ID, c)
			}
		}
	}
}
