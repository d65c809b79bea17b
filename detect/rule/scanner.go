package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("scanner", detect.Spec{
		Doc:     "one client asks for many different paths that do not exist, for paths that only scanners want, or names a scanning tool",
		Family:  detect.Recon,
		Tags:    []string{"owasp:api9:2023", "owasp:api8:2023", "attack:T1595.002", "attack:T1595.003", "oat:014", "oat:018"},
		Needs:   "client address, status, path; user agent helps",
		Fields:  []ingest.Fields{ingest.FieldTarget | ingest.FieldAgent | ingest.FieldStatus},
		Helps:   ingest.FieldTarget | ingest.FieldAgent | ingest.FieldStatus,
		State:   "about 200 bytes, 40 for each distinct path of the last two minutes (64 a minute at most) and up to 8 lines, only for clients with an odd request",
		Evasion: "a walk of fewer than points/min distinct unknown paths stays silent; one that is spread over the addresses of a network is found by scanner-network",
		Concern: detect.ClientError | detect.Probing,
		Config:  func() any { return new(ScannerConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*ScannerConfig)
			r := &scanner{env: env, points: uint32(c.Points), span: newSpan(int64(c.Span / time.Second))}
			env.Shape(fmt.Sprintf("scan1/%d", r.span.secs))
			r.state = detect.NewSparse(env, (*scan).code)
			return r, nil
		},
	})
}

// ScannerConfig is the "scanner" section of the config file.
type ScannerConfig struct {
	Points int           `yaml:"points" default:"30" doc:"points within span that make a medium finding: 1 for a distinct path answered 4xx, up to 8 for a known one (CrowdSec's http-probing fires at 10 distinct 4xx paths in 10 s steps; a broken page of an honest client reaches 20)"`
	Span   time.Duration `yaml:"span" default:"60s" doc:"sliding span, in event time"`
}

// Check implements validation for the config loader.
func (c *ScannerConfig) Check(report func(key, message string)) {
	if c.Points < 8 {
		report("points", "must be at least 8: one request for a secret file has as many")
	}
	checkSpan(c.Span, report)
}

// surely is what one path must weigh to be worth a low finding by itself.
const surely = 8

// scan is the state of one client: its odd requests and the distinct paths among them.
type scan struct {
	burst
	paths  window.Distinct
	points uint32 // most seen in a span of the present window
	paces  uint32 // distinct paths then
}

func (s *scan) code(k *window.Codec) {
	s.burst.code(k)
	s.paths.Code(k)
	k.U32(&s.points)
	k.U32(&s.paces)
}

type scanner struct {
	env    *detect.Env
	points uint32
	span   span
	state  *detect.Sparse[scan]
}

// Observe implements detect.Rule.
func (r *scanner) Observe(ev *ingest.Event, slot detect.Slot) {
	weight, note := r.weigh(ev)
	if weight == 0 {
		return
	}
	s := r.state.At(slot)
	sec := ev.Time / 1e9
	fresh := s.paths.Add(sec, hashPath(ev.Target)^uint64(weight), weight, r.span.secs)
	s.offend(r.env, ev, slot, r.span, weight, func() string { return note })
	if !fresh || !r.env.Live() || s.cells.Total() < surely {
		return
	}
	paces, points := s.paths.Sum(sec-r.span.secs, sec)
	level := int64(points / r.points) // 0 is a low finding, handed over as level 1
	if level > 0 {
		level++
	}
	if r.fires(points, s.heaviest(sec-r.span.secs, sec)) && s.now.earlier(r.env, sec, max(1, level)) {
		e := s.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, r.judge(&e, max(points, s.points), max(paces, s.paces)))
	}
}

// Explain implements detect.Explainer.
func (r *scanner) Explain(ev *ingest.Event) (bool, string) {
	weight, note := r.weigh(ev)
	if weight == 0 {
		return false, "a path or agent that scanners share with others, or a file that pages ask for"
	}
	return true, fmt.Sprintf("%d points: %s; a finding from %d points within %s, or from one path of %d", weight, note, r.points, r.span, surely)
}

// weigh says what one request adds to a scan.
func (r *scanner) weigh(ev *ingest.Event) (uint32, string) { return weighProbe(r.env.Probe(), ev) }

// weighProbe weighs a request by what is known of its path and agent.
func weighProbe(p detect.Probe, ev *ingest.Event) (uint32, string) {
	switch {
	case p.Path != nil && (ev.Status >= 400 || p.Path.Weight > 2 && !p.Path.Ending || p.Path.Weight >= surely):
		return p.Path.Weight, p.Path.What
	case p.Agent != nil:
		return p.Agent.Weight, p.Agent.What
	case ev.Status < 400 || ev.Status >= 500 || ev.Status == 401 || ev.Status == 429 || isAsset(ev.Target):
		return 0, ""
	}
	return 1, "no such path, or not for this client"
}

// isAsset tells files that pages ask for: a broken page is not a scan.
func isAsset(target string) bool {
	switch ending(target) {
	case "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff", "woff2", "ttf", "eot", "webmanifest":
		return true
	}
	return false
}

// ending is the ending of the file in a path, in lower case.
func ending(target string) string {
	path, _, _ := strings.Cut(target, "?")
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return ""
	}
	return strings.ToLower(path[i+1:])
}

func hashPath(target string) uint64 {
	path, _, _ := strings.Cut(target, "?")
	h := uint64(14695981039346656037)
	for i := 0; i < len(path); i++ {
		h = (h ^ uint64(path[i])) * 1099511628211
	}
	return h &^ 0xf // room for the weight
}

// heaviest is the greatest weight of one distinct path of a span.
func (s *scan) heaviest(from, to int64) uint32 { return s.paths.Max(from, to) }

// fires tells a scan from odd requests: many points, or one that no honest
// client makes.
func (r *scanner) fires(points, heaviest uint32) bool {
	return points >= r.points || heaviest >= surely
}

// Close implements detect.Rule.
func (r *scanner) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	paces, points := s.paths.Sum(sec-r.span.secs, sec)
	if s.now.start != detect.WindowOf(sec) {
		s.points, s.paces = 0, 0
	}
	if s.close(r.env, slot, sec, r.span, r.fires(points, s.heaviest(sec-r.span.secs, sec))) {
		if points > s.points {
			s.points, s.paces = points, paces
		}
		r.env.Report(slot, r.judge(&s.now, s.points, s.paces))
	}
	s.paths.Forget(sec-2*r.span.secs, r.span.secs)
	if s.forget(sec, r.span) {
		r.state.Drop(slot)
	}
}

func (r *scanner) judge(e *episode, points, paces uint32) detect.Finding {
	f := e.finding()
	times := float64(points) / float64(r.points)
	switch {
	case times >= 2:
		f.Severity = detect.High
	case times >= 1:
		f.Severity = detect.Medium
	default:
		f.Severity = detect.Low
	}
	f.Confidence = 0.5
	if times >= 1 {
		f.Confidence = surer(0.75, 0.97, times, 3)
	}
	f.Why = fmt.Sprintf("%d odd requests, %d points from %d distinct paths within %ds; a scan has %d",
		e.count, points, paces, r.span.secs, r.points)
	if e.count == 1 {
		f.Why = fmt.Sprintf("one odd request of %d points; a scan has %d within %ds", points, r.points, r.span.secs)
	}
	return f
}
