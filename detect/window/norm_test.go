package window

import (
	"math"
	"testing"
)

func TestNormLearnsTheLastHours(t *testing.T) {
	var n Norm
	for m := int64(1000); m < 1400; m++ {
		count := 100 + 10*math.Sin(float64(m)*1.7)
		if m%20 == 0 {
			count = 5000 // batches
		}
		n.Learn(m, count, 1e-4)
	}
	count, spread := n.Expected(1400)
	if math.Abs(count-100) > 3 || spread < 9 || spread > 16 {
		t.Errorf("expects %.0f ± %.1f, want about 100 ± 11", count, spread)
	}
	if n.Threshold < 4000 {
		t.Errorf("threshold %.0f: the batches of every twenty minutes exceed it", n.Threshold)
	}
}

func TestNormKnowsTheHourOfTheWeek(t *testing.T) {
	var n Norm
	const week = 7 * 24 * 60
	busy := func(m int64) bool { return m/60%168 == 33 }
	for m := int64(0); m < week+33*60; m++ {
		count := 10.0
		if busy(m) {
			count = 400
		}
		n.Learn(m+week*2000, count, 1e-4)
	}
	next := int64(week*2000 + week + 33*60)
	if count, _ := n.Expected(next); math.Abs(count-400) > 1 {
		t.Errorf("in the busy hour it expects %.0f, want 400", count)
	}
	if count, _ := n.Expected(next + 120); math.Abs(count-10) > 1 {
		t.Errorf("two hours later it expects %.0f, want 10", count)
	}
}

// TestNormIsNotWalkedUp: a day of alarms at a hundred times the norm raises it by less
// than a quarter.
func TestNormIsNotWalkedUp(t *testing.T) {
	var n Norm
	m := int64(5000)
	for ; m < 5400; m++ {
		n.Learn(m, 100, 1e-4)
	}
	for ; m < 5400+24*60; m++ {
		n.Learn(m, n.Cap(m, 10_000), 1e-4)
	}
	if count, _ := n.Expected(m); count > 125 {
		t.Errorf("after a day under attack it expects %.0f, before 100", count)
	}
}

func TestNormCountsGapsAsZeros(t *testing.T) {
	var n Norm
	for m := int64(60); m < 120; m++ {
		n.Learn(m, 50, 1e-4)
	}
	n.Learn(60+1000, 50, 1e-4)
	n.Learn(60+1001, 50, 1e-4)
	for m := int64(1062); m < 1072; m++ {
		n.Learn(m, 50, 1e-4)
	}
	if n.Median != 0 {
		t.Errorf("the median of hours of silence is %.0f", n.Median)
	}
	var back Norm
	recode(t, &n, &back)
	a, b := NewWriter(nil), NewWriter(nil)
	n.Code(a)
	back.Code(b)
	if string(a.Bytes()) != string(b.Bytes()) {
		t.Error("saved and restored it is another")
	}
}

// TestNormThresholdIsNotWalkedUp: what doubles every hour is soon far above what it was.
func TestNormThresholdIsNotWalkedUp(t *testing.T) {
	var n Norm
	m, count := int64(9000), 10.0
	for ; m < 9360; m++ {
		n.Learn(m, count+float64(m%7), 1e-4)
	}
	for ; m < 9600; m++ {
		count *= math.Pow(2, 1.0/60)
		n.Learn(m, count, 1e-4)
	}
	if n.Threshold == 0 || n.Threshold > count {
		t.Errorf("the threshold is %.0f when %.0f has grown from 10 in four hours", n.Threshold, count)
	}
}
