package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// wholeWay has one certain attempt blocked and three doubtful ones throttled, both for a
// few seconds.
var wholeWay = course{own: true, enforce: `enforce:
  policy: {families: {injection: enforce}, near_certain: 2, block: 7, rate: 0.5, burst: 5, expiry: {first: 8s}}
  push: {retry_min: 100ms, retry_max: 300ms, debounce: 20ms, poll: 50ms}
`}

// doubtful is what three of make a medium finding.
const doubtful = "/api/v1/search?q=..%2F..%2F..%2Fx"

// keeps is how many requests at once a throttle of wholeWay lets pass at each gateway, which
// docs/gateways.md describes. A gateway that cannot throttle is not here.
var keeps = map[string]int{"nginx": 6, "nginx-lua": 5, "haproxy": 5, "authz": 6}

// TestE2EWholeWay goes the whole way on each real gateway, by the log that it writes itself:
// attack, finding, decision, pushed, the attacker's next request refused, seen to hold, over,
// let in again; and a throttle, which lets just its rate pass and answers 429 beyond. Honest
// clients ask all the while.
func TestE2EWholeWay(t *testing.T) {
	if testing.Short() {
		t.Skip("long: leave out -short")
	}
	t.Parallel()
	for _, g := range guardedGateways {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			if w := g.open(t, wholeWay); w != nil { // else it ran elsewhere
				w.goWholeWay(keeps[g.name])
			}
		})
	}
}

func (g *guarded) goWholeWay(keeps int) {
	t := g.r.t
	defer g.client.CloseIdleConnections()
	attacker, doubted := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	honest := g.honest(50 * time.Millisecond)
	g.attack(attacker, attackTarget)
	for range 3 {
		g.attack(doubted, doubtful)
	}
	await(t, "the attacker is refused", g.r.words, func() bool { return refusal(g.ask(attacker), g.tells) })
	throttle := g.r.awaitDecision(doubted.String(), "is made", func(d decisionObject) bool { return keeps == 0 || d.PushedAt != "" })
	if keeps > 0 {
		g.throttled(doubted, keeps)
	} else if throttle.State != "proposed" || throttle.Code != "unsupported" || g.ask(doubted) != nil {
		t.Errorf("the gateway cannot throttle, and the decision is %+v; its subject gets %v", throttle, g.ask(doubted))
	}
	if g.tells != "peer" { // what a packet filter drops shows in no log
		g.r.awaitDecision(attacker.String(), "is seen to hold", func(d decisionObject) bool {
			err := g.ask(attacker)
			return d.State == "verified" || err == nil // the story says whether it was over before
		})
	}
	var last error
	again := func(who netip.Addr) {
		await(t, who.String()+" is let in again", func() string { return fmt.Sprintf("%v\n%s", last, g.r.said) }, func() bool {
			last = g.ask(who)
			return last == nil
		})
	}
	again(attacker)
	again(doubted)
	g.story(attacker, "block", g.tells != "peer")
	if keeps > 0 {
		g.story(doubted, "throttle", true)
		for i := range keeps + 5 {
			if err := g.ask(doubted); err != nil {
				t.Errorf("after the throttle, request %d: %v", i, err)
			}
		}
	}
	if failed, dropped, all := honest(); failed > 0 || dropped > 0 && !g.drops || all < 20 {
		t.Errorf("of %d honest requests %d got a wrong answer and %d none\n%s", all, failed, dropped, g.r.said)
	}
	g.r.down()
}

// attack sends what nobody else does; it is let through.
func (g *guarded) attack(who netip.Addr, target string) {
	if resp, err := g.fetch(who, target); err != nil || resp.StatusCode != http.StatusOK {
		g.r.t.Errorf("the attack of %s is answered %v, %v", who, resp, err)
	}
}

// throttled asks as fast as it can: as many pass as the throttle lets, and those that have
// come due meanwhile.
func (g *guarded) throttled(who netip.Addr, keeps int) {
	t := g.r.t
	passed, start := 0, time.Now()
	for range 20 {
		resp, err := g.fetch(who, "/api/v1/products")
		switch {
		case err != nil:
			t.Error(err)
		case resp.StatusCode == http.StatusOK:
			passed++
		case resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "":
			t.Errorf("beyond the rate it is answered %d %v", resp.StatusCode, resp.Header)
		}
	}
	if due := int(time.Since(start).Seconds() * 0.5); passed < keeps || passed > keeps+due {
		t.Errorf("%d of 20 requests passed, want %d, and %d more that came due", passed, keeps, due)
	}
}

// story holds the history of the one decision about somebody against the whole way.
func (g *guarded) story(who netip.Addr, action string, logged bool) {
	g.r.t.Helper()
	d := g.r.awaitDecision(who.String(), "is over", func(d decisionObject) bool { return d.State == "expired" && !d.Live })
	steps := []string{"approved → pushed", "pushed → verified", "verified → expired"}
	if !logged {
		steps = []string{"approved → pushed", "pushed → expired"}
	}
	story := g.r.cli(exitRan, "decisions", "why", d.ID)
	for _, step := range steps {
		if !strings.Contains(story, step) || d.Action != action {
			g.r.t.Errorf("the story of a %s lacks %q or is about another action:\n%s", action, step, story)
		}
	}
}
