package window

import (
	"math"
	"slices"
)

// PeaksOver is the extreme value threshold of peaks over a threshold (Siffer et al. 2017,
// "Anomaly Detection in Streams with Extreme Value Theory"): the value that a sample like
// these exceeds with probability risk. A generalised Pareto distribution is fitted to
// what exceeds the share tail of the samples, by its first two moments (Hosking and
// Wallis 1987). It sorts values. ok is false where they are too few to say.
func PeaksOver(values []float64, tail, risk float64) (threshold float64, ok bool) {
	n := len(values)
	peaks := int(float64(n) * tail)
	if peaks < minPeaks {
		return 0, false
	}
	slices.Sort(values)
	t := values[n-peaks-1]
	mean, square := 0.0, 0.0
	for _, v := range values[n-peaks:] {
		mean += (v - t) / float64(peaks)
	}
	for _, v := range values[n-peaks:] {
		square += (v - t - mean) * (v - t - mean) / float64(peaks-1)
	}
	if square == 0 || mean == 0 { // all peaks are the same: nothing to go by
		return t + mean, true
	}
	shape := (1 - mean*mean/square) / 2
	scale := mean * (mean*mean/square + 1) / 2
	rate := risk * float64(n) / float64(peaks)
	if math.Abs(shape) < 1e-6 {
		return t - scale*math.Log(rate), true
	}
	return t + scale/shape*(math.Pow(rate, -shape)-1), true
}

// minPeaks is the least number of peaks that a distribution is fitted to.
const minPeaks = 8

// MedianSpread is the median of the values and their spread: 1.4826 times the median of
// the distances from it, which for normal values is the standard deviation (Rousseeuw
// and Croux 1993). It sorts values and uses work.
func MedianSpread(values []float64, work []float64) (median, spread float64) {
	if len(values) == 0 {
		return 0, 0
	}
	slices.Sort(values)
	median = middle(values)
	work = work[:0]
	for _, v := range values {
		work = append(work, math.Abs(v-median))
	}
	slices.Sort(work)
	return median, 1.4826 * middle(work)
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
