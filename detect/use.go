package detect

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// Use is what one identity did from one client with one agent on one route in one
// bucket. Several of one bucket add up.
type Use struct {
	Bucket  int64      // first second of the bucket, a multiple of LoadSeconds
	Client  netip.Addr // of an IPv6 client its /64
	ASN     uint32
	Country [2]byte
	Agent   uint64 // hash of the user agent, the same in every process; 0 is none
	Route   string
	Kind    ingest.RouteKind

	N, Refused, S2xx, S4xx, S5xx int64
	Bytes, Nanos                 int64
	First, Last                  int64           // seconds of the first and the last
	Time                         int64           // of the first, Unix nanoseconds
	Pos                          ingest.Position // where it stands
	IDs                          window.Crowd    // distinct ids of objects: what stands for the last place of the route's template
	Pick                         Pick            // one of its lines, if there are more than a few; with its secrets
	Low, High                    uint64          // least and greatest id that is a number; 0, 0 where none is
}

// User is a Rule by identity that wants what it did. Use adds to commutative state, and
// is called before the seconds of the bucket close.
type User interface {
	Use(u *Use, slot Slot)
}

func (u *Use) add(v *Use) {
	u.ASN, u.Kind = max(u.ASN, v.ASN), max(u.Kind, v.Kind)
	if string(v.Country[:]) > string(u.Country[:]) {
		u.Country = v.Country
	}
	u.N += v.N
	u.Refused += v.Refused
	u.S2xx += v.S2xx
	u.S4xx += v.S4xx
	u.S5xx += v.S5xx
	u.Bytes += v.Bytes
	u.Nanos += v.Nanos
	if u.First == 0 || v.First < u.First {
		u.First = v.First
	}
	u.Last = max(u.Last, v.Last)
	u.begin(v.Time, v.Pos)
	u.IDs.Merge(&v.IDs)
	u.Pick.Merge(&v.Pick)
	u.numbers(v.Low, v.High)
}

// begin notes the first request.
func (u *Use) begin(at int64, pos ingest.Position) {
	if u.Time == 0 || at < u.Time || at == u.Time && pos.Less(u.Pos) {
		u.Time, u.Pos = at, pos
	}
}

func (u *Use) numbers(low, high uint64) {
	if high == 0 {
		return
	}
	if u.High == 0 || low < u.Low {
		u.Low = low
	}
	u.High = max(u.High, high)
}

// useKey tells uses apart, in every process alike.
type useKey struct {
	who    key // of the identity
	client key
	agent  uint64
	bucket int64
	route  string
}

func (k *useKey) compare(o *useKey) int {
	return cmp.Or(cmp.Compare(k.bucket, o.bucket), cmp.Compare(k.who.hi, o.who.hi), cmp.Compare(k.client.hi, o.client.hi),
		cmp.Compare(k.client.lo, o.client.lo), cmp.Compare(k.agent, o.agent), cmp.Compare(k.route, o.route))
}

// uses gathers partials of identities.
type uses struct {
	list map[useKey]*used
	pool []*used // of earlier ones
	cfg  *Config
}

type used struct {
	subject Subject
	u       Use
}

func newUses(cfg *Config) *uses { return &uses{list: map[useKey]*used{}, cfg: cfg} }

// add takes in a request that was not denied by us.
func (s *uses) add(ev *ingest.Event, sec int64, client key, agent uint64, need Concern) {
	rank, asked := Rank(s.cfg.Seed, &ev.Pos, pickUse)
	ByIdentity.parties(ev, need&Refused == 0, func(p *party) {
		k := useKey{who: p.k, client: client, agent: agent, bucket: sec - sec%LoadSeconds, route: routeName(ev)}
		x := s.list[k]
		if x == nil {
			x = s.fresh()
			x.subject = Subject{p.kind, strings.Clone(p.value)}
			x.u = Use{Bucket: k.bucket, Client: client.prefix().Addr(), ASN: ev.ASN, Country: ev.Country, Agent: agent, Route: strings.Clone(k.route), Kind: ev.Kind, First: sec, Last: sec}
			k.route = x.u.Route
			s.list[k] = x
		}
		x.u.count(ev, sec, need)
		if asked {
			x.u.Pick.see(ev, rank)
		}
	})
}

