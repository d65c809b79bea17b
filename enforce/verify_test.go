package enforce

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// look is one request: seconds of log time after the trigger.
type look struct {
	at     float64
	status uint16
	route  string
	source string
}

func (l look) sighting() detect.Sightings {
	return single(detect.Sighting{Client: netip.MustParseAddr("192.0.2.7"), Time: base + int64(l.at*1e9), Status: l.status, Route: l.route, Source: l.source})
}

func single(s detect.Sighting) detect.Sightings {
	return detect.Sightings{Sighting: s, First: s.Time, N: 1}
}

const base = int64(1_700_000_000e9) // a whole window: 10 s divides it

func repeatLook(n int, from, step float64, status uint16) []look {
	var out []look
	for i := range n {
		out = append(out, look{at: from + float64(i)*step, status: status, route: "/a"})
	}
	return out
}

func join(ls ...[]look) (out []look) {
	for _, l := range ls {
		out = append(out, l...)
	}
	return out
}

func TestVerify(t *testing.T) {
	for name, c := range map[string]struct {
		action  Action
		expires float64 // seconds after the trigger; 0 = after all that is seen
		looks   []look
		states  string // every verdict that changed, in order
		words   []string
	}{
		"nothing seen":                 {},
		"denied":                       {looks: []look{{1, 403, "/login", "g1"}}, states: "verified", words: []string{"403", "/login", "1s after"}},
		"let through before the grace": {looks: []look{{0.5, 200, "/a", ""}, {2.9, 200, "/a", ""}, {3.5, 403, "/a", ""}}, states: "verified"},
		"an old denial of the service": {looks: []look{{-30, 403, "/a", ""}}},
		"a request before the push":    {looks: []look{{-5, 200, "/a", ""}}},
		"wrong key":                    {looks: []look{{4, 200, "/a", ""}, {5, 200, "/a", ""}}, states: "wrong_key", words: []string{"another address", "/a"}},
		"401 is not our denial":        {looks: []look{{4, 401, "/login", ""}}, states: "wrong_key"},
		"late but holding":             {looks: []look{{4, 200, "/a", ""}, {6, 403, "/a", ""}, {7, 403, "/a", ""}}, states: "wrong_key verified", words: []string{"late"}},
		"a route around": {looks: []look{{1, 403, "/login", ""}, {4, 200, "/static", ""}, {5, 403, "/login", ""}}, states: "verified bypass_route",
			words: []string{"/static", "denied on /login"}},
		"two nodes": {looks: []look{{1, 403, "/a", "g1"}, {4, 200, "/a", "g2"}, {5, 403, "/a", "g1"}, {6, 200, "/a", "g2"}}, states: "verified lost stale_node",
			words: []string{"let through by g2"}},
		"in turn": {looks: []look{{1, 403, "/a", ""}, {4, 200, "/a", ""}, {5, 403, "/a", ""}, {6, 200, "/a", ""}}, states: "verified lost stale_node",
			words: []string{"in turn"}},
		"lost later":                       {looks: []look{{1, 403, "/a", ""}, {500, 200, "/a", ""}}, states: "verified lost", words: []string{"lost the list"}},
		"leak, then it holds":              {looks: join([]look{{1, 403, "/a", ""}, {12, 200, "/a", ""}}, repeatLook(30, 14, 1, 403)), states: "verified lost stale_node verified"},
		"a leak that came late in the log": {looks: []look{{40, 403, "/a", ""}, {4, 200, "/a", ""}}, states: "verified"},
		"throttled":                        {action: Throttle, looks: []look{{1, 200, "/a", ""}, {1.5, 429, "/a", ""}}, states: "verified", words: []string{"429"}},
		"a throttled one stays below":      {action: Throttle, looks: repeatLook(30, 3, 1, 200), states: "verified", words: []string{"within the rate"}},
		"throttle at its limit":            {action: Throttle, looks: join(repeatLook(39, 10, 0.2, 200), repeatLook(9, 18, 0.2, 429)), states: "verified"},
		"throttle that does nothing":       {action: Throttle, looks: repeatLook(60, 10, 0.1, 200), states: "wrong_key"},
		"throttle that leaks": {action: Throttle, looks: join(repeatLook(3, 4, 1, 429), repeatLook(60, 10, 0.1, 200), repeatLook(40, 20, 1, 429)),
			states: "verified lost stale_node verified"},
		"let through when it was over":                    {expires: 60.4, looks: []look{{1, 403, "/a", ""}, {60, 200, "/a", ""}, {61, 200, "/a", ""}}, states: "verified"},
		"let through when it was over, and none denied":   {expires: 60, looks: []look{{60, 200, "/a", ""}, {60.1, 200, "/a", ""}}},
		"let through in the last second, as a log writes": {expires: 60, looks: []look{{59, 200, "/a", ""}}},
		"let through before it was over":                  {expires: 60, looks: []look{{1, 403, "/a", ""}, {58, 200, "/a", ""}}, states: "verified lost"},
		"403 is no throttle":                              {action: Throttle, looks: repeatLook(60, 10, 0.1, 403), states: "wrong_key"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decision{Action: Block, Trigger: base, PushedAt: base + 1e9}
			if c.action != "" {
				d.Action, d.Rate, d.Burst = c.action, 2, 10
			}
			if c.expires > 0 {
				d.Expires = base + int64(c.expires*1e9)
			}
			got, tr := verdicts(d, c.looks)
			if got != c.states {
				t.Errorf("verdicts %q, want %q (%s)", got, c.states, tr.holding.Why)
			}
			for _, w := range c.words {
				if !strings.Contains(tr.holding.Why, w) {
					t.Errorf("%q does not say %q", tr.holding.Why, w)
				}
			}
		})
	}
}

