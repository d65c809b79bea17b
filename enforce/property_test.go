package enforce_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"pgregory.net/rapid"
)

// step is one thing that happens. All of them are drawn before the bubble
// starts, since rapid stops a test by a panic.
type step struct {
	what    string
	finding int // which of the findings
	subject int // or which of the subjects
	sev     detect.Severity
	conf    float64
	wait    time.Duration
}

var whatHappens = []string{"offer", "offer", "offer", "offer", "request", "request", "wait", "restart", "forget",
	"break", "slow", "mend", "busy", "free", "lag", "release", "approve", "allow", "disallow", "extend", "panic", "resume"}

// subjects of the property test; the last three must never be held.
var subjects = []detect.Subject{
	{Kind: "ip", Value: "192.0.2.1"}, {Kind: "ip", Value: "192.0.2.2"}, {Kind: "ip", Value: "2001:db8::1"},
	{Kind: "cidr", Value: "198.51.100.0/24"}, {Kind: "ip", Value: "198.51.100.9"}, {Kind: "cidr", Value: "2001:db8:1::/56"},
	{Kind: "ip", Value: "10.0.0.1"}, {Kind: "ip", Value: "203.0.113.9"}, {Kind: "consumer", Value: "alice"},
}

func drawSteps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what:    rapid.SampledFrom(whatHappens).Draw(t, "what"),
			finding: rapid.IntRange(0, 40).Draw(t, "finding"),
			subject: rapid.IntRange(0, len(subjects)-1).Draw(t, "subject"),
			sev:     detect.Severity(rapid.IntRange(1, 4).Draw(t, "severity")),
			conf:    rapid.Float64Range(0.5, 1).Draw(t, "confidence"),
			wait:    time.Duration(rapid.IntRange(10, 400_000).Draw(t, "milliseconds")) * time.Millisecond,
		}
	}), 5, 60).Draw(t, "steps")
}

// Whatever happens, once the faults are over the gateways hold just what the
// ledger says, within the limits of the guard, and history is whole.
func TestGatewaysHoldWhatTheLedgerSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		dir := t.TempDir()
		var wrong []string
		synctest.Test(t, func(t *testing.T) {
			cfg := enforceAll()
			cfg.Policy.Families.Recon = "observe"
			cfg.Guard.Untouchable = []string{"203.0.113.9"}
			cfg.Push.Poll = time.Second
			w := &world{T: t, path: filepath.Join(dir, "portcullis.db"), cfg: cfg}
			for i := range 2 {
				sim := enforcetest.NewSim(fmt.Sprint("gw", i), time.Now)
				w.sims, w.faults = append(w.sims, sim), append(w.faults, enforcetest.NewFaults(sim, uint64(i)))
			}
			w.open()
			w.start()
			p := &player{world: w, offered: map[string]detect.Finding{}}
			for _, s := range steps {
				p.play(s)
			}
			p.calm()
			p.check()
			p.again()
			wrong = p.wrong
			w.stop()
			w.close()
		})
		if len(wrong) > 0 {
			rt.Fatalf("%s", strings.Join(wrong, "\n"))
		}
	})
}

type player struct {
	*world
	offered map[string]detect.Finding
	wrong   []string
}

func (p *player) errf(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *player) play(s step) {
	sub := subjects[s.subject]
	switch s.what {
	case "offer":
		p.offer(s)
	case "request":
		if sub.Kind == "ip" {
			p.request(sub.Value)
		}
	case "wait":
		p.pass(s.wait)
	case "restart":
		p.restart()
	case "forget":
		p.sims[s.subject%2].Forget()
	case "break":
		p.faults[s.subject%2].Set(s.conf, 0, 0)
	case "slow":
		p.faults[s.subject%2].Set(0, s.conf, s.wait/20)
	case "mend":
		p.faults[s.subject%2].Set(0, 0, 0)
	case "busy":
		p.exec(`CREATE TRIGGER IF NOT EXISTS busy BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'database is locked'); END`)
	case "free":
		p.exec(`DROP TRIGGER IF EXISTS busy`)
	case "lag":
		p.lag(time.Duration(s.subject) * time.Minute)
	default:
		if _, err := p.ledger.Post(p.Context(), enforce.Command{Who: "ana", Verb: s.what, Arg: sub.Value, For: s.wait}); err != nil {
			p.errf("post: %v", err)
		}
	}
	if s.finding%3 == 0 {
		p.pass(s.wait / 100)
	}
}

