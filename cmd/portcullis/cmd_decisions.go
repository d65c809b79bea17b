package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/config"
)

// DecisionsCmd is "portcullis decisions".
type DecisionsCmd struct {
	List    DecisionsListCmd    `cmd:"" default:"withargs" group:"sub" help:"List decisions, the newest first; what \"decisions\" alone does."`
	Why     DecisionsWhyCmd     `cmd:"" group:"sub" help:"Tell the story of a decision: what led to it and every change since."`
	Release DecisionsReleaseCmd `cmd:"" group:"sub" help:"Lift a decision now."`
	Extend  DecisionsExtendCmd  `cmd:"" group:"sub" help:"Keep a decision in force for longer."`
	Approve DecisionsApproveCmd `cmd:"" group:"sub" help:"Put a decision into force that waits for a person."`
	Panic   DecisionsPanicCmd   `cmd:"" group:"sub" help:"Lift everything and put nothing in force until resume."`
	Resume  DecisionsResumeCmd  `cmd:"" group:"sub" help:"End what panic began."`
}

// Help implements kong.HelpProvider.
func (*DecisionsCmd) Help() string {
	return `A decision is what is done to a subject, and always expires. Its states: proposed (waits for a person, or its family is only observed), approved, pushed (the gateway has it), verified (the log shows that it holds), not_enforced (it does not, with the reason), expired, released.

Changes are carried out by the running service; without one, at its next start.

Examples:

  portcullis decisions
  portcullis decisions --live --subject 203.0.113.7
  portcullis decisions why 7c9e6679
  portcullis decisions release 203.0.113.7 --why "our own monitoring"
  portcullis decisions extend 7c9e6679 --for 2h`
}

// DecisionsListCmd is "portcullis decisions list".
type DecisionsListCmd struct {
	Live    bool   `help:"Only those that belong on the gateway now."`
	State   string `enum:",proposed,approved,pushed,verified,not_enforced,expired,released" default:"" placeholder:"STATE" help:"Only one state."`
	Subject string `placeholder:"SUBJECT" help:"Only one subject: an address, or kind:value such as consumer:alice."`
	Since   Span   `placeholder:"SPAN" help:"Only those made within this span until now, such as 24h or 7d."`
	Limit   int    `default:"50" placeholder:"N" help:"At most this many; 0 = all. (${default})"`
}

// Run implements the command.
func (c *DecisionsListCmd) Run(ctx context.Context, app *App) error {
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	q := enforce.DecisionQuery{State: enforce.State(c.State), Live: c.Live, Subject: subjectOf(c.Subject)}
	if c.Since > 0 {
		q.Since = now().Add(-time.Duration(c.Since)).UnixNano()
	}
	return app.withDecisions(ctx, func(l console.Decisions) error {
		if err := app.named(c.Subject); err != nil {
			return err
		}
		if app.JSONL() {
			j := cliout.NewJSONL(app.Out)
			if err := eachDecision(ctx, l, q, c.Limit, func(d enforce.Decision) error { return j.Write(decisionView(d)) }); err != nil {
				return err
			}
			return j.Flush()
		}
		return c.table(ctx, app, l, q)
	})
}

// table lists decisions for a person.
func (c *DecisionsListCmd) table(ctx context.Context, app *App, l console.Decisions, q enforce.DecisionQuery) error {
	t := app.Table(
		cliout.Column{Title: "ID", Keep: true},
		cliout.Column{Title: "MADE", Keep: true},
		cliout.Column{Title: "STATE", Keep: true, Paint: stateColor},
		cliout.Column{Title: "ACTION"},
		cliout.Column{Title: "SUBJECT"},
		cliout.Column{Title: "ENDS", Right: true, Keep: true},
		cliout.Column{Title: "RULE"},
		cliout.Column{Title: "WHY"},
	)
	at := now().UnixNano()
	err := eachDecision(ctx, l, q, c.Limit, func(d enforce.Decision) error {
		why := d.Why
		if d.Code != "" && d.Reason != "" {
			why = d.Reason + "; " + why
		}
		t.Row(d.ID, shortTime(d.Created), string(d.State), actionText(d), subjectText(d.Subject), endText(d, at), d.Rule, why)
		return nil
	})
	if err != nil {
		return err
	}
	if t.Len() == 0 {
		_, err := fmt.Fprintln(app.Out, "no decisions")
		return err
	}
	return t.Flush()
}

