package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
)

// rows are the objects under a key.
func rows(t testing.TB, doc map[string]any, key string) []map[string]any {
	t.Helper()
	list, ok := doc[key].([]any)
	if !ok {
		t.Fatalf("%s is no list: %v", key, doc[key])
	}
	out := make([]map[string]any, 0, len(list))
	for _, x := range list {
		out = append(out, x.(map[string]any))
	}
	return out
}

func TestStatus(t *testing.T) {
	h := open(t, console.Config{})
	doc := h.get("/api/v1/status")
	for key, want := range map[string]any{
		"time": "2026-03-04T12:00:20.000Z", "lines_per_second": 104.7, "lag_seconds": 0.18, "blocked": 4.0,
		"simulation": false, "panic": false, "ready": true, "login": false, "version": "0.1.0",
	} {
		if doc[key] != want {
			t.Errorf("%s = %v, want %v", key, doc[key], want)
		}
	}
	sources := rows(t, doc, "sources")
	if len(sources) != 2 || sources[0]["source"] != "edge" || sources[0]["rejected"] != 13.0 {
		t.Errorf("sources: %v", sources)
	}
	if g := rows(t, doc, "gateways"); len(g) != 1 || g[0]["took_ms"] != 74.0 {
		t.Errorf("gateways: %v", g)
	}
	if list, ok := doc["trouble"].([]any); !ok || len(list) != 0 {
		t.Errorf("trouble must be an empty list: %v", doc["trouble"])
	}
}

func TestTraffic(t *testing.T) {
	h := open(t, console.Config{})
	all := rows(t, h.get("/api/v1/traffic"), "rollups")
	if len(all) != 60 {
		t.Errorf("%d minutes of the last hour, want 60", len(all))
	}
	if some := rows(t, h.get("/api/v1/traffic?since=10m"), "rollups"); len(some) != 11 {
		t.Errorf("%d minutes since ten minutes ago, want 11", len(some))
	}
	if none := rows(t, h.get("/api/v1/traffic?route=/nothing"), "rollups"); len(none) != 0 {
		t.Errorf("%d minutes of a route that is not there", len(none))
	}
}

func TestFindingsFilter(t *testing.T) {
	h := open(t, console.Config{})
	for filter, want := range map[string]int{
		"":                  13,
		"?rule=scanner":     3,
		"?family=injection": 4,
		"?severity=high":    7, "?kind=campaign": 1, "?kind=ip&subject=ip:203.0.113.66": 1,
		"?severity=critical":                                                  2,
		"?subject=ip:203.0.113.66":                                            1,
		"?subject=account:maria.jones%40example.com":                          1,
		"?subject=ip:2001:db8:4f::9e1":                                        1,
		"?since=10m":                                                          5,
		"?since=2026-03-04T11:50:00Z&until=2026-03-04T11:59:00Z":              3,
		fmt.Sprintf("?since=%d", consoletest.Noon.Add(-5*time.Minute).Unix()): 3,
		"?rule=nothing":                                                       0,
	} {
		if got := rows(t, h.get("/api/v1/findings"+filter), "findings"); len(got) != want {
			t.Errorf("%s: %d findings, want %d", filter, len(got), want)
		}
	}
}

func TestFindingsPageByPage(t *testing.T) {
	h := open(t, console.Config{})
	seen := map[any]bool{}
	last := "9"
	path := "/api/v1/findings?limit=5"
	for pages := 1; ; pages++ {
		a := h.do("GET", path, "")
		doc := parse(t, a)
		for _, f := range rows(t, doc, "findings") {
			if seen[f["id"]] {
				t.Errorf("%v comes twice", f["id"])
			}
			seen[f["id"]] = true
			if fired := f["fired_at"].(string); fired > last {
				t.Errorf("%s after %s: not the newest first", fired, last)
			} else {
				last = fired
			}
		}
		next, more := doc["next"].(string)
		if link := a.header.Get("Link"); more != strings.Contains(link, `rel="next"`) || more && !strings.Contains(link, next) {
			t.Errorf("Link: %q", link)
		}
		if !more {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		path = "/api/v1/findings?limit=5&cursor=" + next
	}
	if len(seen) != 13 {
		t.Errorf("%d findings, want 13", len(seen))
	}
}

func TestFindingIsTheOutputContract(t *testing.T) {
	h := open(t, console.Config{})
	want := consoletest.Findings(consoletest.Noon)[6]
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var contract map[string]any
	if err := json.Unmarshal(data, &contract); err != nil {
		t.Fatal(err)
	}
	got := h.get("/api/v1/findings/" + want.ID)
	delete(contract, "tags") // those of a registered rule; here Deps.Tags says them
	tags := got["tags"].([]any)
	delete(got, "tags")
	a, _ := json.Marshal(contract)
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("the API says\n%s\nthe command line says\n%s", b, a)
	}
	if len(tags) != 2 || tags[1] != "attack:T1190" {
		t.Errorf("tags: %v", tags)
	}
	line := rows(t, got, "evidence")[0]["line"].(string)
	if line != want.Evidence[0].Line {
		t.Errorf("the evidence was changed: %q", line)
	}
}

