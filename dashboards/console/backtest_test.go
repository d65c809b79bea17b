package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/fixtures/browsertest"
)

const backtests = "/api/v1/backtests"

// awaitBacktest waits for the state of a backtest.
func awaitBacktest(t *testing.T, h *house, id, state string) map[string]any {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var got map[string]any
	for range 1000 {
		if got = h.get(backtests + "/" + id); got["state"] == state {
			return got
		}
		<-tick.C
	}
	t.Fatalf("not %s: %v", state, got)
	return nil
}

func TestBacktestOnce(t *testing.T) {
	t.Parallel()
	h := open(t, console.Config{})
	const order = `{"why":"before we enforce","from":"files","since":"7d","thresholds":[1,10],"change":[{"rule":"auth-burst","key":"limit","value":"20"}]}`
	name := header("Idempotency-Key", "ticket 4711")
	a := h.do("POST", backtests, order, name)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	first := parse(t, a)
	id := first["id"].(string)
	if a.header.Get("Location") != backtests+"/"+id || first["state"] != "running" || first["asked"] != "from files, since 7d, score 1, score 10, with auth-burst.limit=20" {
		t.Errorf("begun: %s %v", a.header.Get("Location"), first)
	}
	again := h.do("POST", backtests, order, name)
	if again.header.Get("Idempotent-Replayed") != "true" || parse(t, again)["id"] != id {
		t.Errorf("again: %d %s", again.status, again.body)
	}
	problem(t, h.do("POST", backtests, strings.Replace(order, "7d", "8d", 1), name), http.StatusUnprocessableEntity)
	if said := problem(t, h.do("POST", backtests, order), http.StatusConflict); !strings.Contains(said, id) {
		t.Errorf("while one runs: %s", said)
	}
	problem(t, h.do("GET", backtests+"/"+id+"/report", ""), http.StatusConflict)
	problem(t, h.do("POST", backtests+"/"+id+"/cancel", `{}`), http.StatusBadRequest)
	if a := h.do("POST", backtests+"/"+id+"/cancel", `{"why":"too slow"}`); a.status != http.StatusOK {
		t.Errorf("cancel: %d %s", a.status, a.body)
	}
	if got := awaitBacktest(t, h, id, "cancelled"); got["ended"] == "" || got["result"] != nil {
		t.Errorf("cancelled: %v", got)
	}
	problem(t, h.do("POST", backtests+"/"+id+"/cancel", `{"why":"too slow"}`), http.StatusConflict)
	problem(t, h.do("POST", backtests+"/gone/cancel", `{"why":"x"}`), http.StatusNotFound)
	notes, err := h.ledger.Commands(t.Context(), enforce.AuditQuery{})
	if err != nil || len(notes) != 2 {
		t.Fatalf("audit: %v, %v", notes, err)
	}
	for i, want := range []enforce.Command{
		{Verb: "cancel-backtest", Arg: id, Why: "too slow", Who: "console (127.0.0.1)", Result: id, Done: true},
		{Verb: "backtest", Arg: first["asked"].(string), Why: "before we enforce", Who: "console (127.0.0.1)", Result: id, Done: true},
	} {
		got := notes[i]
		got.ID, got.UID, got.At = 0, "", 0
		if got != want {
			t.Errorf("audit: %+v, want %+v", got, want)
		}
	}
}

