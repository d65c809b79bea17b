package console_test

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect/alert"
)

// TestAlerts: what people were told is listed, somebody looks after one, and others are
// kept quiet for a time, once however often it is asked for under one name.
func TestAlerts(t *testing.T) {
	h := open(t, console.Config{})
	for path, want := range map[string][]string{
		"/api/v1/alerts":             {`"id":"a1"`, `"id":"a2"`, `"id":"a3"`, `"told":["chat","mail"]`, `"failing":["mail: the server refused the sender"]`, `"ack_by":"kim"`},
		"/api/v1/alerts?open=true":   {`"id":"a1"`, `"id":"a2"`},
		"/api/v1/alerts?id=a3":       {`"muted":"silenced"`, `"closed":"2026-03-04T11:55:20.000Z"`},
		"/api/v1/silences":           {`"match":["rule=scanner"]`, `"holds":true`},
		"/api/v1/alerts?id=nobody":   {`{"alerts":[]}`},
		"/alerts?which=all&id=a1":    {`id="alerts"`},
		"/api/v1/alerts?open=perhap": {`"status":400`},
	} {
		a := h.do("GET", path, "")
		for _, w := range want {
			if !strings.Contains(a.body, w) {
				t.Errorf("GET %s lacks %s: %d %s", path, w, a.status, a.body)
			}
		}
	}
	if a := h.do("GET", "/api/v1/alerts?open=true", ""); strings.Contains(a.body, `"a3"`) {
		t.Errorf("an alert that is over is open: %s", a.body)
	}
	if a := h.do("POST", "/api/v1/alerts/a1/acknowledge", `{"why":"on it"}`); a.status != 200 || !strings.Contains(a.body, `"ack_why":"on it"`) {
		t.Errorf("acknowledge: %d %s", a.status, a.body)
	}
	if list, err := h.alerts.Alerts(t.Context(), alert.Query{ID: "a1"}); err != nil || list[0].Ack == nil || list[0].Ack.Why != "on it" {
		t.Errorf("after it: %+v, %v", list, err)
	}
	order := `{"why":"we test","value":"rule=auth-burst, route=/login","for":"4h"}`
	first := h.do("POST", "/api/v1/silences", order, header("Idempotency-Key", "k"))
	again := h.do("POST", "/api/v1/silences", order, header("Idempotency-Key", "k"))
	if first.status != 200 || first.body != again.body || !strings.Contains(first.body, `"match":["rule=auth-burst","route=/login"]`) {
		t.Errorf("silence: %d %s\nagain: %d %s", first.status, first.body, again.status, again.body)
	}
	list, err := h.alerts.Silences(t.Context(), true, h.clock())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d silences hold, %v", len(list), err)
	}
	if a := h.do("DELETE", "/api/v1/silences/"+list[0].ID, `{"why":"done"}`); a.status != 200 || !strings.Contains(a.body, `"holds":false`) {
		t.Errorf("end it: %d %s", a.status, a.body)
	}
	for path, c := range map[string]struct {
		method, body string
		status       int
	}{
		"/api/v1/alerts/zz/acknowledge":         {"POST", `{"why":"x"}`, 404},
		"/api/v1/alerts/a/acknowledge":          {"POST", `{"why":"x"}`, 404}, // several begin so
		"/api/v1/silences":                      {"POST", `{"why":"x","value":"colour=red","for":"1h"}`, 400},
		"/api/v1/silences?":                     {"POST", `{"why":"x","value":"rule=scanner"}`, 400},
		"/api/v1/silences/" + list[0].ID:        {"DELETE", `{"why":"twice"}`, 404},
		"/api/v1/silences/" + list[1].ID + "?x": {"DELETE", `{}`, 400},
	} {
		if a := h.do(c.method, path, c.body); a.status != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.method, path, a.status, c.status, a.body)
		}
	}
}
