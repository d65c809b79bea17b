package main

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portcullis/portcullis/dashboards/grafana"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// metricsNamed are the metrics that the dashboards and rules for Grafana and Prometheus
// name, by file.
func metricsNamed(t *testing.T) map[string][]string {
	t.Helper()
	files, err := grafana.Files()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	name := regexp.MustCompile(`:?\bportcullis_[a-z0-9_]+:?`)
	for _, f := range files {
		for _, m := range name.FindAllString(string(f.Data), -1) {
			if strings.Contains(m, ":") {
				continue // what a recording rule makes
			}
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				m = strings.TrimSuffix(m, part)
			}
			if !slices.Contains(out[m], f.Path) {
				out[m] = append(out[m], f.Path)
			}
		}
	}
	return out
}

// TestMetricsAreKnown: what dashboards and rules name is served somewhere.
func TestMetricsAreKnown(t *testing.T) {
	known := map[string]metricRow{}
	for _, r := range catalogue() {
		if _, twice := known[r.Name]; twice {
			t.Errorf("%s is described twice", r.Name)
		}
		known[r.Name] = r
	}
	named := metricsNamed(t)
	if len(named) < 30 {
		t.Errorf("%d metrics are named: the test sees little", len(named))
	}
	for m, files := range named {
		if _, ok := known[m]; !ok {
			t.Errorf("%s, in %v, is no metric", m, files)
		}
	}
}

// TestRegistryIsTheCatalogue: the descriptions of docs/metrics.md are those of the
// registry, each once, and none is missing.
func TestRegistryIsTheCatalogue(t *testing.T) {
	known := map[string]bool{"portcullis_build_info": true}
	for _, r := range catalogue() {
		known[r.Name] = true
	}
	m, err := newMeters(now)
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(emitter) {}
	for _, descs := range [][]telemetry.Desc{slices.Concat(pipelineDescs, elasticDescs, alertMetrics, outputMetrics), slices.Concat(clusterDescs, elasticDescs, alertMetrics, outputMetrics), inlineDescs} {
		c, err := telemetry.NewCollector(descs, nothing)
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range []prometheus.Collector{c, m} {
			out := make(chan *prometheus.Desc, 100)
			each.Describe(out)
			close(out)
			for d := range out {
				name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())
				if name == nil || !known[name[1]] {
					t.Errorf("%s is not in the catalogue", d)
				}
			}
		}
	}
}

// metricsOfParts: what dashboards and rules name of several processes, these serve
// together; without Elasticsearch nothing waits to be indexed.
func metricsOfParts(t *testing.T, members []*member) {
	t.Helper()
	var all strings.Builder
	for _, m := range members {
		found := regexp.MustCompile(`console: serving" address=(\S+)`).FindStringSubmatch(m.said.String())
		if found == nil {
			t.Errorf("%s has no console", m.name)
			continue
		}
		resp, err := http.Get("http://" + found[1] + "/metrics")
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = io.Copy(&all, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Error(err)
		}
	}
	looked := 0
	named := metricsNamed(t)
	for _, r := range catalogue() {
		if files := named[r.Name]; files != nil && r.Served == servedSome && r.Name != "portcullis_index_waiting" {
			looked++
			if !strings.Contains(all.String(), "# TYPE "+r.Name+" ") {
				t.Errorf("%s, in %v, is served by no process", r.Name, files)
			}
		}
	}
	if looked < 5 || !strings.Contains(all.String(), "\nportcullis_findings_total{") {
		t.Errorf("%d metrics of several processes are named; or no process counts findings", looked)
	}
}

// metricsAreServed: each metric that dashboards and rules name, and that one process with
// a gateway and Elasticsearch has, is in the real /metrics of such a run, and no
// label has anything of a client.
func (k *kibanaRig) metricsAreServed() {
	t := k.t
	code, text := k.get("/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d", code)
	}
	served := map[string]bool{}
	series := map[string]int{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			served[name] = true
		} else if name, _, ok := strings.Cut(line, "{"); ok && strings.HasPrefix(name, "portcullis_") && !strings.HasSuffix(name, "_bucket") {
			series[name]++
			if strings.Contains(line, "203.0.113") || strings.Contains(line, "alice") || strings.Contains(line, "/api") {
				t.Errorf("a label holds what a client sent: %s", line)
			}
		}
	}
	for name, n := range series {
		if n > 64 {
			t.Errorf("%s has %d series", name, n)
		}
	}
	known := map[string]metricRow{}
	for _, r := range catalogue() {
		known[r.Name] = r
	}
	for name := range served {
		if strings.HasPrefix(name, "portcullis_") && known[name].Name == "" {
			t.Errorf("%s is served, and not in docs/metrics.md", name)
		}
	}
	looked := 0
	for name, files := range metricsNamed(t) {
		if where := known[name].Served; where == servedSome || where == servedAsk {
			continue // TestMetricsAreKnown
		}
		looked++
		if !served[name] {
			t.Errorf("%s, in %v, is not served by a run", name, files)
		}
	}
	t.Logf("%d metrics of dashboards and rules are served by this run", looked)
}
