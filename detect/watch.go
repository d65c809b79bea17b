package detect

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/portcullis/portcullis/ingest"
)

// watchSet is an immutable list of whom the enforcer watches.
type watchSet struct {
	table bart.Table[Watch]
	size  int
}

func newWatchSet(list []Watch) *watchSet {
	ws := &watchSet{}
	for _, w := range list {
		if p, ok := subjectPrefix(w.Subject); ok {
			ws.table.Insert(p, w)
			ws.size++
		}
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

// sighted reports a watched request, and whether it carries our own answer.
func (w *worker) sighted(ev *ingest.Event) bool {
	entry, ok := w.watch.table.Lookup(ev.Client)
	if !ok {
		return false
	}
	if w.cfg.Saw != nil {
		w.cfg.Saw(Sighting{Client: ev.Client, Time: ev.Time, Status: ev.Status, Route: ev.Route, Source: ev.Pos.Source})
	}
	return ev.Status == entry.Deny && ev.Time >= entry.Since
}
