package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("injection-answer", detect.Spec{
		Doc:     "a route answers an attack unlike what it answers otherwise: many times as large, or many times as late; lists the clients that got such answers",
		Family:  detect.Injection,
		Tags:    []string{"owasp:api8:2023", "owasp:api10:2023", "attack:T1190", "attack:T1059"},
		Needs:   "path and query; bytes sent or request time",
		Fields:  []ingest.Fields{ingest.FieldTarget | ingest.FieldAgent | ingest.FieldReferer | ingest.FieldBody, ingest.FieldBytesOut | ingest.FieldDuration},
		Helps:   ingest.FieldBytesOut | ingest.FieldDuration | ingest.FieldStatus,
		State:   "about 2 KB for a route: its answers by size and by time, of the last minute by ten seconds and what is usual; 16 attacks of ten seconds at most, with their lines",
		Evasion: "silent for what injection does not find, for routes with fewer than answers known answers, for routes without a number, for answers within times what is usual there, and for smaller answers, which a page that says no gives, too: injection finds the attempts themselves",
		By:      detect.ByRoute,
		Concern: detect.Suspicious,
		Config:  func() any { return new(InjectionAnswerConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &injectionAnswer{env: env, cfg: cfg.(*InjectionAnswerConfig)}
			env.Shape("injans1")
			r.state = detect.NewSparse(env, (*answered).code)
			return r, nil
		},
	})
}

// InjectionAnswerConfig is the "injection-answer" section of the config file.
type InjectionAnswerConfig struct {
	Answers int     `yaml:"answers" default:"200" doc:"answers of a route that must be known before one stands out: one in 200 is then one"`
	Times   float64 `yaml:"times" default:"8" doc:"how many times as large or as late as all but one in 200 answers of its route the answer to an attack must be (reasoning: a table instead of a row, a second instead of a tenth of one)"`
}

// Check implements validation for the config loader.
func (c *InjectionAnswerConfig) Check(report func(key, message string)) {
	if c.Answers < 20 {
		report("answers", "must be at least 20: fewer say nothing of a route")
	}
	if c.Times < 2 {
		report("times", "must be at least 2: sizes and times are known by powers of two")
	}
}

const (
	answerRare   = 0.005 // share of the answers of a route that may be beyond what is usual
	answerNow    = 0.05  // of the last minute's: if more are like this one, the route is so now
	answerRecent = 60    // seconds: younger answers do not teach what is usual yet
	answerTick   = 600   // seconds: what is known fades once in as many
	answerFade   = 0.995 // by so much: half of it in a day
	answerTried  = 16    // attacks that are looked at of ten seconds
	answerMost   = 256   // clients that are listed
)

// answered is the state of one route.
type answered struct {
	open    []answersOf // the buckets of the last minute and on, by time
	usual   usualAnswers
	tried   []answeredAttack // whose bucket is not over, by time and place
	done    int64            // second up to which they were judged
	last    int64            // the last bucket with traffic that was
	now     episode
	sure    int64
	why     string // of the first
	clients []gotAnswer
}

// answersOf is what a route answered in a bucket of detect.LoadSeconds.
type answersOf struct {
	at int64
	detect.Answers
}

// answeredAttack is an attack with its answer.
type answeredAttack struct {
	who          who
	bytes, nanos int64
	sure         bool
	line         window.Sample // its note is what was found
}

// gotAnswer is a client that got answers that stand out.
type gotAnswer struct {
	who  who
	n    int64
	sure bool
}

type injectionAnswer struct {
	env   *detect.Env
	cfg   *InjectionAnswerConfig
	state *detect.Sparse[answered]
}

// Observe implements detect.Rule; slot is the route.
func (r *injectionAnswer) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.RouteID == 0 {
		return // many unlike each other
	}
	found := r.env.Attack()
	x := answeredAttack{who: whoOf(ev.Client), bytes: ev.BytesOut, nanos: ev.Duration, sure: found.Sure}
	s, bucket := r.state.At(slot), bucketOf(ev.Time/1e9)
	i, _ := slices.BinarySearchFunc(s.tried, ev, func(a answeredAttack, ev *ingest.Event) int {
		switch {
		case a.line.Time != ev.Time:
			return cmp.Compare(a.line.Time, ev.Time)
		case a.line.Pos.Less(ev.Pos):
			return -1
		}
		return 1
	})
	first, n := 0, 0
	for j := range s.tried {
		if bucketOf(s.tried[j].line.Time/1e9) == bucket {
			if n++; n == 1 {
				first = j
			}
		}
	}
	if i-first >= answerTried && n >= answerTried {
		return
	}
	x.line = r.env.Sample(ev, strings.Clone(found.What))
	s.tried = slices.Insert(s.tried, i, x)
	if n >= answerTried {
		s.tried = slices.Delete(s.tried, first+answerTried, first+answerTried+1)
	}
	r.env.Wake(slot, bucket+detect.LoadSeconds-1)
}

func bucketOf(sec int64) int64 { return sec - sec%detect.LoadSeconds }

// Load implements detect.Loader.
func (r *injectionAnswer) Load(x *detect.Load, slot detect.Slot) {
	s := r.state.At(slot)
	i := len(s.open)
	for i > 0 && s.open[i-1].at > x.Bucket {
		i--
	}
	if i == 0 || s.open[i-1].at != x.Bucket {
		s.open = slices.Insert(s.open, i, answersOf{at: x.Bucket})
		r.env.Wake(slot, x.Bucket+detect.LoadSeconds-1)
		i++
	}
	s.open[i-1].Merge(&x.Answers)
}

