package detect

import (
	"net/netip"
	"strconv"

	"github.com/gaissmai/bart"

	"github.com/portcullis/portcullis/ingest"
)

// watchSet is an immutable list of whom the enforcer watches.
type watchSet struct {
	table bart.Table[Watch]
	size  int               // of table
	named map[Subject]Watch // of every other kind; nil where none is watched
}

func newWatchSet(list []Watch) *watchSet {
	ws := &watchSet{}
	for _, w := range list {
		if p, ok := subjectPrefix(w.Subject); ok {
			ws.table.Insert(p, w)
			ws.size++
			continue
		}
		if ws.named == nil {
			ws.named = map[Subject]Watch{}
		}
		ws.named[w.Subject] = w
	}
	return ws
}

func subjectPrefix(s Subject) (netip.Prefix, bool) {
	switch s.Kind {
	case "ip":
		a, err := netip.ParseAddr(s.Value)
		if err != nil {
			return netip.Prefix{}, false
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), true
	case "cidr":
		p, err := netip.ParsePrefix(s.Value)
		return p.Masked(), err == nil
	}
	return netip.Prefix{}, false
}

// covers reports whether some of the addresses behind a key are watched.
func (ws *watchSet) covers(k key) bool {
	return ws.size > 0 && ws.table.OverlapsPrefix(k.prefix())
}

// apply marks the clients that a new watch list covers.
func (w *worker) apply(ws *watchSet) {
	if w.watch = ws; ws == nil {
		w.watch = &watchSet{}
	}
	for _, sh := range w.shards {
		if sh == nil {
			continue
		}
		for i := range sh.clients {
			c := &sh.clients[i]
			if c.flags&flagLive == 0 {
				continue
			}
			c.flags &^= flagWatched
			if w.watch.covers(c.key) {
				c.flags |= flagWatched
			}
		}
	}
}

// watches reports whether a request is to be looked at: its client is watched, or
// subjects that only the request itself tells.
func (w *worker) watches(c *client) bool {
	return c.flags&flagWatched != 0 || w.watch.named != nil
}

// sighted reports a request of whom is watched, and whether it carries our own answer.
func (w *worker) sighted(ev *ingest.Event) (ours bool) {
	if entry, ok := w.watch.table.Lookup(ev.Client); ok {
		ours = w.saw(ev, Subject{}, entry)
	}
	if w.watch.named != nil {
		eachNamed(ev, func(s Subject) {
			if entry, ok := w.watch.named[s]; ok {
				ours = w.saw(ev, s, entry) || ours
			}
		})
	}
	return ours
}

func (w *worker) saw(ev *ingest.Event, s Subject, entry Watch) (ours bool) {
	if w.cfg.Saw != nil {
		w.cfg.Saw(Sighting{Subject: s, Client: ev.Client, Time: ev.Time, Status: ev.Status, Route: ev.Route, Source: ev.Pos.Source})
	}
	return ev.Status == entry.Deny && ev.Time >= entry.Since
}

// eachNamed calls use for every subject of a request that is no address, as findings
// name it.
func eachNamed(ev *ingest.Event, use func(Subject)) {
	for _, s := range [...]Subject{
		{"consumer", ev.Consumer}, {"key", ev.Key}, {"key", ev.Token}, {"session", ev.Session},
		{"account", ev.User}, {"fingerprint", ev.Print}, {"route", routeName(ev)},
	} {
		if s.Value != "" {
			s.Value = s.Value[:min(len(s.Value), maxName)]
			use(s)
		}
	}
	if ev.Agent != "" {
		use(Class{Route: routeName(ev), Agent: ev.Agent}.Subject())
	}
	if ev.ASN != 0 {
		use(Subject{"asn", "AS" + strconv.FormatUint(uint64(ev.ASN), 10)})
	}
	if ev.Country != [2]byte{} {
		use(Subject{"country", string(ev.Country[:])})
	}
}
