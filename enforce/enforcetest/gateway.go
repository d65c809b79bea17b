// Package enforcetest is the contract suite that every gateway runs against the
// real thing, and a simulated gateway for tests of what stands behind one.
package enforcetest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// Probe is how the suite looks at a gateway from outside. Status is required.
// Where another field is nil, the tests that need it are skipped with the
// reason.
type Probe struct {
	// Status sends one request as the client and returns the status it got.
	Status func(t testing.TB, client netip.Addr) int
	// Break makes the next Apply fail, as a refused configuration or a stopped
	// gateway's tooling would, and returns what mends it.
	Break func(t testing.TB) (mend func())
	// Restart brings the gateway up again with nothing in it, while the Gateway
	// value stays.
	Restart func(t testing.TB)
	// Held returns all the text that the gateway was given: files, commands.
	Held func(t testing.TB) string
	// Ask sends one request and returns the status it got; needed where the gateway
	// holds more than addresses. Routes are asked for where it says that it can.
	Ask func(t testing.TB, a Ask) int
	// Kinds of subjects besides addresses that the gateway must hold, as Ask can ask.
	Kinds []string
	// Values gives a subject of a kind that the gateway can hold, and another one,
	// where they are not free to choose.
	Values func(kind string) (value, other string)
	// Patience is how long after Apply a request may still be answered by the old
	// state; 0 = 5 s. The suite polls.
	Patience time.Duration
	// Sabotage is what may happen behind the back of whoever pushes.
	Sabotage Saboteur
	// Revocable are the kinds of subjects of which the gateway takes keys away for a while:
	// it must answer 401 to "alice" and "bob" of them while they are revoked, 200 otherwise.
	Revocable []string
	// Credentials is all that the gateway has of credentials, as text: once nothing is
	// revoked any more, it must be what it was.
	Credentials func(t testing.TB) string
	// Again makes another Gateway value that pushes to the same gateway, as our restart does.
	Again func(t testing.TB) enforce.Gateway
	// Remembers: the gateway itself says what it holds, so that another Gateway value has
	// nothing to change.
	Remembers bool
	// Many is how many entries the large set has; 0 = 10 000.
	Many int
}

// Gateway runs the contract. open is called once per test, and cleans up by
// t.Cleanup.
func Gateway(t *testing.T, open func(t *testing.T) (enforce.Gateway, Probe)) {
	for _, c := range []struct {
		name string
		run  func(*harness)
	}{
		{"block and release", blockAndRelease},
		{"prefixes", prefixes},
		{"throttle", throttle},
		{"a change of action", changeOfAction},
		{"other actions", otherActions},
		{"applying again changes nothing", idempotent},
		{"only the difference counts", difference},
		{"many entries", many},
		{"hostile words", hostile},
		{"a failure keeps the last good state", failure},
		{"an ended context", ended},
		{"a restart that forgot everything", restart},
		{"sabotage", sabotage},
		{"check", check},
		{"other subjects", subjects},
		{"other subjects, throttled", throttledSubjects},
		{"revoked", revoked},
		{"taken over", takenOver},
		{"routes", routes},
		{"hostile subjects", hostileSubjects},
		{"hostile routes", hostileRoutes},
	} {
		t.Run(c.name, func(t *testing.T) {
			gw, probe := open(t)
			if probe.Patience == 0 {
				probe.Patience = 5 * time.Second
			}
			if probe.Many == 0 {
				probe.Many = 10000
			}
			c.run(&harness{T: t, gw: gw, probe: probe})
		})
	}
}

type harness struct {
	*testing.T
	gw    enforce.Gateway
	probe Probe
}

// entry blocks an address or a prefix.
func entry(text string) enforce.Entry {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a := netip.MustParseAddr(text)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	return enforce.Entry{Decision: "d-" + text, Prefix: p.Masked(), Action: enforce.Block, Why: "12 refused logins"}
}

func throttled(text string, rate float64, burst int) enforce.Entry {
	e := entry(text)
	e.Action, e.Rate, e.Burst = enforce.Throttle, rate, burst
	return e
}

// apply must succeed, and hold as many entries as it was given.
func (h *harness) apply(want ...enforce.Entry) enforce.Applied {
	h.Helper()
	got, err := h.gw.Apply(h.Context(), want)
	if err != nil {
		h.Fatalf("Apply of %d entries: %v", len(want), err)
	}
	if got.Entries != len(want) {
		h.Errorf("Applied.Entries is %d after %d were applied: it counts what the gateway holds", got.Entries, len(want))
	}
	if got.At.IsZero() {
		h.Error("Applied.At is not set: the enforcer tells by it when a decision was in force")
	}
	return got
}