// verdicts are those that changed while requests were seen, in order.
func verdicts(d Decision, looks []look) (string, *track) {
	cfg := DefaultConfig().Verify
	tr := &track{cfg: &cfg, d: followedOf(&d)}
	var states []string
	for _, l := range looks {
		if tr.see(l.sighting()) {
			s := string(tr.holding.State)
			if tr.holding.Code != "" {
				s = tr.holding.Code
			}
			states = append(states, s)
		}
	}
	return strings.Join(states, " "), tr
}

func TestTrackerFindsTheNarrowest(t *testing.T) {
	tr := newTracker(DefaultConfig().Verify)
	tr.set([]*Decision{
		{ID: "net", Subject: cidr("192.0.2.0/24"), Action: Block, State: Pushed},
		{ID: "one", Subject: ip("192.0.2.7"), Action: Block, State: Pushed},
		{ID: "six", Subject: cidr("2001:db8::/56"), Action: Block, State: Pushed},
		{ID: "consumer", Subject: detect.Subject{Kind: "consumer", Value: "x"}, Action: Block, State: Pushed},
	})
	for client, want := range map[string]string{"192.0.2.7": "one", "::ffff:192.0.2.7": "one", "192.0.2.8": "net", "2001:db8:0:ff::1": "six", "198.51.100.1": ""} {
		tr.saw(single(detect.Sighting{Client: netip.MustParseAddr(client), Time: 1, Status: 403}))
		got := tr.take()
		if _, ok := got[want]; (want == "") != (len(got) == 0) || (want != "" && !ok) {
			t.Errorf("%s is counted for %v, want %q", client, got, want)
		}
		tr.set(nil) // forget what was counted
		tr.set([]*Decision{{ID: "net", Subject: cidr("192.0.2.0/24"), Action: Block}, {ID: "one", Subject: ip("192.0.2.7"), Action: Block}, {ID: "six", Subject: cidr("2001:db8::/56"), Action: Block}})
	}
	if tr.saw(single(detect.Sighting{})) {
		t.Error("a sighting without a client counts")
	}
}

