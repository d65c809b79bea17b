package alert_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/campaign"
)

// TestOverBeforeMorning: what began and ended in quiet hours is one message.
func TestOverBeforeMorning(t *testing.T) {
	chat := newReceiver(t)
	w := newWorld(t, fmt.Sprintf("channels: [%s]\nroutes: [{channels: [slack], quiet: {from: '22:00', to: '07:00'}}]", slack(t, chat, "")))
	w.now = time.Date(2026, 7, 1, 23, 0, 0, 0, time.UTC)
	w.find(w.finding("auth-burst", "192.0.2.1", "/night", detect.High))
	w.pass(time.Hour)
	if list := w.alerts(false); len(list) != 1 || list[0].State != alert.Closed || len(chat.said) != 0 {
		t.Fatalf("%d messages; alerts %+v", len(chat.said), list)
	}
	w.restart()
	w.pass(8 * time.Hour)
	if len(chat.said) != 1 || !strings.HasPrefix(fmt.Sprint(chat.said[0]["text"]), "resolved: [HIGH]") {
		t.Errorf("in the morning: %v", chat.said)
	}
}

// TestLateMember: a finding of a campaign that comes after its rule's alert was taken in,
// and is older than that, still counts.
func TestLateMember(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "wait: 0s\nchannels: ["+hook(t, r, "")+"]")
	late := w.finding("auth-burst", "192.0.2.99", "/login", detect.High)
	w.pass(time.Second)
	var all []detect.Finding
	for i := range 4 {
		all = append(all, w.finding("auth-burst", fmt.Sprint("192.0.2.", i), "/login", detect.High))
	}
	w.find(all...)
	w.pass(time.Second)
	w.find(campaign.Group(&campaign.Config{Members: 4}, nil, all)...)
	w.pass(time.Second)
	w.find(late)
	w.pass(time.Second)
	open := w.alerts(true)
	if len(open) != 1 || open[0].Findings != 5 || open[0].Clients != 5 {
		t.Errorf("alerts %+v", open)
	}
}

// TestFailuresCostNothing: tries that a channel refused do not use up its rate.
func TestFailuresCostNothing(t *testing.T) {
	chat := newReceiver(t)
	w := newWorld(t, "resolve: 24h\nrepeat: 0\nchannels: ["+slack(t, chat, ", rate: 2, per: 24h")+"]")
	chat.answer(http.StatusBadGateway)
	w.find(w.finding("auth-burst", "192.0.2.1", "/a", detect.High), w.finding("auth-burst", "192.0.2.1", "/b", detect.High))
	w.pass(10 * time.Minute)
	if c := w.e.Stats().Channels[0]; c.Fails < 3 || c.Waiting != 2 {
		t.Fatalf("stats %+v", c)
	}
	chat.answer(http.StatusOK)
	w.pass(20 * time.Minute)
	if len(chat.said) != 2 {
		t.Errorf("%d messages of two alerts within the rate", len(chat.said))
	}
}

// TestEscalatesPastAChannelThatIsAway: whom to tell next does not wait for the first one.
func TestEscalatesPastAChannelThatIsAway(t *testing.T) {
	first, next := newReceiver(t), newReceiver(t)
	w := newWorld(t, fmt.Sprintf("resolve: 24h\nchannels: [%s, %s]\nroutes: [{channels: [first], escalate: [{after: 10m, channels: [next]}]}]",
		hook(t, first, ", name: first"), hook(t, next, ", name: next")))
	first.answer(http.StatusUnauthorized)
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	w.pass(11 * time.Minute)
	if got := next.kinds(); got != "escalation" {
		t.Errorf("told: %s", got)
	}
	first.answer(http.StatusOK)
	w.pass(11 * time.Minute)
	if got := first.kinds(); got != "firing" {
		t.Errorf("the first one, when it is back: %s", got)
	}
}
