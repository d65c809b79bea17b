package telemetry

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// OtherLabel stands in every label of what a metric has no room for.
const OtherLabel = "other"

// histogramBounds are the upper ends, in seconds, of the buckets that servers see
// which do not read native histograms: from a tenth of a millisecond to five minutes.
var histogramBounds = []float64{0.0001, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// Meters are the metrics that a program moves as it works: counters, and histograms
// of durations, which are native ones for servers that read these. It is safe for
// concurrent use, and a nil *Meters takes everything and keeps nothing.
//
// A metric has at most MaxSeries series. What would be one more is counted with
// OtherLabel in every label, so that nothing is lost of its sum, and no value that
// somebody else chose can fill the memory.
type Meters struct {
	mu         sync.Mutex // of seen
	seen       map[string]map[string]struct{}
	counters   map[string]*prometheus.CounterVec
	histograms map[string]*prometheus.HistogramVec
	labels     map[string]int
	dropped    prometheus.Counter
}

// NewMeters makes the metrics in descs, which are counters and histograms.
func NewMeters(descs []Desc) (*Meters, error) {
	m := &Meters{
		seen: map[string]map[string]struct{}{}, counters: map[string]*prometheus.CounterVec{},
		histograms: map[string]*prometheus.HistogramVec{}, labels: map[string]int{},
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "portcullis_meters_dropped_total",
			Help: "Observations that were dropped because they did not fit the description of their metric."}),
	}
	for _, d := range descs {
		if _, twice := m.labels[d.Name]; twice {
			return nil, fmt.Errorf("telemetry: metric %s: described twice", Quote(d.Name))
		}
		switch {
		case d.Kind == Histogram && strings.HasSuffix(d.Name, "_seconds"):
			m.histograms[d.Name] = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: histogramBounds,
				NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100}, d.Labels)
		case d.Kind == Counter && strings.HasSuffix(d.Name, "_total"):
			m.counters[d.Name] = prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
		default:
			return nil, fmt.Errorf("telemetry: metric %s: meters are counters that end in _total and histograms that end in _seconds", Quote(d.Name))
		}
		m.labels[d.Name], m.seen[d.Name] = len(d.Labels), map[string]struct{}{}
	}
	return m, nil
}

// Add raises a counter. Label values are in the order of Desc.Labels.
func (m *Meters) Add(name string, n float64, labels ...string) {
	if m == nil {
		return
	}
	c := m.counters[name]
	if c == nil || len(labels) != m.labels[name] || n < 0 || math.IsNaN(n) {
		m.dropped.Inc()
		return
	}
	c.WithLabelValues(m.bounded(name, labels)...).Add(n)
}

// Observe notes a duration in seconds. A negative one, as clocks that differ give
// it, counts as none.
func (m *Meters) Observe(name string, seconds float64, labels ...string) {
	if m == nil {
		return
	}
	h := m.histograms[name]
	if h == nil || len(labels) != m.labels[name] || math.IsNaN(seconds) {
		m.dropped.Inc()
		return
	}
	h.WithLabelValues(m.bounded(name, labels)...).Observe(max(seconds, 0))
}

// bounded returns the labels of the series that counts for these.
func (m *Meters) bounded(name string, labels []string) []string {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = label(l)
	}
	key := strings.Join(values, "\xff") // 0xff is in no valid UTF-8
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.seen[name]
	if _, known := seen[key]; known {
		return values
	}
	if len(seen) < MaxSeries-1 { // the last one is for the others
		seen[key] = struct{}{}
		return values
	}
	for i := range values {
		values[i] = OtherLabel
	}
	return values
}

// Describe implements prometheus.Collector.
func (m *Meters) Describe(out chan<- *prometheus.Desc) {
	m.each(func(c prometheus.Collector) { c.Describe(out) })
}

// Collect implements prometheus.Collector.
func (m *Meters) Collect(out chan<- prometheus.Metric) {
	m.each(func(c prometheus.Collector) { c.Collect(out) })
}

func (m *Meters) each(do func(prometheus.Collector)) {
	for _, c := range m.counters {
		do(c)
	}
	for _, h := range m.histograms {
		do(h)
	}
	do(m.dropped)
}
