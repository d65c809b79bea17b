package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
)

// concealedKey says in the database whether addresses are hidden there, for
// commands that do not read the settings.
const (
	concealedKey = "hide_addresses"
	concealedOn  = "on"
	concealing   = "hiding" // on, but not all that was stored before is hidden yet
	concealedOff = "off"    // after it was on: what was hidden then still is
)

// conceal sets up what hides addresses, in the store now and in the ledger later.
// On the first start with hiding on, what is stored already is hidden too.
func (p *base) conceal() error {
	ring, err := ringOf(p.settings.StateDir, true)
	if err != nil {
		return err
	}
	if p.cloak, err = identity.NewCloak(ring.Root); err != nil {
		return err
	}
	p.hide = p.settings.Identity.HideAddresses
	p.db.Conceal(p.cloak, p.hide)
	if p.hide {
		p.quiet = slog.New(hidingHandler{p.log.Handler(), p.cloak})
	}
	return nil
}

// concealStored hides what was stored while hiding was off. A kill in between
// leaves it to the next start.
func (p *base) concealStored(ctx context.Context) error {
	was, err := p.db.Meta(ctx, concealedKey)
	if err != nil || p.hide == (was == concealedOn) && was != concealing {
		return err
	}
	if !p.hide {
		return p.db.SetMeta(ctx, concealedKey, concealedOff)
	}
	if err := p.db.SetMeta(ctx, concealedKey, concealing); err != nil {
		return err
	}
	p.log.Info("hiding the addresses that are stored already")
	if err := p.db.HideStored(ctx); err != nil {
		return err
	}
	if err := p.ledger.HideStored(ctx); err != nil {
		return err
	}
	if err := p.alerts.HideStored(ctx); err != nil {
		return err
	}
	if err := p.db.Compact(ctx); err != nil {
		return err
	}
	return p.db.SetMeta(ctx, concealedKey, concealedOn)
}

// idText is what findings' ids are made of instead of addresses; nil: of them.
func (p *base) idText() func(string) string {
	if !p.hide {
		return nil
	}
	return p.cloak.HideText
}

// hideText hides addresses in what is shown of the enforcer's health.
func (p *base) hideText(s string) string {
	if !p.hide || s == "" {
		return s
	}
	return p.cloak.HideText(s)
}

// health is how the enforcer is doing, as it may be shown.
func (p *pipeline) health() enforce.Health { return p.hidden(p.enforcer.Health()) }

// hidden is the enforcer's health as it may be shown.
func (p *base) hidden(h enforce.Health) enforce.Health {
	if !p.hide {
		return h
	}
	h.Panic, h.Breaker, h.Store = p.hideText(h.Panic), p.hideText(h.Breaker), p.hideText(h.Store)
	for i := range h.Gateways {
		h.Gateways[i].Error = p.hideText(h.Gateways[i].Error)
	}
	return h
}

// subjectShown gives a stored finding to the enforcer as it was found.
func (p *base) subjectShown(f detect.Finding) detect.Finding {
	f.Subject.Value = p.cloak.ShowText(f.Subject.Value)
	return f
}

// own are the keys of log records whose addresses are no client's: where the
// console listens, and who is at it.
var own = []string{"address", "remote", "who"}

// hidingHandler hides addresses in the strings and errors of log records.
type hidingHandler struct {
	slog.Handler
	cloak *identity.Cloak
}

// Handle implements slog.Handler.
func (h hidingHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.cloak.HideText(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h hidingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = h.attr(a)
	}
	return hidingHandler{h.Handler.WithAttrs(hidden), h.cloak}
}

// WithGroup implements slog.Handler.
func (h hidingHandler) WithGroup(name string) slog.Handler {
	return hidingHandler{h.Handler.WithGroup(name), h.cloak}
}

func (h hidingHandler) attr(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch {
	case slices.Contains(own, a.Key):
	case a.Value.Kind() == slog.KindString:
		a.Value = slog.StringValue(h.cloak.HideText(a.Value.String()))
	case a.Value.Kind() == slog.KindGroup:
		group := slices.Clone(a.Value.Group())
		for i := range group {
			group[i] = h.attr(group[i])
		}
		a.Value = slog.GroupValue(group...)
	case a.Value.Kind() == slog.KindAny:
		// Errors, addresses and named strings print as text.
		text := a.Value.String()
		if hidden := h.cloak.HideText(text); hidden != text {
			a.Value = slog.StringValue(hidden)
		}
	}
	return a
}

// conceal makes a command read and write the database as the service does. Where
// addresses are hidden and the key cannot be read, what is hidden is listed as it
// is, and named tells who names an address.
func (a *App) conceal(ctx context.Context, db *store.DB) error {
	state, err := db.Meta(ctx, concealedKey)
	if err != nil || state == "" {
		return err // hiding was never on
	}
	ring, err := existingRing(&Settings{StateDir: filepath.Dir(db.Path())})
	if err == nil {
		a.cloak, err = identity.NewCloak(ring.Root)
	}
	a.hide = state != concealedOff
	if err != nil {
		a.blind = err
		return nil
	}
	db.Conceal(a.cloak, a.hide)
	return nil
}

// named refuses an address that cannot be looked for, or would be stored in clear.
func (a *App) named(texts ...string) error {
	if a.blind == nil || !a.hide {
		return nil
	}
	for _, s := range texts {
		if s != "" && identity.HasAddress(s) {
			return fmt.Errorf("addresses are hidden here (identity.hide_addresses), and without the key %s cannot be: %w; name what the lists show instead (ip_...)",
				cliout.Safe(fmt.Sprintf("%q", s), 80), a.blind)
		}
	}
	return nil
}