// offer gives a finding, or a newer copy of it.
func (p *player) offer(s step) {
	sub := subjects[s.finding%len(subjects)]
	f := finding(fmt.Sprint("f", s.finding), sub.Value)
	f.Subject, f.Severity, f.Confidence = sub, s.sev, s.conf
	f.Family = []detect.Family{detect.Credential, detect.Rate, detect.Recon}[s.finding%3]
	f.Standing = detect.Standing{Successes: int64(s.finding), People: int64(s.finding % 7)}
	if old, ok := p.offered[f.ID]; ok {
		f.FiredAt = old.FiredAt
		f.Severity = max(f.Severity, old.Severity)
		f.Confidence = max(f.Confidence, old.Confidence)
	}
	p.offered[f.ID] = f
	p.e.Offer(f)
	if err := p.db.SaveFindings(p.Context(), []detect.Finding{f}); err != nil { // as the engine does
		p.errf("%v", err)
	}
}

func (p *player) exec(text string) {
	if _, err := p.db.SQL().Exec(text); err != nil {
		p.errf("%s: %v", text, err)
	}
}

// calm ends the faults and waits until everything is settled.
func (p *player) calm() {
	p.exec(`DROP TRIGGER IF EXISTS busy`)
	for _, f := range p.faults {
		f.Set(0, 0, 0)
	}
	p.lag(0)
	p.pass(3 * time.Minute)
}

func (p *player) check() {
	now := time.Now()
	all := p.decisions(enforce.DecisionQuery{Limit: 10000})
	live := map[detect.Subject]enforce.Decision{}
	for _, d := range all {
		p.checkHistory(d)
		if d.State == enforce.Approved {
			p.errf("%s still waits to be pushed: %s", d.ID, d.Reason)
		}
		if !d.State.Ended() && (d.Expires <= now.UnixNano() || d.Expires > now.Add(720*time.Hour).UnixNano()) {
			p.errf("%s is %s and expires at %s", d.ID, d.State, time.Unix(0, d.Expires))
		}
		if !d.State.Live() {
			continue
		}
		if other, twice := live[d.Subject]; twice {
			p.errf("%s has two live decisions, %s and %s", d.Subject.Value, d.ID, other.ID)
		}
		live[d.Subject] = d
		if slices.Contains(subjects[6:], d.Subject) {
			p.errf("%s must never be acted on", d.Subject.Value)
		}
	}
	for _, sim := range p.sims {
		held := sim.Held()
		if len(held) != len(live) {
			p.errf("%s holds %d entries, the ledger has %d live decisions", sim.Name(), len(held), len(live))
		}
		for s, d := range live {
			prefix, err := enforce.Prefix(s)
			if en := held[prefix]; err != nil || en.Decision != d.ID || en.Action != d.Action {
				p.errf("%s holds %+v for %s, the ledger %s %s", sim.Name(), en, s.Value, d.ID, d.Action)
			}
		}
	}
	if h := p.e.Health(); h.Panic != "" && len(live) > 0 {
		p.errf("%d decisions in force under panic", len(live))
	}
}

func (p *player) checkHistory(d enforce.Decision) {
	cs, err := p.ledger.History(p.Context(), d.ID)
	if err != nil || len(cs) == 0 {
		p.errf("%s has no history (%v)", d.ID, err)
		return
	}
	from := enforce.State("")
	for _, c := range cs {
		if c.From != from || c.Who == "" {
			p.errf("%s: a change from %q after %q by %q", d.ID, c.From, from, c.Who)
		}
		from = c.To
	}
	if from != d.State {
		p.errf("%s is %s, its history ends with %s", d.ID, d.State, from)
	}
}

// again offers everything that was ever offered, as an engine does that starts
// over from an old snapshot: nothing new may come of it.
func (p *player) again() {
	before := len(p.decisions(enforce.DecisionQuery{Limit: 10000}))
	p.restart()
	for _, f := range p.offered {
		p.e.Offer(f)
	}
	p.pass(2 * time.Second)
	if after := len(p.decisions(enforce.DecisionQuery{Limit: 10000})); after != before {
		p.errf("judging the same findings again made %d more decisions", after-before)
	}
}
