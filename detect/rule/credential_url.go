package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("credential-url", detect.Spec{
		Doc:     "a route takes an API key, a token or a password in the URL, from where it gets into logs, histories and referers",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "owasp:api8:2023", "attack:T1552"},
		Needs:   "the query of the request target, status",
		Fields:  []ingest.Fields{ingest.FieldTarget, ingest.FieldStatus},
		State:   "400 bytes and up to 3 lines for each route with such a request within the hour",
		Evasion: "sees names of parameters, not what is in them: a secret under another name, in the path or in the body stays unseen; a request that is refused is a mistake that costs nothing, and is not said",
		By:      detect.ByRoute,
		Concern: detect.Leaking,
		Config:  func() any { return new(CredentialURLConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &credentialURL{env: env, cfg: cfg.(*CredentialURLConfig)}
			env.Shape("leak1")
			r.state = detect.NewSparse(env, func(l *leak, k *window.Codec) { l.code(env, k) })
			return r, nil
		},
	})
}

// CredentialURLConfig is the "credential-url" section of the config file.
type CredentialURLConfig struct {
	Requests int           `yaml:"requests" default:"3" doc:"answered requests with a credential in the URL within span that are said; RFC 6750 section 5.3 and CWE-598 forbid it, so it is said of a habit, not of a slip"`
	Span     time.Duration `yaml:"span" default:"10m" doc:"span in which they must come, in event time"`
}

// Check implements validation for the config loader.
func (c *CredentialURLConfig) Check(report func(key, message string)) {
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
	checkSpan(c.Span, report)
}

// leaked is what one second adds.
type leaked struct {
	n       uint32
	clients window.Crowd
	line    window.Sample
}

func (l *leaked) code(k *window.Codec) {
	k.U32(&l.n)
	l.clients.Code(k)
	l.line.Code(k)
}

// leak is the state of one route.
type leak struct {
	open    inbox[leaked]
	cells   window.Cells
	clients window.Crowd
	lines   []window.Sample
	now     *episode
}

func (l *leak) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		list := l.open.waiting()
		for i := range list {
			s := &list[i].v.line
			s.Line = env.Redact(s.Line)
		}
		redactLines(env, l.lines)
	}
	l.open.code(k, (*leaked).code)
	l.cells.Code(k)
	l.clients.Code(k)
	codeLines(k, &l.lines)
	codeEpisode(k, &l.now)
}

type credentialURL struct {
	env   *detect.Env
	cfg   *CredentialURLConfig
	state *detect.Sparse[leak]
}

// Observe implements detect.Rule; slot is the route.
func (r *credentialURL) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.Status < 200 || ev.Status >= 400 {
		return
	}
	sec := ev.Time / 1e9
	l, fresh := r.state.At(slot).open.at(sec)
	if fresh {
		r.env.Wake(slot, sec)
		r.env.Wake(slot, sec+max(int64(r.cfg.Span/time.Second), detect.FindingWindow))
	}
	l.n++
	w := whoOf(ev.Client)
	l.clients.Add(w.hash())
	keepEarliest(r.env, ev, &l.line, func(*ingest.Event) string { return "a credential in the URL" })
}

// Explain implements detect.Explainer.
func (r *credentialURL) Explain(ev *ingest.Event) (bool, string) {
	if ev.Status < 200 || ev.Status >= 400 {
		return false, "a credential in the URL, but the request was refused"
	}
	return true, fmt.Sprintf("a credential in the URL; said from %d such requests to a route within %s", r.cfg.Requests, newSpan(int64(r.cfg.Span/time.Second)))
}

// Close implements detect.Rule.
func (r *credentialURL) Close(slot detect.Slot, sec int64) {
	l := r.state.Get(slot)
	if l == nil {
		return
	}
	span := int64(r.cfg.Span / time.Second)
	l.open.take(sec, func(sec int64, s *leaked) { r.take(l, slot, sec, span, s) })
	l.cells.Forget(sec - span)
	if l.now != nil && l.now.start/1e9+detect.FindingWindow <= sec {
		l.now = nil
	}
	if l.cells.Empty() && l.now == nil {
		*l = leak{open: l.open}
		if l.open.empty() {
			r.state.Drop(slot)
		}
	}
}

func (r *credentialURL) take(l *leak, slot detect.Slot, sec, span int64, s *leaked) {
	l.cells.Add(sec, s.n, s.n)
	l.clients.Merge(&s.clients)
	l.lines = keepLatest(l.lines, s.line)
	n, _, first := l.cells.Sum(sec-span, sec)
	start := detect.WindowOf(sec)
	switch {
	case l.now != nil && l.now.start == start:
		l.now.count += int64(s.n)
		if len(l.now.evidence) < detect.MaxEvidence {
			l.now.evidence = append(l.now.evidence, shown(r.env, &s.line))
		}
	case int(n) >= r.cfg.Requests:
		l.now = &episode{start: start, fired: sec, first: first, count: int64(n)}
		for i := range l.lines {
			l.now.evidence = append(l.now.evidence, shown(r.env, &l.lines[i]))
		}
	default:
		return
	}
	l.now.last = sec
	f := l.now.finding()
	f.Severity, f.Confidence, f.Route = detect.Low, 0.9, r.env.Subject(slot).Value
	f.Why = fmt.Sprintf("%d answered requests of about %d clients with a key, token or password in the URL; let clients send it in a header, and replace what is in logs by now",
		l.now.count, l.clients.Estimate())
	r.env.Report(slot, f)
}
