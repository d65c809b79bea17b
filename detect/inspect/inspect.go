// Package inspect decides whether a request carries an injection attack: which
// class, in which field, and why. A table-driven first pass proves most
// requests harmless without decoding them; only the rest is decoded, matched
// against the patterns in data/ and parsed.
//
// A verdict depends on the bytes of the request alone, never on its method or
// status. What lies behind Config.MaxBytes is not looked at, and the verdict
// says so.
package inspect

import (
	"github.com/portcullis/portcullis/ingest"
)

// Config is the part of the "injection" settings that payload inspection reads.
type Config struct {
	Threshold int `yaml:"threshold" default:"50" doc:"score from 1 to 100 at which a request counts as an attack; a lone weak sign scores 10 to 40, a sign that honest text does not carry 50 and more"`
	MaxBytes  int `yaml:"max_bytes" default:"8192" doc:"bytes inspected per request; 8 KB is the usual limit of gateways for a request line"`
	MaxRounds int `yaml:"max_rounds" default:"4" doc:"how many layers of encoding are undone; double encoding needs 2, and honest clients never need more than 2"`
}

// Check reports settings that cannot work.
func (c Config) Check(report func(key, message string)) {
	if c.Threshold < 0 || c.Threshold > 100 {
		report("threshold", "must be from 1 to 100")
	}
	if c.MaxBytes != 0 && c.MaxBytes < 256 || c.MaxBytes > 1<<20 {
		report("max_bytes", "must be from 256 to 1048576")
	}
	if c.MaxRounds < 0 || c.MaxRounds > 8 {
		report("max_rounds", "must be from 1 to 8")
	}
}

func (c Config) withDefaults() Config {
	if c.Threshold <= 0 {
		c.Threshold = 50
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 8192
	}
	if c.MaxRounds <= 0 {
		c.MaxRounds = 4
	}
	return c
}

// Verdict is what inspection says of one request. The zero value means that
// nothing was found.
type Verdict struct {
	Score       int      // 0 to 100
	Class       string   // of the field with the highest score: "sqli", "xss", ...
	Classes     []string // every class at or above the threshold, strongest first; at least Class
	Field       string   // "path", "query.id", "query (name)", "agent", "referer", "body.user", "header.x"
	Matched     string   // the decoded fragment: printable, redacted, at most 128 bytes
	Why         string   // the reasons, for a person
	Delay       int      // seconds that the payload asks the server to wait; 0 when it does not
	NearCertain bool     // honest traffic does not look like this: a single attempt suffices
}

// Recon says whether all that was found is reconnaissance: a request for a file that should
// not be there, or the agent of a scanner. It does no harm by itself.
func (v *Verdict) Recon() bool {
	for _, name := range v.Classes {
		if name != Exposure && name != Scanner {
			return false
		}
	}
	return len(v.Classes) > 0
}

// MatchedBytes caps Verdict.Matched.
const MatchedBytes = 128

// Inspector inspects requests. It keeps scratch and a bounded memory of clean
// strings, so each worker goroutine has its own.
type Inspector struct {
	cfg      Config
	rules    *ruleset
	canon    canon
	other    canon // for what is read beside the field at hand
	targets  memo
	agents   memo
	referers memo
	look     look
	ungated  bool // look at every field in full: for tests of the gates
	thorough bool // read all of it, whatever it costs: for tests of effort
}

// New returns an Inspector; zero settings take their defaults.
func New(cfg Config) *Inspector {
	return &Inspector{
		cfg:      cfg.withDefaults(),
		rules:    loadRules(),
		targets:  newMemo(4096),
		agents:   newMemo(1024),
		referers: newMemo(1024),
	}
}

// Threshold is the score at which a request counts as an attack.
func (in *Inspector) Threshold() int { return in.cfg.Threshold }

// Inspect gives the verdict on one event. Each part is looked at only where the
// first pass does not clear it.
func (in *Inspector) Inspect(ev *ingest.Event) Verdict { return in.Look(ev, in.Parts(ev)) }

// Look gives the verdict on the parts of an event that Parts did not clear. What
// turns out to carry nothing is remembered, and cleared the next time.
func (in *Inspector) Look(ev *ingest.Event, parts Parts) Verdict {
	if parts == 0 {
		return Verdict{}
	}
	l := in.begin()
	if parts&partTarget != 0 {
		l.target("", ev.Target)
	}
	if parts&partAgent != 0 {
		l.agent(ev.Agent)
	}
	if parts&partReferer != 0 {
		l.refererURL(ev.Referer)
	}
	if parts&partBody != 0 {
		l.body("", ev.Body)
	}
	v := l.verdict()
	if v.Score == 0 {
		in.remember(ev, parts)
	}
	return v
}

// remember takes the parts of a harmless event for clean.
func (in *Inspector) remember(ev *ingest.Event, parts Parts) {
	if parts&partTarget != 0 {
		i, _ := in.targets.slot(limit(ev.Target, in.cfg.MaxBytes))
		in.targets.put(i, limit(ev.Target, in.cfg.MaxBytes))
	}
	if parts&partAgent != 0 {
		i, _ := in.agents.slot(ev.Agent)
		in.agents.put(i, ev.Agent)
	}
	if parts&partReferer != 0 {
		i, _ := in.referers.slot(ev.Referer)
		in.referers.put(i, ev.Referer)
	}
}

// full is Inspect without the first pass, so that tests can hold one against
// the other.
func (in *Inspector) full(ev *ingest.Event) Verdict {
	l := in.begin()
	l.target("", ev.Target)
	l.agent(ev.Agent)
	l.refererURL(ev.Referer)
	if ev.Body != "" {
		l.body("", ev.Body)
	}
	return l.verdict()
}

// InspectRequest gives the verdict on a request that is known in full: headers
// are name and value, the body is split into fields by its Content-Type.
func (in *Inspector) InspectRequest(method, target string, headers [][2]string, body string) Verdict {
	_ = method // a verdict never rests on the method
	l := in.begin()
	l.target("", target)
	contentType := ""
	for _, h := range headers {
		l.header(h[0], h[1], &contentType)
	}
	if body != "" {
		l.body(contentType, body)
	}
	return l.verdict()
}
