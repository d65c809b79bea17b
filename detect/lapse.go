package detect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// Lapse is what was seen in one bucket of one thing that is not as it should be with a route,
// whoever asks for it. Only requests that were answered well count: what is refused is no
// matter of the route. Several of one bucket add up.
type Lapse struct {
	Bucket   int64 // first second of the bucket, a multiple of LoadSeconds
	Kind     LapseKind
	Name     string // of the parameter or method that it is about; empty: the whole route
	Requests int64
	Clients  window.Crowd
	Callers  []Caller // some of those who call, the same whatever the order; sorted
	Line     window.Sample
}

// LapseKind says what is not as it should be.
type LapseKind uint8

// The kinds of lapses.
const (
	LapseUnlisted   LapseKind = iota // the API's documents do not have the route
	LapseDeprecated                  // they have it as deprecated
	LapseMethod                      // they do not have the method
	LapseName                        // they do not have the query parameter
	LapseValue                       // its value is not as they say
	LapsePlain                       // it is served over plain HTTP
	LapseCredential                  // and takes credentials there
	manyLapses
)

// Caller is one who asked, with the number of requests.
type Caller struct {
	Subject Subject
	N       int64
}

// Bounds of what is kept of a route in a bucket. Which ones are kept is decided by hashes, so
// that it does not depend on order.
const (
	lapseNames   = 16
	lapseCallers = 16
)

// Lapser is a Rule by route that wants its lapses. Lapse adds to commutative state, and is
// called before the seconds of the bucket close. The Lapse is borrowed.
type Lapser interface {
	Lapse(l *Lapse, slot Slot)
}

// Merge adds another of the same bucket, kind and name.
func (l *Lapse) Merge(from *Lapse) {
	l.Requests += from.Requests
	l.Clients.Merge(&from.Clients)
	if from.Line.Time != 0 && (l.Line.Time == 0 || earlier(from.Line.Time, from.Line.Pos, &l.Line)) {
		l.Line = from.Line
	}
	for i := range from.Callers {
		l.Callers = addCaller(l.Callers, &from.Callers[i])
	}
}

// callerHash orders callers.
func callerHash(s *Subject) uint64 { return stableHash(s.Kind)*31 ^ stableHash(s.Value) }

func compareCallers(a, b *Caller) int {
	return cmp.Or(cmp.Compare(callerHash(&a.Subject), callerHash(&b.Subject)), cmp.Compare(a.Subject.Value, b.Subject.Value))
}

// addCaller adds a caller; of too many, those with the least hashes stay.
func addCaller(list []Caller, c *Caller) []Caller {
	i, known := slices.BinarySearchFunc(list, c, func(a Caller, b *Caller) int { return compareCallers(&a, b) })
	switch {
	case known:
		list[i].N += c.N
	case i < lapseCallers:
		list = slices.Insert(list, i, Caller{Subject{c.Subject.Kind, strings.Clone(c.Subject.Value)}, c.N})
		list = list[:min(len(list), lapseCallers)]
	}
	return list
}

// Code saves or restores it.
func (l *Lapse) Code(k *window.Codec) {
	kind := uint8(l.Kind)
	k.U8(&kind)
	if l.Kind = LapseKind(kind); l.Kind >= manyLapses {
		k.Fail()
	}
	k.I64(&l.Bucket)
	k.String(&l.Name)
	k.I64(&l.Requests)
	l.Clients.Code(k)
	n := k.Len(len(l.Callers))
	if k.Reading() {
		l.Callers = make([]Caller, min(n, lapseCallers))
		if n > lapseCallers {
			k.Fail()
		}
	}
	for i := range l.Callers {
		codeSubject(&l.Callers[i].Subject, k)
		k.I64(&l.Callers[i].N)
	}
	l.Line.Code(k)
}

// lapsing reports whether a request has something that a Lapse is of, or that its client may
// be asked for.
func lapsing(ev *ingest.Event) bool {
	return ev.API.Departs() || ev.API.Facts&ingest.APIDeprecated != 0 || ev.Scheme == "http"
}
