package rule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// listed is what the detectors share that tell whoever runs an API what is not as it should
// be with a route: they add up lapses by the clock hour, which is one finding.
type listed struct {
	env   *detect.Env
	kinds []detect.LapseKind // that count
	state *detect.Sparse[lapsed]
	judge func(things []detect.Lapse) verdict // of those of an hour; it must not become milder
	tells func([]detect.Lapse) []detect.Lapse // those of which the verdict is
}

// lapsed is the state of one route.
type lapsed struct {
	open   inbox[[]detect.Lapse] // by the last second of a bucket
	start  int64                 // of the window, Unix nanoseconds; 0: nothing is known
	things []detect.Lapse        // of the window, by kind and name
	lines  []window.Sample       // the first ones
	now    episode
}

// hourThings bounds the kinds and names kept of a route in an hour; of more, those with the
// fewest requests go.
const hourThings = 64

func newListed(env *detect.Env, shape string, kinds ...detect.LapseKind) *listed {
	r := &listed{env: env, kinds: kinds}
	env.Shape(shape)
	r.state = detect.NewSparse(env, (*lapsed).code)
	return r
}

// Observe implements detect.Rule. What concerns it comes as lapses.
func (r *listed) Observe(*ingest.Event, detect.Slot) {}

// Lapse implements detect.Lapser; slot is the route.
func (r *listed) Lapse(l *detect.Lapse, slot detect.Slot) {
	if !slices.Contains(r.kinds, l.Kind) {
		return
	}
	end := l.Bucket + detect.LoadSeconds - 1
	list, fresh := r.state.At(slot).open.at(end)
	if fresh {
		r.env.Wake(slot, end)
		r.env.Wake(slot, detect.WindowOf(end)/1e9+detect.FindingWindow)
	}
	from, to := sameKind(*list, l.Kind)
	merged := detect.MergeLapse(slices.Clone((*list)[from:to]), l)
	*list = slices.Replace(*list, from, to, merged...)
}

// sameKind is where those of a kind stand in a list that is sorted by kind.
func sameKind(list []detect.Lapse, kind detect.LapseKind) (from, to int) {
	for from < len(list) && list[from].Kind < kind {
		from++
	}
	for to = from; to < len(list) && list[to].Kind == kind; to++ {
	}
	return from, to
}

// Close implements detect.Rule.
func (r *listed) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	s.open.take(sec, func(end int64, list *[]detect.Lapse) { r.take(s, slot, end, *list) })
	if s.start != 0 && s.start/1e9+detect.FindingWindow <= sec {
		*s = lapsed{open: s.open}
	}
	if s.start == 0 && s.open.empty() {
		r.state.Drop(slot)
	}
}

// take adds a bucket to the hour.
func (r *listed) take(s *lapsed, slot detect.Slot, end int64, list []detect.Lapse) {
	if start := detect.WindowOf(end); s.start != start {
		*s = lapsed{open: s.open, start: start}
	}
	for i := range list {
		s.add(&list[i])
	}
	slices.SortFunc(s.lines, func(a, b window.Sample) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), strings.Compare(a.Pos.Source, b.Pos.Source), cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Offset, b.Pos.Offset))
	})
	s.lines = slices.CompactFunc(s.lines, func(a, b window.Sample) bool { return a.Time == b.Time && a.Pos == b.Pos })
	s.lines = s.lines[:min(len(s.lines), detect.MaxEvidence)]
	v := r.judge(s.things)
	if !v.fires {
		return
	}
	if s.now.start == 0 {
		s.now = episode{start: s.start, fired: end, first: s.lines[0].Time / 1e9}
	}
	r.report(s, slot, end, v)
}

// report hands the finding over.
func (r *listed) report(s *lapsed, slot detect.Slot, end int64, v verdict) {
	var members []detect.Caller
	s.now.last, s.now.count, s.now.evidence = end, 0, nil
	for _, x := range r.tells(s.things) {
		s.now.count += x.Requests
		members = append(members, x.Callers...)
	}
	for i := range s.lines {
		s.now.evidence = append(s.now.evidence, evidenceOf(&s.lines[i]))
	}
	f := v.finding(&s.now)
	f.Route, f.Members = r.env.Subject(slot).Value, packCallers(members)
	r.env.Report(slot, f)
}

// packCallers lists each caller once.
func packCallers(list []detect.Caller) string {
	sums := map[detect.Subject]int64{}
	for _, c := range list {
		sums[c.Subject] += c.N
	}
	var out []detect.Member
	for s, n := range sums {
		out = append(out, detect.Member{Subject: s, Score: 1, Count: n})
	}
	return detect.PackMembers(out)
}

// add takes in a lapse of a bucket that is over, in the order of time.
func (s *lapsed) add(l *detect.Lapse) {
	s.lines = append(s.lines, l.Line)
	s.lines[len(s.lines)-1].Note = lapseNote(l)
	i, known := slices.BinarySearchFunc(s.things, l, func(a detect.Lapse, b *detect.Lapse) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	if known {
		s.things[i].Merge(l)
		return
	}
	x := *l
	x.Bucket, x.Callers = 0, slices.Clone(l.Callers)
	s.things = slices.Insert(s.things, i, x)
	if len(s.things) > hourThings {
		least := 0
		for j := range s.things {
			if s.things[j].Requests < s.things[least].Requests {
				least = j
			}
		}
		s.things = slices.Delete(s.things, least, least+1)
	}
}

// lapseNote says what a line is an example of. Names may be a client's.
func lapseNote(l *detect.Lapse) string {
	switch l.Kind {
	case detect.LapseUnlisted:
		return "in no document of the API"
	case detect.LapseDeprecated:
		return "deprecated"
	case detect.LapseMethod:
		return fmt.Sprintf("the method %.20q is in no document", l.Name)
	case detect.LapseName:
		return fmt.Sprintf("the parameter %.40q is in no document", l.Name)
	case detect.LapseValue:
		return fmt.Sprintf("the value of %.40q is not as described", l.Name)
	case detect.LapseCredential:
		return "credentials over plain HTTP"
	}
	return "answered over plain HTTP"
}

// sumLapses adds up requests, and estimates clients.
func sumLapses(list []detect.Lapse) (n, clients int64) {
	var c window.Crowd
	for i := range list {
		n += list[i].Requests
		c.Merge(&list[i].Clients)
	}
	return n, c.Estimate()
}

func (s *lapsed) code(k *window.Codec) {
	s.open.code(k, codeLapses)
	k.I64(&s.start)
	codeLapses(&s.things, k)
	codeLines(k, &s.lines)
	s.now.code(k)
}

func codeLapses(list *[]detect.Lapse, k *window.Codec) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = nil
	}
	for i := 0; i < n && k.Err() == nil; i++ {
		if k.Reading() {
			*list = append(*list, detect.Lapse{})
		}
		(*list)[i].Code(k)
	}
}
