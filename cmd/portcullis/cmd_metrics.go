package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// MetricsCmd is "portcullis metrics".
type MetricsCmd struct {
	Markdown bool `help:"Write the page docs/metrics.md instead."`
}

// Help implements kong.HelpProvider.
func (*MetricsCmd) Help() string {
	return `They are served at /metrics of the console's address, for Prometheus. "dashboards export" writes a Grafana dashboard and alert rules over them.

Example:
  curl -s http://127.0.0.1:8470/metrics`
}

// metricRow is one metric, and where it is served.
type metricRow struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	Labels []string `json:"labels"`
	Help   string   `json:"help"`
	Served string   `json:"served"`
}

// Where a metric is served.
const (
	servedAll     = "always"
	servedOne     = "one process"
	servedSome    = "several processes"
	servedAsk     = "authz, lapi, lists"
	servedIndex   = "elasticsearch"
	servedSends   = "alerts"
	servedOutputs = "outputs"
)

// catalogue lists the metrics of all parts, by name.
func catalogue() []metricRow {
	var rows []metricRow
	add := func(served string, descs []telemetry.Desc) {
		for _, d := range descs {
			rows = append(rows, metricRow{d.Name, d.Kind.String(), append([]string{}, d.Labels...), d.Help, served})
		}
	}
	add(servedAll, ownDescs)
	add(servedAll, meterDescs)
	add(servedAsk, inlineDescs)
	add(servedIndex, elasticDescs)
	add(servedSends, alertMetrics)
	add(servedOutputs, outputMetrics)
	for _, d := range pipelineDescs {
		served := servedOne
		if has(clusterDescs, d.Name) {
			served = servedAll
		}
		add(served, []telemetry.Desc{d})
	}
	for _, d := range clusterDescs {
		if !has(pipelineDescs, d.Name) {
			add(servedSome, []telemetry.Desc{d})
		}
	}
	slices.SortFunc(rows, func(a, b metricRow) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

// ownDescs are those that telemetry adds to every registry and collector.
var ownDescs = []telemetry.Desc{
	{Name: "portcullis_build_info", Help: "Always 1; its labels say which build runs.", Kind: telemetry.Gauge, Labels: []string{"version", "revision", "goversion"}},
	{Name: "portcullis_telemetry_dropped_total", Help: "Samples that a collector emitted and that were dropped because they did not fit its description.", Labels: []string{"collector"}},
	{Name: "portcullis_meters_dropped_total", Help: "Observations that were dropped because they did not fit the description of their metric."},
}

func has(descs []telemetry.Desc, name string) bool {
	return slices.ContainsFunc(descs, func(d telemetry.Desc) bool { return d.Name == name })
}

// describedIn returns the description of a metric that other tables have too. One
// that is not there gives an empty one, which the collector refuses.
func describedIn(descs []telemetry.Desc, name string) telemetry.Desc {
	for _, d := range descs {
		if d.Name == name {
			return d
		}
	}
	return telemetry.Desc{}
}

// Run implements the command.
func (c *MetricsCmd) Run(app *App) error {
	rows := catalogue()
	if c.Markdown {
		_, err := app.Out.Write(metricsPage(rows))
		return err
	}
	if app.JSONL() {
		for _, r := range rows {
			if err := app.object(r); err != nil {
				return err
			}
		}
		return nil
	}
	t := app.Table(cliout.Column{Title: "METRIC", Keep: true}, cliout.Column{Title: "KIND"}, cliout.Column{Title: "LABELS"}, cliout.Column{Title: "SERVED"}, cliout.Column{Title: "MEANS"})
	for _, r := range rows {
		t.Row(r.Name, r.Kind, strings.Join(r.Labels, ","), r.Served, r.Help)
	}
	return t.Flush()
}

const metricsHead = `# Metrics

Served for Prometheus at ` + "`/metrics`" + ` of the console's address (` + "`console.listen`" + `), for those who may read the console.
This page is written by ` + "`portcullis metrics --markdown`" + `. Beside what stands here there are the usual ones of Go and of the process (` + "`go_*`, `process_*`" + `).

Labels come from the settings and from fixed sets, never from a request: a metric has at most %d series, and a label
at most %d bytes. What a counter or a histogram has no room for is counted with ` + "`%s`" + ` in every label. Histograms are native
ones for a Prometheus that scrapes these, and have fixed buckets for others.

Counters begin at 0 with the process, but those that say "since the state was made". ` + "`portcullis dashboards export`" + `
writes a Grafana dashboard, recording rules and alert rules over these metrics: [Kibana and Grafana](kibana.md#grafana).

| metric | kind | labels | served | what it says |
|---|---|---|---|---|
`

// metricsPage is docs/metrics.md.
func metricsPage(rows []metricRow) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, metricsHead, telemetry.MaxSeries, telemetry.MaxLabel, telemetry.OtherLabel)
	for _, r := range rows {
		labels := make([]string, len(r.Labels))
		for i, l := range r.Labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Name, r.Kind, strings.Join(labels, ", "), r.Served, r.Help)
	}
	return b.Bytes()
}
