package rule_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// town is traffic of a small API with its people, in which a test makes things happen.
type town struct {
	rnd *rand.Rand
	log detecttest.Log
}

const townStart = 1_772_445_600 // a full hour

var townRoutes = []string{"/v1/products/{id}", "/v1/products", "/v1/orders/{id}", "/v1/search", "/v1/carts/{id}", "/v1/login", "/v1/feed", "/v1/users/{id}"}

func (w *town) request(at float64, client netip.Addr, agent string, route int, status uint16) {
	path := townRoutes[route]
	target := path
	if i := len(path) - len("{id}"); path[max(0, i):] == "{id}" {
		target = path[:i] + fmt.Sprint(1000+w.rnd.IntN(90_000)*7)
	}
	w.log = append(w.log, ingest.Event{Time: int64((townStart + at) * 1e9), Client: client, Method: "GET", Target: target, Route: path, RouteID: uint32(route + 2), Status: status,
		Agent: agent, BytesOut: 900, Duration: 20e6, Line: "GET " + target})
}

func townAgent(n int) string {
	return fmt.Sprintf("Mozilla/5.0 (device %d) Firefox/%d.0", n%7, 120+n%5)
}

// visit is one person, who asks for several things within minutes.
func (w *town) visit(at float64, client netip.Addr, agent string) {
	for n := 3 + w.rnd.IntN(12); n > 0; n-- {
		w.request(at, client, agent, []int{0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 7}[w.rnd.IntN(11)], 200)
		at += w.rnd.ExpFloat64() * 6
	}
}

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// people live in town for so many seconds, visits a second on average, from addresses of
// their own.
func (w *town) people(from, secs, visits float64, base int) {
	for at := from; at < from+secs; at += w.rnd.ExpFloat64() / visits {
		n := base + int(at*50)
		if w.rnd.IntN(2) == 0 {
			n = base + w.rnd.IntN(400) // comes back
		}
		w.visit(at, address(n), townAgent(n*31))
	}
}

func (w *town) run(t *testing.T, rules ...string) map[string]detect.Finding {
	return detecttest.Run(t, detecttest.Setup{Late: bound, Rules: rules}, w.sorted())
}

// sorted is the log as a file has it.
func (w *town) sorted() detecttest.Log {
	slices.SortStableFunc(w.log, func(a, b ingest.Event) int { return int(max(-1, min(1, a.Time-b.Time))) })
	for i := range w.log {
		w.log[i].Pos = ingest.Position{Source: "test", File: 1, Offset: int64(i) * 100}
	}
	return w.log
}

func newTown(seed uint64) *town { return &town{rnd: rand.New(rand.NewPCG(seed, 1))} }

// TestRateRouteFindsAFleet: ten thousand addresses with one request each in seven minutes,
// nearly all of which make the service fail: found in the first minute, and its members
// are named.
func TestRateRouteFindsAFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for _, c := range []struct {
		name   string
		size   int
		fail   int // of 1000
		agents int
		least  detect.Severity
	}{
		{"the service fails", 10_372, 988, 3, detect.High},
		{"it does not", 6000, 0, 1, detect.Medium},
		{"with the usual agents", 10_000, 0, 0, detect.Medium},
		{"few agents, much smaller than the usual traffic", 3000, 0, 2, detect.Medium},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(7)
			w.people(0, 3000, 1.5, 1)
			bots := w.fleet(c.size, c.fail, c.agents)
			found := false
			for _, f := range w.run(t, "rate-route") {
				if f.Subject.Value != "/v1/search" {
					t.Errorf("%s: %s", f.Subject.Value, f.Why)
					continue
				}
				found = true
				wantClasses(t, &f, c.agents)
				hits, false_ := 0, 0
				for _, m := range f.MemberList() {
					if bots[m.Subject.Value] {
						hits++
					} else {
						false_++
					}
				}
				took := f.FiredAt/1e9 - townStart - 1800
				t.Logf("%s after %d s, %d of %d members, %d wrong: %s", f.Severity, took, hits, c.size, false_, f.Why)
				if f.Severity < c.least || took > 50 || hits*100 < c.size*80 || false_*100 > hits {
					t.Errorf("%s after %d s, %d of %d members, %d wrong; want %s within 50 s, 80 %% and 1 %% wrong", f.Severity, took, hits, c.size, false_, c.least)
				}
			}
			if !found {
				t.Error("not found")
			}
		})
	}
}

