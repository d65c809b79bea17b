package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect"
)

const drawn = `document.querySelectorAll("details.finding").length >= 12 && document.querySelectorAll("li.decision").length === 7`

func TestPageInABrowser(t *testing.T) {
	h := open(t, console.Config{})
	h.server.Hurry(100*time.Millisecond, 5*time.Second)
	h.enforcer(func(verb, arg string) string {
		if verb == "approve" {
			return "error: the breaker is open"
		}
		return "done"
	})
	b := chromium(t)
	b.visit(h.http.URL+"/", 1280, 800, false)
	b.until("the lists", drawn)
	// One browser, started once: these steps build on each other.
	for _, step := range []struct {
		name string
		run  func(*testing.T, *house, *browser)
	}{
		{"headline", headline}, {"hostile evidence stays text", hostile}, {"live finding", live},
		{"release", release}, {"refusal is shown", refused}, {"nothing spills", spills}, {"accessible names", named},
	} {
		t.Run(step.name, func(t *testing.T) { b.t = t; step.run(t, h, b) })
	}
	b.t = t
	for _, f := range b.faults {
		if !strings.Contains(f, "409") { // the refusal above
			t.Errorf("the page complained: %s", f)
		}
	}
}

func headline(t *testing.T, _ *house, b *browser) {
	got := fmt.Sprint(b.eval(`document.getElementById("headline").textContent`))
	for _, want := range []string{"1 block does not hold", "1 decision waits for you", "3 subjects seen to be stopped", "1 subject observed, not acted on"} {
		if !strings.Contains(got, want) {
			t.Errorf("headline %q misses %q", got, want)
		}
	}
	first := fmt.Sprint(b.eval(`document.querySelector("li.decision").textContent`))
	if !strings.Contains(first, "Does not hold") || !strings.Contains(first, "real_ip") {
		t.Errorf("what needs a person is not first: %s", first)
	}
	if b.eval(`document.querySelector("li.decision .tag.ok").textContent`) != "✓ Verified" {
		t.Error("a verified decision has no tick")
	}
	if sum := b.eval(`document.querySelectorAll("#chart rect").length > 120 && document.querySelector("#chart svg").getAttribute("aria-label").includes("denied by us")`); sum != true {
		t.Error("the chart is not drawn or has no words")
	}
}

func hostile(t *testing.T, _ *house, b *browser) {
	b.eval(`[...document.querySelectorAll("details.finding")].find((d) => d.textContent.includes("203.0.113.44")).open = true`)
	b.until("the evidence", `document.querySelector("details[open] .evidence li")`)
	got := fmt.Sprint(b.eval(`document.querySelector("details[open] .evidence .raw:not(.note .raw)").textContent`))
	for _, want := range []string{`<script>document.title='owned'</script>`, `\x1b[2J`, `\u{202e}gpj.exe`, `\u{2066}`, `\u{200b}`, `\0`, `\nforged line`} {
		if !strings.Contains(got, want) {
			t.Errorf("evidence %q misses %q", got, want)
		}
	}
	if n := b.eval(`document.querySelectorAll("main script, main [onmouseover], main img").length`); n != 0.0 {
		t.Errorf("%v elements were made of evidence", n)
	}
	if title := fmt.Sprint(b.eval(`document.title`)); strings.Contains(title, "owned") {
		t.Error("the script of the evidence ran")
	}
	if b.eval(`/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").innerText)`) != false {
		t.Error("control or bidirectional characters are in the page")
	}
	// The page's policy holds even against our own mistakes.
	if b.eval(`(() => { try { document.createElement("p").innerHTML = "<b>x</b>"; return "parsed"; } catch { return "refused"; } })()`) != "refused" {
		t.Error("a string was parsed as HTML")
	}
	b.faults = nil // that attempt
}

