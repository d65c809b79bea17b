package grafana

// panel is a chart over Prometheus.
type panel struct {
	title string
	shape string // stat or timeseries
	unit  string // as Grafana names it
	wide  int
	exprs []expr
}

// expr is a query, and how its series are named.
type expr struct{ query, legend string }

// by is the choice of processes and sources.
const by = `{instance=~"$instance"}`

func quantiles(metric, label string) []expr {
	legend := ""
	if label != "" {
		legend = " {{" + label + "}}"
		label = ", " + label
	}
	q := func(p string) string {
		return "histogram_quantile(" + p + ", sum by (le" + label + ") (rate(" + metric + "_bucket" + by + "[$__rate_interval])))"
	}
	return []expr{{q("0.5"), "p50" + legend}, {q("0.99"), "p99" + legend}}
}

// metricPanels are the panels over the metrics, by rows.
func metricPanels() []struct {
	row    string
	panels []panel
} {
	rate := func(metric, label, legend string) expr {
		return expr{"sum by (" + label + ") (rate(" + metric + by + "[$__rate_interval]))", legend}
	}
	now := func(metric, label, legend string) expr {
		return expr{"sum by (" + label + ") (" + metric + by + ")", legend}
	}
	type row = struct {
		row    string
		panels []panel
	}
	return []row{
		{"At a glance", []panel{
			{"Lines a second", "stat", "cps", 4, []expr{{"sum(rate(portcullis_lines_total" + by + "[$__rate_interval]))", ""}}},
			{"Lag", "stat", "s", 4, []expr{{"max(portcullis_lag_seconds" + by + ")", ""}}},
			{"Rejected lines", "stat", "percentunit", 4, []expr{{"sum(rate(portcullis_rejected_total" + by + "[$__rate_interval])) / sum(rate(portcullis_lines_total" + by + "[$__rate_interval]))", ""}}},
			{"Decisions in force", "stat", "none", 4, []expr{{`sum(portcullis_decisions{instance=~"$instance", state=~"approved|pushed|verified|not_enforced"})`, ""}}},
			{"Do not hold", "stat", "none", 4, []expr{{`sum(portcullis_decisions{instance=~"$instance", state="not_enforced"})`, ""}}},
			{"Gateways behind", "stat", "none", 4, []expr{{"sum(portcullis_gateway_behind" + by + ")", ""}}},
		}},
		{"Reading", []panel{
			{"Lines by source", "timeseries", "cps", 12, []expr{rate("portcullis_lines_total", "source", "{{source}}")}},
			{"Rejected, by reason", "timeseries", "cps", 12, []expr{rate("portcullis_rejected_total", "source, reason", "{{source}} {{reason}}")}},
			{"Unread bytes", "timeseries", "bytes", 12, []expr{now("portcullis_lag_bytes", "source", "{{source}}")}},
			{"Late, future and cut lines", "timeseries", "cps", 12, []expr{rate("portcullis_late_total", "source", "late {{source}}"), rate("portcullis_future_total", "source", "future {{source}}"), rate("portcullis_truncated_total", "source", "cut {{source}}")}},
			{"Age of the newest line", "timeseries", "s", 12, []expr{{"time() - max by (source) (portcullis_source_newest_timestamp_seconds" + by + ")", "{{source}}"}}},
			{"Lost bytes", "timeseries", "bytes", 12, []expr{{"sum by (source) (increase(portcullis_lost_bytes_total" + by + "[$__rate_interval]))", "{{source}}"}}},
		}},
		{"Detecting", []panel{
			{"Findings by family", "timeseries", "cps", 12, []expr{rate("portcullis_findings_total", "family, severity", "{{family}} {{severity}}")}},
			{"Findings by rule", "timeseries", "cps", 12, []expr{rate("portcullis_rule_findings_total", "rule", "{{rule}}")}},
			{"From the line to the finding", "timeseries", "s", 12, quantiles("portcullis_finding_delay_seconds", "family")},
			{"Work of the stages", "timeseries", "s", 12, quantiles("portcullis_stage_seconds", "stage")},
			{"Clients tracked", "timeseries", "none", 8, []expr{now("portcullis_clients", "instance", "{{instance}}"), now("portcullis_task_clients", "task", "{{task}}")}},
			{"Clients forgotten", "timeseries", "cps", 8, []expr{rate("portcullis_clients_evicted_total", "instance", "{{instance}}")}},
			{"State and bus", "timeseries", "bytes", 8, []expr{now("portcullis_state_bytes", "instance", "state {{instance}}"), now("portcullis_bus_bytes", "instance", "bus {{instance}}")}},
			{"Waiting in Kafka", "timeseries", "none", 12, []expr{now("portcullis_task_waiting", "task", "{{task}}"), now("portcullis_collect_waiting", "instance", "collect {{instance}}"), now("portcullis_index_waiting", "instance", "index {{instance}}")}},
			{"Documents to Elasticsearch", "timeseries", "cps", 12, []expr{rate("portcullis_elasticsearch_documents_total", "result", "{{result}}")}},
		}},
		{"Enforcing", []panel{
			{"Decisions by state", "timeseries", "none", 12, []expr{now("portcullis_decisions", "state", "{{state}}")}},
			{"Changes by state reached", "timeseries", "cps", 12, []expr{rate("portcullis_decision_changes_total", "action, state", "{{action}} {{state}}")}},
			{"Until pushed, verified, failed", "timeseries", "s", 12, quantiles("portcullis_decision_seconds", "state")},
			{"Answers of gateways", "timeseries", "s", 12, quantiles("portcullis_gateway_answer_seconds", "gateway")},
			{"Pushes by result", "timeseries", "cps", 8, []expr{rate("portcullis_gateway_pushes_total", "gateway, result", "{{gateway}} {{result}}")}},
			{"Entries of gateways", "timeseries", "none", 8, []expr{now("portcullis_gateway_entries", "gateway", "{{gateway}}")}},
			{"Queue", "timeseries", "none", 8, []expr{now("portcullis_enforce_queue", "instance", "{{instance}}")}},
		}},
		{"Process", []panel{
			{"CPU", "timeseries", "none", 8, []expr{{"rate(process_cpu_seconds_total" + by + "[$__rate_interval])", "{{instance}}"}}},
			{"Memory", "timeseries", "bytes", 8, []expr{{"process_resident_memory_bytes" + by, "{{instance}}"}}},
			{"Goroutines", "timeseries", "none", 8, []expr{{"go_goroutines" + by, "{{instance}}"}}},
		}},
	}
}

