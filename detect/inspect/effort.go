package inspect

import "hash/maphash"

// What a look costs is counted in units that depend on the request alone, so that the same
// request gives the same verdict on every machine: about a nanosecond each on a core of 2024.
const (
	costField   = 64   // any text, and one for each byte of it
	costLook    = 1000 // a text that the gates do not clear
	costByte    = 6    // each byte of that
	costToken   = 8    // of SQL
	costTry     = 600  // the check of a pattern
	costBody    = 2    // each byte between template brackets
	costWitness = 16   // each byte that libinjection reads
)

// enough is the effort from which on only what can change the answer is done. No request of
// the labelled sets, no attack and no honest text below a kilobyte notices it
// (TestEffortLeavesSmallAlone).
const enough = 40_000

// Attacks, each a class in a field, that make up for one that is near certain: so many, or
// fewer of which one has the highest score.
const (
	manyAttacks = 8
	someAttacks = 3
)

// tiredTokens is how much is read behind a quote once enough was spent: an attack begins there.
const tiredTokens = 128

// effort is what one look has cost so far, and what it need not look at again.
type effort struct {
	spent   int
	endless bool // never enough: for tests
	attacks int  // classes that reach the threshold, in each field
	stopped bool // something was not read
	news    bool // signs were found since convicted was asked last
	cast    uint32
	known   [256]struct {
		hash uint64
		cast uint32
	}
}

// begin forgets what was known of the last request.
func (e *effort) begin() {
	e.spent, e.attacks, e.stopped, e.news = 0, 0, false, false
	if e.cast++; e.cast == 0 {
		clear(e.known[:])
	}
}

// tired says whether the effort is enough for a request that gives no answer.
func (e *effort) tired() bool { return e.spent >= enough && !e.endless }

var seed = maphash.MakeSeed()

// repeated says whether the same text was read under the same name before. It takes a hash
// of 64 bits, whose seed nobody knows, for the text; its slot depends on the text alone, so
// that what is forgotten, and with it the effort, is the same in each process.
func (e *effort) repeated(name, s string, ctx context, plus bool) bool {
	if e.endless {
		return false
	}
	h := maphash.String(seed, s) ^ maphash.String(seed, name)*0x9E3779B97F4A7C15 ^ uint64(ctx)
	if plus {
		h = ^h
	}
	slot := uint32(len(s))
	for i := range min(len(s), 24) {
		slot = slot*31 + uint32(s[len(s)-1-i])
	}
	k := &e.known[slot%uint32(len(e.known))]
	if k.hash == h && k.cast == e.cast {
		return true
	}
	k.hash, k.cast = h, e.cast
	return false
}

// convicted says whether what is not read yet cannot change the answer: enough was spent
// on the request, and it carries an attack near certain, of the highest score, or so many
// attacks that it need not. A file that it asks for is no such attack.
func (l *look) convicted() bool {
	if !l.tired() || l.stopped || !l.news {
		return l.stopped
	}
	l.news = false
	top, sure := 0, false
	for c := class(1); c < classes; c++ {
		if f := &l.best[c]; !c.recon() {
			top = max(top, f.score)
			sure = sure || f.certain && f.score >= 100
		}
	}
	l.stopped = sure || suffices(l.attacks, top)
	return l.stopped
}

func suffices(attacks, top int) bool {
	return attacks >= manyAttacks || attacks >= someAttacks && top >= 100
}

// longBytes is the length of a text that is worth leaving off in its middle.
const longBytes = 512

// proven says so of the field at hand, before all of it is read.
func (l *look) proven() bool {
	if !l.tired() || len(l.text) < longBytes {
		return false
	}
	var sum [classes]int
	var sure [classes]bool
	for i := range l.ev {
		e := &l.ev[i]
		sum[e.class] += e.weight
		sure[e.class] = sure[e.class] || e.certain
	}
	attacks, top := l.attacks, 0
	for c := class(1); c < exposure; c++ {
		top = max(top, sum[c])
		l.stopped = l.stopped || sure[c] && sum[c] >= 100
		if sum[c] >= l.in.cfg.Threshold {
			attacks++
		}
	}
	l.stopped = l.stopped || suffices(attacks, top)
	return l.stopped
}
