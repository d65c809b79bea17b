package detect

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"

	"github.com/portcullis/portcullis/internal/exact"
)

// Sightings are several requests of a watched subject that agree in status,
// route and source, all within one second of event time; Time is that of the
// last, and Client that of one of them.
type Sightings struct {
	Sighting
	First int64 // event time of the first, Unix nanoseconds
	N     int64 // how many; at least 1
}

type sightingsWire struct {
	V      int        `json:"v"`
	Kind   exact.Text `json:"kind,omitempty"`
	Value  exact.Text `json:"value,omitempty"`
	Client netip.Addr `json:"client"`
	First  int64      `json:"first"`
	Last   int64      `json:"last"`
	N      int64      `json:"n"`
	Status uint16     `json:"status"`
	Route  exact.Text `json:"route,omitempty"`
	Source exact.Text `json:"source,omitempty"`
}

// EncodeSightings gives the JSON from which DecodeSightings makes the same.
func EncodeSightings(s Sightings) []byte {
	b, _ := json.Marshal(sightingsWire{ // strings and numbers always marshal
		V: wireVersion, Kind: exact.Text(s.Subject.Kind), Value: exact.Text(s.Subject.Value), Client: s.Client, First: s.First, Last: s.Time, N: s.N, Status: s.Status,
		Route: exact.Text(s.Route), Source: exact.Text(s.Source),
	})
	return b
}

// DecodeSightings is the inverse of EncodeSightings.
func DecodeSightings(data []byte) (Sightings, error) {
	var in sightingsWire
	if err := decodeWire(data, "sighting", &in, &in.V); err != nil {
		return Sightings{}, err
	}
	if !in.Client.IsValid() || in.N < 1 || in.First > in.Last {
		return Sightings{}, fmt.Errorf("detect: decode a sighting: it has no client, no number, or ends before it begins")
	}
	return Sightings{First: in.First, N: in.N, Sighting: Sighting{
		Subject: Subject{Kind: string(in.Kind), Value: string(in.Value)},
		Client:  in.Client, Time: in.Last, Status: in.Status, Route: string(in.Route), Source: string(in.Source),
	}}, nil
}

// subjectsCoalesced bounds the subjects whose sightings are held at once. When
// it is reached, what is held goes out and counting starts anew, so nothing is
// lost, only sent in more messages.
const subjectsCoalesced = 1 << 16

// Coalescer keeps the sightings of a subject that is flooding us from becoming a
// flood of messages. Of each subject and status, the first few of a second go
// out at once; the rest of that second goes out together, as one message for
// each route and source, so that numbers stay true. It may be used from any
// goroutine.
type Coalescer struct {
	limit int
	emit  func(Sightings)

	mu       sync.Mutex
	watched  *watchSet
	subjects map[Subject]*coalesced
}

// coalesced is what is held of one subject.
type coalesced struct {
	second   int64 // the newest seen, event time
	statuses map[uint16]*held
}

type held struct {
	passed int // went out alone this second
	rest   []Sightings
}

// NewCoalescer lets single sightings of a subject and status out at once, that
// many in a second; together with the rest there are at most twice as many
// messages, and one more for each late second. emit is called from the
// goroutine of Saw or Flush, and holds no lock.
func NewCoalescer(single int, emit func(Sightings)) *Coalescer {
	return &Coalescer{limit: max(single, 1), emit: emit, watched: newWatchSet(nil), subjects: map[Subject]*coalesced{}}
}

// Watch says which subjects there are: the clients behind one count together.
func (c *Coalescer) Watch(list []Watch) {
	ws := newWatchSet(list)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched = ws
}

// Saw takes a sighting.
func (c *Coalescer) Saw(s Sighting) {
	for _, out := range c.take(s) {
		c.emit(out)
	}
}

// Flush lets out what is held. Call it once a second, and at the end.
func (c *Coalescer) Flush() {
	c.mu.Lock()
	out := c.drain()
	c.mu.Unlock()
	for _, s := range out {
		c.emit(s)
	}
}

// drain takes everything that is held, and forgets the subjects that held
// nothing since the last time.
func (c *Coalescer) drain() (out []Sightings) {
	for key, sub := range c.subjects {
		rest := sub.drain()
		if len(rest) == 0 {
			delete(c.subjects, key)
		}
		out = append(out, rest...)
	}
	return out
}

func (s *coalesced) drain() (out []Sightings) {
	for _, h := range s.statuses {
		out, h.rest = append(out, h.rest...), nil
	}
	return out
}

func (c *Coalescer) take(s Sighting) (out []Sightings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, second := s.Subject, s.Time/1e9
	if key == (Subject{}) {
		key = c.subject(s.Client)
	}
	sub := c.subjects[key]
	if sub == nil {
		if len(c.subjects) >= subjectsCoalesced {
			out = c.drain()
			clear(c.subjects)
		}
		sub = &coalesced{second: second, statuses: map[uint16]*held{}}
		c.subjects[key] = sub
	}
	if second > sub.second { // the second before goes first, so that order stays
		out = append(out, sub.drain()...)
		sub.second = second
		clear(sub.statuses)
	}
	h := sub.statuses[s.Status]
	if h == nil {
		h = &held{}
		sub.statuses[s.Status] = h
	}
	if h.passed < c.limit {
		h.passed++
		return append(out, Sightings{Sighting: s, First: s.Time, N: 1})
	}
	h.add(s, c.limit)
	return out
}

// add puts a sighting to those it agrees with. Routes and sources beyond the
// limit share one message without a name.
func (h *held) add(s Sighting, limit int) {
	if len(h.rest) >= limit-1 && h.find(s) == nil {
		s.Route, s.Source = "", ""
	}
	if g := h.find(s); g != nil {
		g.First, g.Time = min(g.First, s.Time), max(g.Time, s.Time)
		g.N++
		return
	}
	h.rest = append(h.rest, Sightings{Sighting: s, First: s.Time, N: 1})
}

func (h *held) find(s Sighting) *Sightings {
	for i := range h.rest {
		if g := &h.rest[i]; g.Route == s.Route && g.Source == s.Source && g.Time/1e9 == s.Time/1e9 {
			return g
		}
	}
	return nil
}

// subject is the watched one behind a client, or what the engine would take the
// client for.
func (c *Coalescer) subject(client netip.Addr) Subject {
	client = client.Unmap().WithZone("")
	if w, ok := c.watched.table.Lookup(client); ok {
		return w.Subject
	}
	bits := 32
	if client.Is6() {
		bits = 64
	}
	p, _ := client.Prefix(bits) // an address that is none gives the zero prefix: those count together
	return Subject{Kind: "cidr", Value: p.String()}
}
