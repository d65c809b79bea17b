package alert_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/config"
)

// TestSilence: nothing is told while it holds, what was told is resolved all the same, and
// afterwards what is still open is told. A restart in between changes nothing.
func TestSilence(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]\nresolve: 2h")
	s, err := w.table.AddSilence(t.Context(), []string{"subject=192.0.2.0/24", "rule=auth-*"}, time.Hour, w.who())
	if err != nil {
		t.Fatal(err)
	}
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High), w.finding("auth-burst", "198.51.100.1", "/other", detect.High))
	w.pass(time.Minute)
	w.restart()
	w.pass(time.Minute)
	if got := r.kinds(); got != "firing" {
		t.Errorf("told: %s", got)
	}
	for _, a := range w.alerts(true) {
		if want := map[string]string{"/login": "silenced: " + s.ID, "/other": ""}[a.Route]; a.Muted != want {
			t.Errorf("%s is muted by %q, want %q", a.Route, a.Muted, want)
		}
	}
	if _, err := w.table.EndSilence(t.Context(), s.ID[:4], w.who()); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second)
	if got := r.kinds(); got != "firing" {
		t.Errorf("when it was ended: %s", got)
	}
	if _, err := w.table.AddSilence(t.Context(), []string{"severity>=low"}, 3*time.Hour, w.who()); err != nil {
		t.Fatal(err)
	}
	w.pass(2*time.Hour + time.Minute)
	if got := r.kinds(); got != "resolved resolved" {
		t.Errorf("resolved while silenced: %s", got)
	}
	log, err := w.table.History(t.Context(), 10)
	if err != nil || len(log) != 3 || log[1].What != "end silence" || log[1].Who != "cli:ann" || log[1].On != s.ID || log[1].Why != "a pentest" {
		t.Errorf("history %+v, %v", log, err)
	}
}

// TestSilenceIsForAll: an alert that is also about others is told.
func TestSilenceIsForAll(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]")
	if _, err := w.table.AddSilence(t.Context(), []string{"subject=192.0.2.1"}, time.Hour, w.who()); err != nil {
		t.Fatal(err)
	}
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	w.pass(time.Minute)
	if got := r.kinds(); got != "" {
		t.Errorf("told: %s", got)
	}
	w.find(w.finding("auth-burst", "192.0.2.2", "/login", detect.High))
	w.pass(2 * time.Second)
	if got := r.kinds(); got != "firing" {
		t.Errorf("with another client: %s", got)
	}
}

