package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/internal/cliout"
)

// AlertCmd is "portcullis alert".
type AlertCmd struct {
	List    AlertListCmd    `cmd:"" default:"withargs" group:"sub" help:"List alerts, the open ones first; what \"alert\" alone does."`
	Ack     AlertAckCmd     `cmd:"" group:"sub" help:"Say that you look after an alert: no escalation, no reminders."`
	Silence AlertSilenceCmd `cmd:"" group:"sub" help:"Keep alerts silent for a while."`
	History AlertHistoryCmd `cmd:"" group:"sub" help:"Tell who silenced, acknowledged and tried what, and why."`
	Test    AlertTestCmd    `cmd:"" group:"sub" help:"Send a test notice to a channel of the settings."`
}

// Help implements kong.HelpProvider.
func (*AlertCmd) Help() string {
	return `Findings that belong together are one alert, which is told to the channels of the settings (alerts.channels) while it goes on. Fields, channels and examples: docs/alerts.md.

Silences and acknowledgements count at once, for all processes of an installation.

Examples:

  portcullis alert
  portcullis alert ack 7c9e66 --why "looking at it"
  portcullis alert silence add subject=203.0.113.0/24 rule=scan-* --for 2h --why "pentest, ticket 4711"
  portcullis alert silence list
  portcullis alert silence remove k3x9
  portcullis alert test pager`
}

// withAlerts runs do on the alerts in the database.
func (a *App) withAlerts(ctx context.Context, do func(*alert.Table) error) error {
	return a.withStore(store.OpenClient, func(db *store.DB) error {
		var hide func(string) string
		if a.cloak != nil && a.hide {
			hide = a.cloak.HideText
		}
		t, err := alert.OpenTable(ctx, db.SQL(), db.Reader(), hide)
		if err != nil {
			return err
		}
		return do(t)
	})
}

// by is who runs a command, and why.
func (a *App) by(why string) alert.Who { return alert.Who{Name: whoAmI(a), Why: why, At: now()} }

// AlertListCmd is "portcullis alert list".
type AlertListCmd struct {
	Open  bool `help:"Only those that are open."`
	Limit int  `default:"50" placeholder:"N" help:"At most this many; 0 = 1000. (${default})"`
}

// Run implements the command.
func (c *AlertListCmd) Run(ctx context.Context, app *App) error {
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return app.withAlerts(ctx, func(t *alert.Table) error {
		list, err := t.Alerts(ctx, alert.Query{Open: c.Open, Limit: c.Limit})
		if err != nil {
			return err
		}
		if app.JSONL() {
			return writeAll(app, list, alertView)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(app.Out, "no alerts")
			return err
		}
		table := app.Table(cliout.Column{Title: "ID", Keep: true}, cliout.Column{Title: "BEGAN", Keep: true}, cliout.Column{Title: "STATE", Keep: true, Paint: alertColor},
			cliout.Column{Title: "SEVERITY", Keep: true}, cliout.Column{Title: "ABOUT"}, cliout.Column{Title: "FINDINGS", Right: true}, cliout.Column{Title: "CLIENTS", Right: true},
			cliout.Column{Title: "TOLD"}, cliout.Column{Title: "WHY"})
		for i := range list {
			a := &list[i]
			table.Row(a.ID, shortTime(a.Opened), alertState(a), a.Severity.String(), alertAbout(&a.Alert), cliout.Count(a.Findings), cliout.Count(a.Clients), alertTold(&a.Alert), a.Why)
		}
		return table.Flush()
	})
}

// writeAll writes one object a line.
func writeAll[T, V any](app *App, list []T, view func(*T) V) error {
	j := cliout.NewJSONL(app.Out)
	for i := range list {
		if err := j.Write(view(&list[i])); err != nil {
			return err
		}
	}
	return j.Flush()
}

// alertState says in a word how an alert stands.
func alertState(a *alert.View) string {
	switch {
	case a.State == alert.Closed:
		return "resolved"
	case a.Muted != "":
		return a.Muted
	case a.Ack != nil:
		return "acknowledged"
	}
	return "open"
}

func alertColor(state string) cliout.Color {
	switch state {
	case "open":
		return cliout.BoldRed
	case "acknowledged":
		return cliout.Yellow
	}
	return cliout.Dim
}

// alertAbout is what an alert is about.
func alertAbout(a *alert.Alert) string {
	switch {
	case a.Campaign != "":
		return "campaign: " + a.Campaign
	case a.Route != "":
		return a.Rule + " on " + a.Route
	case len(a.Subjects) > 0:
		return a.Rule + " by " + subjectText(a.Subjects[0])
	}
	return a.Rule
}

