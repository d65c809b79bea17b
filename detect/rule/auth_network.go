package rule

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-network", detect.Spec{
		Doc:     "many clients of one network (IPv4 /24, IPv6 /48) are refused and hardly anybody there gets in: guessing or spraying by who changes addresses",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.003", "attack:T1110.004", "oat:007", "oat:008"},
		Needs:   "client address, status, path, method; the history of clients tells guessers from customers",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldMethod | ingest.FieldAgent,
		State:   "per network with a refused login in a day: 50 bytes and an entry of an index for each client, 1024 of them at most, up to 2 kB of counts and 3 lines",
		Evasion: "silent below its limits, and in a network where people log in; who uses few addresses in each of many networks is seen by auth-route",
		By:      detect.ByNetwork,
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthNetworkConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authNetwork{env: env, cfg: cfg.(*AuthNetworkConfig)}
			env.Shape("network2")
			r.state = detect.NewSparse(env, func(n *neighbours, k *window.Codec) { n.code(env, k) })
			return r, nil
		},
	})
}

// AuthNetworkConfig is the "auth-network" section of the config file.
type AuthNetworkConfig struct {
	Clients int     `yaml:"clients" default:"12" doc:"IPv4 addresses of one /24 that are refused and never let in within a day, that make a finding (reasoning, not measured)"`
	Blocks  int     `yaml:"blocks" default:"6" doc:"the same for IPv6 /64 networks of one /48: one customer has a whole /56 or /48 (RFC 6177), so half as many"`
	Tries   int     `yaml:"tries" default:"20" doc:"refusals that there must be besides"`
	Share   float64 `yaml:"share" default:"0.85" doc:"share of the tries of the network that must be refused, and of its refused clients that nobody knows"`
}

// Check implements validation for the config loader.
func (c *AuthNetworkConfig) Check(report func(key, message string)) {
	if c.Clients < 4 || c.Blocks < 3 {
		report("clients", "must be at least 4, and blocks at least 3")
	}
	if c.Tries < 5 {
		report("tries", "must be at least 5")
	}
	checkShare(c.Share, report)
}

// neighbours is the state of one network.
type neighbours struct {
	open    inbox[fleetSecond]
	past    window.Aging
	clients roster
	spell
	expires int64
}

// neighboursLimit bounds the clients kept of one network.
const neighboursLimit = 1024

func (n *neighbours) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		redactSeconds(env, n.open.waiting())
		redactLines(env, n.lines)
	}
	n.open.code(k, (*fleetSecond).code)
	n.past.Code(k)
	n.clients.code(k)
	n.spell.code(k)
	k.I64(&n.expires)
}

type authNetwork struct {
	env   *detect.Env
	cfg   *AuthNetworkConfig
	state *detect.Sparse[neighbours]
}

// Observe implements detect.Rule; slot is the network.
func (r *authNetwork) Observe(ev *ingest.Event, slot detect.Slot) {
	kind, ok := kindOf(ev)
	if !ok || kind == triesElsewhere {
		return
	}
	sec := ev.Time / 1e9
	s, fresh := r.state.At(slot).open.at(sec)
	if fresh {
		r.env.Wake(slot, sec)
	}
	s.add(r.env, ev, kind)
}

// Explain implements detect.Explainer.
func (r *authNetwork) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := kindOf(ev)
	if !ok || kind != triesRefused {
		return false, "not refused; a login that works speaks for its network"
	}
	return true, fmt.Sprintf("%s; a finding from %d refused clients of an IPv4 /24, or %d /64 of an IPv6 /48, where hardly anybody gets in", refusalNote(ev), r.cfg.Clients, r.cfg.Blocks)
}

// Close implements detect.Rule.
func (r *authNetwork) Close(slot detect.Slot, sec int64) {
	n := r.state.Get(slot)
	if n == nil {
		return
	}
	n.open.take(sec, func(sec int64, s *fleetSecond) { r.take(n, slot, sec, s) })
	newest := n.past.Newest()
	if newest+day <= sec {
		n.past, n.clients, n.spell, newest = window.Aging{}, roster{}, spell{}, 0
	}
	switch {
	case newest == 0 && n.open.empty():
		r.state.Drop(slot)
	case newest != 0 && n.expires <= sec:
		n.expires = newest + day
		r.env.Wake(slot, n.expires)
	}
}

func (r *authNetwork) take(n *neighbours, slot detect.Slot, sec int64, s *fleetSecond) {
	tried := s.sum()
	if tried[triesRefused] == 0 && n.past.Empty() {
		return // who gets in is of interest where somebody does not
	}
	n.past.Add(sec, tried)
	for i := range s.list {
		if m := n.clients.take(sec, &s.list[i], neighboursLimit); m != nil {
			m.known = m.settled()
		}
	}
	if tried[triesRefused] == 0 {
		return
	}
	n.lines = keepLatest(n.lines, s.line)
	times, v := r.weigh(n, slot, sec)
	if !n.fire(r.env, sec, int64(tried[triesRefused]), &s.line, times >= 1, v.first, v.tries) {
		return
	}
	n.now.times, n.now.level = max(n.now.times, times), max(n.now.level, int64(v.clients))
	r.env.Report(slot, r.judge(n, sec))
}

// network is what the clients of a network did within a day.
type network struct {
	clients, known int
	tries          int64
	first          int64
}

// weigh says how many times the limit is reached.
func (r *authNetwork) weigh(n *neighbours, slot detect.Slot, sec int64) (float64, network) {
	tries, _ := n.past.Sum(sec - day)
	v := network{tries: int64(tries[triesRefused])}
	for i := range n.clients.list {
		m := &n.clients.list[i]
		switch {
		case int64(m.last) <= sec-day:
		case m.known:
			v.known++
		case m.luckless():
			v.clients++
			if v.first == 0 || int64(m.first) < v.first {
				v.first = int64(m.first)
			}
		}
	}
	limit := r.cfg.Clients
	if p, err := netip.ParsePrefix(r.env.Subject(slot).Value); err == nil && p.Addr().Is6() {
		limit = r.cfg.Blocks
	}
	if share(tries) < r.cfg.Share || v.tries < int64(r.cfg.Tries) || float64(v.clients) < r.cfg.Share*float64(v.clients+v.known) {
		return 0, v
	}
	return float64(v.clients) / float64(limit), v
}

func (r *authNetwork) judge(n *neighbours, sec int64) detect.Finding {
	e := n.now
	f := e.finding()
	f.Severity = detect.Medium
	if e.times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.75, 0.95, e.times, 4)
	members, within := n.members(sec)
	f.Members = detect.PackMembers(members)
	f.Why = fmt.Sprintf("%d clients of this network were refused and never let in, %d times since %s, and hardly anybody else got in", e.level, e.count, detect.FormatTime(e.first*1e9))
	if within.IsValid() {
		f.Why += "; all are of " + within.String()
	}
	return f
}

// members are the clients that were refused, or the /56 that all of them are in: a
// customer has one.
func (n *neighbours) members(sec int64) (list []detect.Member, within netip.Prefix) {
	for i := range n.clients.list {
		m := &n.clients.list[i]
		if int64(m.last) <= sec-day || m.known || !m.luckless() {
			continue
		}
		p, err := m.who.addr().Prefix(56)
		switch {
		case err != nil:
		case len(list) == 0:
			within = p
		case within != p:
			within = netip.Prefix{}
		}
		list = append(list, detect.Member{Subject: m.who.subject(), Score: 1, Count: int64(m.refused)})
	}
	return list, within
}
