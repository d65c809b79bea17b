package rule

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// The kinds of tries that a record counts over a week.
const (
	triesRefused   = iota // on a route that takes credentials
	triesElsewhere        // 401 on another route
	triesAccepted         // logins and grants
)

// moment is what one second adds to a subject's record.
type moment struct {
	n        [window.AgingKinds]uint32
	accounts []guess       // where the log names them
	marks    [2]uint64     // bitmaps of what a rule wants to tell apart
	line     window.Sample // the earliest with a refusal, as it is
	accepted window.Sample // the earliest accepted one, where the rule keeps it
}

// guess is what was tried for one account.
type guess struct {
	hash uint64
	n    [window.AgingKinds]uint32
}

// guessesPerSecond bounds the accounts that are kept of one second of one subject: the
// least hashes, so that it does not depend on order.
const guessesPerSecond = 32

// kindOf sorts a request that takes credentials; ok is false for those that tell
// nothing, such as the login page itself.
func kindOf(ev *ingest.Event) (kind int, ok bool) {
	taken := ev.Kind.TakesCredentials()
	switch {
	case taken && (ev.Status == 400 || ev.Status == 401 || ev.Status == 403 || ev.Status == 422):
		return triesRefused, true
	case ev.Status == 401:
		return triesElsewhere, true
	case taken && ev.Kind != ingest.RouteReset && ev.Status >= 200 && ev.Status < 400 && writes(ev.Method):
		return triesAccepted, true
	}
	return 0, false
}

// writes tells methods that send something, other than asking for the form.
func writes(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS":
		return false
	}
	return true
}

func (t *moment) code(k *window.Codec) {
	for i := range t.n {
		k.U32(&t.n[i])
	}
	n := k.Len(len(t.accounts))
	if k.Reading() {
		t.accounts = make([]guess, n)
	}
	for i := range t.accounts {
		g := &t.accounts[i]
		k.U64(&g.hash)
		for j := range g.n {
			k.U32(&g.n[j])
		}
	}
	k.U64(&t.marks[0])
	k.U64(&t.marks[1])
	t.line.Code(k)
	t.accepted.Code(k)
}

// count takes a request in.
func (t *moment) count(env *detect.Env, ev *ingest.Event, kind int, note func(*ingest.Event) string) {
	t.n[kind]++
	if ev.User != "" {
		t.account(hashOf(ev.User), kind)
	}
	if kind != triesAccepted {
		keepEarliest(env, ev, &t.line, note)
	}
}

func (t *moment) account(hash uint64, kind int) {
	i, known := slices.BinarySearchFunc(t.accounts, hash, func(g guess, h uint64) int {
		switch {
		case g.hash < h:
			return -1
		case g.hash > h:
			return 1
		}
		return 0
	})
	if !known {
		if i == guessesPerSecond {
			return
		}
		t.accounts = slices.Insert(t.accounts, i, guess{hash: hash})
		t.accounts = t.accounts[:min(len(t.accounts), guessesPerSecond)]
	}
	t.accounts[i].n[kind]++
}

// record is what is kept of a subject's tries: the open seconds and, in order of time,
// what closed. Only who was refused has one.
type record struct {
	open    inbox[moment]
	past    window.Aging
	lines   []window.Sample // of the latest seconds with a refusal, oldest first, as they are
	now     *episode
	expires int64 // the second for which its end was asked
	said    int64 // when something that need not be said every hour was said last
}

// recordLines is how many lines of what led to a finding are at hand when it fires.
const recordLines = 3

// observe takes a request in and returns its second.
func (r *record) observe(env *detect.Env, ev *ingest.Event, slot detect.Slot, kind int, note func(*ingest.Event) string) *moment {
	sec := ev.Time / 1e9
	t, fresh := r.open.at(sec)
	if fresh {
		env.Wake(slot, sec)
	}
	t.count(env, ev, kind, note)
	return t
}

// close takes the seconds up to sec in and calls use for those that count. What was
// accepted before the first refusal is not kept. It reports whether nothing is left.
func (r *record) close(env *detect.Env, slot detect.Slot, sec, horizon int64, use func(sec int64, t *moment)) bool {
	r.open.take(sec, func(sec int64, t *moment) {
		refusals := t.n[triesRefused] + t.n[triesElsewhere]
		if refusals == 0 && r.past.Empty() {
			return
		}
		r.past.Add(sec, t.n)
		if refusals > 0 {
			r.keep(t.line)
		}
		use(sec, t)
	})
	return r.expire(env, slot, sec, horizon)
}

// busy reports whether a client did at least twice as much else, and well, as it was
// refused within a day: who only guesses does nothing else.
func (r *record) busy(s detect.Standing, sec int64) bool {
	n, _ := r.past.Sum(sec - day)
	return s.Successes >= 8 && s.Successes >= 2*int64(n[triesRefused])
}