// fleet has so many addresses ask for one search each within seven minutes. Of a thousand
// requests fail fail; agents is how many agents of its own it has, 0 for those of people.
func (w *town) fleet(size, fail, agents int) (bots map[string]bool) {
	bots = map[string]bool{}
	for i := range size {
		a := address(3_000_000 + i*5)
		bots[a.String()] = true
		status := uint16(200)
		if w.rnd.IntN(1000) < fail {
			status = 503
		}
		agent := townAgent(i)
		if agents > 0 {
			agent = fmt.Sprintf("python-requests/2.%d", i%agents)
		}
		w.request(1800+w.rnd.Float64()*420, a, agent, 3, status)
	}
	return bots
}

// wantClasses demands the agents of a fleet, of which ordinary people have none; none where
// it has theirs.
func wantClasses(t *testing.T, f *detect.Finding, agents int) {
	t.Helper()
	list := f.SuspectList()
	if len(list) != agents {
		t.Errorf("classes %+v, want %d", list, agents)
	}
	for _, s := range list {
		if !strings.HasPrefix(s.Class.Agent, "python-requests/2.") || s.Class.Route != "/v1/search" || s.Standing.People != 0 {
			t.Errorf("class %+v", s)
		}
	}
}

// TestRateRouteNamesNoClassOfPeople: an agent that a partner has, too, stands for people, and
// one whose clients ask for other things as well is no class, however many come at once.
func TestRateRouteNamesNoClassOfPeople(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	w := newTown(19)
	w.people(0, 2400, 1.5, 1)
	for i := range 240 { // a partner's machine, twice a minute and never at once
		w.request(float64(i)*10, address(8_000_001), "partner/1", 3, 200)
	}
	for i := range 3000 {
		at, n := 1800+w.rnd.Float64()*300, 6_000_000+i*5
		switch i % 3 {
		case 0:
			w.request(at, address(n), "partner/1", 3, 200)
		case 1:
			w.request(at, address(n), "tool/1", 3, 200)
		default:
			w.request(at, address(n), "new-app/1", 3, 200)
			w.request(at+2, address(n), "new-app/1", 0, 200)
		}
	}
	named := map[string]detect.Standing{}
	for _, f := range w.run(t, "rate-route") {
		for _, s := range f.SuspectList() {
			named[s.Class.Route+" "+s.Class.Agent] = s.Standing
		}
	}
	t.Logf("%+v", named)
	if s, ok := named["/v1/search tool/1"]; !ok || s.People != 0 {
		t.Errorf("the tool's class: %+v, %v", s, ok)
	}
	if s, ok := named["/v1/search partner/1"]; ok && s.People < 51 { // enforce.guard.people_wait
		t.Errorf("the partner's class stands for %+v", s)
	}
	if s, ok := named["/v1/search new-app/1"]; ok {
		t.Errorf("the application is a class: %+v", s)
	}
}

// TestRateRouteLeavesHonestTrafficAlone: spikes that have a good reason are low at most.
func TestRateRouteLeavesHonestTrafficAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for name, happen := range map[string]func(*town){
		"a newsletter: ten times as many people, new ones, who do what people do": func(w *town) { w.people(1800, 900, 15, 5_000_000) },
		"the day begins: traffic grows by half every ten minutes": func(w *town) {
			for i, visits := range []float64{0.7, 1.5, 3, 6, 12} {
				w.people(600*float64(i+1), 600, visits, 1)
			}
		},
		"a partner's batch every 20 minutes, one address": func(w *town) {
			for at := 900.0; at < 3600; at += 1200 {
				for i := range 2000 {
					w.request(at+float64(i)*0.05, address(9_000_000), "okhttp/4.9", 2, 200)
				}
			}
		},
		"an outage: everybody fails and tries again": func(w *town) {
			for i := range w.log {
				if at := w.log[i].Time/1e9 - townStart; at > 1800 && at < 2100 {
					w.log[i].Status = 503
					again := w.log[i]
					for range 2 {
						again.Time += 2e9
						w.log = append(w.log, again)
					}
				}
			}
		},
		"an app is opened by everybody at once, for its feed first": func(w *town) {
			for range 3000 {
				at, n := 1800+w.rnd.ExpFloat64()*60, 6_000_000+w.rnd.IntN(100_000)
				w.request(at, address(n), townAgent(n), 6, 200)
				w.visit(at+1, address(n), townAgent(n))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(11)
			w.people(0, 3600, 1.5, 1)
			happen(w)
			for _, f := range w.run(t, "rate-route") {
				t.Logf("%s %s: %s", f.Severity, f.Subject.Value, f.Why)
				if f.Severity > detect.Low || f.Suspects != "" {
					t.Errorf("%s is accused: %s", f.Subject.Value, f.Why)
				}
			}
		})
	}
}

