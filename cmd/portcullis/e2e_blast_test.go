package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// office is the log of the last four minutes of so many people behind one
// address, who were answered well until a minute and a half ago, with ordinary
// clients elsewhere, and of an attacker behind that address now.
func office(addr string, people int, named bool) []string {
	var lines []string
	now := time.Now()
	for i := range 1200 {
		at := now.Add(-240*time.Second + time.Duration(i)*125*time.Millisecond)
		lines = append(lines, line(fmt.Sprintf("192.0.2.%d", 1+i%250), at, "GET /api/v1/products", 200, "browser/2"))
		if people > 0 && i%6 == 0 {
			l := line(addr, at, "GET /api/v1/orders", 200, fmt.Sprintf("colleague/%d", i/6%people))
			if named {
				l = strings.Replace(l, " - - [", fmt.Sprintf(" - colleague%d [", i/6%people), 1)
			}
			lines = append(lines, l)
		}
	}
	for range 15 {
		lines = append(lines, line(addr, now, "POST /api/v1/login", 401, "attacker/1"))
	}
	return append(lines, line(addr, now, "GET "+attackTarget, 200, "attacker/1"))
}

// TestE2EBlastRadius has an attacker behind an address that others use.
func TestE2EBlastRadius(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, action, state string
		people              int
		named               bool // the log has their user names
	}{
		{"alone", "block", "", 0, false},
		{"among six", "throttle", "", 6, false},
		{"pretending to be two hundred", "throttle", "", 200, false},
		{"among two hundred", "", "proposed", 200, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			const addr = "198.51.100.77"
			s.emptyLog()
			write(t, s.Log, office(addr, c.people, c.named)...)
			s.r.up()
			d := s.r.awaitDecision(addr, "is made", func(d decisionObject) bool { return d.State == "proposed" || d.PushedAt != "" })
			if c.action != "" && d.Action != c.action || c.state != "" && d.State != c.state {
				t.Errorf("want %s %s: %+v", c.action, c.state, d)
			}
			if c.people > 0 && (d.People < 4 || d.Good < 60 || !strings.Contains(d.Collateral+d.Reason, "people")) {
				t.Errorf("the decision does not say whom it would hit: %+v", d)
			}
			answers := map[int]int{}
			await(t, "the gateway does as decided", func() string { return fmt.Sprintf("%v %+v\n%s", answers, d, s.r.said) }, func() bool {
				for range 20 {
					answers[s.ask(addr, "/api/v1/products")]++
				}
				switch c.action {
				case "block":
					return answers[http.StatusForbidden] > 0
				case "throttle":
					return answers[http.StatusTooManyRequests] > 0
				}
				return true
			})
			if c.action != "block" && (answers[http.StatusForbidden] > 0 || answers[http.StatusOK] == 0) {
				t.Errorf("colleagues were answered %v", answers)
			}
			for _, d := range s.r.decisions(addr) {
				if d.Action == "block" && d.Live && c.action != "block" {
					t.Errorf("a block of %d people: %+v", c.people, d)
				}
			}
		})
	}
}
