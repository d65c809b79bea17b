package kibana

import (
	"encoding/json"
	"fmt"
	"strings"
)

// File is a file of an export, by its path within the folder.
type File struct {
	Path string
	Data []byte
}

// Files are all that a person, or another tool, can import by hand: saved objects,
// detection rules, alert rules and the panels as ES|QL.
func Files() ([]File, error) {
	objects, err := Objects()
	if err != nil {
		return nil, err
	}
	saved, err := NDJSON(objects)
	if err != nil {
		return nil, err
	}
	detections, err := NDJSON(DetectionRules())
	if err != nil {
		return nil, err
	}
	alerts, err := NDJSON(AlertRules(""))
	if err != nil {
		return nil, err
	}
	return []File{
		{"kibana/portcullis.ndjson", saved},
		{"kibana/detection-rules.ndjson", detections},
		{"kibana/alert-rules.ndjson", alerts},
		{"kibana/queries.esql", []byte(queries())},
	}, nil
}

// queries are the panels as ES|QL, one after the other.
func queries() string {
	var b strings.Builder
	b.WriteString("// The panels of the dashboards as ES|QL, for Discover. The time is chosen there.\n")
	for _, board := range Boards() {
		for _, p := range board.Panels {
			if q := p.ESQL(); q != "" {
				fmt.Fprintf(&b, "\n// %s: %s\n%s\n", board.Title, p.Title, q)
			}
		}
	}
	return b.String()
}

// indented is an object as a file for people.
func indented(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("kibana: %w", err)
	}
	return append(data, '\n'), nil
}
