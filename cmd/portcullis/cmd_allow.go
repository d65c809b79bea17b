package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
)

// AllowCmd is "portcullis allow".
type AllowCmd struct {
	List   AllowListCmd   `cmd:"" default:"withargs" group:"sub" help:"List the entries; what \"allow\" alone does."`
	Add    AllowAddCmd    `cmd:"" group:"sub" help:"Never act on this address, prefix or subject."`
	Remove AllowRemoveCmd `cmd:"" group:"sub" help:"Take an entry off the list."`
}

// Help implements kong.HelpProvider.
func (*AllowCmd) Help() string {
	return `Whoever is on the list is still watched and found, but never acted on; decisions on them are released. Entries of the settings are not listed here.

Changes are carried out by the running service; without one, at its next start.

Examples:

  portcullis allow add 198.51.100.0/24 --why "the office"
  portcullis allow add consumer:alice --for 7d --why "load test, ticket 4711"
  portcullis allow
  portcullis allow remove 198.51.100.0/24`
}

// AllowListCmd is "portcullis allow list".
type AllowListCmd struct{}

// Run implements the command.
func (*AllowListCmd) Run(ctx context.Context, app *App) error {
	return app.withLedger(ctx, func(_ *store.DB, l *enforce.Ledger) error {
		list, err := l.Allowed(ctx)
		if err != nil {
			return err
		}
		at := now().UnixNano()
		list = slices.DeleteFunc(list, func(a enforce.Allow) bool { return a.Expires != 0 && a.Expires <= at })
		if app.JSONL() {
			j := cliout.NewJSONL(app.Out)
			for _, a := range list {
				if err := j.Write(allowView(a)); err != nil {
					return err
				}
			}
			return j.Flush()
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(app.Out, "nobody is on the list")
			return err
		}
		t := app.Table(cliout.Column{Title: "VALUE", Keep: true}, cliout.Column{Title: "SINCE"},
			cliout.Column{Title: "ENDS", Right: true}, cliout.Column{Title: "BY"}, cliout.Column{Title: "WHY"})
		for _, a := range list {
			ends := "never"
			if a.Expires != 0 {
				ends = "in " + about2(time.Duration(a.Expires-at))
			}
			t.Row(a.Value, shortTime(a.Created), ends, a.By, a.Why)
		}
		return t.Flush()
	})
}

// AllowAddCmd is "portcullis allow add".
type AllowAddCmd struct {
	Value string `arg:"" help:"An address, a prefix such as 198.51.100.0/24, or kind:value such as consumer:alice."`
	For   Span   `placeholder:"SPAN" help:"For how long, such as 12h or 7d; without it for good."`
	Why   string `required:"" placeholder:"TEXT" help:"Why, for the ledger and for whoever finds the entry in a year."`
}

// Run implements the command.
func (c *AllowAddCmd) Run(ctx context.Context, app *App) error {
	value, err := allowValue(c.Value)
	if err != nil {
		return err
	}
	return app.post(ctx, enforce.Command{Verb: enforce.VerbAllow, Arg: value, Why: c.Why, For: time.Duration(c.For)})
}

// AllowRemoveCmd is "portcullis allow remove".
type AllowRemoveCmd struct {
	Value string `arg:"" help:"The entry, as the list shows it."`
	Why   string `placeholder:"TEXT" help:"Why, for the ledger."`
}

// Run implements the command.
func (c *AllowRemoveCmd) Run(ctx context.Context, app *App) error {
	value, err := allowValue(c.Value)
	if err != nil {
		return err
	}
	return app.post(ctx, enforce.Command{Verb: enforce.VerbDisallow, Arg: value, Why: c.Why})
}

// allowValue refuses at once what the service would refuse later, when nobody
// looks: it may be started long after.
func allowValue(s string) (string, error) {
	s = strings.TrimSpace(s)
	subject := subjectOf(s)
	switch subject.Kind {
	case "ip", "cidr":
		s = subject.Value
	case "", "global":
	default:
		if subject.Value != "" {
			return s, nil
		}
	}
	if _, err := netip.ParseAddr(s); err == nil || identity.IsHidden(s) {
		return s, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Masked() != p {
			return "", usagef("%s has bits beyond its prefix: is %s meant, or the one address %s?", p, p.Masked(), p.Addr())
		}
		return s, nil
	}
	return "", usagef("%s is neither an address, a prefix nor kind:value such as consumer:alice", cliout.Safe(fmt.Sprintf("%q", s), 80))
}
