package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	_ "github.com/portcullis/portcullis/detect/rule"
)

// TestEarlyAndLateStandingAgree: praise of the minute before, arriving within the
// late bound, must not take back a finding that was handed over.
func TestEarlyAndLateStandingAgree(t *testing.T) {
	const M = start - start%60
	log := one(plain(M-20, attacker))
	for range 14 {
		log = append(log, guess(M))
	}
	for i := range 5 {
		ev := plain(M-1, attacker)
		ev.Agent = fmt.Sprint("app/", i)
		log = append(log, ev)
	}
	all := logOf(log)
	quiet := detecttest.Run(t, detecttest.Setup{Late: 30, Rules: []string{"auth-burst"}}, all)
	live := detecttest.Run(t, detecttest.Setup{Late: 30, Live: true, Rules: []string{"auth-burst"}}, all)
	if d := detecttest.Diff(quiet, live); d != "" {
		t.Errorf("live differs from a replay: %s", d)
	}
}

// TestBucketsThatHideABurstAreRefused: with a long late bound or span a burst
// would be counted in buckets longer than its own span.
func TestBucketsThatHideABurstAreRefused(t *testing.T) {
	spec, _ := detect.SpecOf("rate-client")
	for late, want := range map[int64]bool{30: true, 60: true, 600: false} {
		rc := detect.RuleConfig{Name: "rate-client", Spec: spec, Config: detecttest.Default(t, "rate-client")}
		e, err := detect.New(detect.Config{LateSeconds: late, Rules: []detect.RuleConfig{rc},
			NewDecoder: func() (detect.Decoder, error) { return detecttest.Log{}, nil }})
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "burst_span") {
			t.Errorf("late %d s: %v", late, err)
		}
		if err == nil {
			e.Close()
		}
	}
}

// TestOurLateAnswerIsNoOffence: a late line that carries our own 403 is not held
// against the client.
func TestOurLateAnswerIsNoOffence(t *testing.T) {
	all := logOf(one(plain(start, attacker)), one(plain(start+100, "192.0.2.2")), one(injected(start+1, attacker, 403)))
	seen := 0
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Saw: func(detect.Sighting) { seen++ }}, all)
	defer e.Close()
	e.Watch([]detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: attacker}, Deny: 403}})
	feed(e, 0, len(all))
	none(t, detecttest.ByID(nil, e.Finish().Findings))
	t.Logf("%d sightings", seen)
}

// churned addresses that each make one 404 are as suspicious as the guesser
func TestChurnOfSuspectsKeepsTheWorst(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for _, status := range []uint16{200, 404} {
		log := each(9, start, guess)
		for i := range 100_000 {
			ev := plain(start+9+int64(i)/10_000, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
			ev.Status = status
			log = append(log, ev)
		}
		all := logOf(log, one(guess(start+20)))
		got := detecttest.Run(t, detecttest.Setup{Late: 30, MaxClients: 16_384}, all)
		n := 0
		for _, f := range got {
			if f.Rule == "auth-burst" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("status %d: %d findings of the guesser", status, n)
		}
	}
}

// TestABrokenFirstLineDoesNotMakeAllLate: a replay begins at the earliest time of its
// first batch.
func TestABrokenFirstLineDoesNotMakeAllLate(t *testing.T) {
	got := detecttest.Run(t, detecttest.Setup{Late: 30, Rules: []string{"auth-burst"}}, logOf(one(plain(start+20*365*86400, "192.0.2.2")), each(30, start, guess)))
	if len(got) != 1 {
		t.Errorf("%d findings", len(got))
	}
}
