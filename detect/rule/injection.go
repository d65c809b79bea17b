package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("injection", detect.Spec{
		Doc:     "requests that carry an attack: SQL, script, command, path or lookup injection and their kin",
		Family:  detect.Injection,
		Tags:    []string{"owasp:api8:2023", "owasp:api10:2023", "attack:T1190", "attack:T1059"},
		Needs:   "path and query; user agent, referer and body where logged",
		Fields:  []ingest.Fields{ingest.FieldTarget | ingest.FieldAgent | ingest.FieldReferer | ingest.FieldBody},
		Helps:   ingest.FieldTarget | ingest.FieldAgent | ingest.FieldReferer | ingest.FieldBody | ingest.FieldStatus,
		Version: 2,
		State:   "about 250 bytes and up to 8 lines, only for clients with an attempt in the last hour",
		Evasion: "bodies and headers that the gateway does not log are not seen; see detect/inspect for what is decoded",
		Concern: detect.Suspicious,
		Late:    true,
		Config:  func() any { return new(InjectionConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &injection{env: env, cfg: cfg.(*InjectionConfig), span: newSpan(60)}
			env.Shape("inj2")
			r.state = detect.NewSparse(env, (*attempts).code)
			return r, nil
		},
	})
}

// InjectionConfig is the "injection" section of the config file.
type InjectionConfig struct {
	Threshold int `yaml:"threshold" default:"50" doc:"score (0 to 100) from which a request counts as an attempt; evidence of several kinds adds up"`
	Medium    int `yaml:"medium" default:"3" doc:"attempts of a client in an hour that make its finding medium"`
	High      int `yaml:"high" default:"10" doc:"attempts of a client in an hour that make its finding high; one near-certain attempt is high at once"`
}

// Check implements validation for the config loader.
func (c *InjectionConfig) Check(report func(key, message string)) {
	if c.Threshold < 1 || c.Threshold > 100 {
		report("threshold", "must be between 1 and 100")
	}
	if c.Medium < 1 {
		report("medium", "must be at least 1")
	}
	if c.High < c.Medium {
		report("high", "must not be below medium")
	}
}

// attempts is the state of one client.
type attempts struct {
	burst
	sure window.Cells // the near-certain ones
	odd  window.Cells // those that the server failed on
	hits int64        // near-certain ones in the window of the finding
	odds int64        // failures in it
}

func (a *attempts) code(k *window.Codec) {
	a.burst.code(k)
	a.sure.Code(k)
	a.odd.Code(k)
	k.I64(&a.hits)
	k.I64(&a.odds)
}

type injection struct {
	env   *detect.Env
	cfg   *InjectionConfig
	span  span
	state *detect.Sparse[attempts]
}

// Observe implements detect.Rule. What only asks for a file that should not be there, or
// names a scanner as its agent, is left to the scanner rule.
func (r *injection) Observe(ev *ingest.Event, slot detect.Slot) {
	v := r.env.Inspect(ev)
	if v.Score < r.cfg.Threshold || v.Recon() {
		return
	}
	a := r.state.At(slot)
	sec := ev.Time / 1e9
	said, sure, odd := outcome(ev, v)
	note := fmt.Sprintf("%s in %s: %s%s", v.Class, v.Field, v.Matched, said)
	a.offend(r.env, ev, slot, r.span, 1, func() string { return note })
	if sure {
		a.sure.Add(sec, 1, 1)
	}
	if odd {
		a.odd.Add(sec, 1, 1)
	}
	if r.env.Live() {
		r.early(a, slot, sec)
	}
}

// outcome is what the answer says of an attempt: that the server waited as long as the
// payload asked makes it near certain, that it failed raises it. A refusal proves nothing.
func outcome(ev *ingest.Event, v *inspect.Verdict) (said string, sure, odd bool) {
	if v.Delay > 0 && ev.Duration >= int64(v.Delay)*1e9 {
		return fmt.Sprintf(" (the answer took the %d s that it asks for)", v.Delay), true, false
	}
	if ev.Status >= 500 && ev.Status != 503 {
		return fmt.Sprintf(" (the server failed on it: %d)", ev.Status), v.NearCertain, true
	}
	return "", v.NearCertain, false
}

// early hands over what is known before the second is closed.
func (r *injection) early(a *attempts, slot detect.Slot, sec int64) {
	from, sure, odds := a.now.last, a.hits, a.odds
	if a.now.start != detect.WindowOf(sec) {
		from, sure, odds = sec-r.span.secs, 0, 0
	}
	n, _, _ := a.sure.Sum(from, sec)
	m, _, _ := a.odd.Sum(from, sec)
	sure, odds = sure+int64(n), odds+int64(m)
	if a.now.earlier(r.env, sec, r.level(a.pending(sec, r.span), sure, odds)) {
		e := a.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, r.judge(&e, sure, odds))
	}
}

// Explain implements detect.Explainer.
func (r *injection) Explain(ev *ingest.Event) (bool, string) {
	v := r.env.Inspect(ev)
	if v.Score == 0 {
		return false, "looked at closely, nothing found"
	}
	return v.Score >= r.cfg.Threshold, fmt.Sprintf("%s in %s, score %d of the %d that make an attempt: %s (%q)",
		v.Class, v.Field, v.Score, r.cfg.Threshold, v.Why, v.Matched)
}

// level grows with what judge makes of it: 1 low, 2 medium, 3 high. That the server
// failed raises it by one.
func (r *injection) level(count, sure, odds int64) int64 {
	level := int64(1)
	switch {
	case sure > 0 || count >= int64(r.cfg.High):
		level = 3
	case count >= int64(r.cfg.Medium):
		level = 2
	}
	if odds > 0 {
		level = min(level+1, 3)
	}
	return level
}

// Close implements detect.Rule.
func (r *injection) Close(slot detect.Slot, sec int64) {
	a := r.state.Get(slot)
	if a == nil {
		return
	}
	fresh, last := a.now.start != detect.WindowOf(sec), a.now.last
	if a.close(r.env, slot, sec, r.span, true) {
		from := last
		if fresh {
			a.hits, a.odds, from = 0, 0, sec-r.span.secs
		}
		n, _, _ := a.sure.Sum(from, sec)
		m, _, _ := a.odd.Sum(from, sec)
		a.hits, a.odds = a.hits+int64(n), a.odds+int64(m)
		r.env.Report(slot, r.judge(&a.now, a.hits, a.odds))
	}
	a.sure.Forget(sec - r.span.secs)
	a.odd.Forget(sec - r.span.secs)
	if a.forget(sec, r.span) {
		r.state.Drop(slot)
	}
}

func (r *injection) judge(e *episode, sure, odds int64) detect.Finding {
	f := e.finding()
	switch r.level(e.count, sure, odds) {
	case 3:
		f.Severity, f.Confidence = detect.High, 0.9
	case 2:
		f.Severity, f.Confidence = detect.Medium, 0.8
	default:
		f.Severity, f.Confidence = detect.Low, 0.6
	}
	if sure > 0 {
		f.Confidence = 0.98
	}
	first := ""
	if len(e.evidence) > 0 {
		first = "; first: " + e.evidence[0].Note
	}
	failed := ""
	if odds > 0 {
		failed = fmt.Sprintf(", the server failed on %d", odds)
	}
	f.Why = fmt.Sprintf("%d requests that carry an attack, %d of them near certain%s%s", e.count, sure, failed, first)
	if e.count == 1 {
		f.Why = "one request that carries an attack" + map[bool]string{true: ", near certain"}[sure > 0] + first
	}
	return f
}