func checkBusy(n int, report func(key, message string)) {
	if n < 1 {
		report("busy", "must be at least 1")
	}
}

// keep adds a line, and lets go of the oldest. The first refusal of a subject is kept
// without: most are the only one.
func (r *record) keep(line window.Sample) {
	if n, _ := r.past.Sum(0); n[triesRefused]+n[triesElsewhere] < 2 {
		return
	}
	r.lines = keepLatest(r.lines, line)
}

// keepLatest adds a line to the latest ones, and lets go of the oldest.
func keepLatest(lines []window.Sample, line window.Sample) []window.Sample {
	if len(lines) == recordLines {
		lines = lines[:copy(lines, lines[1:])]
	}
	return append(lines, line)
}

// redactLines takes the secrets out of lines.
func redactLines(env *detect.Env, lines []window.Sample) {
	for i := range lines {
		lines[i].Line, lines[i].Agent = env.Redact(lines[i].Line), env.Redact(lines[i].Agent)
	}
}

// expire forgets what is older than the horizon and asks once for the next look.
func (r *record) expire(env *detect.Env, slot detect.Slot, sec, horizon int64) bool {
	newest := r.past.Newest()
	if newest+horizon <= sec {
		r.past, r.lines, r.said, newest = window.Aging{}, nil, 0, 0
	}
	if r.now != nil && r.now.start/1e9+detect.FindingWindow <= sec {
		r.now = nil
	}
	if newest == 0 {
		return r.open.empty() && r.now == nil
	}
	if r.expires <= sec {
		r.expires = newest + horizon
		env.Wake(slot, r.expires)
	}
	return false
}

// fire takes a second into the finding of its window. all is what there is within the
// horizon that fires, since first. fires says whether the rule holds. It
// reports whether there is a finding to hand over.
func (r *record) fire(env *detect.Env, slot detect.Slot, sec int64, t *moment, fires bool, all int64, first int64) bool {
	start := detect.WindowOf(sec)
	refusals := int64(t.n[triesRefused] + t.n[triesElsewhere])
	switch {
	case r.now != nil && r.now.start == start:
		r.now.count += refusals
		if refusals > 0 && len(r.now.evidence) < detect.MaxEvidence {
			r.now.evidence = append(r.now.evidence, shown(env, &t.line))
		}
	case fires:
		r.now = &episode{start: start, fired: sec, first: min(first, sec), count: all, standing: env.Standing(slot, sec)}
		for i := range r.lines {
			r.now.evidence = append(r.now.evidence, shown(env, &r.lines[i]))
		}
	default:
		return false
	}
	r.now.last = sec
	return true
}

// shown is a line without its secrets.
func shown(env *detect.Env, s *window.Sample) detect.Evidence {
	e := evidenceOf(s)
	e.Line, e.Agent = env.Redact(e.Line), env.Redact(e.Agent)
	return e
}

// keepEarliest keeps the earliest line of several.
func keepEarliest(env *detect.Env, ev *ingest.Event, s *window.Sample, note func(*ingest.Event) string) {
	if s.Time != 0 && (s.Time < ev.Time || s.Time == ev.Time && !ev.Pos.Less(s.Pos)) {
		return
	}
	*s = env.RawSample(ev)
	s.Note = note(ev)
}

// acceptedNote says that a login or a grant worked.
func acceptedNote(ev *ingest.Event) string { return fmt.Sprintf("accepted with %d", ev.Status) }

// recordCoder saves a record, without secrets.
func recordCoder(env *detect.Env) func(*record, *window.Codec) {
	return func(r *record, k *window.Codec) { r.code(env, k) }
}

func (r *record) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		list := r.open.waiting()
		for i := range list {
			t := &list[i].v
			t.line.Line, t.accepted.Line = env.Redact(t.line.Line), env.Redact(t.accepted.Line)
		}
		redactLines(env, r.lines)
	}
	r.open.code(k, (*moment).code)
	r.past.Code(k)
	codeLines(k, &r.lines)
	codeEpisode(k, &r.now)
	k.I64(&r.expires)
	k.I64(&r.said)
}

// codeEpisode passes an episode that may not be there.
func codeEpisode(k *window.Codec, e **episode) {
	there := *e != nil
	k.Bool(&there)
	if k.Reading() && there {
		*e = &episode{}
	}
	if there {
		(*e).code(k)
	}
}

func codeLines(k *window.Codec, lines *[]window.Sample) {
	n := k.Len(len(*lines))
	if k.Reading() {
		*lines = make([]window.Sample, n)
	}
	for i := range *lines {
		(*lines)[i].Code(k)
	}
}

// hashOf is the same in every process: it is saved.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return (h ^ h>>32) * 0xd6e8feb86659fd93
}
