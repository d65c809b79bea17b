package detect

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// LoadSeconds is the width of the buckets in which the load of a route, an autonomous
// system, a network or the whole is counted.
const LoadSeconds = 10

// Load is what was seen of a route, an autonomous system, a network or the whole in one bucket.
// Several of one bucket add up; Crowds merge.
type Load struct {
	Bucket  int64 // first second of the bucket, a multiple of LoadSeconds
	Clients window.Crowd
	Pick    Pick    // one of its lines, if there are more than a few; with its secrets
	Answers Answers // of a route, if a detector asks; without those to attacks
	Rollup
}

// pickLoad and pickUse: one line in 2 to the that may be the one that is picked. A flood
// has hundreds; who walks through ids has forty.
const (
	pickLoad = 4
	pickUse  = 3
)

// Loader is a Rule by route, autonomous system or the whole that wants its load. Load
// adds to commutative state, and is called before the seconds of the bucket close.
type Loader interface {
	Load(l *Load, slot Slot)
}

func (l *Load) add(from *Load) {
	l.Clients.Merge(&from.Clients)
	l.Pick.Merge(&from.Pick)
	l.Answers.Merge(&from.Answers)
	addRollup(&l.Rollup, &from.Rollup)
}

func addRollup(to, from *Rollup) {
	to.Requests += from.Requests
	to.S2xx += from.S2xx
	to.S3xx += from.S3xx
	to.S4xx += from.S4xx
	to.S5xx += from.S5xx
	to.Refused += from.Refused
	to.Denied += from.Denied
	to.BytesOut += from.BytesOut
	to.Nanos += from.Nanos
}

// answer sorts a request for the traffic figures.
type answer uint8

const (
	answered answer = iota
	refused         // credentials refused
	denied          // by our own enforcement
)

// count takes in one request of a client with that hash.
func (l *Load) count(ev *ingest.Event, hash uint64, kind answer) {
	l.Clients.Add(hash)
	l.Requests++
	switch ev.Status / 100 {
	case 2:
		l.S2xx++
	case 3:
		l.S3xx++
	case 4:
		l.S4xx++
	case 5:
		l.S5xx++
	}
	switch kind {
	case refused:
		l.Refused++
	case denied:
		l.Denied++
	}
	l.BytesOut += ev.BytesOut
	l.Nanos += ev.Duration
}

// tally is a partial: what one worker saw of one route or autonomous system in one
// bucket. Partials are additive, so they may be handed on at any time.
type tally struct {
	route string
	asn   uint32
	net   netip.Prefix
	l     Load
}

// tallies gathers partials between two hand-overs: by route number, and, where a
// detector asks for them, by autonomous system, network and identity.
type tallies struct {
	byID []tally
	used []uint32
	full []tally // of an earlier bucket, waiting to be handed on

	asns bool
	asn  map[uint32]*tally
	nets bool
	net  map[netip.Prefix]*tally
	uses *uses // nil: nobody asks

	answers bool // whether a detector asks how large and late a route's are

	lapses lapses  // nil: nobody asks
	hits   hits    // nil: nobody asks
	cfg    *Config // whose seed picks lines
}

// add takes in a request. usual says that its answer may teach what the route's are like.
func (t *tallies) add(ev *ingest.Event, sec int64, hash uint64, kind answer, usual bool) {
	id := ev.RouteID
	for int(id) >= len(t.byID) {
		t.byID = append(t.byID, make([]tally, 64)...)
	}
	x, bucket := &t.byID[id], sec-sec%LoadSeconds
	if x.l.Bucket != bucket || x.l.Requests == 0 {
		if x.l.Requests != 0 {
			t.full = append(t.full, *x)
		} else {
			t.used = append(t.used, id)
		}
		*x = tally{route: routeName(ev), l: Load{Bucket: bucket}} // number 0 is shared by many
	}
	x.l.count(ev, hash, kind)
	if usual && t.answers {
		x.l.Answers.see(ev)
	}
	if rank, asked := Rank(t.cfg.Seed, &ev.Pos, pickLoad); asked && kind != denied {
		x.l.Pick.see(ev, rank)
	}
	if t.asns && ev.ASN != 0 {
		t.addASN(ev, bucket, hash, kind)
	}
	if t.nets {
		t.addNetwork(ev, bucket, hash, kind)
	}
}

func (t *tallies) addASN(ev *ingest.Event, bucket int64, hash uint64, kind answer) {
	x := t.asn[ev.ASN]
	if x == nil {
		x = &tally{asn: ev.ASN}
		t.asn[ev.ASN] = x
	}
	t.addTo(x, ev, bucket, hash, kind)
}

func (t *tallies) addNetwork(ev *ingest.Event, bucket int64, hash uint64, kind answer) {
	net, ok := network(ev.Client)
	if !ok {
		return
	}
	x := t.net[net]
	if x == nil {
		if t.net == nil {
			t.net = map[netip.Prefix]*tally{}
		}
		x = &tally{net: net}
		t.net[net] = x
	}
	t.addTo(x, ev, bucket, hash, kind)
}

