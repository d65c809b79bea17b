package telemetry

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func newMeters(t *testing.T) *Meters {
	t.Helper()
	m, err := NewMeters([]Desc{
		{Name: "portcullis_things_total", Help: "Things.", Labels: []string{"kind", "result"}},
		{Name: "portcullis_thing_seconds", Help: "Times.", Kind: Histogram, Labels: []string{"kind"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMetersAreBounded feeds what an attacker would: no metric gets more than
// MaxSeries series, and the sum is still that of all that was counted.
func TestMetersAreBounded(t *testing.T) {
	m, reg := newMeters(t), NewRegistry("1")
	reg.MustRegister(m)
	const n = 5000
	for i := range n {
		hostile := fmt.Sprintf("%d\xff\"\n\x00\u202e%s", i, strings.Repeat("é", 300))
		m.Add("portcullis_things_total", 1, hostile, "ok")
		m.Observe("portcullis_thing_seconds", 0.002, hostile)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "portcullis_thing") {
			continue
		}
		looked++
		if got := len(f.GetMetric()); got != MaxSeries {
			t.Errorf("%s has %d series, want %d", f.GetName(), got, MaxSeries)
		}
		sum := 0.0
		for _, s := range f.GetMetric() {
			sum += s.GetCounter().GetValue() + float64(s.GetHistogram().GetSampleCount())
			for _, l := range s.GetLabel() {
				if v := l.GetValue(); len(v) > MaxLabel || !utf8.ValidString(v) || strings.ContainsFunc(v, unprintable) {
					t.Fatalf("%s: label %q", f.GetName(), v)
				}
			}
		}
		if sum != n {
			t.Errorf("%s counts %v, want %d", f.GetName(), sum, n)
		}
	}
	if looked != 2 {
		t.Errorf("%d metrics, want 2", looked)
	}
}

func TestMetersDropWhatDoesNotFit(t *testing.T) {
	m, reg := newMeters(t), NewRegistry("1")
	reg.MustRegister(m)
	m.Add("portcullis_things_total", 1, "a")
	m.Add("portcullis_things_total", -1, "a", "b")
	m.Add("portcullis_unknown_total", 1)
	m.Observe("portcullis_thing_seconds", math.NaN(), "a")
	m.Observe("portcullis_thing_seconds", -3, "a") // a clock that is behind: none
	var none *Meters
	none.Add("portcullis_things_total", 1, "a", "b")
	none.Observe("portcullis_thing_seconds", 1, "a")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "portcullis_meters_dropped_total":
			if got := f.GetMetric()[0].GetCounter().GetValue(); got != 4 {
				t.Errorf("%v dropped, want 4", got)
			}
		case "portcullis_things_total":
			t.Error("a sample that does not fit was counted")
		case "portcullis_thing_seconds":
			h := f.GetMetric()[0].GetHistogram()
			if h.GetSampleCount() != 1 || h.GetSampleSum() != 0 || h.GetZeroCount() != 1 {
				t.Errorf("%v, want one of 0 s, in a native histogram too", h)
			}
		}
	}
}

func TestMetersRefuseBadNames(t *testing.T) {
	for _, descs := range [][]Desc{
		{{Name: "portcullis_things"}}, {{Name: "portcullis_thing", Kind: Histogram}}, {{Name: "portcullis_things_total", Kind: Gauge}},
		{{Name: "portcullis_a_total"}, {Name: "portcullis_a_total"}},
	} {
		if _, err := NewMeters(descs); err == nil {
			t.Errorf("%+v passed", descs)
		}
	}
	if _, err := NewCollector([]Desc{{Name: "portcullis_thing_seconds", Kind: Histogram}}, func(func(string, float64, ...string)) {}); err == nil {
		t.Error("a collector took a histogram")
	}
}
