package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/cliout"
)

// StatusCmd is "portcullis status".
type StatusCmd struct{}

// Help implements kong.HelpProvider.
func (*StatusCmd) Help() string {
	return `Of every source it says whether each line that was read became an event or a counted reject, how much is still unread and how old the newest event is. Findings are those of the last 24 hours. Detectors that miss something in the lines of a source are listed with what to log.

Examples:

  portcullis status
  portcullis status --output jsonl | jq .sources
  portcullis status --output jsonl | jq .blind`
}

// statusObject is what status knows; --output jsonl writes it as it is.
type statusObject struct {
	Time      string                    `json:"time"`
	Alive     bool                      `json:"alive"`
	Service   *heartbeat                `json:"service,omitempty"` // its last heartbeat
	Sources   []sourceObject            `json:"sources"`
	Blind     []detect.Blindness        `json:"blind"`             // what their lines lack, and for whom
	Findings  map[string]map[string]int `json:"findings_24h"`      // by family, then severity
	Decisions map[string]int            `json:"decisions"`         // by state
	Cluster   *clusterObject            `json:"cluster,omitempty"` // the processes, where there are several
}

// sourceObject is the completeness of one source.
type sourceObject struct {
	ingest.LedgerRow
	Missing int64  `json:"missing"`           // read, but neither an event nor a counted reject
	Waiting int64  `json:"waiting,omitempty"` // read, and on its way to a detector
	Newest  string `json:"newest,omitempty"`
}

const statusSpan = 24 * time.Hour

// Run implements the command.
func (c *StatusCmd) Run(ctx context.Context, app *App) error {
	return app.withLedger(ctx, func(db *store.DB, l *enforce.Ledger) error {
		st, err := gather(ctx, db, l, now())
		if err != nil {
			return err
		}
		s, err := app.Settings()
		if err != nil {
			return err
		}
		for _, r := range st.Sources {
			st.Blind = append(st.Blind, s.blindnesses(r.LedgerRow)...)
		}
		if app.JSONL() {
			return app.object(st)
		}
		return st.show(app, now())
	})
}

