package console

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// auditQuery reads what both lists of the audit take.
func (q *query) auditQuery() enforce.AuditQuery {
	ask := enforce.AuditQuery{People: q.flag("people"), Text: q.text("value"), Since: q.nanos("since"), Limit: q.limit()}
	if v := q.values.Get("cursor"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			q.bad("cursor: must be the next of the page before")
		}
		ask.Before = n
	}
	return ask
}

// turn cuts a page that has one row more than was asked for, and names the next one by
// the id of the last row.
func turn[T any](w http.ResponseWriter, r *http.Request, rows []T, want int, id func(T) string) ([]T, string) {
	if len(rows) <= want {
		return rows, ""
	}
	rows = rows[:want]
	next := id(rows[want-1])
	linkNext(w, r, next)
	return rows, next
}

// auditRows reads a page of one of the audit's lists, and the cursor of the next.
func auditRows[T any](s *Server, w http.ResponseWriter, r *http.Request, read func(context.Context, enforce.AuditQuery) ([]T, error), id func(T) int64) ([]T, string, error) {
	q := s.query(r)
	ask := q.auditQuery()
	if q.err != nil {
		return nil, "", q.err
	}
	want := ask.Limit
	ask.Limit++ // one more tells whether there is a next page
	rows, err := read(r.Context(), ask)
	if err != nil {
		return nil, "", fmt.Errorf("console: audit: %w", err)
	}
	rows, next := turn(w, r, rows, want, func(row T) string { return strconv.FormatInt(id(row), 10) })
	return rows, next, nil
}

func (s *Server) getChanges(w http.ResponseWriter, r *http.Request) error {
	rows, next, err := auditRows(s, w, r, s.deps.Audit.Trail, func(t enforce.Trace) int64 { return t.Seq })
	if err != nil {
		return err
	}
	page := changesJSON{make([]traceJSON, 0, len(rows)), next}
	for _, t := range rows {
		page.Changes = append(page.Changes, traceJSON{
			t.Decision, subjectJSON(t.Subject), string(t.Action), t.Rule,
			changeJSON{detect.FormatTime(t.At), t.Who, string(t.From), string(t.To), t.Why},
		})
	}
	reply(w, http.StatusOK, page)
	return nil
}

func (s *Server) getCommands(w http.ResponseWriter, r *http.Request) error {
	rows, next, err := auditRows(s, w, r, s.deps.Audit.Commands, func(c enforce.Command) int64 { return c.ID })
	if err != nil {
		return err
	}
	page := commandsJSON{make([]commandJSON, 0, len(rows)), next}
	for _, c := range rows {
		page.Commands = append(page.Commands, toCommandJSON(c))
	}
	reply(w, http.StatusOK, page)
	return nil
}

func (s *Server) getMe(w http.ResponseWriter, r *http.Request) error {
	who := caller(r)
	reply(w, http.StatusOK, meJSON{who.name, string(who.role), s.auth.need || s.cfg.NoLogin})
	return nil
}

func (s *Server) getKeys(w http.ResponseWriter, _ *http.Request) error {
	out := keysJSON{Keys: []keyJSON{}}
	for _, k := range s.auth.keys.all() {
		out.Keys = append(out.Keys, keyJSON{k.Name, string(k.Role), stamp(k.Created), stamp(k.Expires), k.Live(s.now()), len(k.Secrets)})
	}
	reply(w, http.StatusOK, out)
	return nil
}
