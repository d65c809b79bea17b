package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
)

// Alerts is what the console reads of alerts, and how people answer them; *alert.Table is
// one. It is used by many requests at once.
type Alerts interface {
	Alerts(ctx context.Context, q alert.Query) ([]alert.View, error)
	Silences(ctx context.Context, active bool, now time.Time) ([]alert.Silence, error)
	AddSilence(ctx context.Context, match []string, span time.Duration, who alert.Who) (alert.Silence, error)
	EndSilence(ctx context.Context, id string, who alert.Who) (alert.Silence, error)
	Acknowledge(ctx context.Context, id string, who alert.Who) (alert.Alert, error)
}

type alertsJSON struct {
	Alerts []alertJSON `json:"alerts"`
}

type alertJSON struct {
	ID       string        `json:"id"`
	Title    string        `json:"title" doc:"What its findings share, for a person."`
	Severity string        `json:"severity"`
	Rule     string        `json:"rule"`
	Family   string        `json:"family"`
	Route    string        `json:"route,omitempty"`
	Why      string        `json:"why"`
	Clients  int64         `json:"clients"`
	Findings int64         `json:"findings"`
	Requests int64         `json:"requests"`
	Subjects []subjectJSON `json:"subjects" doc:"The busiest."`
	Opened   string        `json:"opened"`
	Heard    string        `json:"heard" doc:"When something new was found."`
	Closed   string        `json:"closed,omitempty" doc:"Empty: it is open."`
	Into     string        `json:"into,omitempty" doc:"The campaign's alert that its findings went to."`
	Muted    string        `json:"muted,omitempty" doc:"Why nobody is told of it now."`
	Told     []string      `json:"told" doc:"The channels that took a notice of it."`
	Failing  []string      `json:"failing" doc:"What the last try of a channel failed with."`
	AckBy    string        `json:"ack_by,omitempty" doc:"Who looks after it."`
	AckWhy   string        `json:"ack_why,omitempty"`
	AckAt    string        `json:"ack_at,omitempty"`
}

type silencesJSON struct {
	Silences []silenceJSON `json:"silences"`
}

type silenceJSON struct {
	ID    string   `json:"id"`
	Match []string `json:"match"`
	From  string   `json:"from"`
	Until string   `json:"until"`
	Who   string   `json:"who"`
	Why   string   `json:"why"`
	Ended string   `json:"ended,omitempty"`
	Holds bool     `json:"holds"`
}

type silenceOrderJSON struct {
	reasonJSON
	Value string `json:"value" doc:"Conditions that must all be met, separated by commas, such as rule=scanner, severity=medium."`
	For   string `json:"for" doc:"A duration from 1m to 8760h, such as 4h."`
}

func toAlertJSON(v *alert.View) alertJSON {
	a := alertJSON{
		ID: v.ID, Title: v.Campaign, Severity: v.Severity.String(), Rule: v.Rule, Family: string(v.Family), Route: v.Route, Why: v.Why,
		Clients: v.Clients, Findings: v.Findings, Requests: v.Requests, Subjects: []subjectJSON{}, Opened: detect.FormatTime(v.Opened), Heard: detect.FormatTime(v.Heard),
		Into: v.Into, Muted: v.Muted, Told: []string{}, Failing: []string{},
	}
	if a.Title == "" {
		a.Title = v.Rule
	}
	if v.Closed != 0 {
		a.Closed = detect.FormatTime(v.Closed)
	}
	for _, s := range v.Subjects {
		a.Subjects = append(a.Subjects, subjectJSON(s))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Told)) {
		d := v.Told[name]
		if d.Count > 0 {
			a.Told = append(a.Told, name)
		}
		if d.Error != "" {
			a.Failing = append(a.Failing, name+": "+d.Error)
		}
	}
	if v.Ack != nil {
		a.AckBy, a.AckWhy, a.AckAt = v.Ack.Who, v.Ack.Why, detect.FormatTime(v.Ack.At)
	}
	return a
}

func (s *Server) toSilenceJSON(x *alert.Silence) silenceJSON {
	out := silenceJSON{ID: x.ID, Match: []string{}, From: detect.FormatTime(x.From), Until: detect.FormatTime(x.Until), Who: x.Who, Why: x.Why, Holds: x.Active(s.now().UnixNano())}
	for _, m := range x.Match {
		out.Match = append(out.Match, m.String())
	}
	if x.Ended != 0 {
		out.Ended = detect.FormatTime(x.Ended)
	}
	return out
}

func (s *Server) getAlerts(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	ask := alert.Query{Open: q.flag("open"), ID: q.text("id"), Limit: q.limit()}
	if q.err != nil {
		return q.err
	}
	list, err := s.deps.Alerts.Alerts(r.Context(), ask)
	if err != nil {
		return fmt.Errorf("console: alerts: %w", err)
	}
	out := alertsJSON{make([]alertJSON, 0, len(list))}
	for i := range list {
		out.Alerts = append(out.Alerts, toAlertJSON(&list[i]))
	}
	reply(w, http.StatusOK, out)
	return nil
}

