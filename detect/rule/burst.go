package rule

import (
	"time"

	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// burst is what a rule keeps of one subject to count its offences exactly, to
// the second, over a sliding span, with lines as evidence.
type burst struct {
	cells window.Cells
	lines window.Samples
	now   episode
}

// episode is the finding that a subject's offences add up to in one window. It
// only takes in closed seconds, in order, so it is the same in any order of
// arrival.
type episode struct {
	start    int64 // of the window, Unix nanoseconds; 0 = not firing
	early    int64 // the window for which early findings were handed over
	level    int64 // how many times the limit the last of them was
	told     int64 // its second
	fired    int64 // seconds, like first and last
	first    int64
	last     int64
	count    int64
	shown    int64   // evidence is taken up to this time, Unix nanoseconds
	times    float64 // most times its limit, for rules that keep it
	standing detect.Standing
	evidence []detect.Evidence
}

// span is how far a rule looks back, and the buckets its evidence is kept by.
type span struct {
	secs   int64
	bucket int64 // nanoseconds
}

func newSpan(secs int64) span { return span{secs: secs, bucket: max(1, secs/2) * 1e9} }

// String returns the span as people write it.
func (s span) String() string { return (time.Duration(s.secs) * time.Second).String() }

// offend counts an offence and keeps its line where it is among the first of
// its bucket.
func (b *burst) offend(env *detect.Env, ev *ingest.Event, slot detect.Slot, sp span, weight uint32, note func() string) {
	sec := ev.Time / 1e9
	if b.cells.Add(sec, 1, weight) {
		env.Wake(slot, sec)
		env.Wake(slot, sec+sp.secs+sp.bucket/1e9)
	}
	if b.lines.Wants(ev.Time, ev.Pos, sp.bucket) {
		b.lines.Add(env.Sample(ev, note()), sp.bucket)
	}
}

// sum is the count and weight of the span that ends with sec.
func (b *burst) sum(sec int64, sp span) (count, weight uint32, first int64) {
	return b.cells.Sum(sec-sp.secs, sec)
}

// close takes the second in. fires says whether the rule holds for the span
// that ends with it. It reports whether there is a finding to hand over.
func (b *burst) close(env *detect.Env, slot detect.Slot, sec int64, sp span, fires bool) bool {
	return b.cells.At(sec).Count > 0 && b.take(env, slot, sec, sp, fires)
}

// take is close for a second that matters even where it has no offence.
func (b *burst) take(env *detect.Env, slot detect.Slot, sec int64, sp span, fires bool) bool {
	start := detect.WindowOf(sec)
	switch {
	case b.now.start == start && b.now.last < sec:
		b.now.count += int64(b.cells.At(sec).Count)
	case b.now.start != start && fires:
		n, _, first := b.sum(sec, sp)
		if n == 0 {
			first = sec
		}
		b.now = episode{start: start, early: b.now.early, level: b.now.level, told: b.now.told, fired: sec, first: first, count: int64(n),
			shown: first * 1e9, standing: env.Standing(slot, sec)}
		env.Wake(slot, start/1e9+detect.FindingWindow)
	default:
		return false
	}
	b.now.last = sec
	b.now.show(&b.lines, sec)
	return true
}

// show takes the lines of the seconds that closed since into the evidence.
func (e *episode) show(lines *window.Samples, sec int64) { e.take(lines, sec, evidenceOf) }

// showRaw does it with lines that still have their secrets.
func (e *episode) showRaw(env *detect.Env, lines *window.Samples, sec int64) {
	e.take(lines, sec, func(s *window.Sample) detect.Evidence { return shown(env, s) })
}

func (e *episode) take(lines *window.Samples, sec int64, of func(*window.Sample) detect.Evidence) {
	if len(e.evidence) == detect.MaxEvidence {
		return
	}
	to := (sec + 1) * 1e9
	lines.Between(e.shown, to, func(s *window.Sample) bool {
		e.evidence = append(e.evidence, of(s))
		return len(e.evidence) < detect.MaxEvidence
	})
	e.shown = to
}

// pick takes a line that was picked from the time of evidence into it, without its
// secrets.
func (e *episode) pick(env *detect.Env, s *window.Sample) {
	if s.Time >= e.shown && len(e.evidence) < detect.MaxEvidence {
		e.evidence = append(e.evidence, shown(env, s))
	}
}

func evidenceOf(s *window.Sample) detect.Evidence {
	return detect.Evidence{Source: s.Pos.Source, Offset: s.Pos.Offset, Time: s.Time, Line: s.Line, Agent: s.Agent, Note: s.Note}
}

// forget lets go of what no later second needs, and reports whether nothing is
// left.
func (b *burst) forget(sec int64, sp span) bool {
	b.cells.Forget(sec - sp.secs)
	b.lines.Forget((sec-sp.secs)*1e9, sp.bucket)
	return b.cells.Empty() && b.lines.Empty() && b.now.start/1e9+detect.FindingWindow <= sec
}

// maxLevel is the multiple of the limit beyond which a finding is not handed
// over early again.
const maxLevel = 4

// earlier reports whether an early finding is due at this level, a multiple of
// the limit, or because it still goes on, and notes it.
func (e *episode) earlier(env *detect.Env, sec int64, level int64) bool {
	if !env.Live() || level < 1 {
		return false
	}
	level = min(level, maxLevel)
	start := detect.WindowOf(sec)
	if e.early == start && level <= e.level && sec-e.told < detect.Again {
		return false
	}
	if e.early != start {
		e.level = 0
	}
	e.early, e.level, e.told = start, max(level, e.level), sec
	return true
}

// pending is the count of the offences that the finding of sec's window will
// have when sec is closed, if it fires by then.
func (b *burst) pending(sec int64, sp span) int64 {
	if b.now.start == detect.WindowOf(sec) {
		n, _, _ := b.cells.Sum(b.now.last, sec)
		return b.now.count + int64(n)
	}
	n, _, _ := b.sum(sec, sp)
	return int64(n)
}

// preview is the episode as it will be when sec is closed, as far as is known.
func (b *burst) preview(env *detect.Env, slot detect.Slot, sec int64, sp span) episode {
	e := b.now
	e.evidence = slices.Clone(e.evidence)
	if start := detect.WindowOf(sec); e.start != start {
		_, _, first := b.sum(sec, sp)
		e = episode{start: start, fired: sec, first: first, shown: first * 1e9, standing: env.Standing(slot, sec)}
	}
	e.count, e.last = b.pending(sec, sp), max(e.last, sec)
	e.show(&b.lines, sec)
	return e
}

// finding turns an episode into what the engine wants; the rule adds its
// judgement.
func (e *episode) finding() detect.Finding {
	f := detect.Finding{
		Window: e.start, FirstSeen: e.first * 1e9, LastSeen: e.last * 1e9, FiredAt: e.fired * 1e9,
		Count: e.count, Standing: e.standing,
	}
	copy(f.Evidence[:], e.evidence)
	return f
}

func (b *burst) code(k *window.Codec) {
	b.cells.Code(k)
	b.lines.Code(k)
	b.now.code(k)
}

func (e *episode) code(k *window.Codec) {
	for _, p := range []*int64{&e.start, &e.early, &e.level, &e.told, &e.fired, &e.first, &e.last, &e.count, &e.shown,
		&e.standing.Successes, &e.standing.People, &e.standing.Since} {
		k.I64(p)
	}
	k.F64(&e.times)
	n := k.Len(len(e.evidence))
	if k.Reading() {
		e.evidence = make([]detect.Evidence, min(n, detect.MaxEvidence))
	}
	for i := range e.evidence {
		x := &e.evidence[i]
		k.String(&x.Source)
		k.I64(&x.Offset)
		k.I64(&x.Time)
		k.String(&x.Line)
		k.String(&x.Agent)
		k.String(&x.Note)
	}
}

// surer grows from low at the limit to high at full times the limit.
func surer(low, high, times, full float64) float64 {
	x := (times - 1) / (full - 1)
	c := low + (high-low)*min(1, max(0, x))
	return float64(int(c*100+0.5)) / 100
}
