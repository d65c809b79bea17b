package hindsight

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
)

// Bounds of what is kept of one decision. Identities above them are counted by hash alone
// up to the second bound, and then no more.
const (
	namesKept  = 8
	hashesKept = 1 << 16
)

// Hits is what one decision would have met.
type Hits struct {
	Requests      int64 // of the subject while it was in force, where it reaches
	Refused       int64 // of these, what a gateway would have refused
	Succeeded     int64 // refused ones that were answered below 400
	Authenticated int64 // of these, those of an identity other than the subject
	Paid          int64 // of the succeeded, those on a route that earns money
	Identities    int   // distinct ones behind Authenticated
	Most          []Hit // the identities that were hit most
}

// Hit is how often an identity was hit.
type Hit struct {
	Subject detect.Subject
	Count   int64
}

// Total is what the log holds, with decisions or without.
type Total struct {
	Requests, Succeeded, Authenticated, Paid int64
	First, Last                              int64 // Unix nanoseconds
}

// Meter counts the requests that decisions would have met. It takes the events of a log
// in about their order, and is not safe for concurrent use.
type Meter struct {
	paid    []string
	spans   []*span
	lengths []int // of prefixes, the longest first; IPv6 as it is, IPv4 negative
	places  map[netip.Prefix][]*span
	named   map[detect.Subject][]*span
	kinds   map[string]bool
	seed    maphash.Seed
	Total   Total
}

// span is one decision.
type span struct {
	term   enforce.Term
	prefix netip.Prefix
	hits   Hits
	level  float64 // of a throttle's bucket
	last   int64
	names  map[detect.Subject]int64
	hashes map[uint64]struct{}
}

// NewMeter makes a Meter for decisions that were in force for a time. paid are patterns
// of paths that earn money, as path.Match reads them; one that ends with /* also stands
// for what lies deeper.
func NewMeter(terms []enforce.Term, paid []string) *Meter {
	m := &Meter{paid: paid, places: map[netip.Prefix][]*span{}, named: map[detect.Subject][]*span{}, kinds: map[string]bool{}, seed: maphash.MakeSeed()}
	for _, t := range terms {
		s := &span{term: t, level: float64(t.Burst) + 1, names: map[detect.Subject]int64{}, hashes: map[uint64]struct{}{}}
		m.spans = append(m.spans, s)
		if t.From == 0 {
			continue
		}
		p, err := enforce.Prefix(t.Subject)
		if err != nil {
			m.named[t.Subject] = append(m.named[t.Subject], s)
			m.kinds[t.Subject.Kind] = true
			continue
		}
		s.prefix = p
		m.places[p] = append(m.places[p], s)
		if n := length(p); !slices.Contains(m.lengths, n) {
			m.lengths = append(m.lengths, n)
		}
	}
	slices.Sort(m.lengths)
	return m
}

func length(p netip.Prefix) int {
	if p.Addr().Is4() {
		return -1 - p.Bits()
	}
	return p.Bits()
}

// isPaid reports whether a path is one that earns money.
func (m *Meter) isPaid(target string) bool {
	if len(m.paid) == 0 {
		return false
	}
	target, _, _ = strings.Cut(target, "?")
	for _, p := range m.paid {
		if above, deep := strings.CutSuffix(p, "/*"); deep && strings.HasPrefix(target, above+"/") {
			return true
		}
		if ok, err := path.Match(p, target); ok && err == nil {
			return true
		}
	}
	return false
}

// See counts a request.
func (m *Meter) See(ev *ingest.Event) {
	ok := ev.Status >= 100 && ev.Status < 400
	who := identity(ev)
	paid := ok && m.isPaid(ev.Target)
	t := &m.Total
	t.Requests++
	if t.First == 0 || ev.Time < t.First {
		t.First = ev.Time
	}
	t.Last = max(t.Last, ev.Time)
	if ok {
		t.Succeeded++
		if who.Value != "" {
			t.Authenticated++
		}
	}
	if paid {
		t.Paid++
	}
	m.each(ev, func(s *span) { m.count(s, ev, who, ok, paid) })
}

