package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/enforce"
)

// of returns the id of the seeded decision in a state.
func (h *house) of(state string) string {
	h.t.Helper()
	return rows(h.t, h.get("/api/v1/decisions?state="+state), "decisions")[0]["id"].(string)
}

func TestWritesReachTheLedger(t *testing.T) {
	h := open(t, console.Config{})
	var mu sync.Mutex
	h.enforcer(func(verb, arg string) string { mu.Lock(); defer mu.Unlock(); return "took " + verb + " " + arg })
	verified, proposed := h.of("verified"), h.of("proposed")
	for i, c := range []struct {
		method, path, body string
		want               enforce.Command
	}{
		{"POST", "/api/v1/decisions/" + verified + "/release", `{"why":"a customer called"}`, enforce.Command{Verb: "release", Arg: verified, Why: "a customer called"}},
		{"POST", "/api/v1/decisions/" + proposed + "/release", `{"why":"not now"}`, enforce.Command{Verb: "release", Arg: proposed, Why: "not now"}},
		{"POST", "/api/v1/decisions/" + proposed + "/approve", `{"why":"looks bad"}`, enforce.Command{Verb: "approve", Arg: proposed, Why: "looks bad"}},
		{"POST", "/api/v1/decisions/" + verified + "/extend", `{"why":"still at it","for":"4h"}`, enforce.Command{Verb: "extend", Arg: verified, Why: "still at it", For: 4 * time.Hour}},
		{"POST", "/api/v1/allow", `{"value":" 192.0.2.0/24 ","why":"partner","for":"24h"}`, enforce.Command{Verb: "allow", Arg: "192.0.2.0/24", Why: "partner", For: 24 * time.Hour}},
		{"POST", "/api/v1/allow", `{"value":"consumer:ci","why":"partner"}`, enforce.Command{Verb: "allow", Arg: "consumer:ci", Why: "partner"}},
		{"DELETE", "/api/v1/allow/" + url.PathEscape("198.51.100.0/28"), `{"why":"test is over"}`, enforce.Command{Verb: "disallow", Arg: "198.51.100.0/28", Why: "test is over"}},
	} {
		// The enforcer's answer may take longer than the console waits: 202, then ask.
		a := h.do(c.method, c.path, c.body)
		if a.status != http.StatusOK && a.status != http.StatusAccepted {
			t.Fatalf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
		doc := h.done(a.header.Get("Location"))
		if doc["result"] != "took "+c.want.Verb+" "+c.want.Arg || doc["failed"] != false {
			t.Errorf("%s %s: %v", c.method, c.path, doc)
		}
		got, found, err := h.ledger.Command(t.Context(), int64(i+1))
		if err != nil || !found {
			t.Fatalf("command %d: %v %v", i+1, found, err)
		}
		if got.Verb != c.want.Verb || got.Arg != c.want.Arg || got.Why != c.want.Why || got.For != c.want.For {
			t.Errorf("posted %+v, want %+v", got, c.want)
		}
		if got.Who != "console (127.0.0.1)" || got.At != h.clock().UnixNano() {
			t.Errorf("who %q, at %d", got.Who, got.At)
		}
	}
}

// done asks for a command until it is done, for at most five seconds.
func (h *house) done(path string) map[string]any {
	h.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if doc := h.get(path); doc["done"] == true {
			return doc
		}
	}
	h.t.Fatalf("%s was never done", path)
	return nil
}

func TestAWriteWithoutEnforcerIsAccepted(t *testing.T) {
	h := open(t, console.Config{})
	a := h.do("POST", "/api/v1/allow", `{"value":"192.0.2.1","why":"test"}`)
	if a.status != http.StatusAccepted || a.header.Get("Location") != "/api/v1/commands/1" {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if doc := h.get("/api/v1/commands/1"); doc["done"] != false || doc["verb"] != "allow" {
		t.Errorf("command: %v", doc)
	}
}

func TestWhatTheEnforcerRefusesIsAConflict(t *testing.T) {
	h := open(t, console.Config{})
	h.server.Hurry(20*time.Millisecond, 5*time.Second)
	h.enforcer(func(string, string) string { return "error: 10.0.0.0/8 is no address" })
	detail := problem(t, h.do("POST", "/api/v1/allow", `{"value":"10.0.0.0/8x","why":"test"}`), http.StatusConflict)
	if detail != "10.0.0.0/8 is no address" {
		t.Errorf("detail: %q", detail)
	}
}

func TestBadWritesPostNothing(t *testing.T) {
	h := open(t, console.Config{})
	verified, proposed, ended := h.of("verified"), h.of("proposed"), h.of("released")
	long := strings.Repeat("x", 501)
	for _, c := range []struct {
		method, path, body string
		status             int
		word               string
	}{
		{"POST", "/decisions/" + verified + "/release", `{}`, 400, "why"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"  "}`, 400, "why"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"` + long + `"}`, 400, "why"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"a\nforged entry"}`, 400, "why"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"bidi \u202e"}`, 400, "why"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"x","who":"root"}`, 400, "who"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"x","for":"1h"}`, 400, "for"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"x","value":"y"}`, 400, "value"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"x"} {"why":"y"}`, 400, "one JSON object"},
		{"POST", "/decisions/" + verified + "/release", `[`, 400, "JSON"},
		{"POST", "/decisions/" + verified + "/release", `{"why":"` + strings.Repeat("x", 10_000) + `"}`, 413, "bytes"},
		{"POST", "/decisions/" + verified + "/approve", `{"why":"x"}`, 409, "verified"},
		{"POST", "/decisions/" + proposed + "/extend", `{"why":"x","for":"1h"}`, 409, "proposed"},
		{"POST", "/decisions/" + ended + "/release", `{"why":"x"}`, 409, "released"},
		{"POST", "/decisions/" + verified + "/extend", `{"why":"x"}`, 400, "for"},
		{"POST", "/decisions/" + verified + "/extend", `{"why":"x","for":"10s"}`, 400, "for"},
		{"POST", "/decisions/" + verified + "/extend", `{"why":"x","for":"-1h"}`, 400, "for"},
		{"POST", "/decisions/" + verified + "/extend", `{"why":"x","for":"9999h"}`, 400, "for"},
		{"POST", "/decisions/nothing/release", `{"why":"x"}`, 404, "nothing"},
		{"POST", "/allow", `{"why":"x"}`, 400, "value"},
		{"POST", "/allow", `{"value":"` + long + `","why":"x"}`, 400, "value"},
		{"POST", "/allow", `{"value":"a\u0000b","why":"x"}`, 400, "value"},
		{"DELETE", "/allow/192.0.2.1", `{}`, 400, "why"},
	} {
		a := h.do(c.method, "/api/v1"+c.path, c.body)
		if detail := problem(t, a, c.status); !strings.Contains(detail, c.word) {
			t.Errorf("%s %s %.40s: %s", c.method, c.path, c.body, detail)
		}
	}
	if _, found, _ := h.ledger.Command(t.Context(), 1); found {
		t.Error("a bad write was posted")
	}
}
