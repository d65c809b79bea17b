package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-route", detect.Spec{
		Doc:     "many clients that nobody knows are refused by a login, token or reset route and never get in, far more than the logins that work let expect: stuffing or guessing by a fleet, whose members are listed, and the user agents by which its requests can be told from ordinary ones",
		Family:  detect.Credential,
		Version: 2,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.003", "attack:T1110.004", "oat:007", "oat:008"},
		Needs:   "client address, status, path, method; the user agent and the history of clients tell members from people",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldMethod | ingest.FieldAgent,
		State:   "per route that takes credentials: 48 bytes and an entry of an index for each client refused within six hours, 32768 of them at most, 400 kB, and 256 user agents of at most 120 bytes",
		Evasion: "silent below clients, and while a fleet is smaller than four times the people who ordinarily fail; a fleet whose addresses are used by people who get in is seen, but these are not listed; logins that answer failures with 200 cannot be seen in a log",
		By:      detect.ByRoute,
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthRouteConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authRoute{env: env, cfg: cfg.(*AuthRouteConfig)}
			env.Shape("fleet2")
			r.state = detect.NewSparse(env, func(f *fleet, k *window.Codec) { f.code(env, k) })
			return r, nil
		},
	})
}

// AuthRouteConfig is the "auth-route" section of the config file.
type AuthRouteConfig struct {
	Clients   int     `yaml:"clients" default:"15" doc:"clients unknown before that are refused and not let in within minutes or hours, that make a finding at least (reasoning, not measured)"`
	Factor    float64 `yaml:"factor" default:"4" doc:"so many times what is ordinary for the logins that work; the campaign of 2.2 million addresses had 20 times"`
	Sigmas    float64 `yaml:"sigmas" default:"4" doc:"and so many standard deviations more, of a spread twice that of chance"`
	Precision float64 `yaml:"precision" default:"0.99" doc:"members are listed as long as so many of them are expected to belong to the fleet"`
}

// Check implements validation for the config loader.
func (c *AuthRouteConfig) Check(report func(key, message string)) {
	if c.Clients < 5 {
		report("clients", "must be at least 5")
	}
	if c.Factor < 1.5 {
		report("factor", "must be at least 1.5")
	}
	if c.Sigmas < 1 {
		report("sigmas", "must be at least 1")
	}
	if c.Precision < 0.5 || c.Precision >= 1 {
		report("precision", "must be at least 0.5 and below 1")
	}
}

const (
	fleetKeep   = 6 * hour // how long a refused client is remembered
	fleetGrace  = 120      // seconds in which people who were refused get in after all
	fleetLimit  = 32768    // clients remembered of a route
	fleetLook   = 10       // seconds between two looks
	fleetCool   = 1800     // seconds after an attack in which nothing is learned
	fleetMinute = 60
)

// fleet is the state of one route.
type fleet struct {
	open    inbox[fleetSecond]
	clients roster
	minutes []loginMinute // of the last fleetKeep
	norm    norm
	names   agentNames   // of clients
	users   window.Crowd // accounts that were tried since the attack began
	lines   []window.Sample
	now     *episode
	begun   int64 // the attack, in seconds; 0: there is none
	fired   int64 // when it was last seen
	told    int64 // when its finding was last handed over
	due     int64 // the next look
}

type loginMinute struct {
	minute   int64 // its number
	accepted uint32
	refused  uint32
}

type authRoute struct {
	env   *detect.Env
	cfg   *AuthRouteConfig
	state *detect.Sparse[fleet]
}

// routeTry sorts a request to a route that takes credentials.
func routeTry(ev *ingest.Event) (kind int, ok bool) {
	if ev.Kind == ingest.RouteReset {
		if ev.Status >= 200 && ev.Status < 400 {
			return triesAccepted, writes(ev.Method)
		}
		return tells(ev)
	}
	kind, ok = kindOf(ev)
	return kind, ok && kind != triesElsewhere
}

// Observe implements detect.Rule; slot is the route.
func (r *authRoute) Observe(ev *ingest.Event, slot detect.Slot) {
	kind, ok := routeTry(ev)
	if !ok {
		return
	}
	f := r.state.At(slot)
	sec := ev.Time / 1e9
	s, fresh := f.open.at(sec)
	if fresh {
		r.env.Wake(slot, sec)
		f.ask(r.env, slot, sec)
	}
	s.add(r.env, ev, kind)
	if kind != triesAccepted {
		s.names.add(ev.Agent, namesPerSecond, r.env.Redact)
	}
}

// Explain implements detect.Explainer.
func (r *authRoute) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := routeTry(ev)
	switch {
	case !ok:
		return false, "the route takes no credentials, or the answer tells nothing of them"
	case kind == triesAccepted:
		return true, "accepted: what is ordinary at the route is measured by that"
	}
	return true, fmt.Sprintf("%s; a finding from %d clients that never get in, if that is %g times what is ordinary", refusalNote(ev), r.cfg.Clients, r.cfg.Factor)
}

