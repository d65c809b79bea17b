package enforce

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
)

func ip(v string) detect.Subject   { return detect.Subject{Kind: "ip", Value: v} }
func cidr(v string) detect.Subject { return detect.Subject{Kind: "cidr", Value: v} }

var (
	crowd = detect.Standing{Successes: 500, People: 12}
	mass  = detect.Standing{Successes: 5000, People: 400}
)

var key = detect.Subject{Kind: "key", Value: "k_0011223344556677"}

func anything(detect.Subject, string, Action) error { return nil }

// only is a gateway with one action, which cannot tell routes apart.
func only(a Action) func(detect.Subject, string, Action) error {
	return func(_ detect.Subject, route string, b Action) error {
		if a != b || route != "" {
			return errors.New("cannot")
		}
		return nil
	}
}

var guardCases = map[string]struct {
	c      Case
	change func(*GuardConfig)
	action Action
	code   string
	hard   bool
}{
	"a plain client":               {c: Case{Subject: ip("192.0.2.7")}, action: Block},
	"a plain network":              {c: Case{Subject: cidr("203.0.113.128/25")}, action: Block},
	"IPv6":                         {c: Case{Subject: ip("2001:db8::7")}, action: Block},
	"allowed by the configuration": {c: Case{Subject: ip("192.0.2.200")}, code: CodeAllowed, hard: true},
	"allowed inside the network":   {c: Case{Subject: cidr("192.0.2.0/24")}, code: CodeAllowed, hard: true},
	"allowed network":              {c: Case{Subject: ip("2001:db8:a:1::5")}, code: CodeAllowed, hard: true},
	"allowed as mapped address":    {c: Case{Subject: ip("::ffff:192.0.2.200")}, code: CodeAllowed, hard: true},
	"allowed consumer":             {c: Case{Subject: detect.Subject{Kind: "consumer", Value: "partner"}}, code: CodeAllowed, hard: true},
	"allowed by a person":          {c: Case{Subject: ip("192.0.2.7"), Now: 10, Allows: []Allow{{Value: "192.0.2.0/29", Expires: 11}}}, code: CodeAllowed, hard: true},
	"an allow that is over":        {c: Case{Subject: ip("192.0.2.7"), Now: 11, Allows: []Allow{{Value: "192.0.2.0/29", Expires: 11}}}, action: Block},
	"an allow for good":            {c: Case{Subject: ip("192.0.2.7"), Now: 11, Allows: []Allow{{Value: "192.0.2.7"}}}, code: CodeAllowed, hard: true},
	"a person cannot overrule it":  {c: Case{Subject: ip("192.0.2.200"), Person: true}, code: CodeAllowed, hard: true},
	"a trusted hop":                {c: Case{Subject: ip("198.51.100.3")}, code: CodeTrusted, hard: true},
	"a network with a trusted hop": {c: Case{Subject: cidr("198.51.100.0/24")}, code: CodeTrusted, hard: true},
	"a trusted hop by a person":    {c: Case{Subject: ip("203.0.113.9"), Person: true}, code: CodeTrusted, hard: true},
	"RFC 1918":                     {c: Case{Subject: ip("10.1.2.3")}, code: CodePrivate, hard: true},
	"RFC 1918, allowed to":         {c: Case{Subject: ip("172.16.9.9")}, change: func(c *GuardConfig) { c.EnforcePrivate = true }, action: Block},
	"CGNAT":                        {c: Case{Subject: ip("100.64.1.1")}, code: CodePrivate, hard: true},
	"not CGNAT":                    {c: Case{Subject: ip("100.128.0.1")}, action: Block},
	"ULA":                          {c: Case{Subject: ip("fd12::1")}, code: CodePrivate, hard: true},
	"link-local":                   {c: Case{Subject: ip("fe80::1%eth0")}, code: CodePrivate, hard: true},
	"loopback":                     {c: Case{Subject: ip("127.0.0.1")}, code: CodePrivate, hard: true},
	"mapped loopback":              {c: Case{Subject: ip("::ffff:127.0.0.1")}, code: CodePrivate, hard: true},
	"multicast is no client":       {c: Case{Subject: ip("239.1.1.1")}, change: func(c *GuardConfig) { c.EnforcePrivate = true }, code: CodePrivate, hard: true},
	"too wide":                     {c: Case{Subject: cidr("203.0.112.0/23")}, code: CodeTrusted, hard: true},
	"wider than /24":               {c: Case{Subject: cidr("8.8.0.0/23")}, code: CodeWide, hard: true},
	"wider than /56":               {c: Case{Subject: cidr("2001:db8::/55")}, code: CodeWide, hard: true},
	"the widest":                   {c: Case{Subject: cidr("2001:db8::/56")}, action: Block},
	"everything":                   {c: Case{Subject: cidr("0.0.0.0/0"), Person: true}, code: CodeAllowed, hard: true},
	"a consumer":                   {c: Case{Subject: detect.Subject{Kind: "consumer", Value: "alice"}}, code: CodeUnsupported, hard: true},
	"no address":                   {c: Case{Subject: ip("\x00; drop")}, code: CodeUnsupported, hard: true},
	"an action nobody has":         {c: Case{Subject: ip("192.0.2.7"), Action: Revoke}, code: CodeUnsupported, hard: true},
	"people behind it":             {c: Case{Subject: ip("192.0.2.7"), Standing: crowd}, action: Throttle, code: CodePeople},
	"people, throttled":            {c: Case{Subject: ip("192.0.2.7"), Standing: crowd, Action: Throttle}, action: Throttle},
	"people, by a person":          {c: Case{Subject: ip("192.0.2.7"), Standing: mass, Person: true}, action: Block},
	"very many people":             {c: Case{Subject: ip("192.0.2.7"), Standing: mass, Action: Throttle}, code: CodePeople},
	"just within the budget":       {c: Case{Subject: ip("192.0.2.7"), Standing: detect.Standing{Successes: 900, People: 3}}, action: Block},
	"many successes of two": {c: Case{Subject: ip("192.0.2.7"), Standing: detect.Standing{Successes: 900, People: 2}},
		change: func(c *GuardConfig) { c.Successes = 800 }, action: Throttle, code: CodePeople},
	"the panic switch":     {c: Case{Subject: ip("192.0.2.7"), Panic: true}, code: CodePanic},
	"behind":               {c: Case{Subject: ip("192.0.2.7"), Inputs: Inputs{Lag: 6 * time.Minute}}, code: CodeLag},
	"a little behind":      {c: Case{Subject: ip("192.0.2.7"), Inputs: Inputs{Lag: 5 * time.Minute}}, action: Block},
	"too many a minute":    {c: Case{Subject: ip("192.0.2.7"), Recent: 60}, code: CodeBreaker},
	"too many in force":    {c: Case{Subject: ip("192.0.2.7"), Live: 10000}, code: CodeBreaker},
	"breaker, by a person": {c: Case{Subject: ip("192.0.2.7"), Recent: 60, Live: 10000, Person: true}, action: Block},
	"too much good traffic": {c: Case{Subject: ip("192.0.2.7"), Standing: detect.Standing{Successes: 60, People: 2}, Good: 50, Inputs: Inputs{Good: 1000}},
		code: CodeBreaker},
	"people, on a route": {c: Case{Subject: ip("192.0.2.7"), Route: "/login", Standing: crowd, Can: anything}, action: Throttle, code: CodePeople},
	"people, challenged": {c: Case{Subject: ip("192.0.2.7"), Standing: crowd, Can: anything},
		change: func(c *GuardConfig) { c.Challenge = true }, action: Challenge, code: CodePeople},
	"people, no throttle to be had":  {c: Case{Subject: ip("192.0.2.7"), Standing: crowd, Can: only(Block)}, code: CodePeople},
	"members, not known":             {c: Case{Subject: ip("192.0.2.7"), Blind: true}, action: Throttle, code: CodeUnknown},
	"a key":                          {c: Case{Subject: key, Can: anything}, action: Block},
	"a key without a value":          {c: Case{Subject: detect.Subject{Kind: "key"}, Can: anything}, code: CodeUnsupported, hard: true},
	"a system":                       {c: Case{Subject: detect.Subject{Kind: "asn", Value: "AS64500"}, Can: anything}, code: CodeWide},
	"a system, by a person":          {c: Case{Subject: detect.Subject{Kind: "asn", Value: "AS64500"}, Can: anything, Person: true}, action: Block},
	"all traffic":                    {c: Case{Subject: detect.Subject{Kind: "global", Value: "all"}, Can: anything, Person: true}, code: CodeUnsupported, hard: true},
	"only throttles to be had":       {c: Case{Subject: key, Can: only(Throttle)}, action: Throttle, code: CodeUnsupported},
	"only blocks to be had":          {c: Case{Subject: key, Action: Throttle, Can: only(Block)}, code: CodeUnsupported, hard: true},
	"revoke":                         {c: Case{Subject: key, Action: Revoke, Can: anything}, code: CodeFinal},
	"revoke, by a person":            {c: Case{Subject: key, Action: Revoke, Can: anything, Person: true}, action: Revoke},
	"revoke, to nobody":              {c: Case{Subject: key, Action: Revoke, Can: only(Block)}, code: CodeUnsupported, hard: true},
	"a lone flooder's own successes": {c: Case{Subject: ip("192.0.2.7"), Standing: detect.Standing{Successes: 900, People: 1}, Inputs: Inputs{Good: 1000}}, action: Block},
}

