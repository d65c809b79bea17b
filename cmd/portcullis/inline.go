package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/enforce/authz"
	"github.com/portcullis/portcullis/enforce/exchange"
	"github.com/portcullis/portcullis/enforce/lapi"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// InlineSettings are the sections of what others ask.
type InlineSettings struct {
	Authz authz.Config          `yaml:"authz" doc:"the inline decision service: forward-auth, Envoy's ext_authz and rate limit service"`
	LAPI  lapi.Config           `yaml:"lapi" doc:"the CrowdSec-compatible API for bouncers; the list as text, JSON, STIX and TAXII too"`
	Lists []exchange.ListConfig `yaml:"lists" doc:"lists of others that authz and bouncers enforce, or only count"`
}

// bouncersFile holds the keys of bouncers within the state folder, unless the settings
// name another one.
const bouncersFile = "bouncers.keys"

// inline are the parts that others ask: the decision service, the bouncers' API, and the
// lists of others that both take in. A nil part is switched off.
type inline struct {
	settings *Settings
	ledger   *enforce.Ledger
	log      *slog.Logger
	authz    *authz.Service
	book     *exchange.Book
	lapi     *lapi.Server
	puller   *exchange.Puller
	leads    func() bool // whether an enforcer here pushes to it

	pulled atomic.Pointer[[]exchange.Entry]
}

// openInline makes the parts that the settings switch on.
func (b *base) openInline(leads func() bool) error {
	i := &inline{settings: b.settings, ledger: b.ledger, log: b.quiet, leads: leads}
	b.inline = i
	if err := i.openAuthz(); err != nil {
		return err
	}
	if err := i.openLapi(); err != nil {
		return err
	}
	if len(b.settings.Lists) == 0 {
		return nil
	}
	var err error
	i.puller, err = exchange.NewPuller(exchange.PullerConfig{
		Lists: b.settings.Lists, Dir: filepath.Join(b.settings.StateDir, "lists"), Limits: i.limits,
		Changed: func(list []exchange.Entry) { i.pulled.Store(&list) }, Log: b.log, Now: now,
	})
	return err
}

func (i *inline) openAuthz() error {
	cfg := i.settings.Authz
	if !cfg.Enabled() {
		return nil
	}
	ring, ident, err := identityOf(i.settings, true)
	if err != nil {
		return err
	}
	rules, err := i.settings.inlineRules()
	if err != nil {
		return err
	}
	i.settings.sayRules(i.log)
	i.authz, err = authz.New(cfg, authz.Deps{Identity: ident, Routes: i.settings.Routes, Rules: rules, Inspect: i.settings.Inspect, Log: i.log, Now: now,
		Authn: authn.Deps{Secret: clientSecret(ring), Keys: i.settings.clientKeys(),
			Quotas: filepath.Join(i.settings.StateDir, "quotas.json")}})
	return err
}

func (i *inline) openLapi() error {
	cfg := i.settings.LAPI
	if !cfg.Enabled() {
		return nil
	}
	cfg.Access.Keys = i.settings.bouncerKeys()
	i.book = exchange.NewBook(exchange.Config{
		Throttles: cfg.Throttle != "", Decisions: i.ledger.ByID, Now: now,
		Released: func(ctx context.Context) ([]enforce.Decision, error) { return i.ledger.ReleasedEarly(ctx, now()) },
	})
	var err error
	i.lapi, err = lapi.New(cfg, lapi.Deps{Book: i.book, Lists: exchange.Handler(i.book, i.credits), Log: i.log, Now: now})
	return err
}

// bouncerKeys is the file with the keys of bouncers.
func (s *Settings) bouncerKeys() string {
	if s.LAPI.Access.Keys != "" {
		return s.LAPI.Access.Keys
	}
	return filepath.Join(s.StateDir, bouncersFile)
}

// gateways are the parts that decisions are pushed to.
func (i *inline) gateways() []enforce.Gateway {
	var list []enforce.Gateway
	if i == nil {
		return nil
	}
	if i.authz != nil {
		list = append(list, i.authz)
	}
	if i.book != nil {
		list = append(list, i.book)
	}
	return list
}

// start runs the parts.
func (i *inline) start(start func(string, func(context.Context) error)) {
	if i.authz != nil {
		start("authz", i.authz.Run)
	}
	if i.lapi != nil {
		start("lapi", i.lapi.Run)
	}
	if i.puller != nil {
		start("lists", i.puller.Run)
	}
	if i.authz != nil || i.book != nil {
		start("standing list", i.follow)
	}
}

