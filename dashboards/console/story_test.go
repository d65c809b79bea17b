package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
)

func TestSubject(t *testing.T) {
	h := open(t, console.Config{})
	ask := func(subject string) map[string]any {
		return h.get("/api/v1/subject?subject=" + url.QueryEscape(subject))
	}
	s := ask("ip:203.0.113.66")
	if len(rows(t, s, "findings")) != 1 || len(rows(t, s, "requests")) != 2 || len(rows(t, s, "campaigns")) != 1 || len(rows(t, s, "allow")) != 0 {
		t.Errorf("of an attacker: %v", s)
	}
	made := rows(t, s, "decisions")
	if len(made) != 1 || len(made[0]["history"].([]any)) != 3 {
		t.Errorf("decisions: %v", made)
	}
	if s["standing"] == nil || s["first_seen"] == nil {
		t.Errorf("blast radius and times: %v, %v", s["standing"], s["first_seen"])
	}
	// An entry of the allow list covers it by its network; an IPv6 client has its /64.
	if got := rows(t, ask("ip:198.51.100.9"), "allow"); len(got) != 1 || got[0]["value"] != "198.51.100.0/28" {
		t.Errorf("allowed by network: %v", got)
	}
	if got := rows(t, ask("ip:198.51.100.77"), "allow"); len(got) != 0 {
		t.Errorf("outside the network: %v", got)
	}
	if got := ask("ip:2001:db8:4f::9e1"); got["network"] != "2001:db8:4f::/64" {
		t.Errorf("network: %v", got["network"])
	}
	if got := ask("route:/nothing"); len(rows(t, got, "findings")) != 0 || got["standing"] != nil {
		t.Errorf("of nobody: %v", got)
	}
	for _, bad := range []string{"", "ip", ":x", "ip:", "ip:" + strings.Repeat("x", 600)} {
		problem(t, h.do("GET", "/api/v1/subject?subject="+url.QueryEscape(bad), ""), http.StatusBadRequest)
	}
}

func TestSummary(t *testing.T) {
	h := open(t, console.Config{})
	s := h.get("/api/v1/summary?since=1h")
	sums := map[any]float64{}
	for _, x := range rows(t, s, "findings") {
		sums[x["family"]] += x["findings"].(float64)
	}
	if want := map[any]float64{"credential": 4, "injection": 4, "rate": 2, "recon": 3}; fmt.Sprint(sums) != fmt.Sprint(want) {
		t.Errorf("by family %v, want %v", sums, want)
	}
	if d := s["decisions"].(map[string]any); d["verified"] != 3.0 || d["proposed"] != 2.0 || d["released"] != 0.0 {
		t.Errorf("by state: %v", d)
	}
	if d := h.get("/api/v1/summary?since=48h")["decisions"].(map[string]any); d["released"] != 1.0 {
		t.Errorf("by state in two days: %v", d)
	}
}

func TestRules(t *testing.T) {
	h := open(t, console.Config{})
	if _, err := h.db.SQL().Exec(`UPDATE decisions SET rule = 'scanner' WHERE state = 'proposed';
		INSERT INTO changes (decision, at, who, from_state, to_state, why) SELECT id, 1, 'kim (10.0.0.1)', 'verified', 'released', 'released: a mistake' FROM decisions WHERE value = '203.0.113.9';
		INSERT INTO changes (decision, at, who, from_state, to_state, why) SELECT id, 1, 'kim (10.0.0.1)', 'proposed', 'approved', 'approved' FROM decisions WHERE rule = 'scanner' AND state = 'proposed'`); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows(t, h.get("/api/v1/rules"), "rules") {
		switch r["rule"] {
		case "scanner":
			if r["mode"] != "observe" || r["findings"] != 3.0 || r["decisions"] != 3.0 || r["approved"] != 2.0 || r["regretted"] != 1.0 || int(r["precision"].(float64)*100) != 66 {
				t.Errorf("scanner: %v", r)
			}
		case "weak-tls":
			if r["enabled"] != false || r["precision"] != nil || r["newest"] != nil {
				t.Errorf("weak-tls: %v", r)
			}
		}
	}
}

func TestAuditPages(t *testing.T) {
	h := open(t, console.Config{})
	all := rows(t, h.get("/api/v1/changes?limit=500"), "changes")
	var seen []map[string]any
	path, pages := "/api/v1/changes?limit=7", 0
	for next := any(""); next != nil; pages++ {
		page := h.get(path)
		seen = append(seen, rows(t, page, "changes")...)
		if next = page["next"]; next != nil {
			path = "/api/v1/changes?limit=7&cursor=" + next.(string)
		}
	}
	if fmt.Sprint(seen) != fmt.Sprint(all) || pages != (len(all)+6)/7 {
		t.Errorf("%d rows on %d pages, want %d", len(seen), pages, len(all))
	}
	for _, cursor := range []string{"x", "-1", "0"} {
		problem(t, h.do("GET", "/api/v1/commands?cursor="+cursor, ""), http.StatusBadRequest)
	}
	if got := rows(t, h.get("/api/v1/changes?value=203.0.113.66"), "changes"); len(got) != 3 {
		t.Errorf("of one subject: %v", got)
	}
}

func TestTrafficInSteps(t *testing.T) {
	h := open(t, console.Config{})
	sum := func(path string) (n float64, bars int) {
		list := rows(t, h.get(path), "rollups")
		for _, r := range list {
			n += r["requests"].(float64)
		}
		return n, len(list)
	}
	minutes, bars := sum("/api/v1/traffic?since=1h")
	tens, fewer := sum("/api/v1/traffic?since=1h&step=10")
	if minutes != tens || bars < 59 || fewer < 6 || fewer > 7 {
		t.Errorf("%v requests in %d minutes, %v in %d steps of ten", minutes, bars, tens, fewer)
	}
	problem(t, h.do("GET", "/api/v1/traffic?step=0", ""), http.StatusBadRequest)
}
