package window

import (
	"math"
	"testing"
)

// draws are n values of the distribution with that quantile function, well spread.
func draws(n int, quantile func(u float64) float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = quantile((float64(i) + 0.5) / float64(n))
	}
	return out
}

// TestPeaksOver: the threshold is near the true quantile of known distributions.
func TestPeaksOver(t *testing.T) {
	normal := func(u float64) float64 { return math.Sqrt2 * math.Erfinv(2*u-1) }
	for _, c := range []struct {
		name     string
		quantile func(float64) float64
		slack    float64
	}{
		{"exponential", func(u float64) float64 { return -math.Log(1 - u) }, 0.15},
		{"uniform", func(u float64) float64 { return u }, 0.02},
		{"normal", normal, 0.1},
		{"heavy tail, Pareto with index 4", func(u float64) float64 { return math.Pow(1-u, -0.25) }, 0.3},
	} {
		for _, risk := range []float64{1e-3, 1e-4} {
			got, ok := PeaksOver(draws(2000, c.quantile), 0.05, risk)
			want := c.quantile(1 - risk)
			if !ok || math.Abs(got-want) > c.slack*want {
				t.Errorf("%s: exceeded with probability %g is %.3f (ok=%v), want %.3f", c.name, risk, got, ok, want)
			}
		}
	}
	if _, ok := PeaksOver(draws(100, normal), 0.05, 1e-4); ok {
		t.Error("five peaks are enough to fit")
	}
	if got, ok := PeaksOver(make([]float64, 400), 0.05, 1e-4); !ok || got != 0 {
		t.Errorf("nothing but zeros: %v, %v", got, ok)
	}
}

func TestMedianSpread(t *testing.T) {
	values := draws(999, func(u float64) float64 { return 50 + 7*math.Sqrt2*math.Erfinv(2*u-1) })
	for i := range 100 { // a tenth of it is an attack
		values[i*3] = 1e6
	}
	if m, s := MedianSpread(values, nil); math.Abs(m-51) > 1.5 || math.Abs(s-7) > 1.5 {
		t.Errorf("median %.1f and spread %.1f, want about 51 and 7", m, s)
	}
	if m, s := MedianSpread(nil, nil); m != 0 || s != 0 {
		t.Errorf("of nothing: %v, %v", m, s)
	}
}
