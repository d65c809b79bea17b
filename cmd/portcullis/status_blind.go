package main

import (
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// blindnesses lists what the lines of sources lack for the detectors that are on.
func (s *Settings) blindnesses(rows ...ingest.LedgerRow) []detect.Blindness {
	var list []detect.Blindness
	rules := s.rules()
	for i := range rows {
		list = append(list, detect.Blindnesses(rules, &rows[i], format.Advice)...)
	}
	return list
}

// blind shows which detectors miss something, and what to log to open their eyes.
func (st *statusObject) blind(app *App) *cliout.Table {
	t := app.Table(cliout.Column{Title: "SOURCE", Keep: true}, cliout.Column{Title: "NO LINE HAS", Keep: true},
		cliout.Column{Title: "BLIND", Paint: func(string) cliout.Color { return cliout.Yellow }}, cliout.Column{Title: "HALF BLIND"}, cliout.Column{Title: "WHAT TO LOG"})
	for _, b := range st.Blind {
		t.Row(b.Source, strings.Join(b.Missing, ", "), strings.Join(b.Blind, ", "), strings.Join(b.Half, ", "), b.Add)
	}
	return t
}