// addTo adds to what is looked up by name.
func (t *tallies) addTo(x *tally, ev *ingest.Event, bucket int64, hash uint64, kind answer) {
	if x.l.Bucket != bucket {
		if x.l.Requests != 0 {
			t.full = append(t.full, *x)
		}
		x.l = Load{Bucket: bucket}
	}
	x.l.count(ev, hash, kind)
	if rank, asked := Rank(t.cfg.Seed, &ev.Pos, pickLoad); asked && kind != denied {
		x.l.Pick.see(ev, rank)
	}
}

// empty reports whether there is nothing to hand on.
func (t *tallies) empty() bool {
	return len(t.used) == 0 && len(t.asn) == 0 && len(t.net) == 0 && len(t.lapses) == 0 && len(t.hits) == 0 && (t.uses == nil || len(t.uses.list) == 0)
}

// flush hands the partials on.
func (t *tallies) flush(up upper) {
	if t.empty() {
		return
	}
	up.gathered(t)
	for _, id := range t.used {
		t.byID[id] = tally{}
	}
	clear(t.full)
	clear(t.asn)
	clear(t.lapses)
	clear(t.hits)
	clear(t.net)
	t.used, t.full = t.used[:0], t.full[:0]
	if t.uses != nil {
		t.uses.clear()
	}
}

// loads calls use for what the tallies add to: all traffic, its route, its system.
func (t *tallies) loads(use func(loadKey, *Load)) {
	rows := func(x *tally) {
		switch {
		case x.l.Requests == 0:
		case x.asn != 0:
			use(loadKey{by: ByASN, asn: x.asn, bucket: x.l.Bucket}, &x.l)
		case x.net.IsValid():
			use(loadKey{by: ByNetwork, net: x.net, bucket: x.l.Bucket}, &x.l)
		default:
			use(loadKey{by: ByGlobal, bucket: x.l.Bucket}, &x.l)
			use(loadKey{by: ByRoute, route: x.route, bucket: x.l.Bucket}, &x.l)
		}
	}
	for _, id := range t.used {
		rows(&t.byID[id])
	}
	for i := range t.full {
		rows(&t.full[i])
	}
	for _, x := range t.asn {
		rows(x)
	}
	for _, x := range t.net {
		rows(x)
	}
}

// loadKey says what a Load is of.
type loadKey struct {
	by     By
	asn    uint32
	bucket int64
	route  string
	net    netip.Prefix
}

func (k *loadKey) party() party {
	switch k.by {
	case ByRoute:
		return named(ByRoute, "route", k.route)
	case ByNetwork:
		return netParty(k.net)
	case ByASN:
		return party{by: ByASN, kind: "asn", asn: k.asn, k: key{hi: uint64(k.asn), lo: uint64(ByASN)}}
	}
	return party{by: ByGlobal, kind: "global", k: key{lo: uint64(ByGlobal)}}
}

func (k *loadKey) compare(o *loadKey) int {
	return cmp.Or(cmp.Compare(k.bucket, o.bucket), cmp.Compare(k.by, o.by), cmp.Compare(k.route, o.route), cmp.Compare(k.asn, o.asn), k.net.Addr().Compare(o.net.Addr()))
}

func codeLoad(k *window.Codec, key *loadKey, l *Load) {
	by := uint8(key.by)
	k.U8(&by)
	switch key.by = By(by); key.by {
	case ByRoute, ByASN, ByGlobal:
	case ByNetwork:
		a := key.net.Addr()
		codeAddr(k, &a)
		if k.Reading() {
			key.net, _ = network(a)
		}
	default:
		k.Fail()
	}
	k.U32(&key.asn)
	k.I64(&key.bucket)
	k.String(&key.route)
	l.Bucket = key.bucket
	l.Clients.Code(k)
	l.Pick.Code(k)
	if key.by == ByRoute {
		l.Answers.Code(k)
	}
	codeFigures(k, &l.Rollup)
}

func codeFigures(k *window.Codec, r *Rollup) {
	for _, p := range []*int64{&r.Requests, &r.S2xx, &r.S3xx, &r.S4xx, &r.S5xx, &r.Refused, &r.Denied, &r.BytesOut, &r.Nanos} {
		k.I64(p)
	}
}

// loads are sums by what they are of.
type loads map[loadKey]*Load

func (m loads) add(k loadKey, l *Load) {
	sum := m[k]
	if sum == nil {
		own := *l
		own.Bucket = k.bucket
		m[k] = &own
		return
	}
	sum.add(l)
}

// keys are in an order that does not depend on the map's.
func (m loads) keys() []loadKey {
	keys := make([]loadKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b loadKey) int { return a.compare(&b) })
	return keys
}

// code saves them, or adds those that were saved.
func (m loads) code(k *window.Codec) {
	n := k.Len(len(m))
	if k.Reading() {
		for ; n > 0 && k.Err() == nil; n-- {
			var key loadKey
			var l Load
			codeLoad(k, &key, &l)
			m.add(key, &l)
		}
		return
	}
	for _, key := range m.keys() {
		codeLoad(k, &key, m[key])
	}
}
