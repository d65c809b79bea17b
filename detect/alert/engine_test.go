package alert_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/campaign"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOneAlertForACampaign: ten thousand findings of a campaign within a minute are one
// alert, with a count; the few that came before it was a campaign are part of it.
func TestOneAlertForACampaign(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, ", redact: no")+"]")
	var all []detect.Finding
	for second := range 60 {
		for i := range 167 {
			n := second*167 + i
			if n >= 10_000 {
				break
			}
			f := w.finding("auth-burst", fmt.Sprintf("10.%d.%d.7", n/250, n%250), "/login", detect.Medium)
			all = append(all, f)
			w.find(f)
		}
		if second%15 == 2 || second == 59 {
			w.find(campaign.Group(&campaign.Config{Members: 4}, nil, all)...)
		}
		w.pass(time.Second)
	}
	if got := r.kinds(); got != "firing" {
		t.Errorf("within the minute: %s", got)
	}
	w.pass(5 * time.Minute)
	r.mu.Lock()
	grown := slices.Clone(r.got)
	r.mu.Unlock()
	if got := r.kinds(); got != "update" {
		t.Fatalf("while it grew: %s", got)
	}
	if n := grown[0]; n.Findings != 10_000 || n.Clients != 10_000 || n.Requests != 120_000 || n.Campaign != "credential on /login" ||
		n.Title != "[MEDIUM] campaign: credential on /login, 10000 findings of 10000 clients" {
		t.Errorf("update %+v", n)
	}
	w.pass(15 * time.Minute)
	if got := r.kinds(); got != "resolved" {
		t.Errorf("when it was over: %s", got)
	}
	list := w.alerts(false)
	if len(list) != 1 || list[0].Findings != 10_000 || list[0].State != alert.Closed || list[0].AtLeast {
		t.Errorf("%d alerts, the first %+v", len(list), list[0])
	}
}

// TestGrouping: by rule and route, else by rule and subject; what is of low severity or
// old is none.
func TestGrouping(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]")
	old := w.finding("auth-burst", "192.0.2.9", "/old", detect.High)
	old.LastSeen = w.now.Add(-7 * time.Hour).UnixNano()
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High), w.finding("auth-burst", "192.0.2.2", "/login", detect.Medium),
		w.finding("auth-burst", "192.0.2.5", "/token", detect.High), w.finding("scan-burst", "192.0.2.1", "", detect.High),
		w.finding("scan-burst", "192.0.2.3", "", detect.High), w.finding("scan-burst", "192.0.2.4", "", detect.Low), old)
	w.pass(14 * time.Second)
	if got := r.kinds(); got != "" {
		t.Errorf("before the wait was over: %s", got)
	}
	w.pass(2 * time.Second)
	if got := r.kinds(); got != "firing firing firing firing" {
		t.Errorf("told: %s", got)
	}
	var clients []int64
	for _, a := range w.alerts(true) {
		clients = append(clients, a.Clients)
	}
	slices.Sort(clients)
	if !slices.Equal(clients, []int64{1, 1, 1, 2}) {
		t.Errorf("clients %v", clients)
	}
	if s := w.e.Stats(); s.Old != 1 || s.Open[detect.High] != 4 {
		t.Errorf("stats %+v", s)
	}
}

// TestFold: what was an alert of its own, and told, goes on in the campaign's.
func TestFold(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]\nwait: 0s")
	var all []detect.Finding
	for i := range 3 {
		all = append(all, w.finding("auth-burst", fmt.Sprint("192.0.2.", i), "/login", detect.High))
	}
	w.find(all...)
	w.pass(time.Second)
	own := w.alerts(true)[0]
	all = append(all, w.finding("auth-burst", "192.0.2.8", "/login", detect.Medium))
	w.find(all[3])
	w.find(campaign.Group(&campaign.Config{Members: 4}, nil, all)...)
	w.pass(2 * time.Second)
	if got := strings.Fields(r.kinds()); !slices.Equal(got, []string{"firing", "resolved", "firing"}) && !slices.Equal(got, []string{"firing", "firing", "resolved"}) {
		t.Errorf("told: %s", got)
	}
	open := w.alerts(true)
	if len(open) != 1 || open[0].Findings != 4 || open[0].Clients != 4 {
		t.Fatalf("open %+v", open)
	}
	for _, a := range w.alerts(false) {
		if a.ID == own.ID && a.Into != open[0].ID {
			t.Errorf("%s went into %q", a.ID, a.Into)
		}
	}
}