// metricsBoard is the dashboard over Prometheus.
func metricsBoard() object {
	var l layout
	panels := list{}
	for _, row := range metricPanels() {
		panels = append(panels, l.place(object{"type": "row", "title": row.row, "collapsed": false, "panels": list{}}, 24, 1))
		for _, p := range row.panels {
			targets := list{}
			for i, e := range p.exprs {
				targets = append(targets, object{"refId": string(rune('A' + i)), "expr": e.query, "legendFormat": e.legend, "datasource": dataSource("prometheus"), "editorMode": "code", "range": true})
			}
			o := object{"type": p.shape, "title": p.title, "datasource": dataSource("prometheus"), "targets": targets,
				"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": list{}}, "options": options(p.shape)}
			high := 8
			if p.shape == "stat" {
				high = 4
			}
			panels = append(panels, l.place(o, p.wide, high))
		}
	}
	instance := object{"name": "instance", "label": "Instance", "type": "query", "datasource": dataSource("prometheus"), "refresh": 2, "sort": 1, "hide": 0,
		"query":      object{"query": "label_values(portcullis_build_info, instance)", "refId": "instance"},
		"definition": "label_values(portcullis_build_info, instance)", "multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"}}
	return dashboard("portcullis-metrics", "Portcullis: metrics", "prometheus", panels, list{instance})
}

func options(shape string) object {
	if shape == "stat" {
		return object{"reduceOptions": object{"calcs": list{"lastNotNull"}, "fields": "", "values": false}, "colorMode": "value", "graphMode": "area", "textMode": "auto",
			"justifyMode": "auto", "orientation": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard"}
	}
	return object{"orientation": "auto", "legend": legend(true), "tooltip": object{"mode": "multi", "sort": "desc"}}
}

func legend(shown bool) object {
	return object{"displayMode": "list", "placement": "bottom", "showLegend": shown, "calcs": list{}}
}
