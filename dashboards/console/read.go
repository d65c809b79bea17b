package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// Bounds of what one request may ask for.
const (
	defaultLimit = 50
	maxLimit     = 500
	maxSpan      = 31 * 24 * time.Hour // of traffic
	maxID        = 128                 // bytes of an id, a rule or a value in an address
)

// query reads the parameters of one request, which the route has been checked to know,
// and remembers the first mistake.
type query struct {
	values url.Values
	now    time.Time
	err    error
}

func (s *Server) query(r *http.Request) *query {
	return &query{now: s.now(), values: r.URL.Query()}
}

func (q *query) bad(format string, args ...any) {
	if q.err == nil {
		q.err = badRequest(fmt.Sprintf(format, args...))
	}
}

func (q *query) text(name string) string {
	v := q.values.Get(name)
	if len(v) > maxID {
		q.bad("%s: longer than %d bytes", name, maxID)
		return ""
	}
	return v
}

func (q *query) limit() int {
	v := q.values.Get("limit")
	if v == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxLimit {
		q.bad("limit: must be a number from 1 to %d", maxLimit)
		return defaultLimit
	}
	return n
}

func (q *query) flag(name string) bool {
	v := q.values.Get(name)
	if v == "" {
		return false
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		q.bad("%s: must be true or false", name)
	}
	return on
}

