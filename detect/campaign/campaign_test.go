package campaign_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/campaign"
)

const hour = int64(1_700_002_800) * 1e9

var defaults = &campaign.Config{Members: 4}

// found is a finding of one client.
func found(n int, family detect.Family, client, route, agent string) detect.Finding {
	at := hour + int64(n)*1e9
	f := detect.Finding{Rule: "auth-burst", Family: family, Severity: detect.Medium, Confidence: 0.8, Window: hour, FirstSeen: at,
		LastSeen: at + 60e9, FiredAt: at + 30e9, Count: 12, Route: route, Subject: detect.Subject{Kind: "ip", Value: client}}
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	f.Evidence[0] = detect.Evidence{Source: "edge", Offset: int64(n), Time: at, Line: client + " tried", Agent: agent}
	return f
}

func guessers(n int) (list []detect.Finding) {
	for i := range n {
		list = append(list, found(i, detect.Credential, fmt.Sprintf("192.0.2.%d", i), "/login", "Mozilla/5.0"))
	}
	return list
}

// TestWhatMakesACampaign: four clients on one route do, three do not, nor four that share
// nothing, nor those that are only of low severity.
func TestWhatMakesACampaign(t *testing.T) {
	if got := campaign.Group(defaults, nil, guessers(3)); got != nil {
		t.Errorf("three clients: %v", got)
	}
	twice := append(guessers(3), found(9, detect.Credential, "192.0.2.1", "/login", ""))
	if got := campaign.Group(defaults, nil, twice); got != nil {
		t.Errorf("three clients, one of them twice: %v", got)
	}
	info := guessers(4)
	for i := range info {
		info[i].Severity = detect.Low
	}
	apart := []detect.Finding{found(1, detect.Rate, "192.0.2.1", "", ""), found(2, detect.Rate, "198.51.100.2", "", ""),
		found(3, detect.Rate, "203.0.113.3", "", ""), found(4, detect.Rate, "198.18.0.1", "", "")}
	if got := append(campaign.Group(defaults, nil, info), campaign.Group(defaults, nil, apart)...); got != nil {
		t.Errorf("notes, or clients that share nothing: %v", got)
	}
	got := campaign.Group(defaults, nil, guessers(5))
	if len(got) != 1 {
		t.Fatalf("five clients: %d campaigns", len(got))
	}
	f := got[0]
	if f.Subject != (detect.Subject{Kind: "campaign", Value: "credential on /login"}) || f.Count != 60 || len(f.MemberList()) != 5 ||
		f.FiredAt != hour+31e9 || f.Route != "/login" || f.Severity != detect.Medium || f.Evidence[4].Line == "" {
		t.Errorf("campaign %+v", f)
	}
	want := `5 clients in one network, mostly on "/login"; rules: auth-burst. Proposed: throttle "/login" for clients without history; no member is sure enough to be blocked`
	if f.Why != want {
		t.Errorf("why\n%s\nwant\n%s", f.Why, want)
	}
}

// TestAnchors: what a finding shares with others of its campaign.
func TestAnchors(t *testing.T) {
	for want, make := range map[string]func(i int) detect.Finding{
		"injection with sqlmap/1.7": func(i int) detect.Finding {
			return found(i, detect.Injection, fmt.Sprintf("198.51.%d.1", i), fmt.Sprint("/r", i), "sqlmap/1.7")
		},
		"recon from 2001:db8:1::/48": func(i int) detect.Finding {
			f := found(i, detect.Recon, "", "{other}", "Mozilla/5.0")
			f.Subject = detect.Subject{Kind: "cidr", Value: fmt.Sprintf("2001:db8:1:%x::/64", i)}
			return f
		},
		"api on /orders/{id}": func(i int) detect.Finding {
			return found(i, detect.API, fmt.Sprintf("198.51.%d.1", i), "/orders/{id}", "curl/8")
		},
		"rate on /search": func(i int) detect.Finding { // one finding of a route that lists its members
			f := found(0, detect.Rate, "", "", "")
			f.Subject = detect.Subject{Kind: "route", Value: "/search"}
			f.Members = detect.PackMembers([]detect.Member{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}}, {Subject: detect.Subject{Kind: "ip", Value: "192.0.2.2"}},
				{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.3"}}, {Subject: detect.Subject{Kind: "ip", Value: "192.0.2.4"}}})
			return f
		},
	} {
		var list []detect.Finding
		for i := range 4 {
			list = append(list, make(i))
		}
		got := campaign.Group(defaults, nil, list)
		if len(got) != 1 || got[0].Subject.Value != want || len(got[0].MemberList()) != 4 {
			t.Errorf("%s: got %+v", want, got)
		}
	}
}

// TestGrowth: the hour before is compared, and the proposal names members only when they
// are sure.
func TestGrowth(t *testing.T) {
	before := campaign.Group(defaults, nil, guessers(4))
	list := guessers(9)
	for i := range list {
		list[i].Window += 3600e9
		list[i].Confidence = 0.97
	}
	got := campaign.Group(defaults, before, list)
	if len(got) != 1 || got[0].Subject != before[0].Subject || got[0].ID == before[0].ID {
		t.Fatalf("got %+v", got)
	}
	if want := "growing since the hour before (4)"; !strings.Contains(got[0].Why, want) || !strings.HasSuffix(got[0].Why, "Proposed: block its members") {
		t.Errorf("why %s", got[0].Why)
	}
}

// TestOrderDoesNotMatter: shuffled findings make the same campaigns, and a campaign among
// the findings is not counted as one of them.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []detect.Finding
		for i := range rapid.IntRange(0, 40).Draw(t, "n") {
			f := found(rapid.IntRange(0, 5).Draw(t, "at"), rapid.SampledFrom([]detect.Family{detect.Credential, detect.Injection}).Draw(t, "family"),
				fmt.Sprintf("192.0.%d.%d", i%3, rapid.IntRange(0, 9).Draw(t, "client")), rapid.SampledFrom([]string{"", "/a", "/b"}).Draw(t, "route"),
				rapid.SampledFrom([]string{"", "-", "curl/8", "Mozilla/5.0"}).Draw(t, "agent"))
			f.ID = fmt.Sprint(i)
			list = append(list, f)
		}
		want := campaign.Group(defaults, nil, list)
		again := campaign.Group(defaults, want[:min(1, len(want))], append(rapid.Permutation(list).Draw(t, "order"), want...))
		for i := range want[:min(1, len(want))] {
			again[i].Why = want[i].Why // which compares with the hour before
		}
		if !slices.Equal(want, again) {
			t.Fatalf("in another order:\n%+v\nwant\n%+v", again, want)
		}
	})
}
