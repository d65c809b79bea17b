package hindsight_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/ingest"
)

const second = int64(1e9)

func term(kind, value string, action enforce.Action, from, to int64) enforce.Term {
	return enforce.Term{Decision: enforce.Decision{ID: kind + value, Subject: detect.Subject{Kind: kind, Value: value}, Action: action, Rate: 1, Burst: 2, Rule: "r-" + kind},
		From: from * second, To: to * second}
}

func event(ip string, sec int64, status uint16, user string) *ingest.Event {
	return &ingest.Event{Client: netip.MustParseAddr(ip), Time: sec * second, Status: status, User: user, Target: "/orders/1?x=1", Route: "/orders/{id}"}
}

func TestMeter(t *testing.T) {
	block := term("ip", "203.0.113.1", enforce.Block, 100, 200)
	routed := term("cidr", "2001:db8::/64", enforce.Block, 100, 200)
	routed.Route = "/login"
	slowed := term("account", "eve", enforce.Throttle, 100, 200)
	asked := term("ip", "203.0.113.9", enforce.Challenge, 100, 200)
	never := term("ip", "203.0.113.1", enforce.Block, 0, 0)
	m := hindsight.NewMeter([]enforce.Term{block, routed, slowed, asked, never}, []string{"/orders/*"})
	for _, ev := range []*ingest.Event{
		event("203.0.113.1", 99, 200, "ann"), event("203.0.113.1", 200, 200, "ann"), // before and after
		event("203.0.113.1", 100, 401, "ann"), event("203.0.113.1", 150, 200, ""),
		event("203.0.113.1", 151, 200, "ann"), event("203.0.113.1", 152, 200, "ann"), event("203.0.113.1", 153, 302, "bob"),
		event("2001:db8::7", 150, 200, ""), // another route
		event("203.0.113.9", 150, 200, "ann"),
		event("198.51.100.1", 150, 200, "eve"), event("198.51.100.2", 150, 200, "eve"), event("198.51.100.3", 150, 200, "eve"), // burst
		event("198.51.100.4", 150, 200, "eve"), event("198.51.100.4", 151, 200, "eve"), event("198.51.100.4", 151, 200, "eve"),
	} {
		m.See(ev)
	}
	got := m.Hits()
	want := []hindsight.Hits{
		{Requests: 5, Refused: 5, Succeeded: 4, Authenticated: 3, Paid: 4, Identities: 2,
			Most: []hindsight.Hit{{Subject: detect.Subject{Kind: "account", Value: "ann"}, Count: 2}, {Subject: detect.Subject{Kind: "account", Value: "bob"}, Count: 1}}},
		{}, {Requests: 6, Refused: 2, Succeeded: 2, Paid: 2}, {Requests: 1}, {},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if tt := m.Total; tt.Requests != 15 || tt.Succeeded != 14 || tt.Authenticated != 12 || tt.First != 99*second || tt.Last != 200*second {
		t.Errorf("total %+v", tt)
	}
}

// TestMeterFindsAll compares the Meter's look-up with one that asks every decision.
func TestMeterFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) string {
			if rapid.Bool().Draw(t, "six") {
				return fmt.Sprintf("2001:db8:0:%x::%x", rapid.IntRange(0, 2).Draw(t, "net"), rapid.IntRange(1, 3).Draw(t, "host"))
			}
			return fmt.Sprintf("203.0.%d.%d", rapid.IntRange(112, 114).Draw(t, "net"), rapid.IntRange(1, 3).Draw(t, "host"))
		})
		var terms []enforce.Term
		for range rapid.IntRange(0, 8).Draw(t, "terms") {
			from := rapid.Int64Range(0, 50).Draw(t, "from")
			a := netip.MustParseAddr(addr.Draw(t, "of"))
			bits := rapid.SampledFrom([]int{a.BitLen(), 24, 64, 48}).Draw(t, "bits")
			p, _ := a.Prefix(min(bits, a.BitLen()))
			x := term("cidr", p.String(), enforce.Block, from, from+rapid.Int64Range(0, 50).Draw(t, "for"))
			if rapid.IntRange(0, 3).Draw(t, "who") == 0 {
				x.Subject = detect.Subject{Kind: "account", Value: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "user")}
			}
			terms = append(terms, x)
		}
		m := hindsight.NewMeter(terms, nil)
		want := make([]int64, len(terms))
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			ev := event(addr.Draw(t, "client"), rapid.Int64Range(0, 100).Draw(t, "at"), 200, rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "as"))
			m.See(ev)
			for i, x := range terms {
				p, err := enforce.Prefix(x.Subject)
				meant := err == nil && p.Contains(ev.Client) || err != nil && x.Subject.Value == ev.User
				if meant && x.From != 0 && ev.Time >= x.From && ev.Time < x.To {
					want[i]++
				}
			}
		}
		for i, h := range m.Hits() {
			if h.Refused != want[i] {
				t.Fatalf("%+v: %d refused, want %d", terms[i], h.Refused, want[i])
			}
		}
	})
}

func TestReport(t *testing.T) {
	hostile := "</script><b>\u202e" + strings.Repeat("x", 4000)
	out := hindsight.Outcome{Term: term("account", hostile, enforce.Block, 100, 200), Hits: hindsight.Hits{Refused: 7, Authenticated: 2, Identities: 1, Most: []hindsight.Hit{{Subject: detect.Subject{Kind: "account", Value: hostile}, Count: 2}}}}
	out.Why = hostile[:60] // the policy caps what it says
	idle := hindsight.Outcome{Term: term("ip", "203.0.113.5", enforce.Throttle, 0, 0)}
	narrow := hindsight.Outcome{Term: term("ip", "203.0.113.6", enforce.Throttle, 120, 130), Hits: hindsight.Hits{Refused: 1}}
	narrow.Code = enforce.CodePeople
	r := &hindsight.Report{Trials: []hindsight.Trial{{Threshold: 1}, {Threshold: 3, Set: true, Outcomes: []hindsight.Outcome{idle, narrow, out}}}}
	r.Total = hindsight.Total{Requests: 1234567, First: 50 * second, Last: 250 * second}
	set := r.AsSet()
	if s := set.Sum(""); s.Decisions != 3 || s.InForce != 2 || s.Narrowed != 1 || s.Clean != 1 || s.Hits.Refused != 8 || s.Hits.Authenticated != 2 {
		t.Errorf("sum %+v", s)
	}
	if w := set.Worst(); w[0].Authenticated != 2 || w[1].Refused != 1 {
		t.Errorf("worst first: %+v", w)
	}
	if rules := set.Rules(); len(rules) != 2 || rules[0].Rule != "r-account" {
		t.Errorf("rules %+v", rules)
	}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1\u202f234\u202f567 requests", "7 refused, 2 of them good", "(narrowed)", "&lt;/script&gt;&lt;b&gt;", "hit most"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "<b>") || strings.Contains(page.String(), "<script") {
		t.Error("what a client wrote is markup in the page")
	}
	if strings.Contains(page.String(), strings.Repeat("x", 500)) {
		t.Error("long words are not cut")
	}
	if err := (&hindsight.Report{Trials: []hindsight.Trial{{}}}).HTML(&page); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}
