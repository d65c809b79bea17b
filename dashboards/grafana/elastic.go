package grafana

import (
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/dashboards/kibana"
)

const drawnNames = `overview/requests overview/denied overview/findings decisions/proposed overview/status overview/families overview/severities
	overview/rules overview/who credential-abuse/refused credential-abuse/accounts-table injection/classes injection/routes injection/agents rate/errors-time
	rate/bytes-time rate/routes campaigns/who decisions/states-time decisions/codes decisions/collateral decisions/changes completeness/minutes-time`

// drawn are the panels of Kibana's dashboards that Grafana draws too. Numbers are only
// those that can be added up: Grafana asks for them by time.
func drawn() []kibana.Panel {
	wanted := map[string]bool{}
	for _, id := range strings.Fields(drawnNames) {
		wanted[id] = true
	}
	var out []kibana.Panel
	for _, b := range kibana.Boards() {
		for _, p := range b.Panels {
			if wanted[b.Full(p)] {
				p.Title = strings.TrimPrefix(b.Title, "[Portcullis] ") + ": " + p.Title
				out = append(out, p)
			}
		}
	}
	return out
}

const elasticType = "elasticsearch"

// elasticBoard is the dashboard over Elasticsearch. Its data source covers all indices
// of Portcullis; each panel names the documents that it counts.
func elasticBoard() object {
	var l layout
	panels := list{}
	for _, p := range drawn() {
		shape, wide, high := "timeseries", 12, 9
		switch p.Shape {
		case kibana.Number:
			shape, wide, high = "stat", 6, 4
		case kibana.Donut:
			shape = "piechart"
		case kibana.Ranked:
			shape = "barchart"
		case kibana.Table:
			shape = "table"
		}
		panels = append(panels, l.place(object{"type": shape, "title": p.Title, "datasource": dataSource(elasticType), "targets": list{target(p)},
			"fieldConfig": object{"defaults": object{}, "overrides": list{}}, "options": optionsOf(shape)}, wide, high))
	}
	return dashboard("portcullis-elasticsearch", "Portcullis: findings and decisions", elasticType, panels, nil)
}

func optionsOf(shape string) object {
	o := options(shape)
	switch shape {
	case "table":
		return object{"showHeader": true, "cellHeight": "sm", "frameIndex": 0}
	case "piechart":
		o["reduceOptions"], o["pieType"] = object{"calcs": list{"lastNotNull"}, "fields": "", "values": true}, "donut"
		o["legend"] = object{"displayMode": "table", "placement": "right", "showLegend": true, "calcs": list{}, "values": list{}}
	case "stat": // one value for each span of time, which are added up
		o["reduceOptions"] = object{"calcs": list{"sum"}, "fields": "", "values": false}
	case "barchart":
		o["orientation"], o["legend"] = "horizontal", legend(false)
		for k, v := range (object{"xTickLabelRotation": 0, "xTickLabelMaxLength": 0, "stacking": "none", "showValue": "auto", "barWidth": 0.97, "groupWidth": 0.7, "fullHighlight": false}) {
			o[k] = v
		}
	}
	return o
}

// target is a panel as a query of Grafana's Elasticsearch data source.
func target(p kibana.Panel) object {
	metrics, buckets := list{}, list{}
	for i, m := range p.Measures {
		metric := object{"id": strconv.Itoa(i + 1), "type": map[kibana.Op]string{kibana.Count: "count", kibana.Sum: "sum", kibana.Max: "max", kibana.Unique: "cardinality"}[m.Op]}
		if m.Field != "" {
			metric["field"] = m.Field
		}
		metrics = append(metrics, metric)
	}
	for i, s := range p.By {
		id := strconv.Itoa(100 + i)
		if s.Size == 0 {
			continue // time comes last in Grafana
		}
		order := "1"
		if p.Measures[0].Op == kibana.Count {
			order = "_count"
		}
		buckets = append(buckets, object{"id": id, "type": "terms", "field": s.Field, "settings": object{"size": strconv.Itoa(s.Size), "order": "desc", "orderBy": order, "min_doc_count": "1"}})
	}
	if len(p.By) == 0 || p.By[0].Size == 0 {
		buckets = append(buckets, object{"id": "99", "type": "date_histogram", "field": "@timestamp", "settings": object{"interval": "auto", "min_doc_count": "0"}})
	}
	return object{"refId": "A", "datasource": dataSource(elasticType), "query": lucene(p), "timeField": "@timestamp", "metrics": metrics, "bucketAggs": buckets, "alias": ""}
}

// lucene is the filter of a panel in the language that Grafana takes.
func lucene(p kibana.Panel) string {
	parts := []string{`event.dataset:"portcullis.` + string(p.Over) + `"`}
	for _, t := range p.Where {
		var values []string
		for _, v := range t.Values {
			values = append(values, strconv.Quote(v))
		}
		part := t.Field + ":(" + strings.Join(values, " OR ") + ")"
		if t.Not {
			part = "NOT " + part
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " AND ")
}