// Close implements detect.Rule.
func (r *authRoute) Close(slot detect.Slot, sec int64) {
	f := r.state.Get(slot)
	if f == nil {
		return
	}
	f.open.take(sec, func(sec int64, s *fleetSecond) { f.take(r.env, sec, s) })
	if f.due == 0 || sec < f.due {
		return
	}
	f.due = 0
	f.clean(sec)
	r.look(f, slot, sec)
	f.learn(sec)
	idle := f.idle()
	if idle {
		*f = fleet{open: f.open} // as if it were dropped: what is open may have come early
	}
	if !f.open.empty() {
		f.ask(r.env, slot, f.open.waiting()[0].sec)
	} else if idle {
		r.state.Drop(slot)
	}
	switch {
	case idle:
	case f.now != nil && sec < f.lastLook():
		f.ask(r.env, slot, min(sec+fleetGrace/2, f.lastLook()))
	default:
		f.ask(r.env, slot, sec+normSpan)
	}
}

// ask asks for a look at a second, or soon after: looks are fleetLook seconds apart.
func (f *fleet) ask(env *detect.Env, slot detect.Slot, sec int64) {
	sec += (fleetLook - sec%fleetLook) % fleetLook
	if f.due == 0 || sec < f.due {
		f.due = sec
		env.Wake(slot, sec)
	}
}

// lastLook is when the finding of the window is handed over for the last time.
func (f *fleet) lastLook() int64 { return f.now.start/1e9 + detect.FindingWindow - fleetLook }

// idle reports whether nothing is worth knowing of a route any more.
func (f *fleet) idle() bool {
	return len(f.clients.list) == 0 && f.begun == 0 && f.norm.accepted < 1
}

// take adds a second.
func (f *fleet) take(env *detect.Env, sec int64, s *fleetSecond) {
	var m *loginMinute
	if n := len(f.minutes); n > 0 && f.minutes[n-1].minute == sec/fleetMinute {
		m = &f.minutes[n-1]
	} else {
		f.minutes = append(f.minutes, loginMinute{minute: sec / fleetMinute})
		m = &f.minutes[n]
	}
	for i := range s.list {
		a := &s.list[i]
		m.accepted += a.accepted
		m.refused += a.refused
		x := f.clients.take(sec, a, fleetLimit)
		if x != nil {
			x.known = x.settled() || f.norm.clients.Has(sec, a.who.hash(), week)
		}
		if a.accepted > 0 && (x == nil || x.refused <= 3*x.accepted) {
			f.norm.welcome(sec, a)
		}
	}
	if s.line.Time == 0 {
		return
	}
	f.users.Merge(&s.users)
	f.names.merge(s.names, namesPerRoute)
	f.lines = keepLatest(f.lines, s.line)
	if f.now != nil && len(f.now.evidence) < detect.MaxEvidence {
		f.now.evidence = append(f.now.evidence, shown(env, &s.line))
	}
}

// clean forgets what is too old.
func (f *fleet) clean(sec int64) {
	n := 0
	for n < len(f.minutes) && f.minutes[n].minute < (sec-fleetKeep)/fleetMinute {
		n++
	}
	if n > 0 {
		f.minutes = f.minutes[:copy(f.minutes, f.minutes[n:])]
		f.clients.forget(sec - fleetKeep)
		f.prune()
	}
	if f.now != nil && f.now.start/1e9+detect.FindingWindow <= sec {
		f.now = nil
	}
	if f.begun != 0 && sec-f.fired > fleetCool {
		f.begun = 0
	}
	if f.begun == 0 {
		f.users = window.Crowd{}
	}
}

// learn lets what is ordinary follow, unless there is an attack.
func (f *fleet) learn(sec int64) {
	if sec/normSpan == f.norm.done/normSpan {
		return
	}
	if f.begun != 0 || f.norm.done == 0 {
		f.norm.done = sec
		return
	}
	from, to := f.norm.done-fleetGrace, sec-fleetGrace
	before, _ := f.logins(from)
	since, _ := f.logins(to)
	f.norm.learn(f.clients.list, from, to, before-since)
	f.norm.done = sec
}

// logins adds up the minutes that end after a second.
func (f *fleet) logins(after int64) (accepted, refused float64) {
	for i := len(f.minutes) - 1; i >= 0 && (f.minutes[i].minute+1)*fleetMinute > after; i-- {
		accepted += float64(f.minutes[i].accepted)
		refused += float64(f.minutes[i].refused)
	}
	return accepted, refused
}

func (f *fleet) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		redactSeconds(env, f.open.waiting())
		redactLines(env, f.lines)
	}
	f.open.code(k, (*fleetSecond).code)
	f.clients.code(k)
	n := k.Len(len(f.minutes))
	if k.Reading() {
		f.minutes = make([]loginMinute, n)
	}
	for i := range f.minutes {
		k.I64(&f.minutes[i].minute)
		k.U32(&f.minutes[i].accepted)
		k.U32(&f.minutes[i].refused)
	}
	f.norm.code(k)
	f.names.code(k)
	f.users.Code(k)
	codeLines(k, &f.lines)
	codeEpisode(k, &f.now)
	for _, p := range []*int64{&f.begun, &f.fired, &f.told, &f.due} {
		k.I64(p)
	}
}
