package index

import (
	"encoding/json"
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Findings converts the findings topic: findings, and the traffic of routes.
func Findings(s *elastic.Store) Convert {
	return func(m *bus.Message) ([]elastic.Doc, error) {
		switch string(m.Header(task.HeaderKind)) {
		case task.KindFinding:
			f, err := detect.DecodeFinding(m.Value)
			if err != nil {
				return nil, err
			}
			d, err := s.FindingDoc(f)
			return []elastic.Doc{d}, err
		case task.KindRollup:
			var rows []detect.Rollup
			if err := json.Unmarshal(m.Value, &rows); err != nil {
				return nil, fmt.Errorf("traffic: %w", err)
			}
			docs := make([]elastic.Doc, 0, len(rows))
			for _, r := range rows {
				d, err := s.TrafficDoc(r, "")
				if err != nil {
					return nil, err
				}
				docs = append(docs, d)
			}
			return docs, nil
		}
		return nil, nil
	}
}

// Requests converts the access topic, as far as the settings keep requests: it reads
// and inspects each line again, beside the detection and at its own pace.
type Requests struct {
	Store   *elastic.Store
	Keeps   func(pos ingest.Position, suspicious bool) bool
	Decoder detect.Decoder
	Inspect *inspect.Inspector
	Redact  func(string) string // nil: the lines have no secrets any more
}

// Convert is a Convert.
func (r *Requests) Convert(m *bus.Message) ([]elastic.Doc, error) {
	b, err := bus.ToBatch(m)
	if err != nil {
		return nil, err
	}
	var docs []elastic.Doc
	r.Decoder.Decode(&b, func(ev *ingest.Event) {
		var v elastic.Verdict
		if parts := r.Inspect.Parts(ev); parts != 0 {
			if look := r.Inspect.Look(ev, parts); look.Score >= r.Inspect.Threshold() {
				v.Classes = look.Classes
			}
		}
		if err != nil || !r.Keeps(ev.Pos, v.Suspicious()) {
			return
		}
		var d elastic.Doc
		if d, err = r.Store.AccessDoc(ev, v, r.Redact); err == nil {
			docs = append(docs, d)
		}
	}, func(ingest.Reject) {})
	return docs, err
}