// at reads a moment: RFC 3339, Unix seconds, or a duration ago such as 90m. The
// zero time means not given.
func (q *query) at(name string) time.Time {
	v := q.values.Get(name)
	if v == "" {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return t
	}
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 && n < 1<<34 {
		return time.Unix(n, 0)
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 {
		return q.now.Add(-d)
	}
	q.bad("%s: must be a time such as 2026-01-31T12:00:00Z, Unix seconds, or an age such as 1h", name)
	return time.Time{}
}

func (q *query) nanos(name string) int64 {
	if t := q.at(name); !t.IsZero() {
		return t.UnixNano()
	}
	return 0
}

// subject reads kind:value.
func (q *query) subject() detect.Subject {
	v := q.values.Get("subject")
	if v == "" {
		return detect.Subject{}
	}
	kind, value, ok := strings.Cut(v, ":")
	if !ok || kind == "" || value == "" || len(v) > 4*maxID {
		q.bad("subject: must be kind:value, such as ip:192.0.2.7")
	}
	return detect.Subject{Kind: kind, Value: value}
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) error {
	reply(w, http.StatusOK, s.statusJSON())
	return nil
}

func (s *Server) getTraffic(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	since, until, route := q.at("since"), q.at("until"), q.values.Get("route")
	if since.IsZero() {
		since = q.now.Add(-time.Hour)
	}
	since = since.Truncate(time.Minute) // rollups are whole minutes
	if until.IsZero() {
		until = q.now
	}
	if until.Before(since) || until.Sub(since) > maxSpan {
		q.bad("since, until: must span between nothing and %d days", int(maxSpan.Hours()/24))
	}
	step := q.minutes("step")
	if q.err != nil {
		return q.err
	}
	rollups, err := s.deps.Findings.Rollups(r.Context(), since.Unix(), until.Unix(), route)
	if err != nil {
		return fmt.Errorf("console: traffic: %w", err)
	}
	reply(w, http.StatusOK, trafficJSON{stamp(since), stamp(until), list(summed(rollups, step))})
	return nil
}

// minutes reads a number of minutes, up to a day; 1 = not given.
func (q *query) minutes(name string) int64 {
	v := q.values.Get(name)
	if v == "" {
		return 1
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > 24*60 {
		q.bad("%s: must be a number of minutes from 1 to 1440", name)
		return 1
	}
	return n
}

// summed adds up the minutes of each step, over all sources; a step of one minute leaves
// them as they are.
func summed(rollups []detect.Rollup, step int64) []detect.Rollup {
	if step <= 1 {
		return rollups
	}
	var out []detect.Rollup
	for _, r := range rollups { // by minute
		at := r.Minute - r.Minute%(60*step)
		if n := len(out); n == 0 || out[n-1].Minute != at {
			out = append(out, detect.Rollup{Minute: at, Route: r.Route})
		}
		o := &out[len(out)-1]
		o.Requests += r.Requests
		o.S2xx += r.S2xx
		o.S3xx += r.S3xx
		o.S4xx += r.S4xx
		o.S5xx += r.S5xx
		o.Refused += r.Refused
		o.Denied += r.Denied
		o.BytesOut += r.BytesOut
		o.Nanos += r.Nanos
	}
	return out
}

func (s *Server) getFindings(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	ask := store.FindingQuery{
		Since: q.nanos("since"), Until: q.nanos("until"), Rule: q.text("rule"), Family: q.text("family"),
		Subject: q.subject(), Limit: q.limit(), After: q.text("cursor"),
	}
	if name := q.text("severity"); name != "" {
		severity, ok := detect.ParseSeverity(name)
		if !ok {
			q.bad("severity: must be info, low, medium, high or critical")
		}
		ask.MinSeverity = severity
	}
	if q.err != nil {
		return q.err
	}
	if kind := q.text("kind"); kind != "" {
		if ask.Subject.Kind != "" && ask.Subject.Kind != kind {
			return badRequest("kind: the subject has another one")
		}
		ask.Subject.Kind = kind
	}
	if ask.After != "" {
		if _, ok, err := s.deps.Findings.Finding(r.Context(), ask.After); err != nil || !ok {
			return staleCursor(err)
		}
	}
	want := ask.Limit
	ask.Limit++ // one more tells whether there is a next page
	found, err := s.deps.Findings.Findings(r.Context(), ask)
	if err != nil {
		return fmt.Errorf("console: findings: %w", err)
	}
	found, next := turn(w, r, found, want, func(x detect.Finding) string { return x.ID })
	page := findingsJSON{make([]findingJSON, 0, len(found)), next}
	for _, f := range found {
		page.Findings = append(page.Findings, s.findingJSON(f))
	}
	reply(w, http.StatusOK, page)
	return nil
}

// staleCursor says that the row a page went on after cannot be found, or why it
// could not be looked up.
func staleCursor(err error) error {
	if err != nil {
		return fmt.Errorf("console: cursor: %w", err)
	}
	return badRequest("cursor: no such row, perhaps it was pruned: start again from the first page")
}

// linkNext names the next page in a header, as RFC 8288 has it.
func linkNext(w http.ResponseWriter, r *http.Request, cursor string) {
	if cursor == "" {
		return
	}
	values := r.URL.Query()
	values.Set("cursor", cursor)
	next := url.URL{Path: r.URL.Path, RawQuery: values.Encode()}
	w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}

// pathText is a bounded path parameter.
func pathText(r *http.Request, name string) (string, error) {
	v := r.PathValue(name)
	if len(v) == 0 || len(v) > maxID {
		return "", badRequest(fmt.Sprintf("%s: must have 1 to %d bytes", name, maxID))
	}
	return v, nil
}

func (s *Server) getFinding(w http.ResponseWriter, r *http.Request) error {
	id, err := pathText(r, "id")
	if err != nil {
		return err
	}
	f, ok, err := s.deps.Findings.Finding(r.Context(), id)
	if err != nil {
		return fmt.Errorf("console: finding: %w", err)
	}
	if !ok {
		return notFound("there is no finding " + telemetry.Quote(id))
	}
	reply(w, http.StatusOK, s.findingJSON(f))
	return nil
}

func (s *Server) getDecisions(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	ask := enforce.DecisionQuery{
		State: enforce.State(q.text("state")), Live: q.flag("live"), Subject: q.subject(),
		Since: q.nanos("since"), Limit: q.limit(), After: q.text("cursor"),
	}
	if ask.State != "" && !slices.Contains(states, ask.State) {
		q.bad("state: must be one of %v", states)
	}
	if q.err != nil {
		return q.err
	}
	if ask.After != "" {
		if _, ok, err := s.deps.Decisions.Decision(r.Context(), ask.After); err != nil || !ok {
			return staleCursor(err)
		}
	}
	want := ask.Limit
	ask.Limit++
	found, err := s.deps.Decisions.Decisions(r.Context(), ask)
	if err != nil {
		return fmt.Errorf("console: decisions: %w", err)
	}
	found, next := turn(w, r, found, want, func(x enforce.Decision) string { return x.ID })
	page := decisionsJSON{make([]decisionJSON, 0, len(found)), next}
	for _, d := range found {
		page.Decisions = append(page.Decisions, toDecisionJSON(d))
	}
	reply(w, http.StatusOK, page)
	return nil
}

func (s *Server) getDecision(w http.ResponseWriter, r *http.Request) error {
	d, err := s.decision(r)
	if err != nil {
		return err
	}
	changes, err := s.deps.Decisions.History(r.Context(), d.ID)
	if err != nil {
		return fmt.Errorf("console: history: %w", err)
	}
	reply(w, http.StatusOK, decisionStoryJSON{toDecisionJSON(d), toChangesJSON(changes)})
	return nil
}

// decision is the one that the path names.
func (s *Server) decision(r *http.Request) (enforce.Decision, error) {
	id, err := pathText(r, "id")
	if err != nil {
		return enforce.Decision{}, err
	}
	d, ok, err := s.deps.Decisions.Decision(r.Context(), id)
	if err != nil {
		return enforce.Decision{}, fmt.Errorf("console: decision: %w", err)
	}
	if !ok {
		return enforce.Decision{}, notFound("there is no decision " + telemetry.Quote(id))
	}
	return d, nil
}

func (s *Server) getAllowed(w http.ResponseWriter, r *http.Request) error {
	allowed, err := s.allowed(r.Context())
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, allowsJSON{allowed})
	return nil
}

// allowed lists who is never acted on now.
func (s *Server) allowed(ctx context.Context) ([]allowJSON, error) {
	list, err := s.deps.Allowed.Allowed(ctx)
	if err != nil {
		return nil, fmt.Errorf("console: allow list: %w", err)
	}
	out := make([]allowJSON, 0, len(list))
	for _, a := range list {
		if a.Expires != 0 && a.Expires <= s.now().UnixNano() {
			continue // the ledger keeps what has ended
		}
		out = append(out, allowJSON{a.Value, a.Why, a.By, detect.FormatTime(a.Created), detect.FormatTime(a.Expires)})
	}
	return out, nil
}