// limits are what no list of others may touch.
func (i *inline) limits(ctx context.Context) (exchange.Limits, error) {
	g := i.settings.Enforce.Guard
	l := exchange.Limits{WidestV4: g.WidestV4, WidestV6: g.WidestV6, Private: g.EnforcePrivate}
	allows, err := i.ledger.Allowing(ctx, now())
	if err != nil {
		return l, err
	}
	words := append(append(append([]string(nil), g.Untouchable...), i.settings.Identity.TrustedProxies...), g.Allow...)
	for _, a := range allows {
		words = append(words, a.Value)
	}
	for _, w := range words {
		if p, err := addressed(w); err == nil {
			l.Untouchable = append(l.Untouchable, p)
		} // anything else, such as consumer:alice, is on no list of addresses
	}
	return l, nil
}

// addressed reads an address or a prefix.
func addressed(word string) (netip.Prefix, error) {
	kind := "ip"
	if strings.Contains(word, "/") {
		kind = "cidr"
	}
	return enforce.Prefix(detect.Subject{Kind: kind, Value: strings.TrimSpace(word)})
}

// credits say whose lists are handed on.
func (i *inline) credits() []string {
	out := []string{}
	for _, l := range i.settings.Lists {
		if l.Block() {
			out = append(out, strings.TrimSuffix(l.Name+": "+l.Credit, ": "))
		}
	}
	return out
}

// standbyEvery is how often an enforcer that stands by reads the whole list, besides
// whenever a decision changed.
const standbyEvery = 15 * time.Second