// each calls use for the decisions that name the event's client or one of its identities.
func (m *Meter) each(ev *ingest.Event, use func(*span)) {
	addr := ev.Client.Unmap().WithZone("")
	for _, n := range m.lengths {
		bits := n
		if n < 0 {
			bits = -1 - n
		}
		if addr.Is4() != (n < 0) {
			continue
		}
		if p, err := addr.Prefix(bits); err == nil {
			for _, s := range m.places[p] {
				use(s)
			}
		}
	}
	if len(m.kinds) == 0 {
		return
	}
	for _, x := range subjects(ev) {
		if x.Value != "" && m.kinds[x.Kind] {
			for _, s := range m.named[x] {
				use(s)
			}
		}
	}
}

// subjects are what an event's decisions may name beside its address.
func subjects(ev *ingest.Event) [9]detect.Subject {
	list := [...]detect.Subject{{Kind: "consumer", Value: ev.Consumer}, {Kind: "account", Value: ev.User}, {Kind: "key", Value: ev.Key},
		{Kind: "key", Value: ev.Token}, {Kind: "session", Value: ev.Session}, {Kind: "fingerprint", Value: ev.Print}, {Kind: "route", Value: ev.Route}, {Kind: "asn"}, {Kind: "country"}}
	if ev.ASN != 0 {
		list[7].Value = "AS" + strconv.FormatUint(uint64(ev.ASN), 10)
	}
	if ev.Country != ([2]byte{}) {
		list[8].Value = string(ev.Country[:])
	}
	return list
}

// identity is who a request is of, as far as the gateway knew: the first of what a log
// may say.
func identity(ev *ingest.Event) detect.Subject {
	list := subjects(ev)
	for _, x := range list[:5] {
		if x.Value != "" {
			return x
		}
	}
	return detect.Subject{}
}

func (m *Meter) count(s *span, ev *ingest.Event, who detect.Subject, ok, paid bool) {
	t := &s.term
	if ev.Time < t.From || ev.Time >= t.To || t.Route != "" && t.Route != ev.Route {
		return
	}
	s.hits.Requests++
	if !s.refuses(ev.Time) {
		return
	}
	s.hits.Refused++
	if !ok {
		return
	}
	s.hits.Succeeded++
	if paid {
		s.hits.Paid++
	}
	if who.Value == "" || who == t.Subject {
		return
	}
	s.hits.Authenticated++
	m.name(s, who)
}

// refuses is what a gateway does: a throttle lets the rate through, and what the burst
// allows above it.
func (s *span) refuses(at int64) bool {
	d := &s.term.Decision
	if d.Action != enforce.Throttle {
		return d.Action != enforce.Challenge // who is a person gets through that
	}
	if s.last != 0 && at > s.last {
		s.level = min(s.level+float64(at-s.last)/1e9*d.Rate, float64(d.Burst)+1)
	}
	s.last = max(s.last, at)
	if s.level < 1 {
		return true
	}
	s.level--
	return false
}

// name notes whom a decision hit. Names are copied: events borrow theirs.
func (m *Meter) name(s *span, who detect.Subject) {
	if _, known := s.names[who]; known {
		s.names[who]++
		return
	}
	h := maphash.String(m.seed, who.Kind+"\x00"+who.Value)
	if _, known := s.hashes[h]; !known && len(s.hashes) < hashesKept {
		s.hashes[h] = struct{}{}
		s.hits.Identities++
	}
	if len(s.names) < 64*namesKept {
		s.names[detect.Subject{Kind: who.Kind, Value: strings.Clone(who.Value)}] = 1
	}
}

// Hits returns what each decision met, in the order in which they were given.
func (m *Meter) Hits() []Hits {
	out := make([]Hits, len(m.spans))
	for i, s := range m.spans {
		out[i] = s.hits
		for who, n := range s.names {
			out[i].Most = append(out[i].Most, Hit{who, n})
		}
		slices.SortFunc(out[i].Most, func(a, b Hit) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Subject.Value, b.Subject.Value), strings.Compare(a.Subject.Kind, b.Subject.Kind))
		})
		out[i].Most = out[i].Most[:min(len(out[i].Most), namesKept)]
	}
	return out
}
