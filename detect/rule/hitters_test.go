package rule_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

var hitterRules = []string{"heavy-client", "rate-global", "rate-route"}

// pollers ask for the same thing once a minute, all the time.
func (w *town) pollers(n int) (list []netip.Addr) {
	for i := range n {
		a := address(2_000_000 + i*7)
		for at := float64(i); at < 6000; at += 60 {
			w.request(at, a, "sync/2.1", 6, 200)
		}
		list = append(list, a)
	}
	return list
}

// surge is a town in which some of those who poll ask fourteen times a second for three minutes.
func surge(of int) (log detecttest.Log, members []string) {
	w := newTown(11)
	w.people(0, 6000, 0.7, 1)
	for _, a := range w.pollers(8)[:of] {
		for at := 5400.0; at < 5580; at += 0.07 {
			w.request(at, a, "sync/2.1", 6, 200)
		}
		members = append(members, a.String())
	}
	slices.Sort(members)
	return w.sorted(), members
}

// TestFewWhoSurgeAreNamed: three of eight clients that are here for long make a surge. The
// route's finding names them, and nobody else; all traffic's does, too.
func TestFewWhoSurgeAreNamed(t *testing.T) {
	log, want := surge(3)
	named := map[string]bool{}
	for _, f := range detecttest.Run(t, detecttest.Setup{Late: bound, Rules: hitterRules}, log) {
		if f.Rule == "heavy-client" {
			continue
		}
		if f.Severity > detect.Low || f.Rule == "rate-route" && f.Subject.Value != "/v1/feed" {
			t.Errorf("%s of %s is %s: %s", f.Rule, f.Subject.Value, f.Severity, f.Why)
		}
		if got := memberNames(&f); !slices.Equal(got, want) {
			t.Errorf("%s names %v, want %v: %s", f.Rule, got, want, f.Why)
		}
		named[f.Rule] = true
	}
	if !named["rate-route"] || !named["rate-global"] {
		t.Errorf("found by %v", named)
	}
}

func memberNames(f *detect.Finding) (names []string) {
	for _, m := range f.MemberList() {
		names = append(names, m.Subject.Value)
	}
	slices.Sort(names)
	return names
}

// TestHittersDoNotDependOnOrder: shuffled within the late bound, on several workers, killed and
// resumed, and with level two elsewhere, the same clients are named.
func TestHittersDoNotDependOnOrder(t *testing.T) {
	log, _ := surge(3)
	want := detecttest.Run(t, detecttest.Setup{Late: bound, Workers: 1, Rules: hitterRules}, log)
	shuffled := slices.Clone(log)
	w := newTown(5)
	late := map[int64]float64{}
	for i := range log {
		late[log[i].Pos.Offset] = float64(log[i].Time)/1e9 + w.rnd.Float64()*(bound-2)
	}
	slices.SortFunc(shuffled, func(a, b ingest.Event) int {
		return strings.Compare(fmt.Sprintf("%020.6f", late[a.Pos.Offset]), fmt.Sprintf("%020.6f", late[b.Pos.Offset]))
	})
	for _, workers := range []int{1, 3} {
		if d := detecttest.Diff(want, detecttest.Run(t, detecttest.Setup{Late: bound, Workers: workers, Rules: hitterRules}, shuffled)); d != "" {
			t.Errorf("shuffled, %d workers:\n%s", workers, d)
		}
	}
	for _, at := range []int{len(log) * 88 / 100, len(log) * 93 / 100} { // before the surge, and within it
		if d := detecttest.Diff(want, resumed(t, shuffled, at)); d != "" {
			t.Errorf("killed after %d of %d lines:\n%s", at, len(log), d)
		}
	}
	for id, f := range want {
		if f.Rule == "heavy-client" {
			delete(want, id)
		}
	}
	if d := detecttest.Diff(want, apart(t, log)); d != "" {
		t.Errorf("in two parts:\n%s", d)
	}
}

// resumed is a run that is cut at a line.
func resumed(t *testing.T, log detecttest.Log, at int) map[string]detect.Finding {
	setup := detecttest.Setup{Late: bound, Workers: 2, Rules: hitterRules}
	first := detecttest.Engine(t, setup, log)
	for i := 0; i < at; i += 100 {
		first.Feed(detecttest.Batch(i, min(i+100, at)))
	}
	cut := first.Snapshot()
	first.Close()
	second := detecttest.Engine(t, setup, log)
	defer second.Close()
	if err := second.Restore(cut); err != nil {
		t.Fatal(err)
	}
	for i := at; i < len(log); i += 100 {
		second.Feed(detecttest.Batch(i, min(i+100, len(log))))
	}
	return detecttest.ByID(detecttest.ByID(nil, cut.Findings), second.Finish().Findings)
}

// apart is a run with two engines of level one, each with half of the clients, and level two
// by itself.
func apart(t *testing.T, log detecttest.Log) map[string]detect.Finding {
	cfg := detecttest.Config(t, detecttest.Setup{Late: bound, Rules: hitterRules}, nil)
	two, err := detect.NewWide(cfg, 2)
	if err != nil {
		t.Fatal(err)
	}
	var parts [2]detecttest.Log
	for _, ev := range log {
		n := ev.Client.As16()[15] & 1
		parts[n] = append(parts[n], ev)
	}
	found := map[string]detect.Finding{}
	for n, part := range parts {
		cfg := detecttest.Config(t, detecttest.Setup{Late: bound, Rules: hitterRules}, part)
		cfg.Forward = true
		e, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		hand := func(p *detect.Partials) {
			if p == nil {
				return
			}
			read, err := detect.ParsePartials(p.Append(nil))
			if err == nil {
				err = two.Feed(n, read)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < len(part); i += 100 {
			e.Feed(detecttest.Batch(i, min(i+100, len(part))))
			hand(e.Partials())
		}
		e.Finish()
		hand(e.Partials())
		detecttest.ByID(found, two.Findings())
	}
	return found
}

// TestCrowdsNameNobodyWhoIsOfIt: many people who each look a few times are no hitters.
func TestCrowdsNameNobodyWhoIsOfIt(t *testing.T) {
	w := newTown(12)
	w.people(0, 6000, 0.7, 1)
	w.pollers(8)
	w.people(5400, 180, 25, 4_000_000)
	for _, f := range w.run(t, hitterRules...) {
		if f.Members != "" && f.Severity < detect.Medium {
			t.Errorf("%s of %s names %v: %s", f.Rule, f.Subject.Value, memberNames(&f), f.Why)
		}
	}
}
