package rule

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// place is where an identity is used from: a network with an agent.
type place struct {
	who     who // the client that was seen there first
	agent   uint64
	asn     uint32
	country [2]byte
	first   uint32 // seconds
	last    uint32
	n       int64
	routes  uint64 // bitmap of hashes
	odd     uint32 // the second in which it was found to be strange; 0: it is not
	alien   uint32 // the second in which its network was found to be strange, though not its agent; 0: it is not
	met     uint32 // buckets in which it and a place that is not strange were in use by turns
}

func (p *place) same(q *place) bool { return p.who.network() == q.who.network() && p.agent == q.agent }

func (p *place) code(k *window.Codec) {
	p.who.code(k)
	k.U64(&p.agent)
	k.U32(&p.asn)
	k.U8(&p.country[0])
	k.U8(&p.country[1])
	k.U32(&p.first)
	k.U32(&p.last)
	k.I64(&p.n)
	k.U64(&p.routes)
	k.U32(&p.odd)
	k.U32(&p.alien)
	k.U32(&p.met)
}

// compare orders places of one bucket.
func (p *place) compare(q *place) int {
	return cmp.Or(cmp.Compare(p.who.network(), q.who.network()), cmp.Compare(p.agent, q.agent))
}

// stop is what one bucket says of a place, and where its first request stands.
type stop struct {
	place
	at    int64 // Unix nanoseconds
	pos   ingest.Position
	route string
}

// evidence is the first request. Its line is not kept: too many places are never said.
func (s *stop) evidence() detect.Evidence {
	return detect.Evidence{Source: s.pos.Source, Offset: s.pos.Offset, Time: s.at,
		Note: fmt.Sprintf("%s from %s", s.route, s.who.subject().Value)}
}

// used is what one bucket adds: its places, in order.
type used struct{ list []stop }

// usedPerBucket bounds them: the least are kept.
const usedPerBucket = 256

// add takes a use in.
func (b *used) add(u *detect.Use) {
	p := stop{at: u.Time, pos: u.Pos, route: u.Route, place: place{who: whoOf(u.Client), agent: u.Agent, asn: u.ASN, country: u.Country, first: uint32(u.First), last: uint32(u.Last),
		n: u.N, routes: 1 << (hashOf(u.Route) >> 58)}}
	i, known := slices.BinarySearchFunc(b.list, p, func(a, b stop) int { return a.compare(&b.place) })
	if !known {
		if i < usedPerBucket {
			b.list = slices.Insert(b.list, i, p)
			b.list = b.list[:min(len(b.list), usedPerBucket)]
		}
		return
	}
	x := &b.list[i]
	x.first, x.last = min(x.first, p.first), max(x.last, p.last)
	x.n, x.routes, x.asn = x.n+p.n, x.routes|p.routes, max(x.asn, p.asn)
	if string(p.country[:]) > string(x.country[:]) {
		x.country = p.country
	}
	if p.at < x.at || p.at == x.at && p.pos.Less(x.pos) {
		x.who, x.at, x.pos, x.route = p.who, p.at, p.pos, p.route
	}
}

func (b *used) code(k *window.Codec) {
	n := k.Len(len(b.list))
	if k.Reading() {
		b.list = make([]stop, n)
	}
	for i := range b.list {
		s := &b.list[i]
		s.place.code(k)
		k.I64(&s.at)
		k.String(&s.pos.Source)
		k.U64(&s.pos.File)
		k.I64(&s.pos.Offset)
		k.String(&s.route)
	}
}

func codePlaces(k *window.Codec, list *[]place) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]place, n)
	}
	for i := range *list {
		(*list)[i].code(k)
	}
}

// whereabouts are the places of one identity, in the order in which they were new.
type whereabouts struct {
	open    inbox[used]
	places  []place
	first   uint32 // second of its first use
	n       int64  // uses in all
	routes  uint64 // of all places that are not new
	now     *episode
	listed  []place // of the finding of the window
	expires int64
}

// mostPlaces bounds the places kept of an identity: the latest used.
const mostPlaces = 16

// placeKeep is how long a place that is not used is remembered, in seconds.
const placeKeep = 30 * day

// use takes a use in and asks for the end of its bucket.
func (w *whereabouts) use(env *detect.Env, u *detect.Use, slot detect.Slot) {
	end := u.Bucket + detect.LoadSeconds - 1
	b, fresh := w.open.at(end)
	if fresh {
		env.Wake(slot, end)
	}
	b.add(u)
}