func TestGuard(t *testing.T) {
	cfg := DefaultConfig().Guard
	cfg.Allow = []string{"192.0.2.200", "consumer:partner", "2001:db8:a::/48"}
	cfg.Untouchable = []string{"198.51.100.0/28", "::ffff:203.0.113.9"}
	for name, c := range guardCases {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			if c.change != nil {
				c.change(&cfg)
			}
			g, err := NewGuard(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if c.c.Action == "" {
				c.c.Action = Block
			}
			r := g.Check(c.c)
			if r.Action != c.action || r.Code != c.code || r.Hard != c.hard {
				t.Errorf("got %q code=%q hard=%v (%s), want %q %q %v", r.Action, r.Code, r.Hard, r.Why, c.action, c.code, c.hard)
			}
			if (r.Code != "") != (r.Why != "") || strings.ContainsAny(r.Why, "\x00\n") {
				t.Errorf("the reason for %q is %q", r.Code, r.Why)
			}
		})
	}
}

func TestGuardCapsTime(t *testing.T) {
	g, err := NewGuard(DefaultConfig().Guard)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[time.Duration]time.Duration{0: time.Second, -5: time.Second, time.Hour: time.Hour, 9000 * time.Hour: 720 * time.Hour} {
		if got := g.Cap(in); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":             "plain",
		"a\nb\x1b[2Jc\x00d": "a·b·[2Jc·d",
		"bad \xff byte":     "bad · byte",
		"Grüße €":           "Grüße €",
		"rtl \u202e trick":  "rtl · trick",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("€", 1000), strings.Repeat("\x00", 1000), strings.Repeat("x", 399) + "€"} {
		if got := clean(long); len(got) > textMax || !strings.HasPrefix(strings.ReplaceAll(long, "\x00", "·"), strings.TrimRight(got, "·")) {
			t.Errorf("%q… becomes %d bytes: %q", long[:9], len(got), got)
		}
	}
}