// eachDecision pages through decisions; limit 0 = all.
func eachDecision(ctx context.Context, l console.Decisions, q enforce.DecisionQuery, limit int, do func(enforce.Decision) error) error {
	return eachPage(limit, do, func(n int, after *enforce.Decision) ([]enforce.Decision, error) {
		if q.Limit = n; after != nil {
			q.After = after.ID
		}
		return l.Decisions(ctx, q)
	})
}

// actionText says what is done, and where.
func actionText(d enforce.Decision) string {
	s := string(d.Action)
	if d.Rate > 0 {
		s += fmt.Sprintf(" %g/s", d.Rate)
	}
	if d.Route != "" {
		s += " on " + d.Route
	}
	return s
}

// endText says how long a decision still holds.
func endText(d enforce.Decision, at int64) string {
	if d.State.Ended() {
		return "-"
	}
	left := time.Duration(d.Expires - at)
	if left <= 0 {
		return "due"
	}
	return "in " + about2(left)
}

// about2 rounds a duration to the two units that matter.
func about2(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return config.FormatDuration(d.Round(time.Minute))
	}
	return config.FormatDuration(d.Round(time.Second))
}

func stateColor(state string) cliout.Color {
	switch enforce.State(state) {
	case enforce.Verified:
		return cliout.Green
	case enforce.NotEnforced:
		return cliout.BoldRed
	case enforce.Proposed:
		return cliout.Yellow
	case enforce.Approved, enforce.Pushed:
		return cliout.Blue
	}
	return cliout.Dim
}

// DecisionsWhyCmd is "portcullis decisions why".
type DecisionsWhyCmd struct {
	ID string `arg:"" help:"The decision, or the beginning of its id."`
}

// Run implements the command.
func (c *DecisionsWhyCmd) Run(ctx context.Context, app *App) error {
	return app.withDecisions(ctx, func(l console.Decisions) error {
		d, err := findDecision(ctx, l, c.ID)
		if err != nil {
			return err
		}
		changes, err := l.History(ctx, d.ID)
		if err != nil {
			return err
		}
		if app.JSONL() {
			return app.object(storyView(d, changes))
		}
		return tell(app, d, changes)
	})
}

// findDecision returns the decision whose id is, or alone begins with, the text.
func findDecision(ctx context.Context, l console.Decisions, id string) (enforce.Decision, error) {
	d, ok, err := l.Decision(ctx, id)
	if err != nil || ok {
		return d, err
	}
	var found []enforce.Decision
	const short = 4
	if len(id) >= short {
		err = eachDecision(ctx, l, enforce.DecisionQuery{}, 0, func(d enforce.Decision) error {
			if strings.HasPrefix(d.ID, id) {
				found = append(found, d)
			}
			return nil
		})
	}
	switch {
	case err != nil:
		return d, err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return d, fmt.Errorf("%s decisions begin with %q: give more of the id", cliout.Count(int64(len(found))), id)
	}
	return d, fmt.Errorf("no decision %s: \"portcullis decisions\" lists them", cliout.Safe(fmt.Sprintf("%q", id), 80))
}

