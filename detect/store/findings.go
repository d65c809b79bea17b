package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

const (
	findingColumns = `id, rule, version, family, severity, confidence, kind, value, win, first_seen, last_seen,
		fired_at, count, why, route, successes, people, since, evidence, members, updated, suspects`
	rollupColumns = `minute, source, route, requests, s2xx, s3xx, s4xx, s5xx, refused, denied, bytes_out, nanos`
)

// Bounds of a page of findings.
const (
	defaultPage = 100
	maxPage     = 10000
)

// FindingQuery selects findings; the zero value of a field does not restrict.
type FindingQuery struct {
	Since       int64 // FiredAt at or after, Unix nanoseconds
	Until       int64 // FiredAt before
	SeenSince   int64 // LastSeen at or after: what is new, or was updated
	Rule        string
	Family      string
	Subject     detect.Subject // Value alone matches every kind
	MinSeverity detect.Severity
	Limit       int    // 0 = 100, at most 10 000
	After       string // id of the last row of the previous page
}

// Findings returns a page of findings, the newest FiredAt first, then by id.
func (db *DB) Findings(ctx context.Context, q FindingQuery) ([]detect.Finding, error) {
	where, args := db.where(q)
	if q.After != "" {
		var at int64
		err := db.r.QueryRowContext(ctx, `SELECT fired_at FROM findings WHERE id = ?`, q.After).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("store: findings: no finding %q to go on after: start from the first page", q.After)
		}
		if err != nil {
			return nil, fmt.Errorf("store: findings: %w", err)
		}
		where = append(where, `(fired_at < ? OR (fired_at = ? AND id > ?))`)
		args = append(args, at, at, q.After)
	}
	cond := ``
	if len(where) > 0 {
		cond = ` WHERE ` + strings.Join(where, ` AND `)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	args = append(args, min(limit, maxPage))
	const order = ` ORDER BY fired_at DESC, id`
	text := cond + order + ` LIMIT ?`
	if q.Subject.Value == "" && q.SeenSince == 0 {
		// All of this stands in the index findings_along: only the page's own rows are read.
		text = ` WHERE id IN (SELECT id FROM findings` + text + `)` + order
	}
	out, err := query(ctx, db.r, `SELECT `+findingColumns+` FROM findings`+text, args, scanFinding)
	if err != nil {
		return nil, fmt.Errorf("store: findings: %w", err)
	}
	return out, nil
}

// Finding returns one finding by id, and whether there is one.
func (db *DB) Finding(ctx context.Context, id string) (detect.Finding, bool, error) {
	out, err := query(ctx, db.r, `SELECT `+findingColumns+` FROM findings WHERE id = ?`, []any{id}, scanFinding)
	if err != nil {
		return detect.Finding{}, false, fmt.Errorf("store: finding %q: %w", id, err)
	}
	if len(out) == 0 {
		return detect.Finding{}, false, nil
	}
	return out[0], true, nil
}

// AnyRoute selects the rollups of every route, and of the whole, at once.
const AnyRoute = "*"

// Rollups returns the minutes that start at or after since and before until
// (Unix seconds, 0 = no bound) of one route; "" is the traffic as a whole.
func (db *DB) Rollups(ctx context.Context, since, until int64, route string) ([]detect.Rollup, error) {
	text := `SELECT ` + rollupColumns + ` FROM rollups WHERE minute >= ?`
	args := []any{since}
	if until != 0 {
		text, args = text+` AND minute < ?`, append(args, until)
	}
	if route != AnyRoute {
		text, args = text+` AND route = ?`, append(args, route)
	}
	out, err := query(ctx, db.r, text+` ORDER BY minute, source, route`, args, func(r *sql.Rows) (detect.Rollup, error) {
		var u detect.Rollup
		err := r.Scan(&u.Minute, &u.Source, &u.Route, &u.Requests, &u.S2xx, &u.S3xx, &u.S4xx, &u.S5xx,
			&u.Refused, &u.Denied, &u.BytesOut, &u.Nanos)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("store: rollups: %w", err)
	}
	return out, nil
}

func (db *DB) where(q FindingQuery) (where []string, args []any) {
	add := func(cond string, on bool, v ...any) {
		if on {
			where, args = append(where, cond), append(args, v...)
		}
	}
	add(`fired_at >= ?`, q.Since != 0, q.Since)
	add(`fired_at < ?`, q.Until != 0, q.Until)
	add(`last_seen >= ?`, q.SeenSince != 0, q.SeenSince)
	add(`rule = ?`, q.Rule != "", q.Rule)
	add(`family = ?`, q.Family != "", q.Family)
	add(`kind = ?`, q.Subject.Kind != "", q.Subject.Kind)
	add(`value IN (?, ?)`, q.Subject.Value != "", q.Subject.Value, db.other(q.Subject.Value))
	add(`severity >= ?`, q.MinSeverity > detect.Info, int(q.MinSeverity))
	return where, args
}

func scanFinding(r *sql.Rows) (detect.Finding, error) {
	var f detect.Finding
	var family, evidence string
	err := r.Scan(&f.ID, &f.Rule, &f.Version, &family, &f.Severity, &f.Confidence, &f.Subject.Kind, &f.Subject.Value,
		&f.Window, &f.FirstSeen, &f.LastSeen, &f.FiredAt, &f.Count, &f.Why, &f.Route,
		&f.Standing.Successes, &f.Standing.People, &f.Standing.Since, &evidence, &f.Members, &f.Updated, &f.Suspects)
	if err != nil {
		return f, err
	}
	f.Family = detect.Family(family)
	return f, detect.DecodeEvidence(evidence, &f)
}
