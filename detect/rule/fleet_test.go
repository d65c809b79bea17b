package rule_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// borough is traffic made for a test: people who log in and use an API, and whoever else
// is added. Times are seconds from its beginning.
type borough struct {
	rnd    *rand.Rand
	log    detecttest.Log
	agents []string
}

const dawn = 1_772_409_600 // a Monday, 00:00 UTC

func newBorough(seed uint64) *borough {
	return &borough{rnd: rand.New(rand.NewPCG(seed, 1)), agents: []string{"Mozilla/5.0 (Windows)", "Mozilla/5.0 (Mac)", "Mozilla/5.0 (iPhone)", "app/3.1 (Android)"}}
}

func (w *borough) add(at float64, client netip.Addr, agent string, status uint16, login bool) {
	ev := ingest.Event{Time: dawn*1e9 + int64(at*1e9), Client: client, Agent: agent, Status: status, Method: "GET", Target: "/items/1", Route: "/items/{id}", RouteID: 1}
	if login {
		ev.Method, ev.Target, ev.Route, ev.RouteID, ev.Kind = "POST", "/login", "/login", 2, ingest.RouteLogin
	}
	w.log = append(w.log, ev)
}

// visit is a person who logs in, one in eight after a wrong password, two in a hundred
// in vain, and looks at a few things.
func (w *borough) visit(at float64, client netip.Addr) {
	agent := w.agents[client.As16()[15]%4]
	switch luck := w.rnd.Float64(); {
	case luck < 0.02:
		for range 1 + w.rnd.IntN(4) {
			w.add(at, client, agent, 401, true)
			at += 3 + 10*w.rnd.Float64()
		}
		return
	case luck < 0.14:
		for range 1 + w.rnd.IntN(3) {
			w.add(at, client, agent, 401, true)
			at += 3 + 15*w.rnd.Float64()
		}
	}
	w.add(at, client, agent, 200, true)
	for range 5 + w.rnd.IntN(10) {
		at += 1 + 20*w.rnd.Float64()
		w.add(at, client, agent, 200, false)
	}
}

// people come from until to, so many a minute, out of a population.
func (w *borough) people(from, to, perMinute float64, first byte, population int) {
	for at := from; at < to; at += 60 / perMinute * w.rnd.ExpFloat64() {
		n := w.rnd.IntN(population)
		w.visit(at, netip.AddrFrom4([4]byte{100, 64 + first, byte(n >> 8), byte(n)}))
	}
}

// fleet are addresses that try between from and to, each so many times on average.
func (w *borough) fleet(from, to float64, size int, tries float64, agent func(i int) string) (members []string) {
	for i := range size {
		client := netip.AddrFrom4([4]byte{198, 18, byte(i >> 7), byte(i << 1)})
		n := 1
		for float64(n) < tries && w.rnd.Float64() < 1-1/tries {
			n++
		}
		for range n {
			w.add(from+(to-from)*w.rnd.Float64(), client, agent(i), 401, true)
		}
		members = append(members, client.String())
	}
	return members
}

func (w *borough) run(t *testing.T, rules ...string) []detect.Finding {
	t.Helper()
	slices.SortStableFunc(w.log, func(a, b ingest.Event) int { return int((a.Time - b.Time) >> 10) })
	for i := range w.log {
		w.log[i].Pos = ingest.Position{Source: "test", File: 1, Offset: int64(i) * 100}
		w.log[i].Line = fmt.Sprintf("line %d", i)
	}
	var list []detect.Finding
	for _, f := range detecttest.Run(t, detecttest.Setup{Rules: rules, Late: bound}, w.log) {
		list = append(list, f)
	}
	detect.SortFindings(list)
	return list
}

// listed are the members of all findings of a rule.
func listed(found []detect.Finding, rule string) (members map[string]bool, first int64) {
	members = map[string]bool{}
	for _, f := range found {
		if f.Rule != rule {
			continue
		}
		if s := f.FiredAt/1e9 - dawn; first == 0 || s < first {
			first = s
		}
		for _, m := range f.MemberList() {
			members[m.Subject.Value] = true
		}
	}
	return members, first
}

