package rule

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// who is a client as members are told apart: an address, of IPv6 the /64.
type who struct{ hi, lo uint64 }

func whoOf(a netip.Addr) who {
	b := a.Unmap().As16()
	w := who{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	if !a.Unmap().Is4() {
		w.lo = 0
	}
	return w
}

func (w who) compare(o who) int { return cmp.Or(cmp.Compare(w.hi, o.hi), cmp.Compare(w.lo, o.lo)) }

// addr is the client's address; of IPv6 the first of its /64.
func (w who) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w.hi)
	binary.BigEndian.PutUint64(b[8:], w.lo)
	return netip.AddrFrom16(b).Unmap()
}

// subject is the client as findings name it.
func (w who) subject() detect.Subject {
	if a := w.addr(); a.Is4() {
		return detect.Subject{Kind: "ip", Value: a.String()}
	}
	return detect.Subject{Kind: "cidr", Value: netip.PrefixFrom(w.addr(), 64).String()}
}

// network is the /24 or /48 of a client.
func (w who) network() uint64 {
	if a := w.addr(); a.Is4() {
		return w.lo >> 8
	}
	return w.hi >> 16
}

// hash tells clients apart, too.
func (w who) hash() uint64 { return w.hi*0x9e3779b97f4a7c15 ^ w.lo }

func (w *who) code(k *window.Codec) {
	k.U64(&w.hi)
	k.U64(&w.lo)
}

// attempt is what one client tried in one second.
type attempt struct {
	who      who
	agent    uint64 // the greatest hash, where it had several
	refused  uint32
	accepted uint32
	good     uint32 // requests of its own that went well before, as far as is known
	asks     bool   // for accounts: the route resets passwords or signs up
}

// fleetSecond is what one second adds to what is known of a route's or a network's
// clients.
type fleetSecond struct {
	list  []attempt // by client
	names agentNames
	users window.Crowd
	line  window.Sample // the earliest refusal
}

// attemptsPerSecond bounds the clients that are kept of a second: the least of them.
const attemptsPerSecond = 4096

// add takes a request in.
func (s *fleetSecond) add(env *detect.Env, ev *ingest.Event, kind int) {
	w := whoOf(ev.Client)
	i, known := slices.BinarySearchFunc(s.list, w, func(a attempt, w who) int { return a.who.compare(w) })
	if !known {
		if i == attemptsPerSecond {
			return
		}
		s.list = slices.Insert(s.list, i, attempt{who: w})
		s.list = s.list[:min(len(s.list), attemptsPerSecond)]
	}
	a := &s.list[i]
	a.asks = a.asks || ev.Kind == ingest.RouteReset
	a.agent, a.good = max(a.agent, hashOf(ev.Agent)), max(a.good, uint32(min(env.Known().Successes, 1<<30)))
	if kind == triesAccepted {
		a.accepted++
		return
	}
	a.refused++
	if ev.User != "" {
		s.users.Add(hashOf(ev.User))
	}
	keepEarliest(env, ev, &s.line, refusalNote)
}

// sum is what all clients tried in the second.
func (s *fleetSecond) sum() (n [window.AgingKinds]uint32) {
	for i := range s.list {
		n[triesRefused] += s.list[i].refused
		n[triesAccepted] += s.list[i].accepted
	}
	return n
}

// redactSeconds takes the secrets out of the lines of open seconds.
func redactSeconds(env *detect.Env, list []dated[fleetSecond]) {
	for i := range list {
		s := &list[i].v.line
		s.Line = env.Redact(s.Line)
	}
}

func (s *fleetSecond) code(k *window.Codec) {
	n := k.Len(len(s.list))
	if k.Reading() {
		s.list = make([]attempt, n)
	}
	for i := range s.list {
		a := &s.list[i]
		a.who.code(k)
		k.U64(&a.agent)
		k.U32(&a.refused)
		k.U32(&a.accepted)
		k.U32(&a.good)
		k.Bool(&a.asks)
	}
	s.names.code(k)
	s.users.Code(k)
	s.line.Code(k)
}

// member is a client that was refused.
type member struct {
	who      who
	agent    uint64
	first    uint32 // seconds of its refusals
	last     uint32
	refused  uint32
	accepted uint32
	good     uint32
	known    bool // it got in before, or does much else, and well
	asks     bool // it asked for accounts: some answers are no success
}

// settled reports whether a client that did that much well before is known: then it is
// no part of a fleet. A tool that asks for the form before each try has one good request
// for each.
func (m *member) settled() bool { return m.good >= 8 && m.good > 3*m.refused }

// luckless reports whether it was never let in; of who asks for accounts, whether it asked
// for several, of which one in three does not exist: who mistypes a name gets it right then.
func (m *member) luckless() bool {
	return m.accepted == 0 || m.asks && m.refused+m.accepted >= 3 && m.accepted <= 2*m.refused
}

func (m *member) code(k *window.Codec) {
	m.who.code(k)
	k.U64(&m.agent)
	for _, p := range []*uint32{&m.first, &m.last, &m.refused, &m.accepted, &m.good} {
		k.U32(p)
	}
	k.Bool(&m.known)
	k.Bool(&m.asks)
}

// roster keeps the clients that were refused lately, at most limit of them.
type roster struct {
	list  []member
	index map[who]int32
}

// take adds what a client tried and returns it, nil where it was only let in: such are
// not kept, unless they were refused before.
func (r *roster) take(sec int64, a *attempt, limit int) *member {
	i, known := r.index[a.who]
	if !known {
		if a.refused == 0 {
			return nil
		}
		if len(r.list) >= limit {
			r.shrink(limit)
		}
		if r.index == nil {
			r.index = map[who]int32{}
		}
		i = int32(len(r.list))
		r.list = append(r.list, member{who: a.who, first: uint32(sec)})
		r.index[a.who] = i
	}
	m := &r.list[i]
	m.accepted += a.accepted
	m.asks = m.asks || a.asks
	m.good = max(m.good, a.good)
	if a.refused > 0 {
		m.refused, m.last, m.agent = m.refused+a.refused, uint32(sec), a.agent
	}
	return m
}

// forget drops those whose last refusal is before a second.
func (r *roster) forget(before int64) {
	r.keep(func(m *member) bool { return int64(m.last) >= before })
}

// shrink makes room: those refused longest ago go, an eighth of them.
func (r *roster) shrink(limit int) {
	last := make([]uint32, len(r.list))
	for i := range r.list {
		last[i] = r.list[i].last
	}
	slices.Sort(last)
	cut, drop := last[limit/8], limit/8
	r.keep(func(m *member) bool {
		if m.last > cut || drop == 0 {
			return true
		}
		drop--
		return false
	})
}

func (r *roster) keep(want func(*member) bool) {
	n := 0
	for i := range r.list {
		if m := r.list[i]; want(&m) {
			r.list[n] = m
			n++
		}
	}
	if n == len(r.list) {
		return
	}
	r.list = slices.Clip(r.list[:n])
	r.reindex()
}

func (r *roster) reindex() {
	r.index = make(map[who]int32, len(r.list))
	for i := range r.list {
		r.index[r.list[i].who] = int32(i)
	}
}

func (r *roster) code(k *window.Codec) {
	n := k.Len(len(r.list))
	if k.Reading() {
		r.list = make([]member, n)
	}
	for i := range r.list {
		r.list[i].code(k)
	}
	if k.Reading() {
		r.reindex()
	}
}
