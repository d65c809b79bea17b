package alert

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Query selects alerts; the zero value of a field does not restrict.
type Query struct {
	Open  bool // only those that are open
	ID    string
	Limit int // 0 = 1000
}

// View is an alert with who looks after it.
type View struct {
	Alert
	Ack *Ack
}

// Alerts lists alerts: the open ones first, then the newest first.
func (t *Table) Alerts(ctx context.Context, q Query) ([]View, error) {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE kind IN ('alert', 'ack')`)
	if err != nil {
		return nil, err
	}
	acks := map[string]*Ack{}
	var out []View
	for _, r := range recs {
		switch r.Kind {
		case kindAck:
			if k, err := decode[Ack](r); err == nil {
				acks[k.Alert] = k
			}
		case kindAlert:
			a, err := decode[Alert](r)
			if err != nil {
				return nil, err
			}
			if (!q.Open || a.State == Open) && strings.HasPrefix(a.ID, q.ID) {
				out = append(out, View{Alert: *a})
			}
		}
	}
	for i := range out {
		out[i].Ack = acks[out[i].ID]
	}
	slices.SortFunc(out, func(a, b View) int {
		return cmp.Or(cmp.Compare(closed(&a), closed(&b)), -cmp.Compare(a.Opened, b.Opened), cmp.Compare(a.ID, b.ID))
	})
	if q.Limit == 0 {
		q.Limit = 1000
	}
	return out[:min(len(out), q.Limit)], nil
}

func closed(v *View) int {
	if v.State == Closed {
		return 1
	}
	return 0
}

// Silences lists silences, the newest first; with active only those that hold at a time.
func (t *Table) Silences(ctx context.Context, active bool, now time.Time) ([]Silence, error) {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE kind = 'silence'`)
	if err != nil {
		return nil, err
	}
	var out []Silence
	for _, r := range recs {
		s, err := decode[Silence](r)
		if err != nil {
			return nil, err
		}
		if !active || s.Active(now.UnixNano()) {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b Silence) int { return cmp.Or(-cmp.Compare(a.From, b.From), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// History lists who did what, the newest first.
func (t *Table) History(ctx context.Context, limit int) ([]Entry, error) {
	recs, _, err := t.query(ctx, `SELECT kind, key, value, seq FROM alert_records WHERE kind = 'audit' ORDER BY key DESC LIMIT ?`, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(recs))
	for _, r := range recs {
		x, err := decode[Entry](r)
		if err != nil {
			return nil, err
		}
		out = append(out, *x)
	}
	return out, nil
}

// Who does something, when and why.
type Who struct {
	Name string
	Why  string
	At   time.Time
	Once string // a name of theirs for it: a silence is added once under it; "" = none
}

// Bounds of what people write.
const (
	peopleWhyMost = 500
	matchMost     = 10
	silenceMost   = 366 * 24 * time.Hour
)

// AddSilence keeps alerts quiet that meet all conditions, for a time.
func (t *Table) AddSilence(ctx context.Context, match []string, span time.Duration, who Who) (Silence, error) {
	switch {
	case len(match) == 0:
		return Silence{}, errors.New("alert: a silence needs a condition, such as rule=auth-burst or severity=medium")
	case len(match) > matchMost:
		return Silence{}, fmt.Errorf("alert: a silence has at most %d conditions", matchMost)
	case span <= 0 || span > silenceMost:
		return Silence{}, fmt.Errorf("alert: a silence lasts for more than nothing and at most %d days", silenceMost/(24*time.Hour))
	case who.Why == "":
		return Silence{}, errors.New("alert: say why, for those who look for the alert later")
	}
	m, err := ParseMatchers(match)
	if err != nil {
		return Silence{}, fmt.Errorf("alert: %w", err)
	}
	for i := range m {
		m[i].Value = t.hidden(m[i].Value)
	}
	id := newID()
	if who.Once != "" {
		id = who.Once[:min(len(who.Once), len(id))]
		if list, err := t.Silences(ctx, false, who.At); err != nil {
			return Silence{}, err
		} else if i := slices.IndexFunc(list, func(s Silence) bool { return s.ID == id }); i >= 0 {
			return list[i], nil
		}
	}
	s := Silence{ID: id, Match: m, From: who.At.UnixNano(), Until: who.At.Add(span).UnixNano(), Who: who.Name, Why: cut(t.hidden(who.Why), peopleWhyMost)}
	return s, t.post(ctx, kindSilence, s.ID, s, Entry{What: "silence", On: s.ID}, who)
}

// NotOneError says that what a person named is none, or several.
type NotOneError string

// Error implements error.
func (e NotOneError) Error() string { return string(e) }

// EndSilence ends a silence before its time; part is its id or, if no other begins so,
// the beginning of it.
func (t *Table) EndSilence(ctx context.Context, part string, who Who) (Silence, error) {
	list, err := t.Silences(ctx, true, who.At)
	if err != nil {
		return Silence{}, err
	}
	list = slices.DeleteFunc(list, func(s Silence) bool { return !strings.HasPrefix(s.ID, part) })
	if len(list) != 1 || part == "" {
		return Silence{}, NotOneError(fmt.Sprintf("alert: %d silences that hold begin with %.40q: \"portcullis alert silence list\" shows them", len(list), part))
	}
	s := list[0]
	s.Ended = who.At.UnixNano()
	return s, t.post(ctx, kindSilence, s.ID, s, Entry{What: "end silence", On: s.ID}, who)
}

// Acknowledge notes that a person looks after an alert: nobody else is told by an
// escalation, and there are no reminders.
func (t *Table) Acknowledge(ctx context.Context, part string, who Who) (Alert, error) {
	list, err := t.Alerts(ctx, Query{ID: part})
	if err != nil {
		return Alert{}, err
	}
	if len(list) != 1 || part == "" {
		return Alert{}, NotOneError(fmt.Sprintf("alert: %d alerts begin with %.40q: \"portcullis alert list\" shows them", len(list), part))
	}
	k := Ack{Alert: list[0].ID, At: who.At.UnixNano(), Who: who.Name, Why: cut(t.hidden(who.Why), peopleWhyMost)}
	return list[0].Alert, t.post(ctx, kindAck, k.Alert, k, Entry{What: "acknowledge", On: k.Alert}, who)
}

// Tested writes down that somebody tried a channel.
func (t *Table) Tested(ctx context.Context, channel string, who Who) error {
	return t.post(ctx, "", "", nil, Entry{What: "test", On: channel}, who)
}

// post writes what a person wants together with the record that they did.
func (t *Table) post(ctx context.Context, kind, key string, v any, x Entry, who Who) error {
	x.At, x.Who, x.Why = who.At.UnixNano(), who.Name, cut(t.hidden(who.Why), peopleWhyMost)
	audit, err := recordOf(kindAudit, auditKey(x.At, newID()), x)
	if err != nil {
		return err
	}
	recs := []Record{audit}
	if v != nil {
		r, err := recordOf(kind, key, v)
		if err != nil {
			return err
		}
		recs = append(recs, r)
	}
	return t.Post(ctx, recs)
}

func (t *Table) hidden(s string) string {
	if t.hide == nil {
		return s
	}
	return t.hide(s)
}

func newID() string { return strings.ToLower(rand.Text()[:10]) }