// TestBadSilences: each says what is wrong.
func TestBadSilences(t *testing.T) {
	w := newWorld(t, "{}")
	for want, add := range map[string]func() error{
		"needs a condition": func() error { _, err := w.table.AddSilence(t.Context(), nil, time.Hour, w.who()); return err },
		"did you mean rule": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rul=x"}, time.Hour, w.who())
			return err
		},
		"only severity has an order": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rule>=x"}, time.Hour, w.who())
			return err
		},
		"want info, low": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"severity=grave"}, time.Hour, w.who())
			return err
		},
		"the value is missing": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rule="}, time.Hour, w.who())
			return err
		},
		"want KEY=VALUE": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rule"}, time.Hour, w.who())
			return err
		},
		"at most 366 days": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rule=x"}, 1e6*time.Hour, w.who())
			return err
		},
		"say why": func() error {
			_, err := w.table.AddSilence(t.Context(), []string{"rule=x"}, time.Hour, alert.Who{Name: "ann", At: w.now})
			return err
		},
		"0 silences that hold": func() error { _, err := w.table.EndSilence(t.Context(), "abcd", w.who()); return err },
		"0 alerts begin":       func() error { _, err := w.table.Acknowledge(t.Context(), "abcd", w.who()); return err },
	} {
		if err := add(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestInhibit: a graver alert of the same family keeps others quiet while it is open.
func TestInhibit(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "channels: ["+hook(t, r, "")+"]\ninhibit: [{while: ['severity=critical'], mute: ['severity!=critical'], equal: [family]}]")
	other := w.finding("scan-burst", "192.0.2.9", "/admin", detect.High)
	other.Family = detect.Recon
	w.find(w.finding("takeover", "192.0.2.1", "/login", detect.Critical), w.finding("auth-burst", "192.0.2.2", "/token", detect.High), other)
	w.pass(time.Minute)
	if got := r.kinds(); got != "firing firing" {
		t.Errorf("told: %s", got)
	}
	for _, a := range w.alerts(true) {
		if (a.Muted != "") != (a.Rule == "auth-burst") {
			t.Errorf("%s is muted by %q", a.Rule, a.Muted)
		}
	}
}

// TestEscalation: whom to tell next is told when nobody acknowledges, and only then; an
// alert that is looked after is not reminded of.
func TestEscalation(t *testing.T) {
	first, next := newReceiver(t), newReceiver(t)
	w := newWorld(t, fmt.Sprintf(`resolve: 24h
repeat: 1h
channels: [%s, %s]
routes: [{channels: [first], escalate: [{after: 10m, channels: [next]}]}]`, hook(t, first, ", name: first"), hook(t, next, ", name: next")))
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High), w.finding("auth-burst", "192.0.2.2", "/token", detect.High))
	w.pass(5 * time.Minute)
	var id string
	for _, a := range w.alerts(true) {
		if a.Route == "/login" {
			id = a.ID
		}
	}
	if _, err := w.table.Acknowledge(t.Context(), id[:6], w.who()); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.pass(6 * time.Minute)
	if a, b := first.kinds(), next.kinds(); a != "firing firing" || b != "escalation" {
		t.Errorf("told: %s, then: %s", a, b)
	}
	w.pass(time.Hour)
	if a, b := first.kinds(), next.kinds(); a != "reminder" || b != "reminder" {
		t.Errorf("reminded: %s, and: %s", a, b)
	}
	for _, a := range w.alerts(true) {
		if (a.Ack != nil) != (a.ID == id) {
			t.Errorf("%s: acknowledged %+v", a.ID, a.Ack)
		}
	}
}

// TestRoutes: by severity and family; a channel that no route leads to is told nothing.
func TestRoutes(t *testing.T) {
	grave, all, none := newReceiver(t), newReceiver(t), newReceiver(t)
	w := newWorld(t, fmt.Sprintf(`channels: [%s, %s, %s]
routes: [{match: ['severity>=high', 'route=/lo*in'], channels: [grave]}, {channels: [all]}]`, hook(t, grave, ", name: grave"), hook(t, all, ", name: all, resolved: false"), hook(t, none, ", name: none")))
	w.find(w.finding("auth-burst", "192.0.2.1", "/login", detect.High), w.finding("auth-burst", "192.0.2.2", "/token", detect.High), w.finding("auth-burst", "192.0.2.3", "/loin", detect.Medium))
	w.pass(20 * time.Minute)
	if a, b, c := grave.kinds(), all.kinds(), none.kinds(); a != "firing resolved" || b != "firing firing firing" || c != "" {
		t.Errorf("told: %s; %s; %s", a, b, c)
	}
}