func TestDecisions(t *testing.T) {
	h := open(t, console.Config{})
	for filter, want := range map[string]int{
		"": 9, "?live=true": 5, "?state=proposed": 2, "?state=not_enforced": 1,
		"?subject=ip:203.0.113.9": 1, "?since=1h": 7, "?limit=3": 3,
	} {
		if got := rows(t, h.get("/api/v1/decisions"+filter), "decisions"); len(got) != want {
			t.Errorf("%s: %d decisions, want %d", filter, len(got), want)
		}
	}
	first := h.get("/api/v1/decisions?limit=7")
	if rest := rows(t, h.get("/api/v1/decisions?cursor="+first["next"].(string)), "decisions"); len(rest) != 2 {
		t.Errorf("the second page has %d, want 2", len(rest))
	}
	id := rows(t, h.get("/api/v1/decisions?state=not_enforced"), "decisions")[0]["id"].(string)
	d := h.get("/api/v1/decisions/" + id)
	if d["code"] != "wrong_key" || d["live"] != true || !strings.Contains(d["reason"].(string), "real_ip") {
		t.Errorf("decision: %v", d)
	}
	history := rows(t, d, "history")
	if len(history) != 3 || history[2]["to"] != "not_enforced" || history[1]["from"] != "approved" || history[0]["who"] != "policy" {
		t.Errorf("history: %v", history)
	}
}

func TestAllowedLeavesOutWhatEnded(t *testing.T) {
	h := open(t, console.Config{})
	if got := rows(t, h.get("/api/v1/allow"), "allow"); len(got) != 2 {
		t.Errorf("%d entries, want 2", len(got))
	}
	h.move(22 * 24 * time.Hour)
	got := rows(t, h.get("/api/v1/allow"), "allow")
	if len(got) != 1 || got[0]["value"] != "198.51.100.0/28" {
		t.Errorf("entries: %v", got)
	}
}

func TestBadQuestionsGetProblems(t *testing.T) {
	h := open(t, console.Config{})
	for path, word := range map[string]string{
		"/api/v1/findings?limit=0":                          "limit",
		"/api/v1/findings?limit=501":                        "limit",
		"/api/v1/findings?limit=x":                          "limit",
		"/api/v1/findings?severity=worst":                   "severity",
		"/api/v1/findings?since=yesterday":                  "since",
		"/api/v1/findings?subject=192.0.2.1":                "subject",
		"/api/v1/findings?sevrity=high":                     "sevrity",
		"/api/v1/findings?rule=a&rule=b":                    "more than once",
		"/api/v1/findings?cursor=nothing":                   "cursor",
		"/api/v1/findings?rule=%zz":                         "query",
		"/api/v1/decisions?cursor=nothing":                  "cursor",
		"/api/v1/findings?rule=" + strings.Repeat("a", 200): "rule",
		"/api/v1/decisions?state=gone":                      "state",
		"/api/v1/decisions?live=perhaps":                    "live",
		"/api/v1/traffic?since=9000h":                       "since",
		"/api/v1/traffic?since=1h&until=2h":                 "since",
		"/api/v1/status?x=1":                                "unknown parameter",
		"/api/v1/commands/x":                                "id",
		"/api/v1/commands/0":                                "id",
	} {
		if detail := problem(t, h.do("GET", path, ""), http.StatusBadRequest); !strings.Contains(detail, word) {
			t.Errorf("%s: %s", path, detail)
		}
	}
	for _, path := range []string{"/api/v1/findings/nothing", "/api/v1/decisions/nothing", "/api/v1/commands/99"} {
		problem(t, h.do("GET", path, ""), http.StatusNotFound)
	}
	evil := url.PathEscape("\x1b[2J<script>\u202e")
	detail := problem(t, h.do("GET", "/api/v1/findings/"+evil, ""), http.StatusNotFound)
	if strings.ContainsAny(detail, "\x1b\u202e") {
		t.Errorf("the caller's bytes come back raw: %q", detail)
	}
}

func TestStoreFaultsAreNotShown(t *testing.T) {
	h := open(t, console.Config{})
	h.broken = true
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/api/v1/findings", "/api/v1/decisions", "/api/v1/allow", "/api/v1/traffic", "/api/v1/events"} {
		detail := problem(t, h.do("GET", path, ""), http.StatusInternalServerError)
		if strings.Contains(detail, "sql") || strings.Contains(detail, "/") {
			t.Errorf("%s: %s", path, detail)
		}
	}
	if a := h.do("GET", "/api/v1/status", ""); a.status != http.StatusOK {
		t.Errorf("the status needs no store: %d", a.status)
	}
}