func (s *Server) getSilences(w http.ResponseWriter, r *http.Request) error {
	list, err := s.deps.Alerts.Silences(r.Context(), false, s.now())
	if err != nil {
		return fmt.Errorf("console: silences: %w", err)
	}
	out := silencesJSON{make([]silenceJSON, 0, len(list))}
	for i := range list {
		out.Silences = append(out.Silences, s.toSilenceJSON(&list[i]))
	}
	reply(w, http.StatusOK, out)
	return nil
}

// alerting is who answers an alert, and why. A write that is sent twice under one
// Idempotency-Key is done once.
func (s *Server) alerting(r *http.Request, why string) (alert.Who, error) {
	uid, err := once(r)
	return alert.Who{Name: caller(r).inLedger(r), Why: why, At: s.now(), Once: uid}, err
}

// answerAlert serves a write on an alert or a silence that needs no more than a reason.
func (s *Server) answerAlert(do func(ctx context.Context, id string, who alert.Who) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := pathText(r, "id")
		if err != nil {
			return err
		}
		o, _, err := readOrder(w, r, "")
		if err != nil {
			return err
		}
		who, err := s.alerting(r, o.Why)
		if err != nil {
			return err
		}
		answer, err := do(r.Context(), id, who)
		if none, ok := errors.AsType[alert.NotOneError](err); ok {
			return notFound(strings.TrimPrefix(none.Error(), "alert: "))
		}
		if err != nil {
			return fmt.Errorf("console: %w", err)
		}
		reply(w, http.StatusOK, answer)
		return nil
	}
}

func (s *Server) acknowledge(ctx context.Context, id string, who alert.Who) (any, error) {
	a, err := s.deps.Alerts.Acknowledge(ctx, id, who)
	return toAlertJSON(&alert.View{Alert: a, Ack: &alert.Ack{Alert: a.ID, At: who.At.UnixNano(), Who: who.Name, Why: who.Why}}), err
}

func (s *Server) endSilence(ctx context.Context, id string, who alert.Who) (any, error) {
	x, err := s.deps.Alerts.EndSilence(ctx, id, who)
	return s.toSilenceJSON(&x), err
}

func (s *Server) silence(w http.ResponseWriter, r *http.Request) error {
	o, span, err := readOrder(w, r, "value for")
	if err != nil {
		return err
	}
	if span == 0 {
		return badRequest("for: say how long, such as 4h")
	}
	var match []string
	for m := range strings.SplitSeq(o.Value, ",") {
		if m = strings.TrimSpace(m); m != "" {
			match = append(match, m)
		}
	}
	who, err := s.alerting(r, o.Why)
	if err != nil {
		return err
	}
	if _, err := alert.ParseMatchers(match); err != nil || len(match) == 0 {
		return badRequest(fmt.Sprintf("value: want conditions such as rule=scanner, severity=medium: %v", err))
	}
	x, err := s.deps.Alerts.AddSilence(r.Context(), match, span, who)
	if err != nil {
		return fmt.Errorf("console: silence: %w", err)
	}
	reply(w, http.StatusOK, s.toSilenceJSON(&x))
	return nil
}

// alertRoutes are the reads and writes of alerts.
func (s *Server) alertRoutes() []route {
	at := func(method, path string, role Role, serve func(http.ResponseWriter, *http.Request) error, doc operation) route {
		return route{method: method, pattern: apiRoot + path, role: role, serve: serve, doc: &doc}
	}
	return []route{
		at("GET", "/alerts", Viewer, s.getAlerts, operation{id: "getAlerts", summary: "Alerts: the open ones first, then the newest first.", answer: alertsJSON{}, query: []param{
			{name: "open", doc: "Only those that are open.", kind: "boolean"}, {name: "id", doc: "Only those whose id begins so."}, limit,
		}}),
		at("GET", "/silences", Viewer, s.getSilences, operation{id: "getSilences", summary: "Silences, the newest first.", answer: silencesJSON{}}),
		at("POST", "/alerts/{id}/acknowledge", Operator, s.answerAlert(s.acknowledge), operation{id: "acknowledgeAlert", summary: "Say that you look after an alert: nobody else is told by an escalation, and there are no reminders.", body: reasonJSON{}, answer: alertJSON{}, status: []int{404}}),
		at("POST", "/silences", Operator, s.silence, operation{id: "addSilence", summary: "Keep alerts quiet for a time.", body: silenceOrderJSON{}, answer: silenceJSON{}}),
		at("DELETE", "/silences/{id}", Operator, s.answerAlert(s.endSilence), operation{id: "endSilence", summary: "End a silence before its time.", body: reasonJSON{}, answer: silenceJSON{}, status: []int{404}}),
	}
}