// TestDigest: beyond the rate people get one message about the rest; a system is told of
// each, later.
func TestDigest(t *testing.T) {
	chat, system := newReceiver(t), newReceiver(t)
	w := newWorld(t, fmt.Sprintf("resolve: 24h\nchannels: [%s, %s]", slack(t, chat, ", rate: 3, per: 10m"), hook(t, system, ", rate: 5, per: 10m")))
	for i := range 30 {
		w.find(w.finding("auth-burst", "192.0.2.1", fmt.Sprint("/", i), detect.High))
	}
	w.pass(30 * time.Second)
	if n, s := len(chat.said), len(strings.Fields(system.kinds())); n != 3 || s != 5 {
		t.Errorf("at first %d and %d", n, s)
	}
	w.restart() // what is left of the rate is remembered
	w.pass(20 * time.Second)
	if n := len(chat.said); n != 3 {
		t.Errorf("after a restart %d", n)
	}
	w.pass(5 * time.Minute)
	if n := len(chat.said); n != 4 {
		t.Fatalf("then %d", n)
	}
	if text := fmt.Sprint(chat.said[3]["text"]); text != "[HIGH] 27 alerts that were held back" {
		t.Errorf("digest %s", text)
	}
	w.pass(time.Hour)
	if s := len(strings.Fields(system.kinds())); s != 25 {
		t.Errorf("the system was told of %d more", s)
	}
	if n := len(chat.said); n != 4 {
		t.Errorf("people were told %d times", n)
	}
}

// TestQuietHours: in the night only what is grave is told; the rest comes in the morning,
// as one.
func TestQuietHours(t *testing.T) {
	chat := newReceiver(t)
	w := newWorld(t, fmt.Sprintf(`resolve: 24h
repeat: 0
channels: [%s]
routes: [{channels: [slack], quiet: {from: '22:00', to: '07:00', zone: Europe/Berlin, but: critical}}]`, slack(t, chat, "")))
	w.now = time.Date(2026, 7, 1, 19, 59, 0, 0, time.UTC) // 21:59 in Berlin
	w.find(w.finding("auth-burst", "192.0.2.1", "/evening", detect.High))
	w.pass(30 * time.Second)
	w.pass(time.Hour)
	w.find(w.finding("auth-burst", "192.0.2.1", "/a", detect.High), w.finding("auth-burst", "192.0.2.1", "/b", detect.High), w.finding("takeover", "192.0.2.1", "/c", detect.Critical))
	w.pass(time.Minute)
	if n := len(chat.said); n != 2 {
		t.Errorf("in the night %d", n)
	}
	w.pass(8 * time.Hour)
	if n := len(chat.said); n != 3 {
		t.Fatalf("in the morning %d", n)
	}
	if text := fmt.Sprint(chat.said[2]["text"]); !strings.Contains(text, "alerts that were held back") {
		t.Errorf("in the morning %s", text)
	}
}

// TestQuietClock: across midnight, by weekdays, and on the day the clock is changed.
func TestQuietClock(t *testing.T) {
	q := alert.QuietConfig{From: "22:00", To: "07:00", Days: []string{"fri", "sat"}, Zone: "Europe/Berlin", But: "critical"}
	for at, want := range map[string]bool{
		"2026-07-03T19:59:00Z": false, // Friday 21:59
		"2026-07-03T20:00:00Z": true,
		"2026-07-04T04:59:00Z": true,  // Saturday 06:59
		"2026-07-04T05:00:00Z": false, // Saturday 07:00
		"2026-07-05T04:00:00Z": true,  // Sunday 06:00, since Saturday
		"2026-07-05T20:30:00Z": false, // Sunday 22:30
		"2026-03-28T21:30:00Z": true,  // Saturday 22:30, winter
		"2026-03-29T04:59:00Z": true,  // Sunday 06:59, summer by now
		"2026-03-29T05:00:00Z": false,
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Holds(when, "high"); got != want {
			t.Errorf("%s: %t", at, got)
		}
		if q.Holds(when, "critical") {
			t.Errorf("%s: a grave one is held", at)
		}
	}
	day := alert.QuietConfig{From: "12:00", To: "13:00", Zone: "UTC", But: "high"}
	if !day.Holds(began.Add(2*time.Hour), "medium") || day.Holds(began.Add(3*time.Hour), "medium") || day.Holds(began.Add(2*time.Hour), "high") {
		t.Error("the hour at noon")
	}
}

