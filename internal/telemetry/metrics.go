package telemetry

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry of its own (nothing a dependency registers
// globally leaks in) with the Go, process and build collectors and
// portcullis_build_info{version,revision,goversion}.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "portcullis_build_info",
		Help:        "Always 1; its labels say which build runs.",
		ConstLabels: prometheus.Labels{"version": label(version), "revision": revision(), "goversion": runtime.Version()},
	})
	build.Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		build,
	)
	return reg
}

// revision is the commit the binary was built from, as far as the build said.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}

// MetricsHandler serves what g gathers. One broken collector costs its own
// series, not the scrape; the fault is logged. At most four scrapes run at once,
// the fifth is told 503.
func MetricsHandler(g prometheus.Gatherer, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// Kind says how a metric behaves over time.
type Kind uint8

// The kinds of metrics that a Collector exports.
const (
	Counter   Kind = iota // only grows until the process restarts; ends in _total
	Gauge                 // goes up and down
	Histogram             // how long things take, in seconds; of Meters only
)

// String returns the kind as Prometheus names it.
func (k Kind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// Desc describes one metric of a Collector or of Meters.
type Desc struct {
	Name   string // such as portcullis_lines_total
	Help   string
	Kind   Kind
	Labels []string // label names; their values must come from config or code, never from a request
}

// Bounds of a Collector: series per metric and bytes per label value.
const (
	MaxSeries = 256
	MaxLabel  = 128
)

// Collector exports numbers that live elsewhere at the moment of the scrape. It
// costs nothing between scrapes and is safe for concurrent scrapes, of which one
// runs its function at a time.
//
// What does not fit (an unknown name, the wrong number of labels, a series twice,
// a negative or NaN counter, more than MaxSeries series of a metric) is dropped
// and counted in portcullis_telemetry_dropped_total, never fatal to the scrape.
type Collector struct {
	mu      sync.Mutex // one run of collect at a time
	collect func(emit func(name string, value float64, labels ...string))
	metrics map[string]metric
	dropped atomic.Uint64
	drops   *prometheus.Desc
}

type metric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	labels int
}

// NewCollector returns a collector of the metrics in descs. At every scrape it
// calls collect, which calls emit once per series, with label values in the order
// of Desc.Labels. emit must not be used after collect returned.
func NewCollector(descs []Desc, collect func(emit func(name string, value float64, labels ...string))) (*Collector, error) {
	if len(descs) == 0 || collect == nil {
		return nil, fmt.Errorf("telemetry: a collector needs at least one metric and a function")
	}
	c := &Collector{collect: collect, metrics: make(map[string]metric, len(descs))}
	for _, d := range descs {
		if _, twice := c.metrics[d.Name]; twice {
			return nil, fmt.Errorf("telemetry: metric %s: described twice", Quote(d.Name))
		}
		if d.Kind == Counter && !strings.HasSuffix(d.Name, "_total") {
			return nil, fmt.Errorf("telemetry: metric %s: the name of a counter ends in _total", Quote(d.Name))
		}
		if d.Kind == Histogram {
			return nil, fmt.Errorf("telemetry: metric %s: a histogram is made of single observations: use Meters", Quote(d.Name))
		}
		m := metric{prometheus.NewDesc(d.Name, d.Help, d.Labels, nil), prometheus.CounterValue, len(d.Labels)}
		if d.Kind == Gauge {
			m.kind = prometheus.GaugeValue
		}
		if _, err := prometheus.NewConstMetric(m.desc, m.kind, 0, make([]string, m.labels)...); err != nil {
			return nil, fmt.Errorf("telemetry: metric %s: %w", Quote(d.Name), err)
		}
		c.metrics[d.Name] = m
	}
	c.drops = prometheus.NewDesc("portcullis_telemetry_dropped_total",
		"Samples that a collector emitted and that were dropped because they did not fit its description.",
		nil, prometheus.Labels{"collector": descs[0].Name})
	return c, nil
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
	out <- c.drops
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	series := make(map[string]int, len(c.metrics))
	seen := make(map[string]struct{})
	c.collect(func(name string, value float64, labels ...string) {
		m, known := c.metrics[name]
		negative := m.kind == prometheus.CounterValue && (value < 0 || math.IsNaN(value))
		if !known || len(labels) != m.labels || series[name] == MaxSeries || negative {
			c.dropped.Add(1)
			return
		}
		values := make([]string, len(labels))
		for i, l := range labels {
			values[i] = label(l)
		}
		key := name + "\xff" + strings.Join(values, "\xff") // 0xff is in no valid UTF-8
		if _, twice := seen[key]; twice {
			c.dropped.Add(1)
			return
		}
		sample, err := prometheus.NewConstMetric(m.desc, m.kind, value, values...)
		if err != nil {
			c.dropped.Add(1)
			return
		}
		seen[key] = struct{}{}
		series[name]++
		out <- sample
	})
	out <- prometheus.MustNewConstMetric(c.drops, prometheus.CounterValue, float64(c.dropped.Load()))
}

// label makes a value fit for a label: valid, printable UTF-8 of at most MaxLabel
// bytes.
func label(s string) string {
	return cut(clean(strings.ToValidUTF8(cut(s, MaxLabel), "\uFFFD")), MaxLabel)
}
