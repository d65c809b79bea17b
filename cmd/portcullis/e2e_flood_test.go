package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// flooder is what every client of the flood says that it is.
const flooder = "okhttp-stress/0.9"

// TestE2EFloodClass: a distributed flood of a route, each address of which asks once, is held
// up by the user agent that its requests have in common, before its members are: also an
// address that was never seen before. The route's customers lose nothing. What came before is
// written into the log, as it would have stood there; who asks then asks a real NGINX.
func TestE2EFloodClass(t *testing.T) {
	t.Parallel()
	s := newSite(t, "engine: {late: 1s}\n")
	s.emptyLog()
	write(t, s.Log, floodedDay(time.Now())...)
	s.r.up()
	class := "class:/api/v1/search \"" + flooder + "\""
	var list []decisionObject
	customer := func(i int) int {
		return s.askAs(fmt.Sprintf("198.51.100.%d", 1+i%200), customerAgent(i), "/api/v1/search?q=shoes")
	}
	asked := 0
	await(t, "the class is throttled", func() string { return fmt.Sprintf("%+v\n%s", list, s.r.said) }, func() bool {
		asked++ // the log's clock goes by its lines
		if got := customer(asked); got != http.StatusOK {
			t.Errorf("a customer was answered %d", got)
		}
		list = s.r.decisions(class)
		return len(list) == 1 && list[0].PushedAt != ""
	})
	if got := list[0]; got.Action != "throttle" || got.People != 0 || got.Rule != "rate-route" {
		t.Errorf("decided %+v", got)
	}
	members := 0
	for _, x := range objects[decisionObject](s.r, "decisions") {
		if x.Live && x.Subject.Kind == "ip" {
			if members++; x.Created < list[0].Created {
				t.Errorf("a member goes first: %+v", x)
			}
		}
	}
	if members == 0 {
		t.Error("no member is acted on")
	}
	strangers, seen := 0, map[int]int{}
	await(t, "a new address of the flood is held up, and the log shows it", func() string { return fmt.Sprintf("%v\n%s", seen, s.r.said) }, func() bool {
		strangers++
		seen[s.askAs(fmt.Sprintf("203.0.113.%d", 1+strangers%250), flooder, "/api/v1/search?q=x")]++
		return seen[http.StatusTooManyRequests] > 3 && s.r.decisions(class)[0].State == "verified"
	})
	for i := range 60 {
		if got := customer(i); got != http.StatusOK {
			t.Errorf("a customer was answered %d", got)
		}
	}
	for what, got := range map[string]int{
		"with another agent":   s.askAs("203.0.113.251", "curl/8.5.0", "/api/v1/search?q=x"),
		"on another route":     s.askAs("203.0.113.252", flooder, "/api/v1/products"),
		"an agent in capitals": s.askAs("203.0.113.253", "OKHTTP-stress/0.9", "/api/v1/search?q=x"),
	} {
		if got != http.StatusOK {
			t.Errorf("%s it was answered %d", what, got)
		}
	}
	s.r.down()
}

func customerAgent(i int) string { return fmt.Sprintf("Mozilla/5.0 (device %d) Firefox/128.0", i%6) }

// floodedDay is what the log has of half an hour: people who search and look at things, and
// in the last minute and a half 800 addresses that ask for one search each.
func floodedDay(now time.Time) []string {
	const people, flood = 1800, 90
	rnd := rand.New(rand.NewPCG(8, 8))
	type entry struct {
		at   time.Time
		line string
	}
	var all []entry
	add := func(before float64, addr, target, agent string) {
		at := now.Add(-time.Duration(before * float64(time.Second)))
		all = append(all, entry{at, line(addr, at, "GET "+target, http.StatusOK, agent)})
	}
	for before := float64(people); before > 1; before -= rnd.ExpFloat64() / 4 {
		i := rnd.IntN(200)
		target := "/api/v1/search?q=shoes"
		if rnd.IntN(3) == 0 {
			target = fmt.Sprintf("/api/v1/products/%d", rnd.IntN(500))
		}
		add(before, fmt.Sprintf("198.51.100.%d", 1+i), target, customerAgent(i))
	}
	for i := range 800 {
		add(1+flood*rnd.Float64(), fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200), fmt.Sprintf("/api/v1/search?q=%d", i), flooder)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = e.line
	}
	return lines
}