// TestGraver: a higher severity is told at once, more of the same only when it doubled and
// the interval is over.
func TestGraver(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]")
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.Medium))
	w.pass(20 * time.Second)
	w.find(w.finding("auth-burst", "192.0.2.2", "/login", detect.Medium))
	w.pass(time.Minute)
	if got := r.kinds(); got != "firing" {
		t.Errorf("told: %s", got)
	}
	w.find(w.finding("auth-burst", "192.0.2.3", "/login", detect.Critical))
	w.pass(2 * time.Second)
	if got := r.kinds(); got != "update" {
		t.Errorf("when it was graver: %s", got)
	}
	w.pass(4 * time.Minute)
	if got := r.kinds(); got != "" {
		t.Errorf("with nothing new: %s", got)
	}
}

// TestRestart: a kill at any point neither forgets nor repeats, and the count goes on.
func TestRestart(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]")
	for i := range 5 {
		w.find(w.finding("auth-burst", fmt.Sprint("192.0.2.", i), "/login", detect.High))
		w.pass(time.Second)
		w.restart()
	}
	w.pass(20 * time.Second)
	w.restart()
	w.pass(time.Minute)
	if got := r.kinds(); got != "firing" {
		t.Errorf("told: %s", got)
	}
	if a := w.alerts(true); len(a) != 1 || a[0].Findings != 5 || a[0].Clients != 5 || a[0].Requests != 60 {
		t.Errorf("alerts %+v", a)
	}
	w.found = nil // retention took them
	w.restart()
	w.find(w.finding("auth-burst", "192.0.2.77", "/login", detect.High))
	w.pass(2 * time.Second)
	if a := w.alerts(true); len(a) != 1 || a[0].Findings != 6 || a[0].Requests != 72 {
		t.Errorf("alerts %+v", a)
	}
	w.pass(14 * time.Minute)
	w.restart()
	w.pass(3 * time.Minute)
	if got := r.kinds(); got != "resolved" {
		t.Errorf("told: %s", got)
	}
	w.restart()
	w.e.Note(w.found...) // the same again, as a snapshot does
	w.pass(time.Minute)
	if got := r.kinds(); got != "" || len(w.alerts(true)) != 0 {
		t.Errorf("told again: %s", got)
	}
}

// TestTriesAgain: a notice that was not taken comes again with the same id, when the other
// side said; what it refuses for good keeps nothing else waiting.
func TestTriesAgain(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]")
	r.answer(http.StatusServiceUnavailable, "Retry-After", "90")
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	w.pass(20 * time.Second)
	s := w.e.Stats()
	if c := s.Channels[0]; c.Waiting != 1 || c.Fails != 1 || !strings.Contains(c.Error, "503") {
		t.Errorf("stats %+v", c)
	}
	r.answer(http.StatusOK)
	w.pass(60 * time.Second)
	if got := r.kinds(); got != "" {
		t.Errorf("before it was asked to: %s", got)
	}
	w.pass(30 * time.Second)
	if got := r.kinds(); got != "firing" {
		t.Errorf("told: %s", got)
	}
	r.answer(http.StatusBadRequest)
	w.find(w.finding("auth-burst", "192.0.2.1", "/other", detect.High))
	w.pass(20 * time.Second)
	r.answer(http.StatusOK)
	w.find(w.finding("auth-burst", "192.0.2.1", "/third", detect.High))
	w.pass(20 * time.Second)
	if got := r.kinds(); got != "firing" {
		t.Errorf("beside one that was refused: %s", got)
	}
	w.pass(10 * time.Minute)
	if got := r.kinds(); got != "firing" {
		t.Errorf("and that one: %s", got)
	}
}

// TestGivesUp: after a day a notice is let go, and the channel is told of the next one.
func TestGivesUp(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, ", give_up: 1h")+"]")
	r.answer(http.StatusUnauthorized)
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	for range 70 {
		w.pass(time.Minute)
	}
	if s := w.e.Stats(); s.GivenUp == 0 {
		t.Errorf("stats %+v", s)
	}
	r.answer(http.StatusOK)
	w.find(w.finding("auth-burst", "192.0.2.1", "/next", detect.High))
	for range 15 {
		w.pass(time.Minute)
	}
	if got := r.kinds(); !strings.Contains(got, "firing") {
		t.Errorf("told: %s", got)
	}
}

// TestFeedOverflow: findings beyond what is kept in memory are read from the store.
func TestFeedOverflow(t *testing.T) {
	w := newWorld(t, "channels: ["+hook(t, newReceiver(t), "")+"]")
	list := make([]detect.Finding, alert.FeedMost+50)
	base := w.finding("auth-burst", "192.0.2.1", "/login", detect.High)
	for i := range list {
		list[i] = base
		list[i].ID = fmt.Sprint(i)
	}
	w.find(list...)
	w.pass(time.Second)
	a := w.alerts(true)
	if s := w.e.Stats(); s.Missed != 1 || len(a) != 1 || a[0].Findings != 50_000 || !a[0].AtLeast {
		t.Errorf("missed %d, alerts %+v", s.Missed, a)
	}
}