// want polls until every client gets its status, or patience is over. A reload
// may leave the old state in force for a moment.
func (h *harness) want(status int, clients ...string) {
	h.Helper()
	again := h.patience()
	for _, c := range clients {
		a := netip.MustParseAddr(c)
		got := h.probe.Status(h, a)
		for got != status && again() {
			got = h.probe.Status(h, a)
		}
		if got != status {
			h.Errorf("%s got status %d, want %d", c, got, status)
		}
	}
}

// patience tells, each time it is asked, whether it is worth asking again.
func (h *harness) patience() func() bool {
	deadline := time.Now().Add(h.probe.Patience)
	return func() bool { return time.Now().Before(deadline) }
}

func blockAndRelease(h *harness) {
	h.want(200, "192.0.2.1", "2001:db8::1")
	h.apply(entry("192.0.2.1"), entry("2001:db8::1"))
	h.want(403, "192.0.2.1", "2001:db8::1")
	h.want(200, "192.0.2.2", "2001:db8::2", "198.51.100.1")
	h.apply(entry("2001:db8::1"))
	h.want(200, "192.0.2.1")
	h.want(403, "2001:db8::1")
	h.apply()
	h.want(200, "192.0.2.1", "2001:db8::1")
}

func prefixes(h *harness) {
	h.apply(entry("192.0.2.128/25"), entry("2001:db8:1::/56"), entry("198.51.100.7/32"))
	h.want(403, "192.0.2.128", "192.0.2.255", "2001:db8:1:ff::9", "198.51.100.7")
	h.want(200, "192.0.2.127", "2001:db8:1:100::9", "198.51.100.6", "198.51.100.8")
}

func throttle(h *harness) {
	if e := throttled("203.0.113.5", 1, 3); !h.can(e) {
		h.refuses(e)
		return
	}
	h.apply(throttled("203.0.113.5", 1, 3), throttled("2001:db8::5", 1, 3))
	for _, c := range []string{"203.0.113.5", "2001:db8::5"} {
		a := netip.MustParseAddr(c)
		passed, denied := 0, 0
		for again := h.patience(); denied == 0 && again(); {
			switch got := h.probe.Status(h, a); got {
			case 429:
				denied++
			case 200:
				passed++
			default:
				h.Fatalf("%s got status %d under a throttle, want 200 or 429", c, got)
			}
		}
		if passed == 0 || denied == 0 {
			h.Errorf("%s under a throttle: %d passed, %d got 429; a throttle lets some through and denies the rest", c, passed, denied)
		}
	}
	h.want(200, "203.0.113.6")
	h.apply()
	for range 20 {
		h.want(200, "203.0.113.5")
	}
}

// refuses demands that what the gateway says it cannot hold is refused, and changes nothing.
func (h *harness) refuses(e enforce.Entry) {
	h.Helper()
	h.apply(entry("192.0.2.1"))
	if _, err := h.gw.Apply(h.Context(), []enforce.Entry{e}); err == nil {
		h.Errorf("it says that it cannot %s, and takes such an entry", e.Action)
	}
	h.want(403, "192.0.2.1")
}

func changeOfAction(h *harness) {
	if !h.can(throttled("203.0.113.5", 1, 3)) {
		h.Log("does not apply: the gateway can only block")
		return
	}
	h.apply(throttled("203.0.113.5", 1, 3))
	if got := h.apply(entry("203.0.113.5")); got.Changed == 0 {
		h.Error("Applied.Changed is 0 though a throttle became a block")
	}
	h.want(403, "203.0.113.5")
}

func idempotent(h *harness) {
	set := []enforce.Entry{entry("192.0.2.1"), throttled("203.0.113.5", 2, 5), entry("2001:db8::/56")}
	if !h.can(set[1]) {
		set[1] = entry("203.0.113.5")
	}
	if got := h.apply(set...); got.Changed == 0 {
		h.Error("Applied.Changed is 0 for a first set of three")
	}
	if got := h.apply(set...); got.Changed != 0 {
		h.Errorf("Applied.Changed is %d when the same set is applied again", got.Changed)
	}
	if got := h.apply(set[2], set[0], set[1]); got.Changed != 0 {
		h.Errorf("Applied.Changed is %d when the same set comes in another order", got.Changed)
	}
	h.want(403, "192.0.2.1")
}

