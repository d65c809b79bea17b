package enforce

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Guard says what enforcement must not do. It is pure, and every refusal comes
// with its reason in words.
type Guard struct {
	cfg         GuardConfig
	allow       []selector
	untouchable []netip.Prefix
}

// NewGuard checks the configuration and builds the guard.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	allow, err := newSelectors(cfg.Allow)
	if err != nil {
		return nil, err
	}
	never, err := parsePrefixes(cfg.Untouchable)
	if err != nil {
		return nil, err
	}
	return &Guard{cfg: cfg, allow: allow, untouchable: never}, nil
}

// Allow is an entry of the allow-list, which always wins.
type Allow struct {
	Value   string // address, prefix or kind:value
	Why, By string
	Created int64 // Unix nanoseconds
	Expires int64 // 0 = never
}

// Inputs is what the guard needs to know of the rest of the program.
type Inputs struct {
	Lag  time.Duration // how far detection is behind the log
	Good int64         // requests answered below 400 in the last 24 hours, of all subjects; 0 = not known
}

// Case is one action the policy wants, and what else is in force.
type Case struct {
	Subject  detect.Subject
	Route    string // the route most concerned; "" = none
	Action   Action
	Blind    bool // the Standing is not known: the subject is one of many that were found together
	Standing detect.Standing
	Allows   []Allow // the allow-list of the ledger
	Now      int64   // Unix nanoseconds
	Person   bool    // a person asked for it: only the hard limits hold
	Panic    bool    // the panic switch is on
	Live     int     // decisions in force
	Recent   int     // decisions put in force within the last minute
	Good     int64   // successful requests of the shared subjects in force
	Inputs   Inputs
	// Can says why no gateway can hold such a decision; nil = as if there were one
	// that lists addresses.
	Can func(s detect.Subject, route string, a Action) error
}

func (c *Case) can(route string, a Action) error {
	if c.Can != nil {
		return c.Can(c.Subject, route, a)
	}
	t, err := targetOf(c.Subject, route)
	if err != nil {
		return err
	}
	return Holds(noGateway{}, t, a)
}

// Ruling is the guard's answer. Code "" lets the action pass as asked; with
// Action set to a weaker one it passes narrowed; otherwise it waits.
type Ruling struct {
	Action Action // what may be done; "" = nothing
	Route  string // confined to this route; "" = everywhere
	Code   string
	Why    string
	Hard   bool // not even a person can overrule it; the configuration can
}

func withheld(code string, hard bool, format string, args ...any) Ruling {
	return Ruling{Code: code, Hard: hard, Why: "withheld: " + fmt.Sprintf(format, args...)}
}

// Check rules on a case.
func (g *Guard) Check(c Case) Ruling {
	if a, ok := g.allowed(c); ok {
		return withheld(CodeAllowed, true, "%s is on the allow-list (%s)", a.Value, clean(a.Why))
	}
	t, err := targetOf(c.Subject, "")
	if err != nil {
		return withheld(CodeUnsupported, true, "%s", strings.TrimPrefix(err.Error(), "enforce: "))
	}
	if t.Prefix.IsValid() {
		if r := g.place(t.Prefix); r.Code != "" {
			return r
		}
	}
	asked := c.Action
	if err := c.settle(); err != nil {
		return withheld(CodeUnsupported, true, "%s", strings.TrimPrefix(err.Error(), "enforce: "))
	}
	if c.Person {
		return Ruling{Action: c.Action}
	}
	if r := g.brakes(c); r.Code != "" {
		return r
	}
	r := g.blast(c)
	if r.Action != "" && r.Action == c.Action && asked != c.Action {
		r.Code, r.Why = CodeUnsupported, fmt.Sprintf("narrowed to %s: no gateway here can %s it", c.Action, asked)
	}
	return r
}

// settle makes the action of a case one that a gateway can hold: the strongest that is
// no stronger than what was asked for. Nothing takes the place of what cannot be undone.
func (c *Case) settle() error {
	err := c.can("", c.Action)
	if err == nil || c.Action == Revoke {
		return err
	}
	for _, a := range [...]Action{Block, Tarpit, Throttle, Challenge} {
		if stronger(c.Action, a) && c.can("", a) == nil {
			c.Action = a
			return nil
		}
	}
	return err
}

func (g *Guard) allowed(c Case) (Allow, bool) {
	for _, s := range g.allow {
		if s.matches(c.Subject) {
			return Allow{Value: s.String(), Why: "by the configuration"}, true
		}
	}
	for _, a := range c.Allows {
		if a.Expires != 0 && a.Expires <= c.Now {
			continue
		}
		if s, err := newSelector(a.Value); err == nil && s.matches(c.Subject) {
			if a.By != "" {
				a.Why = fmt.Sprintf("by %s: %s", clean(a.By), a.Why)
			}
			return a, true
		}
	}
	return Allow{}, false
}

// The ranges that are never clients from outside: RFC 1918, RFC 6598 (CGNAT),
// RFC 3927 and RFC 4291 (link-local), RFC 1122 and RFC 4291 (loopback), RFC
// 4193 (ULA).
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fc00::/7"),
}

// The ranges that are never a source at all: RFC 1122 ("this" network, limited
// broadcast), RFC 5771 and RFC 4291 (multicast, unspecified).
var impossible = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/3"),
	netip.MustParsePrefix("::/128"), netip.MustParsePrefix("ff00::/8"),
}

