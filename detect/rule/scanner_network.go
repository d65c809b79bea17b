package rule

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/probe"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("scanner-network", detect.Spec{
		Doc:     "several clients of one network (IPv4 /24, IPv6 /48) together ask for many different paths that do not exist or that only scanners want: a scan whose list is shared out",
		Family:  detect.Recon,
		Tags:    []string{"owasp:api9:2023", "owasp:api8:2023", "attack:T1595.002", "attack:T1595.003", "oat:014", "oat:018"},
		Needs:   "client address, status, path; the history of clients tells scanners from visitors with an old link",
		Fields:  []ingest.Fields{ingest.FieldTarget, ingest.FieldStatus},
		Helps:   ingest.FieldAgent,
		State:   "per network with an odd request in the last hour: 48 bytes for each client and path, 2048 of them at most, and 3 lines",
		Evasion: "silent below points in span, for clients that ask for one odd path each, and for a fleet with fewer than clients addresses in each of many networks, of which scanner sees those that ask for what only scanners want",
		By:      detect.ByNetwork,
		Concern: detect.ClientError | detect.Probing,
		Config:  func() any { return new(ScannerNetworkConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &scannerNetwork{env: env, cfg: cfg.(*ScannerNetworkConfig)}
			r.span = newSpan(int64(r.cfg.Span / time.Second))
			env.Shape(fmt.Sprintf("scannet1/%d", r.span.secs))
			r.state = detect.NewSparse(env, func(n *scannedBy, k *window.Codec) { n.code(env, k) })
			return r, nil
		},
	})
}

// ScannerNetworkConfig is the "scanner-network" section of the config file.
type ScannerNetworkConfig struct {
	Clients int           `yaml:"clients" default:"4" doc:"clients of one network that each ask for two odd paths, or for one of four points, within span, that make a finding: as many as make a campaign"`
	Points  int           `yaml:"points" default:"60" doc:"points of the distinct odd paths of them all, of which half must be left without the busiest: twice what makes a scan of one client, since they are several"`
	Span    time.Duration `yaml:"span" default:"30m" doc:"sliding span, in event time: it is shared out to be slow"`
}

// Check implements validation for the config loader.
func (c *ScannerNetworkConfig) Check(report func(key, message string)) {
	if c.Clients < 3 {
		report("clients", "must be at least 3: two strangers may meet in a network")
	}
	if c.Points < 16 {
		report("points", "must be at least 16: two requests for secret files have as many")
	}
	checkSpan(c.Span, report)
}

// scannedMost bounds the pairs of client and path kept of one network; what comes when
// there are as many is left out until some are older than the span. Of one second, the
// least are kept.
const (
	scannedMost   = 2048
	scannedSecond = 512
)

// scannedBy is the state of one network.
type scannedBy struct {
	open  inbox[scanSecond]
	asked []oddPath // within the span, by client and path
	spell
	expires int64
}

// oddPath is a path that a client asked for.
type oddPath struct {
	who    who
	path   uint64
	weight uint32
	good   uint32 // requests of the client that went well before, as far as is known
	last   uint32 // second
}

func (p *oddPath) compare(o *oddPath) int {
	return cmp.Or(p.who.compare(o.who), cmp.Compare(p.path, o.path))
}

// scanSecond is what one second adds.
type scanSecond struct {
	list []oddPath
	n    int64
	line window.Sample // the earliest
}

type scannerNetwork struct {
	env     *detect.Env
	cfg     *ScannerNetworkConfig
	span    span
	state   *detect.Sparse[scannedBy]
	members []detect.Member // of the network that is weighed
	paths   []oddPath       // theirs
}

// Observe implements detect.Rule; slot is the network.
func (r *scannerNetwork) Observe(ev *ingest.Event, slot detect.Slot) {
	weight, note := r.weigh(ev)
	if weight == 0 {
		return
	}
	sec := ev.Time / 1e9
	s, fresh := r.state.At(slot).open.at(sec)
	if fresh {
		r.env.Wake(slot, sec)
	}
	s.n++
	keepEarliest(r.env, ev, &s.line, func(*ingest.Event) string { return note })
	x := oddPath{who: whoOf(ev.Client), path: hashPath(ev.Target), weight: weight, last: uint32(sec)}
	x.good = uint32(min(r.env.Known().Successes, 1<<30))
	i, known := slices.BinarySearchFunc(s.list, &x, func(a oddPath, b *oddPath) int { return a.compare(b) })
	switch {
	case known:
		s.list[i].add(&x)
	case i < scannedSecond:
		s.list = slices.Insert(s.list, i, x)
		s.list = s.list[:min(len(s.list), scannedSecond)]
	}
}

// add takes in the same path of the same client.
func (p *oddPath) add(o *oddPath) {
	p.weight, p.good, p.last = max(p.weight, o.weight), max(p.good, o.good), max(p.last, o.last)
}

// weigh says what one request adds to a scan. An id that does not exist, of a route that
// does, tells nothing here.
func (r *scannerNetwork) weigh(ev *ingest.Event) (uint32, string) {
	p := detect.Probe{Path: probe.Path(ev.Target), Agent: probe.Agent(ev.Agent)}
	if p.Path == nil && ev.RouteID != 0 {
		return 0, ""
	}
	return weighProbe(p, ev)
}

// Explain implements detect.Explainer.
func (r *scannerNetwork) Explain(ev *ingest.Event) (bool, string) {
	weight, note := r.weigh(ev)
	if weight == 0 {
		return false, "a route that exists, or a file that pages ask for"
	}
	return true, fmt.Sprintf("%d points: %s; a finding from %d points of %d clients of a network within %s", weight, note, r.cfg.Points, r.cfg.Clients, r.span)
}

