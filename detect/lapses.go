package detect

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// lapseKey tells lapses apart, in every process alike; those of one key differ in their names.
type lapseKey struct {
	bucket int64
	kind   LapseKind
	route  string
}

func (k *lapseKey) compare(o *lapseKey) int {
	return cmp.Or(cmp.Compare(k.bucket, o.bucket), cmp.Compare(k.kind, o.kind), cmp.Compare(k.route, o.route))
}

// lapses gathers the lapses of routes between two hand-overs, and their sums for a level two
// that is elsewhere.
type lapses map[lapseKey][]Lapse // by the hash of the name

// take notes all lapses of a request.
func (m lapses) take(w *worker, ev *ingest.Event, sec int64, client key, h uint64, need Concern) {
	answered := ev.Status >= 200 && ev.Status < 300
	if credentialsInClear(ev) {
		m.add(w, ev, sec, client, h, need, LapseCredential, "")
	} else if ev.Scheme == "http" && answered {
		m.add(w, ev, sec, client, h, need, LapsePlain, "")
	}
	if !answered && (ev.Status < 300 || ev.Status >= 400) {
		return
	}
	switch f := ev.API.Facts; {
	case f&ingest.APIUnlisted != 0 && (ev.Kind == ingest.RouteDocs || ev.Kind == ingest.RouteHealth):
		// hardly any document has itself, or the probes
	case f&ingest.APIUnlisted != 0:
		m.add(w, ev, sec, client, h, need, LapseUnlisted, "")
	case f&ingest.APIMethod != 0:
		m.add(w, ev, sec, client, h, need, LapseMethod, ev.Method)
	case f&ingest.APIDeprecated != 0:
		m.add(w, ev, sec, client, h, need, LapseDeprecated, ev.Method)
	}
	for i := range ev.API.Departures {
		switch d := &ev.API.Departures[i]; d.Kind {
		case ingest.DepartureName:
			m.add(w, ev, sec, client, h, need, LapseName, d.Name)
		case ingest.DepartureValue:
			m.add(w, ev, sec, client, h, need, LapseValue, d.Name)
		}
	}
}

// credentialsInClear reports whether a request sent credentials over plain HTTP to a route
// that looked at them. Behind another hop the log tells how that one came, not the client.
func credentialsInClear(ev *ingest.Event) bool {
	if ev.Scheme != "http" || ev.Peer.IsValid() && ev.Peer != ev.Client {
		return false
	}
	served := ev.Status >= 200 && ev.Status < 300
	if ev.Kind.TakesCredentials() && ev.Method == "POST" {
		return served || ev.Status == 401
	}
	return served && (ev.Key != "" || ev.Token != "" || ev.Session != "" || ev.User != "" || ev.API.Facts&ingest.APISecured != 0)
}

// add counts a request. Of too many names of a route, those with the least hashes stay.
func (m lapses) add(w *worker, ev *ingest.Event, sec int64, client key, h uint64, need Concern, kind LapseKind, name string) {
	if kind == LapsePlain && ev.Peer.IsValid() && ev.Peer != ev.Client {
		return
	}
	k := lapseKey{sec - sec%LoadSeconds, kind, routeName(ev)}
	list, known := m[k]
	if !known {
		k.route = strings.Clone(k.route)
	}
	name = name[:min(len(name), longestWord)]
	i, found := findLapse(list, name)
	if !found {
		if i == lapseNames {
			return
		}
		list = slices.Insert(list, i, Lapse{Bucket: k.bucket, Kind: kind, Name: strings.Clone(name)})
		list = list[:min(len(list), lapseNames)]
		m[k] = list
	}
	l := &list[i]
	l.Requests++
	l.Clients.Add(h)
	l.Callers = addCaller(l.Callers, callerOf(ev, client, need))
	if l.Line.Time == 0 || earlier(ev.Time, ev.Pos, &l.Line) {
		agent := ev.Agent[:min(len(ev.Agent), AgentBytes)]
		l.Line = window.Sample{Time: ev.Time, Pos: ev.Pos, Line: capLine(w.cfg.Redact(capLine(ev.Line))), Agent: strings.Clone(w.cfg.Redact(agent))}
	}
}

// findLapse is the place of a name.
func findLapse(list []Lapse, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(l Lapse, name string) int {
		return cmp.Or(cmp.Compare(stableHash(l.Name), stableHash(name)), strings.Compare(l.Name, name))
	})
}

// callerOf is who asks: the narrowest that the log tells, else the client.
func callerOf(ev *ingest.Event, client key, need Concern) *Caller {
	c := Caller{N: 1}
	ByIdentity.parties(ev, need&Refused == 0, func(p *party) {
		if c.Subject.Kind == "" {
			c.Subject = p.subject()
		}
	})
	if c.Subject.Kind == "" {
		c.Subject = client.subject()
	}
	return &c
}

// merge adds one of another part.
func (m lapses) merge(route string, from *Lapse) {
	k := lapseKey{from.Bucket, from.Kind, route}
	m[k] = MergeLapse(m[k], from)
}

// MergeLapse adds to a list of lapses of one bucket and kind, and returns it; of too many
// names, those with the least hashes stay.
func MergeLapse(list []Lapse, from *Lapse) []Lapse {
	i, found := findLapse(list, from.Name)
	switch {
	case found:
		list[i].Merge(from)
	case i < lapseNames:
		x := *from
		x.Callers = slices.Clone(from.Callers)
		list = slices.Insert(list, i, x)
		list = list[:min(len(list), lapseNames)]
	}
	return list
}

// keys are in an order that does not depend on the map's.
func (m lapses) keys() []lapseKey {
	keys := make([]lapseKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b lapseKey) int { return a.compare(&b) })
	return keys
}

// each hands all on, in an order that does not depend on the map's.
func (m lapses) each(use func(route string, l *Lapse)) {
	for _, k := range m.keys() {
		list := m[k]
		for i := range list {
			use(k.route, &list[i])
		}
	}
}

// code saves them, or adds those that were saved.
func (m lapses) code(k *window.Codec) {
	n := 0
	for _, list := range m {
		n += len(list)
	}
	n = k.Len(n)
	if !k.Reading() {
		m.each(func(route string, l *Lapse) { codeLapse(k, &route, l) })
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var route string
		var l Lapse
		codeLapse(k, &route, &l)
		m.merge(route, &l)
	}
}

func codeLapse(k *window.Codec, route *string, l *Lapse) {
	k.String(route)
	l.Code(k)
}

// lapse tells the rules by route.
func (w *wide) lapse(route string, l *Lapse) {
	level := w.levels[ByRoute]
	if len(level.lapsers) == 0 {
		return
	}
	p := named(ByRoute, "route", route)
	s := level.slot(&p, l.Bucket)
	for _, r := range level.lapsers {
		r.Lapse(l, s)
	}
}