// alertTold says how many channels took it, and whether one does not.
func alertTold(a *alert.Alert) string {
	told, waiting := 0, 0
	for _, d := range a.Told {
		if d.Count > 0 {
			told++
		}
		if d.Due != "" {
			waiting++
		}
	}
	if waiting > 0 {
		return fmt.Sprintf("%d, %d waiting", told, waiting)
	}
	return fmt.Sprint(told)
}

// alertObject is an alert for programs.
type alertObject struct {
	*alert.Alert
	Severity string `json:"severity"`
	First    string `json:"first"`
	Last     string `json:"last"`
	Opened   string `json:"opened"`
	Heard    string `json:"heard"`
	Closed   string `json:"closed,omitempty"`
	AckedBy  string `json:"acknowledged_by,omitempty"`
	AckedAt  string `json:"acknowledged_at,omitempty"`
	AckedWhy string `json:"acknowledged_why,omitempty"`
}

func alertView(a *alert.View) alertObject {
	o := alertObject{Alert: &a.Alert, Severity: a.Severity.String(), First: detect.FormatTime(a.First), Last: detect.FormatTime(a.Last),
		Opened: detect.FormatTime(a.Opened), Heard: detect.FormatTime(a.Heard), Closed: detect.FormatTime(a.Closed)}
	if a.Ack != nil {
		o.AckedBy, o.AckedAt, o.AckedWhy = a.Ack.Who, detect.FormatTime(a.Ack.At), a.Ack.Why
	}
	return o
}

// AlertAckCmd is "portcullis alert ack".
type AlertAckCmd struct {
	ID  string `arg:"" help:"The alert, or the beginning of its id."`
	Why string `placeholder:"TEXT" help:"Why, or what you do about it."`
}

// Run implements the command.
func (c *AlertAckCmd) Run(ctx context.Context, app *App) error {
	return app.withAlerts(ctx, func(t *alert.Table) error {
		a, err := t.Acknowledge(ctx, c.ID, app.by(c.Why))
		if err != nil {
			return err
		}
		return app.said(map[string]string{"alert": a.ID}, "alert %s is acknowledged", a.ID)
	})
}

// said writes what was done.
func (a *App) said(object any, format string, args ...any) error {
	if a.JSONL() {
		return a.object(object)
	}
	_, err := fmt.Fprintln(a.Out, cliout.Safe(fmt.Sprintf(format, args...), 0))
	return err
}

// AlertHistoryCmd is "portcullis alert history".
type AlertHistoryCmd struct {
	Limit int `default:"50" placeholder:"N" help:"At most this many. (${default})"`
}

// Run implements the command.
func (c *AlertHistoryCmd) Run(ctx context.Context, app *App) error {
	if c.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	return app.withAlerts(ctx, func(t *alert.Table) error {
		list, err := t.History(ctx, c.Limit)
		if err != nil {
			return err
		}
		if app.JSONL() {
			return writeAll(app, list, func(e *alert.Entry) any {
				return map[string]string{"at": detect.FormatTime(e.At), "who": e.Who, "what": e.What, "on": e.On, "why": e.Why}
			})
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(app.Out, "nobody did anything")
			return err
		}
		table := app.Table(cliout.Column{Title: "AT", Keep: true}, cliout.Column{Title: "WHO"}, cliout.Column{Title: "WHAT", Keep: true}, cliout.Column{Title: "ON", Keep: true}, cliout.Column{Title: "WHY"})
		for _, e := range list {
			table.Row(shortTime(e.At), e.Who, e.What, e.On, e.Why)
		}
		return table.Flush()
	})
}

// AlertTestCmd is "portcullis alert test".
type AlertTestCmd struct {
	Name string `arg:"" help:"The channel's name in alerts.channels."`
	Why  string `placeholder:"TEXT" help:"Why, for the record of who did what."`
}

// Run implements the command. That it is done is written down where there is a database.
func (c *AlertTestCmd) Run(ctx context.Context, app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := alert.Try(ctx, &s.Alerts, c.Name, buildInfo().Version, now()); err != nil {
		return err
	}
	took := time.Since(began).Round(time.Millisecond)
	said := app.said(map[string]any{"channel": c.Name, "took_ms": took.Milliseconds()}, "channel %s took a test notice within %s", c.Name, took)
	if _, err := os.Stat(filepath.Join(s.StateDir, storeFile)); errors.Is(err, fs.ErrNotExist) {
		return said // nothing ran here yet
	}
	return errors.Join(said, app.withAlerts(ctx, func(t *alert.Table) error { return t.Tested(ctx, c.Name, app.by(c.Why)) }))
}