// Close implements detect.Rule.
func (r *scannerNetwork) Close(slot detect.Slot, sec int64) {
	n := r.state.Get(slot)
	if n == nil {
		return
	}
	n.open.take(sec, func(sec int64, s *scanSecond) { r.take(n, slot, sec, s) })
	if n.expires > sec {
		return
	}
	n.forget(sec - r.span.secs)
	n.let(sec)
	newest := int64(0)
	for i := range n.asked {
		newest = max(newest, int64(n.asked[i].last))
	}
	switch {
	case newest != 0 || n.now != nil:
		n.expires = max(newest+r.span.secs, sec+60)
		r.env.Wake(slot, n.expires)
	case n.open.empty():
		r.state.Drop(slot)
	default:
		n.lines, n.expires = nil, 0
	}
}

// take adds a second that is over.
func (r *scannerNetwork) take(n *scannedBy, slot detect.Slot, sec int64, s *scanSecond) {
	if len(n.asked)+len(s.list) > scannedMost {
		n.forget(sec - r.span.secs)
	}
	for i := range s.list {
		x := &s.list[i]
		at, known := slices.BinarySearchFunc(n.asked, x, func(a oddPath, b *oddPath) int { return a.compare(b) })
		switch {
		case known:
			n.asked[at].add(x)
		case len(n.asked) < scannedMost:
			n.asked = slices.Insert(n.asked, at, *x)
		}
	}
	n.lines = keepLatest(n.lines, s.line)
	points, first := r.sum(n, sec-r.span.secs)
	times := float64(points) / float64(r.cfg.Points)
	before := int64(0)
	for _, m := range r.members {
		before += m.Count
	}
	if !n.fire(r.env, sec, s.n, &s.line, points > 0 && times >= 1, first, before) {
		return
	}
	n.now.times = max(n.now.times, times)
	r.env.Report(slot, r.judge(n, points, slot))
}

// forget drops what was asked for up to a second.
func (n *scannedBy) forget(before int64) {
	n.asked = slices.DeleteFunc(n.asked, func(p oddPath) bool { return int64(p.last) <= before })
}

// sum finds the clients that scan, and the points of all their paths: 0 if they are too
// few, or one of them does most of it.
func (r *scannerNetwork) sum(n *scannedBy, after int64) (points uint32, first int64) {
	r.members, r.paths = r.members[:0], r.paths[:0]
	var most uint32
	for list := n.asked; len(list) > 0; {
		end := 1
		for end < len(list) && list[end].who == list[0].who {
			end++
		}
		own := list[:end]
		list = list[end:]
		count, weight, heaviest, good := int64(0), uint32(0), uint32(0), uint32(0)
		from := len(r.paths)
		for i := range own {
			p := &own[i]
			if int64(p.last) <= after {
				continue
			}
			count++
			weight, heaviest, good = weight+p.weight, max(heaviest, p.weight), max(good, p.good)
			r.paths = append(r.paths, *p)
			if first == 0 || int64(p.last) < first {
				first = int64(p.last)
			}
		}
		if count < 2 && heaviest < 4 || good >= 8 && int64(good) > 3*count {
			r.paths = r.paths[:from] // a visitor with an old link, or somebody who is at home here
			continue
		}
		most = max(most, weight)
		r.members = append(r.members, detect.Member{Subject: own[0].who.subject(), Score: 1, Count: count})
	}
	slices.SortFunc(r.paths, func(a, b oddPath) int { return cmp.Compare(a.path, b.path) })
	for i := range r.paths {
		if i == 0 || r.paths[i].path != r.paths[i-1].path {
			points += r.paths[i].weight
		}
	}
	if len(r.members) < r.cfg.Clients || 2*(int64(points)-int64(most)) < int64(r.cfg.Points) {
		return 0, first
	}
	return points, first
}

func (r *scannerNetwork) judge(n *scannedBy, points uint32, slot detect.Slot) detect.Finding {
	f := n.now.finding()
	f.Severity = detect.Medium
	if n.now.times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.75, 0.95, n.now.times, 4)
	if points > 0 {
		n.now.level = max(n.now.level, int64(len(r.members)))
	}
	f.Members = detect.PackMembers(r.members)
	f.Why = fmt.Sprintf("%d clients of this network asked for different odd paths, %.1f times the %d points that make a scan within %s", n.now.level, n.now.times, r.cfg.Points, r.span)
	if p, err := netip.ParsePrefix(r.env.Subject(slot).Value); err == nil && p.Addr().Is6() {
		f.Why += "; each is a /64"
	}
	return f
}

func (p *oddPath) code(k *window.Codec) {
	p.who.code(k)
	k.U64(&p.path)
	for _, x := range []*uint32{&p.weight, &p.good, &p.last} {
		k.U32(x)
	}
}

func codeOddPaths(list *[]oddPath, k *window.Codec) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]oddPath, n)
	}
	for i := range *list {
		(*list)[i].code(k)
	}
}

func (s *scanSecond) code(k *window.Codec) {
	codeOddPaths(&s.list, k)
	k.I64(&s.n)
	s.line.Code(k)
}

func (n *scannedBy) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		for i, list := 0, n.open.waiting(); i < len(list); i++ {
			list[i].v.line.Line, list[i].v.line.Agent = env.Redact(list[i].v.line.Line), env.Redact(list[i].v.line.Agent)
		}
		redactLines(env, n.lines)
	}
	n.open.code(k, (*scanSecond).code)
	codeOddPaths(&n.asked, k)
	n.spell.code(k)
	k.I64(&n.expires)
}