// close takes the buckets up to sec in. seen is called for each place of a bucket, p, with
// what is known of it by now. It reports whether nothing is left.
func (w *whereabouts) close(env *detect.Env, slot detect.Slot, sec int64, seen func(sec int64, p *stop, known *place)) bool {
	w.open.take(sec, func(sec int64, b *used) {
		if w.first == 0 {
			w.first = uint32(sec)
		}
		for i := range b.list {
			p := &b.list[i]
			known := w.find(&p.place)
			if known == nil {
				known = w.put(&p.place)
			} else {
				known.merge(&p.place)
			}
			seen(sec, p, known)
			w.n += p.n
			if known.odd == 0 && (known.alien == 0 || sec-int64(known.alien) >= day) {
				w.routes |= p.routes
			}
		}
	})
	if w.now != nil && w.now.start/1e9+detect.FindingWindow <= sec {
		w.now, w.listed = nil, nil
	}
	newest := int64(0)
	for i := range w.places {
		newest = max(newest, int64(w.places[i].last))
	}
	if newest+placeKeep <= sec {
		*w, newest = whereabouts{open: w.open}, 0
	}
	if newest != 0 && w.expires <= sec {
		w.expires = newest + placeKeep
		env.Wake(slot, w.expires)
	}
	return newest == 0 && w.open.empty()
}

func (w *whereabouts) find(p *place) *place {
	for i := range w.places {
		if w.places[i].same(p) {
			return &w.places[i]
		}
	}
	return nil
}

// put keeps a new place.
func (w *whereabouts) put(p *place) *place {
	if len(w.places) == mostPlaces {
		least := 0
		for i := range w.places {
			if w.places[i].last < w.places[least].last {
				least = i
			}
		}
		w.places = slices.Delete(w.places, least, least+1)
	}
	w.places = append(w.places, *p)
	return &w.places[len(w.places)-1]
}

// merge adds what a bucket says of a place.
func (p *place) merge(q *place) {
	p.last = max(p.last, q.last)
	p.n += q.n
	p.routes |= q.routes
	if q.asn != 0 {
		p.asn = q.asn
	}
	if q.country != ([2]byte{}) {
		p.country = q.country
	}
}

// fresh reports whether a place was new with what the bucket says of it.
func (p *place) fresh(q *stop) bool { return p.first == q.first && p.n == q.n }

// settled reports whether enough is known of an identity to find a place strange: so
// many seconds and so many requests.
func (w *whereabouts) settled(sec, settle, uses int64) bool {
	return w.first != 0 && sec-int64(w.first) >= settle && w.n >= uses
}

// strange reports whether nothing of a place was known: neither its network nor its
// agent nor, where it is known, its autonomous system. Places that were strange
// themselves less than a day ago are no company. To who is at home in many places, such
// as the key of an app, none is strange.
func (w *whereabouts) strange(p *place, sec int64) bool {
	if homes := len(w.places) - 1; homes > mostPlaces/2 && homes-w.oddities() > mostPlaces/2 {
		return false
	}
	for i := range w.places {
		q := &w.places[i]
		if q.same(p) || q.odd != 0 && sec-int64(q.odd) < day || q.first >= p.first {
			continue
		}
		if q.agent == p.agent || q.who.network() == p.who.network() || p.asn != 0 && q.asn == p.asn {
			return false
		}
	}
	return true
}

func (w *whereabouts) oddities() (n int) {
	for i := range w.places {
		if w.places[i].odd != 0 {
			n++
		}
	}
	return n
}

// meet counts, for strange places, the buckets in which they and the others were in use
// by turns within an hour. It returns the strange place that p makes meet another, nil
// if there is none. Others are those that apart accepts.
func (w *whereabouts) meet(p *stop, known *place, sec int64, apart func(strange, other *place) bool) *place {
	if known.odd != 0 {
		for i := range w.places {
			if q := &w.places[i]; q.odd == 0 && q.last > known.first && sec-int64(q.last) < hour && apart(known, q) {
				known.met++
				return known
			}
		}
		return nil
	}
	var met *place
	for i := range w.places {
		if q := &w.places[i]; q.odd != 0 && p.last > q.first && sec-int64(q.last) < hour && apart(q, known) {
			q.met++
			met = q
		}
	}
	return met
}

// fire begins the finding of a window, or goes on with it.
func (w *whereabouts) fire(sec, first int64, p *stop) *episode {
	if start := detect.WindowOf(sec); w.now == nil || w.now.start != start {
		w.now = &episode{start: start, fired: sec, first: first}
		w.listed = nil
	}
	w.now.last = sec
	w.now.count += p.n
	if len(w.now.evidence) < detect.MaxEvidence {
		w.now.evidence = append(w.now.evidence, p.evidence())
	}
	return w.now
}

// list notes a place that the finding is about.
func (w *whereabouts) list(p *place) {
	for i := range w.listed {
		if w.listed[i].same(p) {
			w.listed[i].n += p.n
			return
		}
	}
	if len(w.listed) < mostPlaces {
		w.listed = append(w.listed, *p)
	}
}

// members are the clients of the places that the finding is about.
func (w *whereabouts) members() string {
	list := make([]detect.Member, len(w.listed))
	for i := range w.listed {
		list[i] = detect.Member{Subject: w.listed[i].who.subject(), Score: 0.9, Count: w.listed[i].n}
	}
	return detect.PackMembers(list)
}

func (w *whereabouts) code(k *window.Codec) {
	w.open.code(k, (*used).code)
	codePlaces(k, &w.places)
	k.U32(&w.first)
	k.I64(&w.n)
	k.U64(&w.routes)
	codeEpisode(k, &w.now)
	codePlaces(k, &w.listed)
	k.I64(&w.expires)
}