// Explain implements detect.Explainer.
func (r *injectionAnswer) Explain(ev *ingest.Event) (bool, string) {
	return ev.BytesOut >= detect.TellingBytes || ev.Duration >= detect.TellingNanos,
		fmt.Sprintf("an attack counts whose answer is %.0f times as large or as late as all but one in 200 of its route, and has %d bytes or took %d s at least",
			r.cfg.Times, detect.TellingBytes, int64(detect.TellingNanos/1e9))
}

// Close implements detect.Rule: it judges a bucket when it ends.
func (r *injectionAnswer) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil || sec%detect.LoadSeconds != detect.LoadSeconds-1 || sec <= s.done {
		return
	}
	s.done = sec
	at := sec - detect.LoadSeconds + 1
	if slices.ContainsFunc(s.open, func(b answersOf) bool { return b.at == at }) {
		if s.last != 0 && at-s.last >= r.env.IdleBound() { // as if it had been forgotten
			open := slices.DeleteFunc(s.open, func(b answersOf) bool { return b.at < at })
			*s = answered{open: open, tried: s.tried, done: sec}
		}
		s.last = at
	}
	s.learn(sec)
	n := 0
	for n < len(s.tried) && s.tried[n].line.Time/1e9 <= sec {
		n++
	}
	if n == 0 {
		return
	}
	fresh := false
	for i := range s.tried[:n] {
		if said := r.stands(s, &s.tried[i], sec); said != "" {
			s.count(r.env, slot, &s.tried[i], said, sec)
			fresh = true
		}
	}
	s.tried = slices.Delete(s.tried, 0, n)
	if fresh {
		r.env.Report(slot, r.judge(s, slot))
	}
}

// learn takes in the buckets that are old enough.
func (s *answered) learn(sec int64) {
	n := 0
	for n < len(s.open) && s.open[n].at+detect.LoadSeconds-1 <= sec-answerRecent {
		s.usual.learn(&s.open[n])
		n++
	}
	s.open = slices.Delete(s.open, 0, n)
}

// stands says in words how the answer to an attack stands out, "" if it does not.
func (r *injectionAnswer) stands(s *answered, x *answeredAttack, sec int64) string {
	var now detect.Answers
	for i := range s.open {
		if s.open[i].at <= sec {
			now.Merge(&s.open[i].Answers)
		}
	}
	if x.nanos >= detect.TellingNanos {
		below, of, known := s.usual.times.below(r.cfg.Answers)
		if t := x.nanos / detect.AnswerTick; known && float64(t) >= r.cfg.Times*float64(below) && rare(&now.Times, t) {
			return fmt.Sprintf("answered after %s, where all but one in 200 of about %d answers took less than %s",
				time.Duration(x.nanos).Round(time.Millisecond), of, time.Duration(below*detect.AnswerTick).Round(time.Millisecond))
		}
	}
	if x.bytes >= detect.TellingBytes {
		below, of, known := s.usual.sizes.below(r.cfg.Answers)
		if known && float64(x.bytes) >= r.cfg.Times*float64(below) && rare(&now.Sizes, x.bytes) {
			return fmt.Sprintf("answered with %d bytes, where all but one in 200 of about %d answers have less than %d", x.bytes, of, below)
		}
	}
	return ""
}

// rare reports whether few answers of the last minute are like that: else the route is
// slow, or large, for everybody now.
func rare(now *[detect.AnswerCells]uint32, n int64) bool {
	like, all := 0, 0
	for c, k := range now {
		all += int(k)
		if c >= detect.AnswerCell(n)-1 {
			like += int(k)
		}
	}
	return float64(like) <= answerNow*float64(all)
}

// count takes an attack whose answer stands out into the finding of the hour.
func (s *answered) count(env *detect.Env, slot detect.Slot, x *answeredAttack, said string, sec int64) {
	x.line.Note = fmt.Sprintf("%s (%s)", x.line.Note, said)
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: sec, first: x.line.Time / 1e9}
		s.sure, s.why, s.clients = 0, x.line.Note, nil
	}
	s.now.last = x.line.Time / 1e9
	s.now.count++
	if x.sure {
		s.sure++
	}
	if len(s.now.evidence) < detect.MaxEvidence {
		s.now.evidence = append(s.now.evidence, evidenceOf(&x.line))
	}
	i, known := slices.BinarySearchFunc(s.clients, x.who, func(c gotAnswer, w who) int { return c.who.compare(w) })
	if !known {
		if len(s.clients) >= answerMost {
			return
		}
		s.clients = slices.Insert(s.clients, i, gotAnswer{who: x.who})
	}
	s.clients[i].n++
	s.clients[i].sure = s.clients[i].sure || x.sure
}

func (r *injectionAnswer) judge(s *answered, slot detect.Slot) detect.Finding {
	f := s.now.finding()
	f.Route = r.env.Subject(slot).Value
	f.Severity, f.Confidence = detect.Medium, 0.8
	if s.sure > 0 || s.now.count >= 3 {
		f.Severity, f.Confidence = detect.High, 0.95
	}
	f.Why = fmt.Sprintf("%d attacks that the route answered unlike what it answers otherwise; first: %s", s.now.count, s.why)
	if s.now.count == 1 {
		f.Why = "an attack that the route answered unlike what it answers otherwise: " + s.why
	}
	list := make([]detect.Member, 0, len(s.clients))
	for _, c := range s.clients {
		m := detect.Member{Subject: c.who.subject(), Score: 0.85, Count: c.n}
		if c.sure || c.n >= 3 {
			m.Score = 1
		}
		list = append(list, m)
	}
	f.Members = detect.PackMembers(list)
	return f
}
