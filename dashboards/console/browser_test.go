package console_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/axe"
)

const drawn = `document.querySelectorAll("details.finding").length >= 12 && document.querySelectorAll("li.decision").length === 7`

// view is a page in a state that tests look at.
type view struct{ name, path, drawn string }

// views are all pages, as they are filled by consoletest.
func views() []view {
	unfold := `(document.querySelectorAll("main details.finding:not([open])").forEach((d) => { d.open = true; }), `
	return []view{
		{"overview", "/", drawn},
		{"campaigns", "/campaigns", unfold + `document.querySelectorAll("#findings details[open] .members").length >= 1)`},
		{"findings", "/findings?severity=medium", unfold + `document.querySelectorAll("details[open] .evidence mark").length >= 3)`},
		{"subject", "/subject?subject=ip:203.0.113.66", `document.querySelectorAll("#timeline li").length > 4 && document.querySelectorAll("#requests li").length > 1`},
		{"decisions", "/decisions", `document.querySelectorAll("li.decision").length === 9`},
		{"rules", "/rules", unfold + `document.querySelectorAll(".rule details[open] .grid").length === 5)`},
		{"sources", "/sources", `document.querySelectorAll("#sources tr").length === 2 && document.querySelectorAll("#rejects li").length === 2`},
		{"gateways", "/gateways", `document.querySelectorAll("#gateways tr").length === 1 && document.querySelectorAll("li.decision").length === 2`},
		{"audit", "/audit?what=changes", `document.querySelectorAll("#audit tr").length > 10`},
		{"docs", "/docs", `document.querySelectorAll(".opblock").length > 20`},
	}
}

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
		{"release", release}, {"refusal is shown", refused}, {"nothing spills", spills}, {"every page", pages},
		{"hostile evidence everywhere", hostileEverywhere}, {"filters live in the address", filtered}, {"keyboard", keyboard}, {"accessible names", named},
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
	b.until("a finding that came later", `document.querySelector("#findings details.finding").textContent.includes("203.0.113.254")`)
	if b.eval(`document.querySelectorAll("details[open]").length`) != 1.0 {
		t.Error("an update folded what was open")
	}
	b.eval(`document.querySelector("#findings details.finding").open = true`)
	b.until("its reason", `document.querySelector("#findings details.finding .why")`)
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
		fitsIn(t, b, "/", width)
	}
}

// fitsIn demands that a page is no wider than the window: nobody scrolls sideways at night.
func fitsIn(t *testing.T, b *browser, page string, width int) {
	t.Helper()
	// A phone widens its window to what does not fit, so the width asked for counts.
	if over := b.eval(fmt.Sprintf(`document.documentElement.scrollWidth - %d`, width)); over.(float64) > 0 {
		wide := b.eval(fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d && !e.closest(".scroll, .nav ul")).slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join("\n")`, width))
		t.Errorf("%s at %d pixels is %v too wide: %v", page, width, over, wide)
	}
}

// pages looks at each page, light and dark: it is filled, fits a phone, has a title and one
// heading of the first rank, and axe-core finds nothing serious.
func pages(t *testing.T, h *house, b *browser) {
	script, err := axe.Script()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views() {
		b.visit(h.http.URL+v.path, 1280, 844, false)
		b.until(v.name, v.drawn)
		if v.name == "docs" {
			continue // Swagger UI's own markup and width
		}
		fitsIn(t, b, v.path, 1280)
		if b.eval(`document.querySelectorAll("main h1").length === 1 && document.title.endsWith(" · Portcullis") && document.querySelectorAll("nav [aria-current=page]").length === 1`) != true {
			t.Errorf("%s: title, heading or navigation", v.path)
		}
		b.eval(script + "; 0")
		if got := serious(b, ""); got != "" {
			t.Errorf("%s: axe-core finds\n%s", v.path, got)
		}
		b.window(390, 844, true)
		b.until("the dark colours", `matchMedia("(prefers-color-scheme: dark)").matches && innerWidth === 390`)
		fitsIn(t, b, v.path, 390)
		if got := serious(b, `runOnly: ["color-contrast"], `); got != "" {
			t.Errorf("%s in the dark: axe-core finds\n%s", v.path, got)
		}
	}
	// What axe-core would say must be heard: a picture without words is serious.
	got := fmt.Sprint(b.eval(script + `; document.body.append(document.createElement("img")); axe.run(document, {runOnly: ["image-alt"]}).then((r) => r.violations.length)`))
	if got != "1" {
		t.Errorf("axe-core says %s of a picture without words", got)
	}
}

// serious is what axe-core finds serious or critical, in words.
func serious(b *browser, options string) string {
	return fmt.Sprint(b.eval(`axe.run(document, {` + options + `resultTypes: ["violations"]}).then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 4).map((n) => "  " + n.html.slice(0, 160) + "\n    " + (n.any[0]?.message || n.all[0]?.message || "")).join("\n")).join("\n"))`))
}

// hostileEverywhere opens the pages that show what a client sent, and demands that it is
// text there: also on the page of a subject that is itself an attack, with 8 KB of it.
func hostileEverywhere(t *testing.T, h *house, b *browser) {
	f := consoletest.Findings(consoletest.Noon)[6]
	f.Subject = detect.Subject{Kind: "account", Value: `"><script>document.title="owned"</script>` + "\u202e\x1b[2J"}
	f.Route, f.Why = consoletest.Hostile, strings.Repeat("<b>bold</b>", 700)
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/findings", "/subject?subject=" + url.QueryEscape("account:"+f.Subject.Value), "/subject?subject=" + url.QueryEscape("ip:203.0.113.44"), "/subject?subject=" + url.QueryEscape(`ip:"><img src=x onerror=alert(1)>`)} {
		b.visit(h.http.URL+path, 390, 844, false)
		b.until("the lists", `document.querySelector("#findings li")`)
		b.eval(`document.querySelectorAll("details.finding").forEach((d) => { d.open = true; })`)
		b.until("the bodies", `!document.querySelector("details.finding") || document.querySelector("details.finding[open] .why")`)
		if n := b.eval(`document.querySelectorAll("main script, main [onmouseover], main img, main b b, main .why b").length`); n != 0.0 {
			t.Errorf("%s: %v elements were made of evidence", path, n)
		}
		if b.eval(`/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").innerText) || document.title.includes("owned")`) != false {
			t.Errorf("%s: control or bidirectional characters are in the page", path)
		}
		fitsIn(t, b, path, 390)
	}
}