// tell writes a decision and its history in words.
func tell(app *App, d enforce.Decision, changes []enforce.Change) error {
	style := app.Style()
	state := style.Paint(stateColor(string(d.State)), string(d.State))
	if d.Reason != "" {
		state += ": " + withoutState(d.Reason, d.State)
	}
	facts := [][2]string{
		{"decision", d.ID},
		{"subject", subjectText(d.Subject)},
		{"action", cliout.Safe(actionText(d), 200)},
		{"state", state},
		{"because", cliout.Safe(d.Why, 0)},
		{"rule", d.Rule},
		{"score", fmt.Sprintf("%.1f", d.Score)},
		{"findings", cliout.Safe(d.Findings, 0)},
		{"collateral", cliout.Safe(d.Collateral, 0)},
		{"offence", fmt.Sprintf("number %d of this subject", d.Offence)},
		{"decided by", cliout.Safe(d.By, 100)},
		{"triggered", detect.FormatTime(d.Trigger)},
		{"made", detect.FormatTime(d.Created)},
		{"on the gateway", detect.FormatTime(d.PushedAt)},
		{"last checked", detect.FormatTime(d.Checked)},
		{"expires", detect.FormatTime(d.Expires)},
	}
	if err := writeFacts(app.Out, facts); err != nil {
		return err
	}
	if len(changes) > 0 {
		if _, err := fmt.Fprint(app.Out, "\nhistory\n"); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if _, err := fmt.Fprintf(app.Out, "  %s  %s\n", detect.FormatTime(c.At), changeText(c)); err != nil {
			return err
		}
	}
	return nil
}

// changeText is one step of a decision's life as a sentence.
func changeText(c enforce.Change) string {
	who := cliout.Safe(c.Who, 100)
	var s string
	switch {
	case c.From == "":
		s = fmt.Sprintf("%s made it, %s", who, c.To)
	case c.From == c.To:
		s = fmt.Sprintf("%s changed it, still %s", who, c.To)
	default:
		s = fmt.Sprintf("%s: %s → %s", who, c.From, c.To)
	}
	if c.Why != "" {
		s += ": " + withoutState(c.Why, c.To)
	}
	return s
}

// withoutState makes a reason safe and drops the state's name at its beginning,
// which is said already.
func withoutState(why string, state enforce.State) string {
	return cliout.Safe(strings.TrimPrefix(why, string(state)+": "), 0)
}

// DecisionsReleaseCmd is "portcullis decisions release".
type DecisionsReleaseCmd struct {
	Which string `arg:"" name:"id-or-subject" help:"The decision, the beginning of its id, or the address it is about."`
	Why   string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *DecisionsReleaseCmd) Run(ctx context.Context, app *App) error {
	return app.post(ctx, enforce.Command{Verb: enforce.VerbRelease, Arg: c.Which, Why: c.Why})
}

// DecisionsExtendCmd is "portcullis decisions extend".
type DecisionsExtendCmd struct {
	Which string `arg:"" name:"id-or-subject" help:"The decision, the beginning of its id, or the address it is about."`
	For   Span   `required:"" placeholder:"SPAN" help:"How much longer, such as 2h or 7d."`
	Why   string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *DecisionsExtendCmd) Run(ctx context.Context, app *App) error {
	if c.For <= 0 {
		return usagef("--for must be longer than nothing")
	}
	return app.post(ctx, enforce.Command{Verb: enforce.VerbExtend, Arg: c.Which, Why: c.Why, For: time.Duration(c.For)})
}

// DecisionsApproveCmd is "portcullis decisions approve".
type DecisionsApproveCmd struct {
	Which string `arg:"" name:"id-or-subject" help:"The decision, the beginning of its id, or the address it is about."`
	Why   string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *DecisionsApproveCmd) Run(ctx context.Context, app *App) error {
	return app.post(ctx, enforce.Command{Verb: enforce.VerbApprove, Arg: c.Which, Why: c.Why})
}

// DecisionsPanicCmd is "portcullis decisions panic".
type DecisionsPanicCmd struct {
	Why string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *DecisionsPanicCmd) Run(ctx context.Context, app *App) error {
	return app.post(ctx, enforce.Command{Verb: enforce.VerbPanic, Why: c.Why})
}

// DecisionsResumeCmd is "portcullis decisions resume".
type DecisionsResumeCmd struct {
	Why string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *DecisionsResumeCmd) Run(ctx context.Context, app *App) error {
	return app.post(ctx, enforce.Command{Verb: enforce.VerbResume, Why: c.Why})
}