// TestFleets: each address of a fleet is below every limit of its own. The route shows
// them, and the members are told from people of those minutes.
func TestFleets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	own := func(int) string { return "python-requests/2.31" }
	theirs := func(w *borough) func(int) string { return func(i int) string { return w.agents[i%len(w.agents)] } }
	for name, c := range map[string]struct {
		from, to float64 // of the attack
		end      float64
		size     int
		tries    float64
		people   float64 // a minute
		within   float64 // of its length, until it is found
		mimics   bool
	}{
		"one try each in seven minutes":            {3600, 4020, 7200, 600, 1, 10, 0.1, false},
		"the same with the agents of people":       {3600, 4020, 7200, 600, 1, 10, 0.1, true},
		"five tries each over two days":            {86400, 3 * 86400, 4 * 86400, 6000, 5.3, 2, 0.1, true},
		"as many as the people, over half a day":   {43200, 86400, 100_000, 3000, 2, 4, 0.1, true},
		"from the beginning, with nothing learned": {60, 1260, 3600, 500, 2, 10, 0.1, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBorough(11)
			w.people(0, c.end, c.people, 0, 5000)
			agent := own
			if c.mimics {
				agent = theirs(w)
			}
			fleet := w.fleet(c.from, c.to, c.size, c.tries, agent)
			found := w.run(t, "auth-route")
			members, first := listed(found, "auth-route")
			if first == 0 {
				t.Fatal("not found")
			}
			for _, f := range found {
				got := f.SuspectList()
				if c.mimics && len(got) != 0 {
					t.Errorf("people have these agents, too: %+v", got)
				}
				if !c.mimics && (len(got) != 1 || got[0].Class != detect.Class{Route: f.Route, Agent: own(0)} || got[0].Clients < 10 || got[0].Standing != detect.Standing{}) {
					t.Errorf("its own agent tells the fleet from people: %+v", got)
				}
			}
			right := 0
			for _, m := range fleet {
				if members[m] {
					right++
				}
			}
			recall, precision := float64(right)/float64(len(fleet)), float64(right)/float64(max(1, len(members)))
			t.Logf("found after %d s, recall %.3f, precision %.4f", first-int64(c.from), recall, precision)
			if float64(first) > c.from+c.within*(c.to-c.from) || float64(first) < c.from {
				t.Errorf("found %d s after it began, want within %.0f", first-int64(c.from), c.within*(c.to-c.from))
			}
			if recall < 0.8 || precision < 0.99 {
				t.Errorf("recall %.3f, want 0.8; precision %.4f, want 0.99", recall, precision)
			}
		})
	}
}

// TestCrowdsAreNoFleets: new people who come all at once, and a login that is broken for
// everybody, show no fleet.
func TestCrowdsAreNoFleets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for name, add := range map[string]func(w *borough){
		"a campaign brings ten times as many": func(w *borough) { w.people(7200, 9000, 100, 1, 60000) },
		"at once, after an hour":              func(w *borough) { w.people(3600, 3720, 900, 1, 60000) },
		"at the very beginning":               func(w *borough) { w.people(0, 600, 200, 1, 60000) },
		"the login is broken for a quarter of an hour": func(w *borough) {
			for i := range w.log {
				if s := w.log[i].Time/1e9 - dawn; w.log[i].Kind == ingest.RouteLogin && s > 50_000 && s < 50_900 {
					w.log[i].Status = 401
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBorough(12)
			w.people(0, 60_000, 10, 0, 2000)
			add(w)
			for _, f := range w.run(t, "auth-route") {
				t.Errorf("%s %s at %s: %s", f.Severity, f.Subject.Value, detect.FormatTime(f.FiredAt), f.Why)
			}
		})
	}
}

// TestAFleetAsksForResets: five names by each of four hundred addresses, a third of which
// exist, are told from people who mistype theirs.
func TestAFleetAsksForResets(t *testing.T) {
	w := newBorough(19)
	reset := func(at float64, client netip.Addr, status uint16) {
		w.add(at, client, w.agents[client.As16()[15]%4], status, true)
		ev := &w.log[len(w.log)-1]
		ev.Target, ev.Route, ev.RouteID, ev.Kind = "/password/reset", "/password/reset", 3, ingest.RouteReset
	}
	for i := range 240 { // one in four mistypes the name, one in ten asks twice
		client, at := netip.AddrFrom4([4]byte{100, 64, byte(i), 7}), float64(i*30)
		if i%4 == 0 {
			reset(at, client, 404)
		}
		reset(at+20, client, 202)
		if i%10 == 0 {
			reset(at+90, client, 202)
		}
	}
	fleet := map[string]bool{}
	for i := range 2000 {
		client := netip.AddrFrom4([4]byte{198, 18, byte(i % 400 >> 2), byte(i % 4)})
		fleet[client.String()] = true
		reset(3600+420*w.rnd.Float64(), client, []uint16{404, 404, 202}[w.rnd.IntN(3)])
	}
	members, first := listed(w.run(t, "auth-route"), "auth-route")
	right := 0
	for m := range members {
		if fleet[m] {
			right++
		}
	}
	t.Logf("found after %d s, %d of %d members, %d wrong", first-3600, right, len(fleet), len(members)-right)
	if first < 3600 || first > 3660 || right*100 < len(fleet)*85 || right*100 < len(members)*99 {
		t.Error("want it within a minute, 85 % of the members, and 1 % wrong")
	}
}
