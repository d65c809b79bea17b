package enforcetest_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// The simulated gateway keeps the contract that real ones keep.
func TestSim(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		sim := enforcetest.NewSim("sim", time.Now).Able(true, "consumer", "key").
			Does(enforce.Block, enforce.Throttle, enforce.Tarpit, enforce.Challenge, enforce.Revoke)
		faults := enforcetest.NewFaults(sim, 1)
		return faults, enforcetest.Probe{
			Status: func(_ testing.TB, client netip.Addr) int { return sim.Status(client) },
			Ask: func(_ testing.TB, a enforcetest.Ask) int {
				return sim.StatusOf(a.Client, a.As, simRoute(a.Path))
			},
			Kinds: []string{"consumer", "key"}, Revocable: []string{"consumer", "key"},
			Again: func(testing.TB) enforce.Gateway { return faults }, Remembers: true,
			Restart: func(testing.TB) { sim.Forget() },
			Held: func(testing.TB) string { // what a generated file would hold
				text := ""
				for p, e := range sim.Held() {
					text += fmt.Sprintln(p, e.Action, e.Rate, e.Burst)
				}
				return text
			},
			Break: func(testing.TB) func() {
				faults.Set(1, 0, 0)
				return func() { faults.Set(0, 0, 0) }
			},
		}
	})
}

// simRoute is what enrichment makes of the paths that the suite asks for.
func simRoute(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if m := regexp.MustCompile(`^/orders/[^/]+/items$`); m.MatchString(path) {
		return "/orders/{id}/items"
	}
	return path
}