func TestBacktestRefuses(t *testing.T) {
	t.Parallel()
	h := open(t, console.Config{})
	many := strings.Repeat("1,", 8) + "1"
	for name, body := range map[string]string{
		"no reason": `{"from":"files"}`, "another place": `{"why":"x","from":"nowhere"}`, "a stray key": `{"why":"x","from":"files","sources":true}`,
		"no score": `{"why":"x","from":"files","thresholds":[0]}`, "below nothing": `{"why":"x","from":"files","thresholds":[-1]}`, "too much": `{"why":"x","from":"files","thresholds":[1e300]}`,
		"too many": `{"why":"x","from":"files","thresholds":[` + many + `]}`, "a control character": `{"why":"x","from":"files","since":"7d\n"}`, "a long text": `{"why":"x","from":"files","paid":["/` + strings.Repeat("x", 200) + `"]}`,
		"a path of settings": `{"why":"x","from":"files","change":[{"rule":"auth-burst.limit=1","key":"x","value":"1"}]}`, "two objects": `{"why":"x","from":"files"}{}`,
	} {
		if a := h.do("POST", backtests, body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	problem(t, h.do("GET", backtests+"/..%2f..%2fetc", ""), http.StatusNotFound)
	if got := h.get(backtests); len(got["backtests"].([]any)) != 2 {
		t.Errorf("something was begun: %v", got)
	}
}

// TestBacktestReport: the report has a policy of its own, under which nothing in it can act.
func TestBacktestReport(t *testing.T) {
	t.Parallel()
	h := open(t, console.Config{})
	a := h.do("GET", backtests+"/"+consoletest.BacktestID+"/report", "")
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "Who would have been blocked") {
		t.Fatalf("%d %v %.200s", a.status, a.header, a.body)
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") || strings.Contains(policy, "script") {
		t.Errorf("policy %q", policy)
	}
	if strings.Contains(a.body, "<script>document") {
		t.Error("evidence is markup in the report")
	}
}

// backtest starts one by the keyboard, sees how far it is without reading anew, and cancels
// it; what the last one came to is text, whatever clients sent.
func backtest(t *testing.T, h *house, b *browsertest.Browser) {
	b.Visit(h.http.URL+"/backtest?id="+consoletest.BacktestID, 1280, 800, false)
	b.Until("the result", `document.querySelectorAll("#worst tbody tr").length === 4`)
	if n := b.Eval(`document.querySelectorAll("main script, main [onmouseover], main img").length`); n != 0.0 {
		t.Errorf("%v elements were made of a subject", n)
	}
	if got := fmt.Sprint(b.Eval(`document.querySelector("#by-score tbody tr").textContent`)); !strings.Contains(got, "score 1") || !strings.Contains(got, "250") {
		t.Errorf("by score: %s", got)
	}
	b.Eval(`(() => { const s = document.getElementById("score"); s.value = "0"; s.dispatchEvent(new Event("change")); })()`)
	b.Until("the rules at that score", `document.querySelector("#by-rule tbody").textContent.includes("scanner")`)
	b.Eval(`document.getElementById("add").focus()`)
	b.Key("Enter", 13)
	b.Until("a setting", `document.activeElement.tagName === "SELECT" && document.querySelector("#changes").textContent.includes("Now 10; a whole number.")`)
	b.Key("Tab", 9)
	b.Eval(`document.activeElement.value = "20"`)
	b.Eval(`document.querySelector("#order [name=thresholds]").value = "1, 7"; document.querySelector("#order .primary").focus()`)
	b.Key("Enter", 13)
	b.Until("the dialog", `document.getElementById("ask").open && document.activeElement.id === "ask-why"`)
	// The answer comes behind the event that a quarter is read.
	b.Eval(`(() => { const now = window.fetch; window.fetch = async (...asked) => {
		const answer = await now(...asked);
		if (asked[1]?.method === "POST") await new Promise((done) => { const look = () => document.querySelector("#jobs progress") ? done() : setTimeout(look, 20); look(); });
		return answer;
	}; })()`)
	b.Eval(`document.getElementById("ask-why").value = "before we enforce"; document.getElementById("ask-ok").focus()`)
	b.Key("Enter", 13)
	b.Until("the answer", `!document.getElementById("ask").open`)
	b.Until("how far it is", `document.querySelector("#jobs tr progress")?.value === 25 && document.querySelector("#jobs tr").textContent.includes("reading 1 of 2, 25 %")`)
	if got := fmt.Sprint(b.Eval(`document.querySelector("#jobs tr").textContent`)); !strings.Contains(got, "from files, since 7d, score 1, score 7, with auth-burst.limit=20") {
		t.Errorf("asked: %s", got)
	}
	b.Eval(`document.querySelector("#jobs tr button").focus()`)
	b.Key("Enter", 13)
	b.Until("the dialog", `document.getElementById("ask").open`)
	b.Eval(`document.getElementById("ask-why").value = "too slow"; document.getElementById("ask-ok").click()`)
	b.Until("it ended", `document.querySelector("#jobs tr .tag").textContent === "cancelled"`)
}