// gather reads everything that status shows.
func gather(ctx context.Context, db *store.DB, l *enforce.Ledger, at time.Time) (*statusObject, error) {
	st := &statusObject{Time: detect.FormatTime(at.UnixNano()), Sources: []sourceObject{}, Blind: []detect.Blindness{},
		Findings: map[string]map[string]int{}, Decisions: map[string]int{}}
	var err error
	if st.Service, err = lastHeartbeat(ctx, db); err != nil {
		return nil, err
	}
	st.Alive = st.Service != nil && st.Service.fresh(at)
	if st.Cluster, err = lastCluster(ctx, db, st.Service); err != nil {
		return nil, err
	}
	rows, err := db.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		st.Sources = append(st.Sources, st.sourceOf(r))
	}
	q := store.FindingQuery{Since: at.Add(-statusSpan).UnixNano()}
	err = eachFinding(ctx, db, q, 0, func(f detect.Finding) error {
		bySeverity := st.Findings[string(f.Family)]
		if bySeverity == nil {
			bySeverity = map[string]int{}
			st.Findings[string(f.Family)] = bySeverity
		}
		bySeverity[f.Severity.String()]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return st, eachDecision(ctx, l, enforce.DecisionQuery{}, 0, func(d enforce.Decision) error {
		st.Decisions[string(d.State)]++
		return nil
	})
}

// sourceOf tells what is missing from what is on its way between processes.
func (st *statusObject) sourceOf(r ingest.LedgerRow) sourceObject {
	s := sourceObject{LedgerRow: r, Missing: r.Read - r.Processed - r.Rejected, Newest: detect.FormatTime(r.LastTime)}
	if st.Cluster != nil {
		s.Waiting = s.Missing - st.Cluster.Missing[r.Source]
		s.Missing -= s.Waiting
	}
	return s
}

// show writes the status for a person.
func (st *statusObject) show(app *App, at time.Time) error {
	if err := st.showService(app, at); err != nil {
		return err
	}
	for _, part := range [...]struct {
		title string
		table *cliout.Table
		none  string
	}{
		{"sources", st.sources(app, at), "nothing has been read yet"},
		{"what the log keeps from the detectors", st.blind(app), "nothing"},
		{"processes", st.processes(app, at), "one"},
		{"findings of the last 24 hours", st.findings(app), "none"},
		{"decisions", st.decisions(app), "none"},
		{"gateways", st.gateways(app, at), "none is connected; \"portcullis setup\" shows how"},
	} {
		if part.title == "processes" && st.Cluster == nil {
			continue
		}
		if _, err := fmt.Fprintf(app.Out, "\n%s\n", app.Style().Paint(cliout.Bold, part.title)); err != nil {
			return err
		}
		if part.table.Len() == 0 {
			if _, err := fmt.Fprintln(app.Out, part.none); err != nil {
				return err
			}
			continue
		}
		if err := part.table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// showService says whether the service runs, and what it complains of.
func (st *statusObject) showService(app *App, at time.Time) error {
	style, s := app.Style(), st.Service
	var lines []string
	switch {
	case s == nil:
		lines = append(lines, style.Paint(cliout.Yellow, "the service has never run here")+": portcullis run starts it")
	case !st.Alive:
		seen := ": it was stopped"
		if !strings.HasPrefix(s.At, "1970-") { // the farewell's stamp
			seen = ": last seen " + ago(s.At, at)
		}
		lines = append(lines, style.Paint(cliout.Red, "the service does not run")+seen)
	default:
		lines = append(lines, fmt.Sprintf("%s as process %d since %s, %s lines/s, %s", style.Paint(cliout.Green, "the service runs"),
			s.PID, cliout.Safe(s.Started, 40), cliout.Count(int64(s.LinesPerSecond)), cliout.Safe(s.Version, 80)))
	}
	if s != nil && st.Alive && s.Console != "" {
		lines = append(lines, "console: "+cliout.Safe(s.Console, 200))
	}
	if s != nil && s.Panic != "" {
		lines = append(lines, style.Paint(cliout.BoldRed, "nothing is enforced")+": "+cliout.Safe(s.Panic, 300)+"; \"portcullis decisions resume\" ends it; "+lifted(s.Gateways))
	}
	if s != nil {
		for _, t := range s.Trouble {
			lines = append(lines, style.Paint(cliout.Yellow, "trouble")+": "+cliout.Safe(t, 300))
		}
	}
	_, err := fmt.Fprintln(app.Out, strings.Join(lines, "\n"))
	return err
}

// lifted says whether the panic switch has reached every gateway: each has to confirm that
// it holds nothing any more, or it is named.
func lifted(gateways []gatewayBeat) string {
	var still []string
	for _, g := range gateways {
		if g.Entries > 0 || g.Behind || g.Error != "" {
			still = append(still, fmt.Sprintf("%s (%s entries)", cliout.Safe(g.Name, 40), cliout.Count(int64(g.Entries))))
		}
	}
	switch {
	case len(gateways) == 0:
		return "there is no gateway that could hold anything"
	case len(still) > 0:
		return "NOT YET LIFTED by " + strings.Join(still, ", ")
	}
	return "every gateway has confirmed that it holds nothing"
}

// sources is the completeness ledger as a table.
func (st *statusObject) sources(app *App, at time.Time) *cliout.Table {
	right := func(title string) cliout.Column { return cliout.Column{Title: title, Right: true, Keep: true} }
	t := app.Table(cliout.Column{Title: "SOURCE"}, right("READ"), right("EVENTS"), right("REJECTED"), right("LATE"), right("UNREAD"),
		right("NEWEST"), cliout.Column{Title: "COMPLETE", Paint: func(s string) cliout.Color {
			if strings.HasPrefix(s, "yes") {
				return cliout.Green
			}
			return cliout.BoldRed
		}})
	for _, s := range st.Sources {
		complete := "yes"
		if s.Missing != 0 {
			complete = "no: " + cliout.Count(s.Missing) + " lines are unaccounted for"
		}
		if s.Waiting != 0 {
			complete += " (" + cliout.Count(s.Waiting) + " on their way)"
		}
		if why := reasonsText(s.Reasons); why != "" {
			complete += " (rejected: " + why + ")"
		}
		if s.Truncated > 0 {
			complete += " (" + cliout.Count(s.Truncated) + " cut by the gateway)"
		}
		t.Row(s.Source, cliout.Count(s.Read), cliout.Count(s.Processed), cliout.Count(s.Rejected), cliout.Count(s.Late),
			cliout.Bytes(s.LagBytes), ago(s.Newest, at), complete)
	}
	return t
}

// reasonsText lists why lines were rejected, the most frequent reason first.
func reasonsText(reasons map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		if reasons[a] != reasons[b] {
			return int(min(max(reasons[b]-reasons[a], -1), 1))
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, n := range names {
		parts = append(parts, cliout.Count(reasons[n])+" "+n)
	}
	return strings.Join(parts, ", ")
}

// findings counts findings by family and severity.
func (st *statusObject) findings(app *App) *cliout.Table {
	columns := []cliout.Column{{Title: "FAMILY", Keep: true}}
	for s := detect.Critical; ; s-- {
		color := cliout.SeverityColor(s.String())
		columns = append(columns, cliout.Column{Title: strings.ToUpper(s.String()), Right: true, Keep: true, Paint: func(string) cliout.Color { return color }})
		if s == detect.Info {
			break
		}
	}
	t := app.Table(columns...)
	for _, family := range slices.Sorted(maps.Keys(st.Findings)) {
		row := []string{family}
		for _, c := range columns[1:] {
			cell := ""
			if n := st.Findings[family][strings.ToLower(c.Title)]; n > 0 {
				cell = cliout.Count(int64(n))
			}
			row = append(row, cell)
		}
		t.Row(row...)
	}
	return t
}

// decisions counts decisions by state, in the order of their life.
func (st *statusObject) decisions(app *App) *cliout.Table {
	t := app.Table(cliout.Column{Title: "STATE", Keep: true, Paint: stateColor}, cliout.Column{Title: "COUNT", Right: true, Keep: true})
	for _, s := range [...]enforce.State{enforce.Proposed, enforce.Approved, enforce.Pushed, enforce.Verified, enforce.NotEnforced, enforce.Expired, enforce.Released} {
		if n := st.Decisions[string(s)]; n > 0 {
			t.Row(string(s), cliout.Count(int64(n)))
		}
	}
	return t
}

// gateways is what the service last said of its gateways.
func (st *statusObject) gateways(app *App, at time.Time) *cliout.Table {
	t := app.Table(cliout.Column{Title: "GATEWAY", Keep: true}, cliout.Column{Title: "ENTRIES", Right: true, Keep: true},
		cliout.Column{Title: "LAST PUSH", Right: true, Keep: true}, cliout.Column{Title: "TOOK", Right: true, Keep: true}, cliout.Column{Title: "STATE"})
	if st.Service == nil {
		return t
	}
	for _, g := range st.Service.Gateways {
		state := "in order"
		switch {
		case g.Error != "":
			state = fmt.Sprintf("failed %s: %s", plural(g.Fails, "time"), g.Error)
		case g.Behind:
			state = "a newer state is on its way"
		}
		pushed, took := "never", ""
		if g.PushedAt != "" {
			pushed, took = ago(g.PushedAt, at), fmt.Sprintf("%.0f ms", g.TookMS)
		}
		t.Row(g.Name, cliout.Count(int64(g.Entries)), pushed, took, state)
	}
	return t
}

// ago says how long a time (RFC 3339) is past.
func ago(text string, at time.Time) string {
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "never"
	}
	d := at.Sub(when)
	switch {
	case d < -time.Second:
		return about2(-d) + " ahead"
	case d < time.Second:
		return "now"
	}
	return about2(d) + " ago"
}
