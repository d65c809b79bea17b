// Package consoletest fills a store and a ledger with an hour in the life of a
// small API under attack: for the console's tests, for its screenshots and for
// whoever works on the page. Addresses are those of RFC 5737 and RFC 3849.
package consoletest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

// Noon is a moment that pages can be compared at.
var Noon = time.Date(2026, time.March, 4, 12, 0, 20, 0, time.UTC)

// Open makes a store with a ledger in the file and fills both. now is the moment
// that the hour ends at.
func Open(ctx context.Context, file string, now time.Time) (*store.DB, *enforce.Ledger, error) {
	db, err := store.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("consoletest: %w", err)
	}
	ledger, err := enforce.OpenLedger(ctx, db.SQL())
	if err == nil {
		err = fill(ctx, db, now)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("consoletest: fill: %w", err)
	}
	return db, ledger, nil
}

func fill(ctx context.Context, db *store.DB, now time.Time) error {
	if err := db.Save(ctx, store.State{Findings: append(Findings(now), Campaign(now)), Rollups: rollups(now), Ledger: Status(now).Sources}); err != nil {
		return err
	}
	for _, d := range Decisions(now) {
		if err := AddDecision(ctx, db, d); err != nil {
			return err
		}
	}
	for _, a := range []enforce.Allow{
		{Value: "198.51.100.0/28", Why: "office network, penetration test runs from here", By: "kim", Created: now.Add(-80 * time.Hour).UnixNano()},
		{Value: "consumer:uptime-probe", Why: "our own monitoring", By: "console (127.0.0.1)", Created: now.Add(-9 * 24 * time.Hour).UnixNano(), Expires: now.Add(21 * 24 * time.Hour).UnixNano()},
	} {
		_, err := db.SQL().ExecContext(ctx, `INSERT INTO allows (value, why, by_whom, created, expires) VALUES (?,?,?,?,?)`, a.Value, a.Why, a.By, a.Created, a.Expires)
		if err != nil {
			return err
		}
	}
	return fillAlerts(ctx, db, now)
}

// fillAlerts adds an open alert, one that somebody looks after, one that is over, and a
// silence.
func fillAlerts(ctx context.Context, db *store.DB, now time.Time) error {
	table, err := alert.OpenTable(ctx, db.SQL(), db.Reader(), nil)
	if err != nil {
		return err
	}
	var recs []alert.Record
	for _, a := range Alerts(now) {
		value, err := json.Marshal(a)
		if err != nil {
			return err
		}
		recs = append(recs, alert.Record{Kind: "alert", Key: a.ID, Value: value})
	}
	if err := table.Put(ctx, recs); err != nil {
		return err
	}
	who := alert.Who{Name: "kim", Why: "the penetration test of this week", At: now.Add(-20 * time.Minute)}
	if _, err := table.Acknowledge(ctx, "a2", who); err != nil {
		return err
	}
	_, err = table.AddSilence(ctx, []string{"rule=scanner"}, 8*time.Hour, who)
	return err
}

// AddDecision writes a decision as the enforcer would, with a short history.
func AddDecision(ctx context.Context, db *store.DB, d enforce.Decision) error {
	_, err := db.SQL().ExecContext(ctx, `INSERT INTO decisions (id, kind, value, route, action, rate, burst, state, reason, code,
		rule, findings, score, why, collateral, by_whom, offence, people, good, created, expires, pushed_at, checked, trigger_at, offended)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1)`,
		d.ID, d.Subject.Kind, d.Subject.Value, d.Route, d.Action, d.Rate, d.Burst, d.State, d.Reason, d.Code,
		d.Rule, d.Findings, d.Score, d.Why, d.Collateral, d.By, d.Offence, d.People, d.Good,
		d.Created, d.Expires, d.PushedAt, d.Checked, d.Trigger)
	if err != nil {
		return err
	}
	var from enforce.State
	for i, to := range path(d.State) {
		why := ""
		if to == d.State {
			why = d.Reason
		}
		_, err := db.SQL().ExecContext(ctx, `INSERT INTO changes (decision, at, who, from_state, to_state, why) VALUES (?,?,?,?,?,?)`,
			d.ID, d.Created+int64(i)*int64(400*time.Millisecond), "policy", from, to, why)
		if err != nil {
			return err
		}
		from = to
	}
	return nil
}

// path is how a decision usually comes to a state.
func path(to enforce.State) []enforce.State {
	switch to {
	case enforce.Proposed:
		return []enforce.State{enforce.Proposed}
	case enforce.Approved:
		return []enforce.State{enforce.Approved}
	case enforce.Pushed:
		return []enforce.State{enforce.Approved, enforce.Pushed}
	case enforce.Expired, enforce.Released:
		return []enforce.State{enforce.Approved, enforce.Pushed, enforce.Verified, to}
	}
	return []enforce.State{enforce.Approved, enforce.Pushed, to}
}

// rollups is an hour of traffic: a daily ebb, a flood that ends when it is
// denied, a few errors.
func rollups(now time.Time) []detect.Rollup {
	end := now.Unix() / 60 * 60
	var out []detect.Rollup
	for i := range int64(60) {
		wave := 5200 + 700*((i*7)%11)/10 + 14*i
		r := detect.Rollup{Minute: end - (59-i)*60, Source: "edge", S2xx: wave, S3xx: wave / 11, S4xx: wave / 26, S5xx: (i * 5) % 9, Refused: wave / 90}
		switch {
		case i >= 37 && i < 40:
			r.S4xx += 2100 * (i - 36)
			r.Refused += 1900 * (i - 36)
		case i >= 40 && i < 53:
			r.Denied = 5900 - 380*(i-40)
		case i >= 53:
			r.Denied = 240
		}
		if i >= 28 && i < 31 {
			r.S5xx += 310
		}
		if i == 59 {
			r.S2xx, r.S3xx, r.S4xx, r.Denied = r.S2xx/3, r.S3xx/3, r.S4xx/3, r.Denied/3
		}
		r.S4xx += r.Denied
		r.Requests = r.S2xx + r.S3xx + r.S4xx + r.S5xx
		out = append(out, r)
	}
	return out
}

// Tags are those of the rules in Findings.
func Tags(rule string) []string {
	return map[string][]string{
		"auth-burst":  {"owasp:API2:2023", "attack:T1110.001", "oat:007"},
		"injection":   {"owasp:API8:2023", "attack:T1190"},
		"scanner":     {"owasp:API9:2023", "attack:T1595.002", "oat:014"},
		"rate-client": {"owasp:API4:2023", "attack:T1499.002", "oat:015"},
	}[rule]
}

// Hostile is a request target as an attacker would like the console to show it:
// markup, terminal escapes, bidirectional overrides, a forged second line.
const Hostile = "/search?q=<script>document.title='owned'</script>\"onmouseover=alert(1)//\x1b[2J\u202egpj.exe\u2066\u200b\u0000%0d%0aSet-Cookie:a=b\nforged line"

// long is a target that must wrap.
var long = "/api/export?fields=" + strings.Repeat("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 15)