// follow hands on the lists of others, and takes them back while the panic switch is on.
// While no enforcer here is active it keeps the list level with the ledger.
func (i *inline) follow(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var told *[]exchange.Entry
	var mark int64
	var read time.Time
	lifted := false
	for {
		panics, err := i.ledger.Panic(ctx)
		if list := i.pulled.Load(); err == nil && (list != told || lifted != (panics != "")) {
			told, lifted = list, panics != ""
			i.hand(list, lifted)
		}
		if !i.leads() {
			m, err := i.ledger.Mark(ctx)
			if err == nil && (m != mark || now().Sub(read) >= standbyEvery) {
				err = i.stand(ctx)
				mark, read = m, now()
			}
			if err != nil && ctx.Err() == nil {
				i.log.Warn("the list cannot be read while this enforcer stands by; it is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stand gives the parts what the ledger says.
func (i *inline) stand(ctx context.Context) error {
	s, err := i.ledger.Standing(ctx, i.settings.Enforce.Guard, now())
	if err != nil {
		return err
	}
	if s.Panic != "" {
		s.Entries = nil
	}
	var errs []error
	for _, g := range i.gateways() {
		_, err := g.Apply(ctx, s.For(g))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hand gives the parts the lists of others.
func (i *inline) hand(list *[]exchange.Entry, lifted bool) {
	var entries []exchange.Entry
	if list != nil && !lifted {
		entries = *list
	}
	blocks := map[string]bool{}
	for _, l := range i.settings.Lists {
		blocks[l.Name] = l.Block()
	}
	var foreign []authz.Foreign
	var enforced []exchange.Entry
	seen := map[netip.Prefix]int{}
	for _, e := range entries {
		if blocks[e.List] {
			enforced = append(enforced, e)
		}
		f := authz.Foreign{Prefix: e.Prefix, List: e.List, Observe: !blocks[e.List]}
		at, twice := seen[e.Prefix]
		switch {
		case !twice:
			seen[e.Prefix] = len(foreign)
			foreign = append(foreign, f)
		case foreign[at].Observe && !f.Observe: // what is enforced counts
			foreign[at] = f
		}
	}
	if i.authz != nil {
		i.authz.SetForeign(foreign)
	}
	if i.book != nil {
		i.book.SetForeign(enforced)
	}
}

// trouble is what an operator should know of the parts.
func (i *inline) trouble(add func(what, why string)) {
	if i == nil {
		return
	}
	if i.authz != nil {
		if err := i.authz.Health(); err != nil {
			add("authz", strings.TrimPrefix(err.Error(), "authz: "))
		}
	}
	if i.puller != nil {
		for _, s := range i.puller.Status() {
			add("list "+s.Name, s.Error)
		}
	}
}

// inlineListens are the addresses that the settings listen on for the parts.
func (s *Settings) inlineListens() map[string]string {
	out := map[string]string{}
	for key, at := range map[string]string{"authz.listen": s.Authz.Listen, "authz.listen_grpc": s.Authz.ListenGRPC, "lapi.listen": s.LAPI.Listen} {
		if at != "" {
			out[at] = key
		}
	}
	return out
}

// inlineBindable tries the addresses that old settings do not hold already.
func inlineBindable(s, old *Settings) error {
	if _, err := s.inlineRules(); err != nil {
		return err
	}
	bound := old.inlineListens()
	for at, key := range s.inlineListens() {
		if bound[at] != "" {
			continue
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// inlineDescs are there where others ask for decisions, or lists of others are read.
var inlineDescs = []telemetry.Desc{
	{Name: "portcullis_authz_decisions_total", Help: "Requests that authz answered, by outcome.", Kind: telemetry.Counter, Labels: []string{"outcome"}},
	{Name: "portcullis_authz_credentials_total", Help: "Requests whose credentials authz looked at: known, none where none are needed, or why they were refused.", Kind: telemetry.Counter, Labels: []string{"result"}},
	{Name: "portcullis_authz_client_keys", Help: "Secrets of client keys that authz knows; two for a key that is being rotated.", Kind: telemetry.Gauge},
	{Name: "portcullis_authz_quota_skipped_total", Help: "Requests that no quota counted, since there are too many consumers.", Kind: telemetry.Counter},
	{Name: "portcullis_authz_undecided_total", Help: "Requests that authz could not decide on, by reason.", Kind: telemetry.Counter, Labels: []string{"reason"}},
	{Name: "portcullis_authz_entries", Help: "Entries of the list of authz.", Kind: telemetry.Gauge},
	{Name: "portcullis_authz_noted_total", Help: "Requests of clients on lists that are only observed.", Kind: telemetry.Counter},
	{Name: "portcullis_authz_faulty_total", Help: "Requests that were not as they should be, by kind (" + strings.Join(authz.FaultyKinds(), ", ") + ") and by what was done: refused or observed. error: a request that could not be looked at, and passed.", Kind: telemetry.Counter, Labels: []string{"kind", "done"}},
	{Name: "portcullis_authz_forgotten_total", Help: "Clients whose standing limit was forgotten before it was full again: authz.cells is too small.", Kind: telemetry.Counter},
	{Name: "portcullis_lapi_bouncers", Help: "Bouncers that asked within ten minutes.", Kind: telemetry.Gauge},
	{Name: "portcullis_list_entries", Help: "Entries taken of a list of others.", Kind: telemetry.Gauge, Labels: []string{"list"}},
	{Name: "portcullis_list_refused", Help: "Entries of a list of others that may not be enforced.", Kind: telemetry.Gauge, Labels: []string{"list"}},
	{Name: "portcullis_list_age_seconds", Help: "Time since a list of others was last read.", Kind: telemetry.Gauge, Labels: []string{"list"}},
}

// metrics exports the figures of the parts.
func (i *inline) metrics() (*telemetry.Collector, error) {
	return telemetry.NewCollector(inlineDescs, i.emit)
}

func (i *inline) emit(emit func(name string, value float64, labels ...string)) {
	if i.authz != nil {
		s := i.authz.Stats()
		for outcome, n := range map[string]int64{"allowed": s.Allowed, "blocked": s.Blocked, "throttled": s.Throttled, "refused": s.Refused, "faulty": s.FaultyRefused, "open": s.Open, "closed": s.Closed} {
			emit("portcullis_authz_decisions_total", float64(n), outcome)
		}
		emit("portcullis_authz_credentials_total", float64(s.Credentials.Known), "known")
		emit("portcullis_authz_credentials_total", float64(s.Credentials.Nobody), "none")
		for result, n := range s.Credentials.Refused {
			emit("portcullis_authz_credentials_total", float64(n), result)
		}
		emit("portcullis_authz_quota_skipped_total", float64(s.Credentials.Skipped))
		emit("portcullis_authz_client_keys", float64(s.Credentials.Secrets))
		for reason, n := range s.Undecided {
			emit("portcullis_authz_undecided_total", float64(n), reason)
		}
		for f, n := range s.Faulty {
			emit("portcullis_authz_faulty_total", float64(n), f.Kind, f.Done())
		}
		emit("portcullis_authz_entries", float64(s.Entries))
		emit("portcullis_authz_noted_total", float64(s.Noted))
		emit("portcullis_authz_forgotten_total", float64(s.Forgotten))
	}
	if i.lapi != nil {
		n := 0
		for _, b := range i.lapi.Bouncers() {
			if now().Sub(b.Seen) < 10*time.Minute {
				n++
			}
		}
		emit("portcullis_lapi_bouncers", float64(n))
	}
	if i.puller != nil {
		for _, s := range i.puller.Status() {
			emit("portcullis_list_entries", float64(s.Entries), s.Name)
			emit("portcullis_list_refused", float64(s.Refused), s.Name)
			if !s.At.IsZero() {
				emit("portcullis_list_age_seconds", now().Sub(s.At).Seconds(), s.Name)
			}
		}
	}
}