func difference(h *harness) {
	h.apply(entry("192.0.2.1"), entry("192.0.2.2"), entry("192.0.2.3"))
	if got := h.apply(entry("192.0.2.1"), entry("192.0.2.3"), entry("192.0.2.4")); got.Changed != 2 {
		h.Errorf("Applied.Changed is %d after one entry went and one came, want 2", got.Changed)
	}
	h.want(403, "192.0.2.1", "192.0.2.3", "192.0.2.4")
	h.want(200, "192.0.2.2")
}

func many(h *harness) {
	n := h.probe.Many
	if testing.Short() { // the race detector sees as much in a thousand
		n = min(n, 1000)
	}
	set := make([]enforce.Entry, n)
	for i := range set {
		set[i] = entry(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	first, last := set[0].Prefix.Addr().String(), set[len(set)-1].Prefix.Addr().String()
	start := time.Now()
	h.apply(set...)
	h.want(403, first, last)
	h.Logf("%d entries in force after %s", len(set), time.Since(start).Round(time.Millisecond))
	start = time.Now()
	h.apply(set[1:]...)
	h.want(200, first)
	h.want(403, last)
	h.Logf("one of them removed after %s", time.Since(start).Round(time.Millisecond))
}

// hostileWords are what an attacker could get into a reason: the syntax of
// configuration files, command lines and terminals. CANARY must not be held
// as words of its own anywhere.
var hostileWords = []string{
	"CANARY;} server { listen 1; }", "CANARY\n0.0.0.0/0 1;\n", "\"CANARY\"; include /etc/passwd;", "'; CANARY",
	"# CANARY\r\ndefault 1;", "$CANARY ${CANARY}", "CANARY \\", "\x00CANARY\x1b[2J", "*/ CANARY /*", "`CANARY` $(CANARY)",
}

func hostile(h *harness) {
	var set []enforce.Entry
	for i, w := range hostileWords {
		e := entry(fmt.Sprintf("192.0.2.%d", i+1))
		e.Why, e.Decision = w, fmt.Sprintf("d%d-%s", i, w)
		set = append(set, e)
	}
	h.apply(set...)
	for i := range hostileWords {
		h.want(403, fmt.Sprintf("192.0.2.%d", i+1))
	}
	h.want(200, "198.51.100.1", "192.0.2.200", "2001:db8::1")
	if h.probe.Held == nil {
		h.Log("does not apply: the look at what the gateway holds: the probe has no Held")
		return
	}
	if held := h.probe.Held(h); strings.Contains(held, "CANARY") {
		h.Error("words of a reason or of an id reached the gateway's configuration: nothing there may be text that others chose")
	}
}

func failure(h *harness) {
	if h.probe.Break == nil {
		h.Log("does not apply: the probe has no Break")
		return
	}
	h.apply(entry("192.0.2.1"))
	h.want(403, "192.0.2.1")
	mend := h.probe.Break(h)
	if _, err := h.gw.Apply(h.Context(), []enforce.Entry{entry("192.0.2.9")}); err == nil {
		h.Error("Apply succeeded though the gateway was broken")
	}
	h.want(403, "192.0.2.1")
	h.want(200, "192.0.2.9")
	mend()
	h.apply(entry("192.0.2.9"))
	h.want(403, "192.0.2.9")
	h.want(200, "192.0.2.1")
}

func ended(h *harness) {
	h.apply(entry("192.0.2.1"))
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	if _, err := h.gw.Apply(ctx, []enforce.Entry{entry("192.0.2.9")}); err == nil {
		h.Error("Apply succeeded with a context that had ended")
	}
	h.want(403, "192.0.2.1")
	h.apply(entry("192.0.2.9"))
	h.want(403, "192.0.2.9")
}

func restart(h *harness) {
	if h.probe.Restart == nil {
		h.Log("does not apply: the probe has no Restart")
		return
	}
	h.apply(entry("192.0.2.1"))
	h.want(403, "192.0.2.1")
	h.probe.Restart(h)
	h.apply(entry("192.0.2.1"))
	h.want(403, "192.0.2.1")
}

func check(h *harness) {
	if err := h.gw.Check(h.Context()); err != nil {
		h.Errorf("Check of a gateway in order: %v", err)
	}
	if h.gw.Name() == "" {
		h.Error("Name is empty: the ledger and the metrics need one")
	}
	h.apply(entry("192.0.2.1"))
	if err := h.gw.Check(h.Context()); err != nil {
		h.Errorf("Check after an Apply: %v", err)
	}
	h.want(403, "192.0.2.1")
}
