package main

import (
	"context"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/cliout"
)

// AlertSilenceCmd is "portcullis alert silence".
type AlertSilenceCmd struct {
	List   AlertSilenceListCmd   `cmd:"" default:"withargs" group:"sub" help:"List silences; what \"silence\" alone does."`
	Add    AlertSilenceAddCmd    `cmd:"" group:"sub" help:"Tell nobody of alerts that meet all conditions, for a while."`
	Remove AlertSilenceRemoveCmd `cmd:"" group:"sub" help:"End a silence before its time."`
}

// AlertSilenceListCmd is "portcullis alert silence list".
type AlertSilenceListCmd struct {
	All bool `help:"Those that are over too."`
}

// silenceObject is a silence for programs.
type silenceObject struct {
	ID    string   `json:"id"`
	Match []string `json:"match"`
	From  string   `json:"from"`
	Until string   `json:"until"`
	Ended string   `json:"ended,omitempty"`
	Who   string   `json:"who"`
	Why   string   `json:"why"`
}

func silenceView(s *alert.Silence) silenceObject {
	o := silenceObject{ID: s.ID, From: detect.FormatTime(s.From), Until: detect.FormatTime(s.Until), Ended: detect.FormatTime(s.Ended), Who: s.Who, Why: s.Why}
	for _, m := range s.Match {
		o.Match = append(o.Match, m.String())
	}
	return o
}

// Run implements the command.
func (c *AlertSilenceListCmd) Run(ctx context.Context, app *App) error {
	return app.withAlerts(ctx, func(t *alert.Table) error {
		at := now()
		list, err := t.Silences(ctx, !c.All, at)
		if err != nil {
			return err
		}
		if app.JSONL() {
			return writeAll(app, list, silenceView)
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(app.Out, "no silences")
			return err
		}
		table := app.Table(cliout.Column{Title: "ID", Keep: true}, cliout.Column{Title: "SINCE"}, cliout.Column{Title: "ENDS", Right: true, Keep: true},
			cliout.Column{Title: "MATCH", Keep: true}, cliout.Column{Title: "BY"}, cliout.Column{Title: "WHY"})
		for _, s := range list {
			ends := "over"
			if s.Active(at.UnixNano()) {
				ends = "in " + about2(time.Duration(s.Until-at.UnixNano()))
			}
			table.Row(s.ID, shortTime(s.From), ends, s.Match.String(), s.Who, s.Why)
		}
		return table.Flush()
	})
}

// AlertSilenceAddCmd is "portcullis alert silence add".
type AlertSilenceAddCmd struct {
	Match []string `arg:"" name:"condition" help:"KEY=VALUE, KEY!=VALUE or severity>=VALUE, of which all must hold; keys are rule, family, severity, route, subject, campaign, alert. * stands for any text."`
	For   Span     `required:"" placeholder:"SPAN" help:"For how long, such as 2h or 7d."`
	Why   string   `required:"" placeholder:"TEXT" help:"Why, for those who look for the alert later."`
}

// Run implements the command.
func (c *AlertSilenceAddCmd) Run(ctx context.Context, app *App) error {
	if _, err := alert.ParseMatchers(c.Match); err != nil {
		return usagef("%s", cliout.Safe(err.Error(), 300))
	}
	return app.withAlerts(ctx, func(t *alert.Table) error {
		if err := app.named(append([]string{c.Why}, c.Match...)...); err != nil {
			return err
		}
		s, err := t.AddSilence(ctx, c.Match, time.Duration(c.For), app.by(c.Why))
		if err != nil {
			return err
		}
		return app.said(silenceView(&s), "silence %s holds until %s: %s", s.ID, detect.FormatTime(s.Until), s.Match)
	})
}

// AlertSilenceRemoveCmd is "portcullis alert silence remove".
type AlertSilenceRemoveCmd struct {
	ID  string `arg:"" help:"The silence, or the beginning of its id."`
	Why string `placeholder:"TEXT" help:"Why, for the record of who did what."`
}

// Run implements the command.
func (c *AlertSilenceRemoveCmd) Run(ctx context.Context, app *App) error {
	return app.withAlerts(ctx, func(t *alert.Table) error {
		s, err := t.EndSilence(ctx, c.ID, app.by(c.Why))
		if err != nil {
			return err
		}
		return app.said(silenceView(&s), "silence %s is over", s.ID)
	})
}