func TestTallyIsBounded(t *testing.T) {
	cfg := DefaultConfig().Verify
	tr := &track{cfg: &cfg, d: followed{action: Block, trigger: base, pushedAt: base}}
	for i := range 1000 {
		tr.see(look{3 + float64(i)/1000, 200, fmt.Sprint("/", i), ""}.sighting())
	}
	if len(tr.now.keys) > keysMax+1 || tr.now.let.n != 1000 || len(tr.holding.Why) > textMax {
		t.Errorf("%d keys, %d requests, %q", len(tr.now.keys), tr.now.let.n, tr.holding.Why)
	}
}

// TestVerdictsOfAFlood: what detectors report of a flood, coalesced, leads to
// the same verdict as every single request would.
func TestVerdictsOfAFlood(t *testing.T) {
	for name, c := range map[string]struct {
		action Action
		rate   float64
		every  time.Duration
		status func(i int) (uint16, string, string)
		want   string
	}{
		"it holds":                {every: time.Millisecond, status: func(int) (uint16, string, string) { return 403, "/a", "g1" }, want: "verified"},
		"wrong key":               {every: time.Millisecond, status: func(i int) (uint16, string, string) { return 200, fmt.Sprint("/", i%9), "g1" }, want: CodeWrongKey},
		"a node without the list": {every: time.Millisecond, status: func(i int) (uint16, string, string) { return uint16(403 - 203*(i%2)), "/a", fmt.Sprint("g", i%2) }, want: CodeStale},
		"one route around": {every: time.Millisecond, status: func(i int) (uint16, string, string) {
			if i%50 == 7 {
				return 200, "/static", "g1"
			}
			return 403, "/a", "g1"
		}, want: CodeBypass},
		"a throttle at its rate": {action: Throttle, rate: 100, every: 5 * time.Millisecond, status: func(i int) (uint16, string, string) { return uint16(200 + 229*(i%2)), "/a", "g1" }, want: "verified"},
		"a throttle that does little": {action: Throttle, rate: 100, every: 2 * time.Millisecond, status: func(i int) (uint16, string, string) {
			if i%2500 == 0 {
				return 429, "/a", "g1"
			}
			return 200, "/a", "g1"
		}, want: CodeStale},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decision{ID: "d", Subject: ip("192.0.2.7"), Action: Block, State: Pushed, Trigger: base, PushedAt: base + 1e9}
			if c.action != "" {
				d.Action, d.Rate, d.Burst = c.action, c.rate, 10
			}
			one, many, messages := newTracker(DefaultConfig().Verify), newTracker(DefaultConfig().Verify), 0
			one.set([]*Decision{&d})
			many.set([]*Decision{&d})
			co := detect.NewCoalescer(5, func(s detect.Sightings) {
				messages++
				many.saw(s)
			})
			const seconds = 60
			for i := range int(seconds * time.Second / c.every) {
				status, route, source := c.status(i)
				s := detect.Sighting{Client: netip.MustParseAddr("192.0.2.7"), Time: base + 4e9 + int64(i)*int64(c.every), Status: status, Route: route, Source: source}
				one.saw(single(s))
				co.Saw(s)
			}
			co.Flush()
			a, b := one.byID["d"].holding, many.byID["d"].holding
			if got := string(b.State); got != c.want && b.Code != c.want || a.State != b.State || a.Code != b.Code {
				t.Errorf("want %s: each %+v, coalesced %+v", c.want, a, b)
			}
			if messages > seconds*20 {
				t.Errorf("%d messages in %d seconds", messages, seconds)
			}
		})
	}
}

// A flood of denied requests must cost next to nothing.
func BenchmarkSaw(b *testing.B) {
	tr := newTracker(DefaultConfig().Verify)
	var ds []*Decision
	for i := range 1000 {
		ds = append(ds, &Decision{ID: fmt.Sprint(i), Subject: ip(fmt.Sprintf("192.0.%d.%d", i>>8, i&255)), Action: Block, State: Pushed, Trigger: base, PushedAt: base})
	}
	tr.set(ds)
	s := detect.Sighting{Client: netip.MustParseAddr("192.0.2.7"), Time: base + 5e9, Status: 403, Route: "/login"}
	b.ReportAllocs()
	for b.Loop() {
		s.Time += int64(time.Microsecond)
		tr.saw(single(s))
	}
}
