package window

import "math"

// NormMinutes is how many minutes a Norm looks back.
const NormMinutes = 360

// normLag minutes are too new for the threshold.
const normLag = 120

// weekHours are the hours of a week, UTC.
const weekHours = 168

// Norm learns what a count per minute usually is: from the last hours, and from the same
// hour of earlier weeks. Minutes come in order, each once complete. The zero value has
// learned nothing.
type Norm struct {
	Minutes int64 // learned, ever
	last    int64 // number of the last minute
	ring    []float32
	at      int // where the next goes
	week    []weekHour
	hour    []float32 // of the hour that is being learned

	Median    float64 // of the last hours
	Spread    float64 // their robust standard deviation
	Threshold float64 // that those but the last two exceed with the risk asked for; 0 = not known yet
	stale     int     // minutes since these three were computed
}

type weekHour struct {
	median, spread float32
	weeks          uint8
}

// Learn takes in the count of a minute. Minutes since the last one that are missing had none. A
// minute under alarm is handed over as what it may have been at most: see Cap.
func (n *Norm) Learn(minute int64, count, risk float64) {
	if n.last != 0 && minute <= n.last {
		return
	}
	if gap := minute - n.last - 1; n.last != 0 && gap > 0 {
		for i := max(0, gap-NormMinutes); i < gap; i++ {
			n.push(n.last+1+i, 0)
		}
	}
	n.push(minute, count)
	n.last = minute
	if n.stale++; n.stale >= 10 || n.Minutes < 10 {
		n.fit(risk)
	}
}

func (n *Norm) push(minute int64, count float64) {
	n.Minutes++
	if len(n.ring) < NormMinutes {
		n.ring = append(n.ring, float32(count))
	} else {
		n.ring[n.at] = float32(count)
	}
	n.at = (n.at + 1) % NormMinutes
	n.hour = append(n.hour, float32(count))
	if minute%60 == 59 {
		n.settle(minute / 60)
	}
}

// settle learns a complete hour of the week: a quarter of what is new.
func (n *Norm) settle(hour int64) {
	if len(n.hour) < 30 {
		n.hour = n.hour[:0]
		return
	}
	values := make([]float64, len(n.hour), 2*len(n.hour))
	for i, v := range n.hour {
		values[i] = float64(v)
	}
	n.hour = n.hour[:0]
	m, s := MedianSpread(values, values[len(values):])
	if n.week == nil {
		n.week = make([]weekHour, weekHours)
	}
	w := &n.week[hour%weekHours]
	if w.weeks == 0 {
		w.median, w.spread, w.weeks = float32(m), float32(s), 1
		return
	}
	w.median += (float32(m) - w.median) / 4
	w.spread += (float32(s) - w.spread) / 4
	if w.weeks < 255 {
		w.weeks++
	}
}

func (n *Norm) fit(risk float64) {
	n.stale = 0
	values := make([]float64, len(n.ring), 2*len(n.ring))
	for i, v := range n.ring {
		values[i] = float64(v)
	}
	n.Median, n.Spread = MedianSpread(values, values[len(values):])
	n.Threshold = 0
	values = values[:0]
	for i := range max(0, len(n.ring)-normLag) { // what grows slowly must not teach how high is usual
		values = append(values, float64(n.ring[(n.oldest()+i)%len(n.ring)]))
	}
	if t, ok := PeaksOver(values, 0.05, risk); ok {
		n.Threshold = t
	}
}

// oldest is where the earliest minute of the ring is.
func (n *Norm) oldest() int {
	if len(n.ring) < NormMinutes {
		return 0
	}
	return n.at
}

// Expected is what a minute usually has at most in the middle: the greater of the last
// hours and of the same hour of earlier weeks, with the spread that goes with it, which
// is at least that of counting (its root) and a tenth of it.
func (n *Norm) Expected(minute int64) (count, spread float64) {
	count, spread = n.Median, n.Spread
	if n.week != nil {
		if w := n.week[minute/60%weekHours]; w.weeks > 0 && float64(w.median) > count {
			count, spread = float64(w.median), float64(w.spread)
		}
	}
	return count, max(spread, math.Sqrt(count), count/10)
}

// Cap is what a minute under alarm may teach at most, so that an attacker who stays
// raises the norm by a few per cent in a day.
func (n *Norm) Cap(minute int64, count float64) float64 {
	usual, _ := n.Expected(minute)
	return min(count, usual*1.02)
}

// Code saves or restores.
func (n *Norm) Code(k *Codec) {
	k.I64(&n.Minutes)
	k.I64(&n.last)
	codeFloats(k, &n.ring)
	codeFloats(k, &n.hour)
	at, stale := uint64(n.at), uint64(n.stale)
	k.U64(&at)
	k.U64(&stale)
	if n.at, n.stale = int(at%NormMinutes), int(stale%16); len(n.ring) > NormMinutes {
		k.Fail()
		n.ring = nil
	}
	for _, p := range []*float64{&n.Median, &n.Spread, &n.Threshold} {
		k.F64(p)
	}
	weeks := k.Len(len(n.week))
	if k.Reading() && weeks > 0 {
		if weeks != weekHours {
			k.Fail()
			return
		}
		n.week = make([]weekHour, weekHours)
	}
	for i := range n.week {
		w := &n.week[i]
		codeFloat(k, &w.median)
		codeFloat(k, &w.spread)
		k.U8(&w.weeks)
	}
}

func codeFloats(k *Codec, list *[]float32) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]float32, n)
	}
	for i := range *list {
		codeFloat(k, &(*list)[i])
	}
}

func codeFloat(k *Codec, f *float32) {
	u := math.Float32bits(*f)
	k.U32(&u)
	*f = math.Float32frombits(u)
}