// TestTemplates: a channel's own words, and what cannot be a template is refused.
func TestTemplates(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "console_url: https://portcullis.example.org/\nchannels: ["+hook(t, r, `, redact: no, title: '{{upper .Severity}} {{.Route}}', text: "{{.Findings}} of {{join \", \" .Subjects}}\n{{.Link}}"`)+"]")
	w.find(w.finding("auth-burst", "192.0.2.1", "/login\r\nBcc: all\u202e", detect.High))
	w.pass(20 * time.Second)
	id := w.alerts(true)[0].ID
	if n := r.got[0]; n.Title != `HIGH /login\r\nBcc: all\u202e` || n.Text != "1 of ip:192.0.2.1\nhttps://portcullis.example.org/alerts?id="+id {
		t.Errorf("title %q, text %q", n.Title, n.Text)
	}
}

// TestBadSettings: each mistake has its place and says what would do.
func TestBadSettings(t *testing.T) {
	var all struct {
		Alerts alert.Config `yaml:"alerts"`
	}
	err := config.Load("portcullis.yaml", []byte(`alerts:
  keep: 2h
  channels:
    - {type: slak}
    - {type: slack, name: "a b"}
    - {type: webhook, webhook: {url: "http://example.org/x"}, title: "{{.Nothing}}"}
    - {type: webhook, webhook: {url: "https://u:p@example.org/x"}}
    - {type: email, email: {host: mail.example.org, security: none, from: me, to: [you]}}
    - {type: telegram, telegram: {chat: "some where"}}
    - {type: ocsf, ocsf: {path: alerts.json}}
    - {type: syslog, syslog: {address: nowhere}}
  routes:
    - {match: ["severty=high"], channels: [webhok], quiet: {from: "25:00", to: "7:00", zone: Mars}}
  inhibit: [{while: [x], mute: ["rule=y"]}]
`), nil, &all)
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	text := problems.Error()
	for _, want := range []string{"did you mean slack?", "letters, digits and ._- only", "must be https", "Nothing", "is the name of another channel", "want https://HOST/PATH",
		"none is only for a server on this machine", "\"me\" is no address", "\"you\" is no address", "is no token of a bot", "want the id of a chat", "want a whole path", "want HOST:PORT",
		"did you mean severity?", "did you mean webhook?", "want HH:MM", "no time zone", "want KEY=VALUE", "must be at least max_age"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestTry: a test notice goes past everything, and says why it could not.
func TestTry(t *testing.T) {
	r := newReceiver(t)
	cfg := settings(t, "channels: ["+hook(t, r, "")+"]\nroutes: [{match: [rule=none], channels: [webhook]}]")
	if err := alert.Try(t.Context(), &cfg, "webhook", "1.2.3", began); err != nil || r.kinds() != "test" {
		t.Errorf("got %v", err)
	}
	if err := alert.Try(t.Context(), &cfg, "webhok", "1.2.3", began); err == nil || !strings.Contains(err.Error(), "did you mean webhook?") {
		t.Errorf("got %v", err)
	}
	r.answer(http.StatusForbidden)
	if err := alert.Try(t.Context(), &cfg, "webhook", "1.2.3", began); err == nil || !strings.Contains(err.Error(), "status 403") {
		t.Errorf("got %v", err)
	}
}

// TestRun: what Run starts it ends; a store that refuses ends it with the reason.
func TestRun(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, "wait: 0s\nchannels: ["+hook(t, r, "")+"]")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.e.Run(ctx) }()
	w.e.Note(w.finding("auth-burst", "192.0.2.1", "/login", detect.High))
	within(t, func() bool { return r.kinds() == "firing" })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	w.e = nil
	w.restart()
	if _, err := w.db.SQL().Exec(`DROP TABLE alert_records`); err != nil {
		t.Fatal(err)
	}
	if err := w.e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("ended with %v", err)
	}
}

// within waits until something holds, for ten seconds at the most.
func within(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("it did not come to be within ten seconds")
		}
	}
}
