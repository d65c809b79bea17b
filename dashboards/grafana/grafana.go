// Package grafana makes dashboards for Grafana, over the metrics in Prometheus and over
// the documents in Elasticsearch, and the recording and alert rules of Prometheus. The
// dashboard over Elasticsearch draws panels of Kibana's dashboards, so that both show
// the same figures.
package grafana

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

// object is a piece of JSON.
type object = map[string]any

// list is a JSON array.
type list = []any

// schema is the version of Grafana's dashboard schema: that of Grafana 10, which newer
// ones bring up to date by themselves.
const schema = 39

// File is a file of an export, by its path within the folder.
type File struct {
	Path string
	Data []byte
}

//go:embed rules/*.yaml
var rules embed.FS

// Files are the dashboards, and the rules for Prometheus with their unit tests.
func Files() ([]File, error) {
	var out []File
	for name, board := range map[string]object{"metrics": metricsBoard(), "elasticsearch": elasticBoard()} {
		data, err := json.MarshalIndent(board, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("grafana: %w", err)
		}
		out = append(out, File{"grafana/portcullis-" + name + ".json", append(data, '\n')})
	}
	names, err := fs.Glob(rules, "rules/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("grafana: %w", err)
	}
	for _, name := range names {
		data, err := rules.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("grafana: %w", err)
		}
		out = append(out, File{"prometheus/" + name[len("rules/"):], data})
	}
	return out, nil
}

// dashboard is what both have in common.
func dashboard(uid, title, kind string, panels, variables list) object {
	source := object{"name": "datasource", "label": "Data source", "type": "datasource", "query": kind, "refresh": 1, "hide": 0, "regex": "",
		"multi": false, "includeAll": false, "options": list{}, "current": object{"text": "", "value": ""}}
	return object{
		"uid": uid, "title": title, "tags": list{"portcullis"}, "schemaVersion": schema, "version": 1, "editable": true, "graphTooltip": 1,
		"time": object{"from": "now-6h", "to": "now"}, "timezone": "", "refresh": "30s", "annotations": object{"list": list{}},
		"links":      list{object{"type": "dashboards", "title": "Portcullis", "tags": list{"portcullis"}, "asDropdown": false, "keepTime": true, "includeVars": false, "targetBlank": false, "icon": "external link", "tooltip": ""}},
		"templating": object{"list": append(list{source}, variables...)}, "panels": panels,
	}
}

func dataSource(kind string) object { return object{"type": kind, "uid": "${datasource}"} }

// layout places panels from left to right on Grafana's 24 columns.
type layout struct{ x, y, high, n int }

func (l *layout) place(panel object, wide, high int) object {
	if l.x+wide > 24 {
		l.x, l.y, l.high = 0, l.y+l.high, 0
	}
	l.n++
	panel["id"], panel["gridPos"] = l.n, object{"x": l.x, "y": l.y, "w": wide, "h": high}
	l.x, l.high = l.x+wide, max(l.high, high)
	return panel
}