func live(t *testing.T, h *house, b *browser) {
	f := consoletest.Findings(consoletest.Noon.Add(time.Hour))[2]
	f.Subject.Value, f.Why = "203.0.113.254", strings.Repeat("long/", 1600)
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	b.until("a finding that came later", `document.querySelector("details.finding").textContent.includes("203.0.113.254")`)
	if b.eval(`document.querySelectorAll("details[open]").length`) != 1.0 {
		t.Error("an update folded what was open")
	}
	b.eval(`document.querySelector("details.finding").open = true`)
	b.until("its reason", `document.querySelector("details.finding .why")`)
}

func release(t *testing.T, h *house, b *browser) {
	b.eval(`[...document.querySelectorAll("li.decision")].find((d) => d.textContent.includes("203.0.113.66")).querySelector('[data-verb="release"]').click()`)
	b.until("the dialog", `document.getElementById("ask").open`)
	if title := b.eval(`document.getElementById("ask-title").textContent`); title != "Release 203.0.113.66" {
		t.Errorf("title %v", title)
	}
	if focus := b.eval(`document.activeElement.id`); focus != "ask-why" {
		t.Errorf("the focus is on %v", focus)
	}
	b.eval(`document.getElementById("ask-ok").click()`)
	if _, found, _ := h.ledger.Command(t.Context(), 1); found {
		t.Error("it was posted without a reason")
	}
	b.eval(`document.getElementById("ask-why").value = "a customer\ncalled"; document.getElementById("ask-ok").click()`)
	b.until("the dialog closed", `!document.getElementById("ask").open`)
	c, found, err := h.ledger.Command(t.Context(), 1)
	if err != nil || !found || c.Verb != "release" || c.Why != "a customer called" {
		t.Errorf("command %+v, %v", c, err)
	}
	b.until("the toast", `document.getElementById("toast").textContent.includes("done")`)
}

func refused(t *testing.T, _ *house, b *browser) {
	b.eval(`document.querySelector('[data-verb="approve"]').click(); document.getElementById("ask-why").value = "yes"; document.getElementById("ask-ok").click()`)
	b.until("the refusal", `document.getElementById("ask-error").textContent === "the breaker is open" && document.getElementById("ask").open`)
	b.eval(`document.getElementById("ask-cancel").click()`)
	if b.eval(`document.getElementById("ask").open`) != false {
		t.Error("the dialog does not close")
	}
}

func spills(t *testing.T, h *house, b *browser) {
	for _, width := range []int{320, 390, 800, 1000, 1280, 1920} {
		b.visit(h.http.URL+"/", width, 844, width == 390)
		b.until("the lists", drawn)
		b.eval(`document.querySelectorAll("details.finding").forEach((d) => { d.open = true; })`)
		b.until("all evidence", `document.querySelectorAll("details[open] .evidence li").length >= 12`)
		if over := b.eval(`document.documentElement.scrollWidth - innerWidth`); over.(float64) > 0 {
			wide := b.eval(`[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll")).slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join("\n")`)
			t.Errorf("at %d pixels the page is %v too wide: %v", width, over, wide)
		}
	}
}

// named checks what a screen reader needs most: names, landmarks, labels.
func named(t *testing.T, _ *house, b *browser) {
	got := b.eval(`[...document.querySelectorAll("button, input, select, textarea, summary, [role=img], dialog")].filter((e) =>
		!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || document.getElementById(e.getAttribute("aria-labelledby")))).map((e) => e.outerHTML).join("\n")`)
	if got != "" {
		t.Errorf("without a name:\n%v", got)
	}
	if b.eval(`document.querySelectorAll("main").length === 1 && document.querySelectorAll("h1").length === 1 && document.documentElement.lang === "en" && [...document.querySelectorAll("section")].every((s) => s.getAttribute("aria-label") || s.getAttribute("aria-labelledby"))`) != true {
		t.Error("landmarks or headings are not in order")
	}
	if b.eval(`document.querySelectorAll("[aria-live=polite]").length >= 3`) != true {
		t.Error("nothing is said when the state changes")
	}
}
