package rule_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/rule"
)

// smallLimits are one of each kind.
var smallLimits = []rule.Limit{
	{Name: "login", Route: "/login", Method: "POST", Rate: 5, Every: "minute", Burst: 3}, {Name: "all", Per: "client", Rate: 0.5, Burst: 70},
	{Name: "partners", Per: "consumer", Rate: 30, Every: "minute"}, {Name: "keys", Per: "key", Route: "/items/{id}", Rate: 2, Every: "minute", Burst: 1},
	{Name: "users", Per: "account", Rate: 20, Every: "hour", Burst: 5}, {Name: "sessions", Per: "session", Rate: 3, Every: "minute"},
	{Name: "networks", Per: "network", Rate: 1, Burst: 60}, {Name: "systems", Per: "asn", Rate: 40, Every: "minute"},
	{Name: "items", Per: "route", Route: "/items/{id}", Rate: 1, Burst: 100}, {Name: "any route", Per: "route", Rate: 3, Burst: 120}, {Name: "whole", Per: "global", Rate: 4, Burst: 150},
}

// small makes the limits small enough for drawn streams to cross them often.
func small(name string, cfg any) {
	switch name {
	case "rate-client":
		setInt(cfg, "Limit", 120)
		setInt(cfg, "Burst", 60)
	case "auth-account":
		setInt(cfg, "Limit", 6)
		setInt(cfg, "Clients", 2)
	case "auth-slow":
		setInt(cfg, "Hour", 8)
		setInt(cfg, "Day", 12)
	case "auth-takeover":
		setInt(cfg, "Run", 5)
	case "auth-spray":
		setInt(cfg, "Hour", 3)
	case "auth-enum":
		setInt(cfg, "Hour", 5)
	case "auth-token":
		setInt(cfg, "Hour", 5)
		setInt(cfg, "Clients", 3)
	case "auth-account-slow":
		setInt(cfg, "Hour", 4)
		setInt(cfg, "Clients", 2)
	case "auth-network":
		setInt(cfg, "Clients", 4)
		setInt(cfg, "Blocks", 3)
		setInt(cfg, "Tries", 6)
	case "auth-route":
		setInt(cfg, "Clients", 5)
	case "undocumented-route":
		setInt(cfg, "Requests", 3)
	case "api-drift":
		setInt(cfg, "Requests", 5)
		setInt(cfg, "Clients", 2)
	case "api-probe":
		setInt(cfg, "Points", 12)
		setInt(cfg, "Refused", 4)
	case "scanner":
		setInt(cfg, "Points", 20)
	case "injection-answer":
		setInt(cfg, "Answers", 20)
	case "scanner-network":
		setInt(cfg, "Clients", 3)
		setInt(cfg, "Points", 16)
	case "cost-client":
		setInt(cfg, "Megabytes", 1)
		setInt(cfg, "Hourly", 1)
	case "error-client":
		setInt(cfg, "Limit", 10)
	case "rate-route", "rate-asn", "rate-global", "rate-identity":
		setInt(cfg, "Least", 20)
	case "limit":
		cfg.(*rule.LimitConfig).Limits = smallLimits
	}
}

const bound = 30

func TestFindingsDoNotDependOnOrderOrWorkers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Stream(rt)
		want := detecttest.Run(t, detecttest.Setup{Late: bound, Workers: 1, Configure: small}, log)
		workers := rapid.SampledFrom([]int{1, 2, 3, 7}).Draw(rt, "workers")
		live := rapid.Bool().Draw(rt, "live")
		shuffled := detecttest.Shuffle(rt, log, bound)
		got := detecttest.Run(t, detecttest.Setup{Late: bound, Workers: workers, Live: live, Configure: small}, shuffled)
		if d := detecttest.Diff(want, got); d != "" {
			rt.Fatalf("shuffled within %d s, %d workers, live=%v:\n%s", bound, workers, live, d)
		}
	})
}

func TestFindingsSurviveAKillAtAnyPoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Shuffle(rt, detecttest.Stream(rt), bound)
		want := detecttest.Run(t, detecttest.Setup{Late: bound, Workers: 1, Configure: small}, log)
		got := map[string]detect.Finding{}
		blobs := map[string][]byte{}
		saved := detect.Snapshot{Blobs: blobs}
		at := 0
		for lives := rapid.IntRange(1, 4).Draw(rt, "lives"); lives >= 0; lives-- {
			setup := detecttest.Setup{Late: bound, Workers: rapid.SampledFrom([]int{1, 2, 5}).Draw(rt, "workers"),
				Live: rapid.Bool().Draw(rt, "live"), Configure: small}
			e := detecttest.Engine(t, setup, log)
			if err := e.Restore(saved); err != nil {
				rt.Fatalf("restore: %v", err)
			}
			end := len(log)
			if lives > 0 {
				end = rapid.IntRange(at, len(log)).Draw(rt, "killed at")
			}
			pos := at
			for pos < end {
				to := min(end, pos+rapid.IntRange(1, 200).Draw(rt, "batch"))
				e.Feed(detecttest.Batch(pos, to))
				pos = to
				if rapid.IntRange(0, 3).Draw(rt, "save") == 0 {
					s := e.Snapshot()
					for name, b := range s.Blobs {
						blobs[name] = b
					}
					saved = detect.Snapshot{Blobs: blobs, Ledger: s.Ledger, Marks: s.Marks}
					detecttest.ByID(got, s.Findings)
					at = pos
				}
			}
			if lives == 0 {
				s := e.Finish()
				detecttest.ByID(got, s.Findings)
				if n := s.Ledger[0].Read; n != int64(len(log)) {
					rt.Fatalf("read %d lines of %d: lost or repeated", n, len(log))
				}
			}
			e.Close()
		}
		if d := detecttest.Diff(want, got); d != "" {
			rt.Fatalf("killed and resumed:\n%s", d)
		}
	})
}

func TestEveryEarlyFindingIsConfirmed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		log := detecttest.Shuffle(rt, detecttest.Stream(rt), bound)
		var early []detect.Finding
		final := detecttest.Run(t, detecttest.Setup{Late: bound, Workers: 1, Live: true, Configure: small,
			Emit: func(f detect.Finding) { early = append(early, f) }}, log)
		for _, f := range early {
			g, ok := final[f.ID]
			if !ok {
				rt.Fatalf("fired early and never confirmed: %+v", f)
			}
			if g.Severity < f.Severity {
				rt.Fatalf("fired early as %s, confirmed as %s", f.Severity, g.Severity)
			}
		}
		if len(final) > 0 && len(early) == 0 {
			rt.Fatalf("%d findings, none handed over", len(final))
		}
	})
}
