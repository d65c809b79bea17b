// Package alert tells people and other systems what was found: findings become alerts,
// one for a campaign or for a rule on a route, and an alert becomes few notices on the
// channels that want it.
//
// Loss policy: an alert, and what was told of it, is saved before and after every notice.
// A kill between the two repeats that notice, with the same id: a notice may come twice,
// never not at all. What a channel does not take is tried again for a day.
package alert

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/portcullis/portcullis/detect"
)

// State is whether an alert is still going on.
type State string

// The states of an alert.
const (
	Open   State = "open"
	Closed State = "resolved" // nothing new was found for a while
)

// subjectsKept is how many subjects an alert names, those with most requests first.
const subjectsKept = 10

// Alert is what people are told about: findings that belong together, while they go on.
type Alert struct {
	ID         string           `json:"id"`
	Key        string           `json:"key"`                // what its findings share
	Campaign   string           `json:"campaign,omitempty"` // "" = none
	Rule       string           `json:"rule"`
	Family     detect.Family    `json:"family"`
	Severity   detect.Severity  `json:"severity"` // of the gravest finding
	Confidence float64          `json:"confidence"`
	Route      string           `json:"route,omitempty"`
	Subjects   []detect.Subject `json:"subjects"` // the busiest, subjectsKept at most
	Clients    int64            `json:"clients"`  // distinct subjects
	Findings   int64            `json:"findings"`
	Requests   int64            `json:"requests"`
	AtLeast    bool             `json:"at_least,omitempty"` // there were more findings than are remembered apart
	Why        string           `json:"why"`                // of the gravest finding, or of the campaign
	Tags       []string         `json:"tags,omitempty"`
	First      int64            `json:"first"`            // event time, Unix nanoseconds
	Last       int64            `json:"last"`             // event time
	Opened     int64            `json:"opened"`           // wall clock, like all below
	Heard      int64            `json:"heard"`            // when something new was found
	Closed     int64            `json:"closed,omitempty"` // 0 = it is open
	State      State            `json:"state"`
	Into       string           `json:"into,omitempty"`  // the campaign's alert that its findings went to
	Muted      string           `json:"muted,omitempty"` // why nothing is told of it now: silenced, inhibited

	Told map[string]*Delivery `json:"told,omitempty"` // by channel
}

// Delivery is what a channel was told of an alert, and what it is to be told.
type Delivery struct {
	Count    int             `json:"count"`          // notices it took
	Kind     Kind            `json:"kind,omitempty"` // of the last one
	At       int64           `json:"at,omitempty"`   // of the last one
	Findings int64           `json:"findings,omitempty"`
	Severity detect.Severity `json:"severity,omitempty"`
	Due      Kind            `json:"due,omitempty"` // "" = nothing
	Since    int64           `json:"since,omitempty"`
	Trying   string          `json:"trying,omitempty"` // id of a notice that was on its way when this was saved
	Held     bool            `json:"held,omitempty"`   // its turn is behind a rate limit or quiet hours
	Tries    int             `json:"tries,omitempty"`
	Next     int64           `json:"next,omitempty"`  // not before
	Error    string          `json:"error,omitempty"` // of the last try
}

// alertID is the id of an alert that begins now.
func alertID(key string, opened int64) string {
	h := sha256.New()
	h.Write([]byte(key))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(opened))
	h.Write(n[:])
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// part is what one finding adds to an alert.
type part struct {
	count    int64
	last     int64
	anchor   string // of the campaign that it would belong to
	severity detect.Severity
	subject  detect.Subject
}

// tally is what an open alert's sums are made of. It is in memory only: after a restart
// it is made again of the stored findings.
type tally struct {
	parts    map[string]part // by finding
	requests map[detect.Subject]int64
	base     counts // what was counted before the restart and is stored no longer
	members  int64  // as the campaign says
}

type counts struct{ findings, requests, clients int64 }

func newTally() *tally {
	return &tally{parts: map[string]part{}, requests: map[detect.Subject]int64{}}
}

// take adds a finding, or what changed in it, and reports whether there was anything new.
func (t *tally) take(f *detect.Finding, anchor string, room bool) (fresh, full bool) {
	old, known := t.parts[f.ID]
	if known && old.count == f.Count && old.last == f.LastSeen && old.severity == f.Severity {
		return false, false
	}
	if !known && !room {
		return true, true
	}
	t.parts[f.ID] = part{count: f.Count, last: f.LastSeen, anchor: anchor, severity: f.Severity, subject: f.Subject}
	t.requests[f.Subject] += f.Count - old.count
	return true, false
}

// drop takes the findings of a campaign out.
func (t *tally) drop(anchor string) map[string]part {
	out := map[string]part{}
	for id, p := range t.parts {
		if p.anchor != anchor {
			continue
		}
		out[id] = p
		delete(t.parts, id)
		if t.requests[p.subject] -= p.count; t.requests[p.subject] <= 0 {
			delete(t.requests, p.subject)
		}
	}
	return out
}

// sum writes the sums into the alert.
func (t *tally) sum(a *Alert) {
	a.Findings, a.Requests, a.Clients = t.base.findings+int64(len(t.parts)), t.base.requests, t.base.clients+int64(len(t.requests))
	for _, n := range t.requests {
		a.Requests += n
	}
	a.Clients = max(a.Clients, t.members)
	if len(t.requests) == 0 {
		return // after a restart, until the stored findings are read
	}
	list := make([]detect.Subject, 0, len(t.requests))
	for s := range t.requests {
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y detect.Subject) int {
		return cmp.Or(cmp.Compare(t.requests[y], t.requests[x]), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Value, y.Value))
	})
	a.Subjects = slices.Clone(list[:min(len(list), subjectsKept)])
}