// filtered changes a filter, and demands that the address says so, and that opening the
// address shows the same.
func filtered(t *testing.T, h *house, b *browser) {
	b.visit(h.http.URL+"/findings", 1280, 800, false)
	b.until("all", `document.querySelectorAll("details.finding").length >= 13`)
	b.eval(`(() => { const f = document.getElementById("filter"); f.elements.family.value = "recon"; f.elements.family.dispatchEvent(new Event("change", { bubbles: true })); })()`)
	b.until("only those", `document.querySelectorAll("details.finding").length === 3 && location.search === "?family=recon"`)
	b.eval(`history.back()`)
	b.until("all again", `document.querySelectorAll("details.finding").length >= 13 && location.search === "" && document.getElementById("filter").elements.family.value === ""`)
	b.visit(h.http.URL+"/findings?family=injection&severity=critical", 1280, 800, false)
	b.until("the filter of the address", `document.querySelectorAll("details.finding").length === 1 && document.getElementById("filter").elements.severity.value === "critical"`)
	b.eval(`document.querySelector("details.finding").open = true`)
	b.until("what was matched", `document.querySelector(".evidence mark")`)
	if got := b.eval(`document.querySelector(".evidence mark").textContent`); got != "%27%20UNION%20SELECT%20card,cvv,1%20FROM%20payments--" {
		t.Errorf("marked: %v", got)
	}
	b.until("the rule's history", `document.querySelector("details[open] .body").textContent.includes("none taken back by a person")`)
	b.visit(h.http.URL+"/decisions?state=released", 1280, 800, false)
	b.until("released", `document.querySelectorAll("li.decision").length === 1 && document.querySelector("li.decision").textContent.includes("192.0.2.31")`)
}

// keyboard walks by tabulator from the top of a page to the first finding and unfolds it,
// opens the dialog of a release and leaves it again.
func keyboard(t *testing.T, h *house, b *browser) {
	b.visit(h.http.URL+"/findings?family=recon", 1280, 800, false)
	b.until("the findings", `document.querySelectorAll("details.finding").length === 3`)
	b.key("Tab", 9)
	if got := b.eval(`document.activeElement.className`); got != "skip" {
		t.Errorf("the first stop is %v, not the way past the navigation", got)
	}
	b.key("Enter", 13)
	b.until("the jump", `location.hash === "#main"`)
	for range 12 { // the filter's controls come first
		b.key("Tab", 9)
		if b.eval(`document.activeElement.tagName`) == "SUMMARY" {
			break
		}
	}
	if b.eval(`document.activeElement.tagName`) != "SUMMARY" || b.eval(`getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("the tabulator does not lead to a finding, or does not show where it is")
	}
	b.key("Enter", 13)
	b.until("the unfolded finding", `document.querySelector("details[open] .evidence li")`)
	b.visit(h.http.URL+"/decisions?state=not_enforced", 1280, 800, false)
	b.until("the decision", `document.querySelectorAll("li.decision").length === 1`)
	b.eval(`document.querySelector('[data-verb="release"]').focus()`)
	b.key("Enter", 13)
	b.until("the dialog", `document.getElementById("ask").open && document.activeElement.id === "ask-why"`)
	b.key("Escape", 27)
	b.until("the page again", `!document.getElementById("ask").open && document.activeElement.dataset.verb === "release"`)
}

// named checks what a screen reader needs most: names, landmarks, labels.
func named(t *testing.T, h *house, b *browser) {
	b.visit(h.http.URL+"/", 1280, 800, false)
	b.until("the lists", drawn)
	got := b.eval(`[...document.querySelectorAll("button, input, select, textarea, summary, [role=img], dialog")].filter((e) =>
		!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || document.getElementById(e.getAttribute("aria-labelledby")))).map((e) => e.outerHTML).join("\n")`)
	if got != "" {
		t.Errorf("without a name:\n%v", got)
	}
	if b.eval(`document.querySelectorAll("main").length === 1 && document.querySelectorAll("h1").length === 1 && document.documentElement.lang === "en" && [...document.querySelectorAll("section")].every((s) => s.getAttribute("aria-label") || s.getAttribute("aria-labelledby"))`) != true {
		t.Error("landmarks or headings are not in order")
	}
	if b.eval(`document.querySelectorAll("[aria-live=polite]").length >= 2`) != true {
		t.Error("nothing is said when the state changes")
	}
}