// TestWideFindingsDoNotDependOnOrder: floods, a consumer's burst and a scraper, which the
// drawn streams are too short for, give the same findings shuffled within the late bound,
// by several workers, and after a restart in the middle.
func TestWideFindingsDoNotDependOnOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and workers meet in shorter tests: leave out -short")
	}
	w := newTown(23)
	w.people(0, 2400, 1.5, 1)
	for i := range 6000 {
		w.request(1500+w.rnd.Float64()*300, address(3_000_000+i*5), fmt.Sprintf("bot/%d", i%2), 3, 503)
	}
	for i := range 1500 {
		w.request(float64(i)*1.5, address(8_000_000), "reader/1", 0, 200)
	}
	for i := range 12_000 {
		at := float64(i)
		if i >= 1200 {
			at = 1200 + float64(i-1200)*0.02
		}
		w.request(at, address(9_000_000+i%7), "job/1", 2, 200)
		w.log[len(w.log)-1].Consumer = "partner"
	}
	rules := []string{"rate-route", "rate-global", "rate-asn", "rate-identity", "scraping", "bola-client", "bola-identity"}
	for i := range w.log {
		w.log[i].ASN = 64_500 + uint32(w.log[i].Client.As4()[1]/40)
	}
	want := w.run(t, rules...)
	for _, rule := range []string{"rate-route", "rate-identity", "scraping"} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(want)), func(f detect.Finding) bool { return f.Rule == rule }) {
			t.Errorf("nothing found by %s: the test shows nothing", rule)
		}
	}
	w.sameAnyway(t, want, rules...)
}

// sameAnyway wants the same findings of the log shuffled within the late bound, by several
// workers, and after a restart in the middle.
func (w *town) sameAnyway(t *testing.T, want map[string]detect.Finding, rules ...string) {
	t.Helper()
	shuffled := w.shuffled()
	for _, workers := range []int{1, 3} {
		got := detecttest.Run(t, detecttest.Setup{Late: bound, Rules: rules, Workers: workers}, shuffled)
		if d := detecttest.Diff(digest(want), digest(got)); d != "" {
			t.Fatalf("shuffled, %d workers:\n%.4000s", workers, d)
		}
	}
	setup := detecttest.Setup{Late: bound, Rules: rules}
	e, cut := detecttest.Engine(t, setup, shuffled), len(shuffled)*2/3
	e.Feed(detecttest.Batch(0, cut))
	saved := e.Snapshot()
	e.Close()
	e = detecttest.Engine(t, setup, shuffled)
	defer e.Close()
	if err := e.Restore(saved); err != nil {
		t.Fatal(err)
	}
	e.Feed(detecttest.Batch(cut, len(shuffled)))
	got := detecttest.ByID(detecttest.ByID(nil, saved.Findings), e.Finish().Findings)
	if d := detecttest.Diff(digest(want), digest(got)); d != "" {
		t.Fatalf("resumed:\n%.4000s", d)
	}
}

// shuffled is the log with each line delayed by less than the late bound.
func (w *town) shuffled() detecttest.Log {
	log, due := slices.Clone(w.log), map[int64]int64{}
	for i := range log {
		due[log[i].Pos.Offset] = log[i].Time + w.rnd.Int64N(bound*1e9)
	}
	slices.SortFunc(log, func(a, b ingest.Event) int {
		return int(max(-1, min(1, due[a.Pos.Offset]-due[b.Pos.Offset])))
	})
	return log
}

// digest has the members of findings by their number and hash: thousands are no message.
func digest(found map[string]detect.Finding) map[string]detect.Finding {
	out := map[string]detect.Finding{}
	for id, f := range found {
		f.Members = fmt.Sprintf("%d members, %x", len(f.MemberList()), sha256.Sum256([]byte(f.Members)))
		out[id] = f
	}
	return out
}