func (s *uses) fresh() *used {
	if n := len(s.pool); n > 0 {
		x := s.pool[n-1]
		s.pool = s.pool[:n-1]
		return x
	}
	return new(used)
}

func (s *uses) clear() {
	for _, x := range s.list {
		if len(s.pool) < 4096 {
			s.pool = append(s.pool, x)
		}
	}
	clear(s.list)
}

func (u *Use) count(ev *ingest.Event, sec int64, need Concern) {
	u.N++
	switch ev.Status / 100 {
	case 2:
		u.S2xx++
	case 4:
		u.S4xx++
	case 5:
		u.S5xx++
	}
	if need&Refused != 0 {
		u.Refused++
	}
	u.Bytes += ev.BytesOut
	u.Nanos += ev.Duration
	u.First, u.Last = min(u.First, sec), max(u.Last, sec)
	u.begin(ev.Time, ev.Pos)
	if id := ObjectID(ev.Route, ev.Target); id != "" {
		u.IDs.Add(stableHash(id))
		if n, ok := decimal(id); ok && n > 0 {
			u.numbers(n, n)
		}
	}
}

// ObjectID is what the target has at the last place of the route's template that may
// hold anything, "" if there is none: the 4711 of /orders/4711.
func ObjectID(route, target string) string {
	open := strings.LastIndexByte(route, '{')
	if open < 0 {
		return ""
	}
	for n := strings.Count(route[:open], "/"); n > 0; n-- {
		i := strings.IndexByte(target, '/')
		if i < 0 {
			return ""
		}
		target = target[i+1:]
	}
	if i := strings.IndexAny(target, "/?"); i >= 0 {
		target = target[:i]
	}
	return target
}

// usage are sums of uses, for a level two that is elsewhere.
type usage map[useKey]used

func (m usage) add(k useKey, x *used) {
	sum, known := m[k]
	if !known {
		m[k] = *x
		return
	}
	sum.u.add(&x.u)
	m[k] = sum
}

func (m usage) keys() []useKey {
	keys := make([]useKey, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b useKey) int { return a.compare(&b) })
	return keys
}

// code saves them, or adds those that were saved.
func (m usage) code(k *window.Codec) {
	n := k.Len(len(m))
	if k.Reading() {
		for ; n > 0 && k.Err() == nil; n-- {
			var x used
			codeUse(k, &x)
			m.add(x.key(), &x)
		}
		return
	}
	for _, key := range m.keys() {
		x := m[key]
		codeUse(k, &x)
	}
}

func (x *used) key() useKey {
	p := named(ByIdentity, x.subject.Kind, x.subject.Value)
	return useKey{who: p.k, client: keyOf(x.u.Client), agent: x.u.Agent, bucket: x.u.Bucket, route: x.u.Route}
}

func codeUse(k *window.Codec, x *used) {
	u := &x.u
	k.String(&x.subject.Kind)
	k.String(&x.subject.Value)
	codeAddr(k, &u.Client)
	k.U32(&u.ASN)
	codeCountry(k, &u.Country)
	k.U64(&u.Agent)
	k.String(&u.Route)
	kind := uint8(u.Kind)
	k.U8(&kind)
	u.Kind = ingest.RouteKind(kind)
	for _, p := range []*int64{&u.Bucket, &u.N, &u.Refused, &u.S2xx, &u.S4xx, &u.S5xx, &u.Bytes, &u.Nanos, &u.First, &u.Last, &u.Time, &u.Pos.Offset} {
		k.I64(p)
	}
	k.String(&u.Pos.Source)
	k.U64(&u.Pos.File)
	u.IDs.Code(k)
	u.Pick.Code(k)
	k.U64(&u.Low)
	k.U64(&u.High)
}