// place rules on where the prefix lies.
func (g *Guard) place(p netip.Prefix) Ruling {
	if q, ok := inAny(g.untouchable, p); ok {
		return withheld(CodeTrusted, true, "%s is a trusted hop or the gateway itself (guard.untouchable: %s)", p, q)
	}
	if q, ok := inAny(impossible, p); ok {
		return withheld(CodePrivate, true, "%s lies in %s, which is never a client: the log or the trusted hops are wrong", p, q)
	}
	if q, ok := inAny(private, p); ok && !g.cfg.EnforcePrivate {
		return withheld(CodePrivate, true, "%s lies in the private range %s: set guard.enforce_private, or name the trusted hops before it", p, q)
	}
	widest := g.cfg.WidestV4
	if p.Addr().Is6() {
		widest = g.cfg.WidestV6
	}
	if p.Bits() < widest {
		return withheld(CodeWide, true, "%s is wider than /%d, the widest that guard.widest_v4 and widest_v6 allow", p, widest)
	}
	return Ruling{}
}

// brakes rules on the state of the whole: is this a moment to enforce at all?
func (g *Guard) brakes(c Case) Ruling {
	switch {
	case c.Panic:
		return withheld(CodePanic, false, "the panic switch is on: \"resume\" ends it")
	case c.Inputs.Lag > g.cfg.MaxLag:
		return withheld(CodeLag, false, "detection is %s behind, over guard.max_lag (%s): it may no longer be true",
			c.Inputs.Lag.Round(time.Second), g.cfg.MaxLag)
	case c.Recent >= g.cfg.PerMinute:
		return withheld(CodeBreaker, false, "circuit breaker: %d decisions within a minute (guard.per_minute); approve it, or raise the bound", c.Recent)
	case c.Live >= g.cfg.Live:
		return withheld(CodeBreaker, false, "circuit breaker: %d decisions in force (guard.live); approve it, or raise the bound", c.Live)
	}
	if good := c.Good + shared(c.Standing); c.Inputs.Good > 0 && c.Standing.People >= 2 &&
		float64(good) > g.cfg.GoodShare*float64(c.Inputs.Good) {
		return withheld(CodeBreaker, false, "circuit breaker: with it, subjects that stand for %.0f%% of all successful requests would be under decisions (guard.good_share)",
			100*float64(good)/float64(c.Inputs.Good))
	}
	return Ruling{}
}

// shared is the good traffic that a decision puts at risk. A subject with one
// person behind it risks none: a lone flooder's own requests succeed too.
func shared(s detect.Standing) int64 {
	if s.People < 2 {
		return 0
	}
	return s.Successes
}

// wide tells the kinds of subjects that stand for everybody of a place, a network or
// a route: whoever hits one hits strangers, however few were seen so far.
func wide(kind string) bool { return kind == "asn" || kind == "country" || kind == "route" }

// blast rules on who else would be hit.
func (g *Guard) blast(c Case) Ruling {
	s := c.Standing
	switch {
	case c.Action == Revoke:
		return withheld(CodeFinal, false, "whoever has the key is locked out, and where the authorization server revokes it, for good: approve it if that is meant")
	case wide(c.Subject.Kind):
		return withheld(CodeWide, false, "everybody of that %s would be hit: approve it if they may be", c.Subject.Kind)
	case s.People > int64(g.cfg.PeopleWait):
		return withheld(CodePeople, false, "about %d people with successful requests stand behind it (guard.people_wait: %d): approve it if they may be hit",
			s.People, g.cfg.PeopleWait)
	case c.Blind:
		return g.narrowed(c, CodeUnknown, "it was found together with others, and who else stands behind it is not known")
	case s.People > int64(g.cfg.People):
		return g.narrowed(c, CodePeople, "about %d people with successful requests stand behind it (guard.people: %d)", s.People, g.cfg.People)
	case g.cfg.Successes > 0 && shared(s) > g.cfg.Successes:
		return g.narrowed(c, CodePeople, "%d successful requests of about %d people in 24 h (guard.successes: %d)", s.Successes, s.People, g.cfg.Successes)
	}
	return Ruling{Action: c.Action}
}

// narrowed picks the narrowest that is left to do about a subject that others share: a
// throttle on the route in question, where a gateway can confine it; else a challenge,
// where those are wanted; else a throttle.
func (g *Guard) narrowed(c Case, code, format string, args ...any) Ruling {
	why := fmt.Sprintf(format, args...)
	switch {
	case c.Route != "" && c.can(c.Route, Throttle) == nil:
		return Ruling{Action: Throttle, Route: c.Route, Code: code, Why: fmt.Sprintf("narrowed to a throttle on %s: %s", clean(c.Route), why)}
	case c.Action == Throttle || c.Action == Challenge:
		return Ruling{Action: c.Action}
	case g.cfg.Challenge && c.can("", Challenge) == nil:
		return Ruling{Action: Challenge, Code: code, Why: "narrowed to a challenge: " + why}
	case c.can("", Throttle) == nil:
		return Ruling{Action: Throttle, Code: code, Why: "narrowed to a throttle: " + why}
	}
	return withheld(code, false, "%s, and no gateway here can throttle it: approve it if they may be hit", why)
}

// Cap bounds how long a decision lasts.
func (g *Guard) Cap(d time.Duration) time.Duration { return min(max(d, time.Second), g.cfg.MaxExpiry) }

// collateral says in words who else stands behind a subject.
func collateral(s detect.Standing) string {
	switch {
	case s.Successes == 0:
		return "nobody else seen: no successful request in 24 h"
	case s.People <= 1:
		return fmt.Sprintf("%d successful requests in 24 h, of one person as far as seen", s.Successes)
	}
	return fmt.Sprintf("%d successful requests in 24 h, of about %d people", s.Successes, s.People)
}
