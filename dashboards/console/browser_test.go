package console_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/axe"
	"github.com/portcullis/portcullis/fixtures/browsertest"
)

const drawn = `document.querySelectorAll("details.finding").length >= 12 && document.querySelectorAll("li.decision").length === 7`

// view is a page in a state that tests look at.
type view struct{ name, path, drawn string }

// views are all pages, as they are filled by consoletest.
func views() []view {
	unfold := `(document.querySelectorAll("main details.finding:not([open])").forEach((d) => { d.open = true; }), `
	return []view{
		{"overview", "/", drawn},
		{"alerts", "/alerts", `document.querySelectorAll("#alerts li.alert").length === 2 && document.querySelectorAll("#silences tr").length === 1`},
		{"campaigns", "/campaigns", unfold + `document.querySelectorAll("#findings details[open] .members").length >= 1)`},
		{"findings", "/findings?severity=medium", unfold + `document.querySelectorAll("details[open] .evidence mark").length >= 3)`},
		{"subject", "/subject?subject=ip:203.0.113.66", `document.querySelectorAll("#timeline li").length > 4 && document.querySelectorAll("#requests li").length > 1`},
		{"decisions", "/decisions", `document.querySelectorAll("li.decision").length === 9`},
		{"rules", "/rules", unfold + `document.querySelectorAll(".rule details[open] .grid").length === 5)`},
		{"sources", "/sources", `document.querySelectorAll("#sources tr").length === 2 && document.querySelectorAll("#rejects li").length === 2`},
		{"gateways", "/gateways", `document.querySelectorAll("#gateways tr").length === 1 && document.querySelectorAll("li.decision").length === 2`},
		{"backtest", "/backtest?id=" + consoletest.BacktestID, `document.querySelectorAll("#by-score tbody tr").length === 3 && document.querySelectorAll("#worst tbody tr").length === 4 && document.querySelectorAll("#over-time rect").length > 10 && document.querySelectorAll("#jobs tr").length >= 2`},
		{"audit", "/audit?what=changes", `document.querySelectorAll("#audit tr").length > 10`},
		{"docs", "/docs", `document.querySelectorAll(".opblock").length > 20`},
	}
}

func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	h := open(t, console.Config{})
	h.server.Hurry(100*time.Millisecond, 5*time.Second)
	h.enforcer(func(verb, arg string) string {
		if verb == "approve" {
			return "error: the breaker is open"
		}
		return "done"
	})
	b := browsertest.Chromium(t)
	b.Visit(h.http.URL+"/", 1280, 800, false)
	b.Until("the lists", drawn)
	// One browser, started once: these steps build on each other.
	for _, step := range []struct {
		name string
		run  func(*testing.T, *house, *browsertest.Browser)
	}{
		{"headline", headline}, {"hostile evidence stays text", hostile}, {"live finding", live},
		{"release", release}, {"refusal is shown", refused}, {"nothing spills", spills}, {"every page", pages},
		{"hostile evidence everywhere", hostileEverywhere}, {"filters live in the address", filtered}, {"keyboard", keyboard}, {"backtest", backtest}, {"accessible names", named}, {"on paper and without motion", media}, {"a viewer", viewer},
	} {
		t.Run(step.name, func(t *testing.T) { b.T = t; step.run(t, h, b) })
	}
	b.T = t
	for _, f := range b.Faults {
		if !strings.Contains(f, "409") { // the refusal above
			t.Errorf("the page complained: %s", f)
		}
	}
}

func headline(t *testing.T, _ *house, b *browsertest.Browser) {
	got := fmt.Sprint(b.Eval(`document.getElementById("headline").textContent`))
	for _, want := range []string{"1 block does not hold", "1 decision waits for you", "3 subjects seen to be stopped", "1 subject observed, not acted on"} {
		if !strings.Contains(got, want) {
			t.Errorf("headline %q misses %q", got, want)
		}
	}
	first := fmt.Sprint(b.Eval(`document.querySelector("li.decision").textContent`))
	if !strings.Contains(first, "Does not hold") || !strings.Contains(first, "real_ip") {
		t.Errorf("what needs a person is not first: %s", first)
	}
	if b.Eval(`document.querySelector("li.decision .tag.ok").textContent`) != "✓ Verified" {
		t.Error("a verified decision has no tick")
	}
	b.Until("the chart, with words", `document.querySelectorAll("#chart rect").length > 120 && document.querySelector("#chart svg").getAttribute("aria-label").includes("denied by us")`)
}

func hostile(t *testing.T, _ *house, b *browsertest.Browser) {
	b.Eval(`[...document.querySelectorAll("details.finding")].find((d) => d.textContent.includes("203.0.113.44")).open = true`)
	b.Until("the evidence", `document.querySelector("details[open] .evidence li")`)
	got := fmt.Sprint(b.Eval(`document.querySelector("details[open] .evidence .raw:not(.note .raw)").textContent`))
	for _, want := range []string{`<script>document.title='owned'</script>`, `\x1b[2J`, `\u{202e}gpj.exe`, `\u{2066}`, `\u{200b}`, `\0`, `\nforged line`} {
		if !strings.Contains(got, want) {
			t.Errorf("evidence %q misses %q", got, want)
		}
	}
	if n := b.Eval(`document.querySelectorAll("main script, main [onmouseover], main img").length`); n != 0.0 {
		t.Errorf("%v elements were made of evidence", n)
	}
	if title := fmt.Sprint(b.Eval(`document.title`)); strings.Contains(title, "owned") {
		t.Error("the script of the evidence ran")
	}
	if b.Eval(`/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").innerText)`) != false {
		t.Error("control or bidirectional characters are in the page")
	}
	// The page's policy holds even against our own mistakes.
	if b.Eval(`(() => { try { document.createElement("p").innerHTML = "<b>x</b>"; return "parsed"; } catch { return "refused"; } })()`) != "refused" {
		t.Error("a string was parsed as HTML")
	}
	b.Faults = nil // that attempt
}

func live(t *testing.T, h *house, b *browsertest.Browser) {
	f := consoletest.Findings(consoletest.Noon.Add(time.Hour))[2]
	f.Subject.Value, f.Why = "203.0.113.254", strings.Repeat("long/", 1600)
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	b.Until("a finding that came later", `document.querySelector("#findings details.finding").textContent.includes("203.0.113.254")`)
	if b.Eval(`document.querySelectorAll("details[open]").length`) != 1.0 {
		t.Error("an update folded what was open")
	}
	b.Eval(`document.querySelector("#findings details.finding").open = true`)
	b.Until("its reason", `document.querySelector("#findings details.finding .why")`)
}

func release(t *testing.T, h *house, b *browsertest.Browser) {
	b.Eval(`[...document.querySelectorAll("li.decision")].find((d) => d.textContent.includes("203.0.113.66")).querySelector('[data-verb="release"]').click()`)
	b.Until("the dialog", `document.getElementById("ask").open`)
	if title := b.Eval(`document.getElementById("ask-title").textContent`); title != "Release 203.0.113.66" {
		t.Errorf("title %v", title)
	}
	if focus := b.Eval(`document.activeElement.id`); focus != "ask-why" {
		t.Errorf("the focus is on %v", focus)
	}
	b.Eval(`document.getElementById("ask-ok").click()`)
	if _, found, _ := h.ledger.Command(t.Context(), 1); found {
		t.Error("it was posted without a reason")
	}
	b.Eval(`document.getElementById("ask-why").value = "a customer\ncalled"; document.getElementById("ask-ok").click()`)
	b.Until("the dialog closed", `!document.getElementById("ask").open`)
	c, found, err := h.ledger.Command(t.Context(), 1)
	if err != nil || !found || c.Verb != "release" || c.Why != "a customer called" {
		t.Errorf("command %+v, %v", c, err)
	}
	b.Until("the toast", `document.getElementById("toast").textContent.includes("done")`)
}

func refused(t *testing.T, _ *house, b *browsertest.Browser) {
	b.Eval(`document.querySelector('[data-verb="approve"]').click(); document.getElementById("ask-why").value = "yes"; document.getElementById("ask-ok").click()`)
	b.Until("the refusal", `document.getElementById("ask-error").textContent === "the breaker is open" && document.getElementById("ask").open`)
	b.Eval(`document.getElementById("ask-cancel").click()`)
	if b.Eval(`document.getElementById("ask").open`) != false {
		t.Error("the dialog does not close")
	}
}

func spills(t *testing.T, h *house, b *browsertest.Browser) {
	for _, width := range []int{320, 390, 800, 1000, 1280, 1920} {
		b.Visit(h.http.URL+"/", width, 844, width == 390)
		b.Until("the lists", drawn)
		b.Eval(`document.querySelectorAll("details.finding").forEach((d) => { d.open = true; })`)
		b.Until("all evidence", `document.querySelectorAll("details[open] .evidence li").length >= 12`)
		fitsIn(t, b, "/", width)
	}
}

// fitsIn demands that a page is no wider than the window: nobody scrolls sideways at night.
func fitsIn(t *testing.T, b *browsertest.Browser, page string, width int) {
	t.Helper()
	// A phone widens its window to what does not fit, so the width asked for counts.
	if over := b.Eval(fmt.Sprintf(`document.documentElement.scrollWidth - %d`, width)); over.(float64) > 0 {
		wide := b.Eval(fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d && !e.closest(".scroll, .nav ul")).slice(0, 3).map((e) => e.outerHTML.slice(0, 120)).join("\n")`, width))
		t.Errorf("%s at %d pixels is %v too wide: %v", page, width, over, wide)
	}
}

// pages looks at each page, light and dark: it is filled, fits a phone, has a title and one
// heading of the first rank, and axe-core finds nothing serious.
func pages(t *testing.T, h *house, b *browsertest.Browser) {
	script, err := axe.Script()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views() {
		b.Visit(h.http.URL+v.path, 1280, 844, false)
		b.Until(v.name, v.drawn)
		if v.name == "docs" {
			continue // Swagger UI's own markup and width
		}
		fitsIn(t, b, v.path, 1280)
		if b.Eval(`document.querySelectorAll("main h1").length === 1 && document.title.endsWith(" · Portcullis") && document.querySelectorAll("nav [aria-current=page]").length === 1`) != true {
			t.Errorf("%s: title, heading or navigation", v.path)
		}
		b.Eval(script + "; 0")
		if got := serious(b, ""); got != "" {
			t.Errorf("%s: axe-core finds\n%s", v.path, got)
		}
		b.Window(390, 844, true)
		b.Until("the dark colours", `matchMedia("(prefers-color-scheme: dark)").matches && innerWidth === 390`)
		fitsIn(t, b, v.path, 390)
		if got := serious(b, `runOnly: ["color-contrast"], `); got != "" {
			t.Errorf("%s in the dark: axe-core finds\n%s", v.path, got)
		}
	}
	// What axe-core would say must be heard: a picture without words is serious.
	got := fmt.Sprint(b.Eval(script + `; document.body.append(document.createElement("img")); axe.run(document, {runOnly: ["image-alt"]}).then((r) => r.violations.length)`))
	if got != "1" {
		t.Errorf("axe-core says %s of a picture without words", got)
	}
}

// serious is what axe-core finds serious or critical, in words.
func serious(b *browsertest.Browser, options string) string {
	return fmt.Sprint(b.Eval(`axe.run(document, {` + options + `resultTypes: ["violations"]}).then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 4).map((n) => "  " + n.html.slice(0, 160) + "\n    " + (n.any[0]?.message || n.all[0]?.message || "")).join("\n")).join("\n"))`))
}

// hostileEverywhere opens the pages that show what a client sent, and demands that it is
// text there: also on the page of a subject that is itself an attack, with 8 KB of it.
func hostileEverywhere(t *testing.T, h *house, b *browsertest.Browser) {
	f := consoletest.Findings(consoletest.Noon)[6]
	f.Subject = detect.Subject{Kind: "account", Value: `"><script>document.title="owned"</script>` + "\u202e\x1b[2J"}
	f.Route, f.Why = consoletest.Hostile, strings.Repeat("<b>bold</b>", 700)
	f.ID = detect.FindingID(f.Rule, f.Subject, f.Window)
	if err := h.db.SaveFindings(t.Context(), []detect.Finding{f}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/findings", "/subject?subject=" + url.QueryEscape("account:"+f.Subject.Value), "/subject?subject=" + url.QueryEscape("ip:203.0.113.44"), "/subject?subject=" + url.QueryEscape(`ip:"><img src=x onerror=alert(1)>`)} {
		b.Visit(h.http.URL+path, 390, 844, false)
		b.Until("the lists", `document.querySelector("#findings li")`)
		b.Eval(`document.querySelectorAll("details.finding").forEach((d) => { d.open = true; })`)
		b.Until("the bodies", `!document.querySelector("details.finding") || document.querySelector("details.finding[open] .why")`)
		if n := b.Eval(`document.querySelectorAll("main script, main [onmouseover], main img, main b b, main .why b").length`); n != 0.0 {
			t.Errorf("%s: %v elements were made of evidence", path, n)
		}
		if b.Eval(`/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/.test(document.querySelector("main").innerText) || document.title.includes("owned")`) != false {
			t.Errorf("%s: control or bidirectional characters are in the page", path)
		}
		fitsIn(t, b, path, 390)
	}
}

// filtered changes a filter, and demands that the address says so, and that opening the
// address shows the same.
func filtered(t *testing.T, h *house, b *browsertest.Browser) {
	b.Visit(h.http.URL+"/findings", 1280, 800, false)
	b.Until("all", `document.querySelectorAll("details.finding").length >= 13`)
	b.Eval(`(() => { const f = document.getElementById("filter"); f.elements.family.value = "recon"; f.elements.family.dispatchEvent(new Event("change", { bubbles: true })); })()`)
	b.Until("only those", `document.querySelectorAll("details.finding").length === 3 && location.search === "?family=recon"`)
	b.Eval(`history.back()`)
	b.Until("all again", `document.querySelectorAll("details.finding").length >= 13 && location.search === "" && document.getElementById("filter").elements.family.value === ""`)
	b.Visit(h.http.URL+"/findings?family=injection&severity=critical", 1280, 800, false)
	b.Until("the filter of the address", `document.querySelectorAll("details.finding").length === 1 && document.getElementById("filter").elements.severity.value === "critical"`)
	b.Eval(`document.querySelector("details.finding").open = true`)
	b.Until("what was matched", `document.querySelector(".evidence mark")`)
	if got := b.Eval(`document.querySelector(".evidence mark").textContent`); got != "%27%20UNION%20SELECT%20card,cvv,1%20FROM%20payments--" {
		t.Errorf("marked: %v", got)
	}
	b.Until("the rule's history", `document.querySelector("details[open] .body").textContent.includes("none taken back by a person")`)
	b.Visit(h.http.URL+"/decisions?state=released", 1280, 800, false)
	b.Until("released", `document.querySelectorAll("li.decision").length === 1 && document.querySelector("li.decision").textContent.includes("192.0.2.31")`)
}

// keyboard walks by tabulator from the top of a page to the first finding and unfolds it,
// opens the dialog of a release and leaves it again.
func keyboard(t *testing.T, h *house, b *browsertest.Browser) {
	b.Visit(h.http.URL+"/findings?family=recon", 1280, 800, false)
	b.Until("the findings", `document.querySelectorAll("details.finding").length === 3`)
	b.Key("Tab", 9)
	if got := b.Eval(`document.activeElement.className`); got != "skip" {
		t.Errorf("the first stop is %v, not the way past the navigation", got)
	}
	b.Key("Enter", 13)
	b.Until("the jump", `location.hash === "#main"`)
	for range 12 { // the filter's controls come first
		b.Key("Tab", 9)
		if b.Eval(`document.activeElement.tagName`) == "SUMMARY" {
			break
		}
	}
	if b.Eval(`document.activeElement.tagName`) != "SUMMARY" || b.Eval(`getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("the tabulator does not lead to a finding, or does not show where it is")
	}
	b.Key("Enter", 13)
	b.Until("the unfolded finding", `document.querySelector("details[open] .evidence li")`)
	b.Visit(h.http.URL+"/decisions?state=not_enforced", 1280, 800, false)
	b.Until("the decision", `document.querySelectorAll("li.decision").length === 1`)
	b.Eval(`document.querySelector('[data-verb="release"]').focus()`)
	b.Key("Enter", 13)
	b.Until("the dialog", `document.getElementById("ask").open && document.activeElement.id === "ask-why"`)
	b.Key("Escape", 27)
	b.Until("the page again", `!document.getElementById("ask").open && document.activeElement.dataset.verb === "release"`)
}

// named checks what a screen reader needs most: names, landmarks, labels.
func named(t *testing.T, h *house, b *browsertest.Browser) {
	b.Visit(h.http.URL+"/", 1280, 800, false)
	b.Until("the lists", drawn)
	got := b.Eval(`[...document.querySelectorAll("button, input, select, textarea, summary, [role=img], dialog")].filter((e) =>
		!(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || document.getElementById(e.getAttribute("aria-labelledby")))).map((e) => e.outerHTML).join("\n")`)
	if got != "" {
		t.Errorf("without a name:\n%v", got)
	}
	if b.Eval(`document.querySelectorAll("main").length === 1 && document.querySelectorAll("h1").length === 1 && document.documentElement.lang === "en" && [...document.querySelectorAll("section")].every((s) => s.getAttribute("aria-label") || s.getAttribute("aria-labelledby"))`) != true {
		t.Error("landmarks or headings are not in order")
	}
	if b.Eval(`document.querySelectorAll("[aria-live=polite]").length >= 2`) != true {
		t.Error("nothing is said when the state changes")
	}
}

// media looks at a page as it is printed, where nothing that needs a screen is left, and as
// who asked for no motion sees it.
func media(t *testing.T, h *house, b *browsertest.Browser) {
	b.Visit(h.http.URL+"/findings", 1280, 800, false)
	b.Until("the findings", `document.querySelectorAll("details.finding").length >= 12`)
	b.Call(b.Session, "Emulation.setEmulatedMedia", map[string]any{"media": "print", "features": []any{map[string]any{"name": "prefers-reduced-motion", "value": "reduce"}}})
	b.Until("paper", `matchMedia("print").matches && matchMedia("(prefers-reduced-motion: reduce)").matches`)
	if got := b.Eval(`[...document.querySelectorAll("nav, button, form.filter")].filter((e) => e.getClientRects().length).map((e) => e.outerHTML.slice(0, 80)).join("\n")`); got != "" {
		t.Errorf("on paper there is\n%v", got)
	}
	if got := b.Eval(`getComputedStyle(document.getElementById("toast")).transitionDuration`); got != "0s" {
		t.Errorf("without motion, the toast takes %v", got)
	}
	b.Call(b.Session, "Emulation.setEmulatedMedia", map[string]any{"media": "", "features": []any{}})
}

// viewer logs in by the form with the key of a viewer, who sees everything and gets no button
// that would be refused.
func viewer(t *testing.T, _ *house, b *browsertest.Browser) {
	h, secrets := keyed(t, console.Config{})
	script, err := axe.Script()
	if err != nil {
		t.Fatal(err)
	}
	b.Visit(h.http.URL+"/login?next=/decisions", 390, 844, true)
	b.Until("the form", `document.activeElement.id === "token"`)
	b.Eval(script + "; 0")
	if got := serious(b, ""); got != "" {
		t.Errorf("the login form: axe-core finds\n%s", got)
	}
	fitsIn(t, b, "/login", 390)
	b.Eval(fmt.Sprintf(`document.getElementById("token").value = %q; document.querySelector("form").requestSubmit()`, secrets["viewer"]))
	b.Until("the decisions", `location.pathname === "/decisions" && document.querySelectorAll("li.decision").length === 9 && document.getElementById("me").textContent === "key viewer · viewer"`)
	if n := b.Eval(`document.querySelectorAll('[data-verb="release"], [data-verb="approve"], [data-verb="allow"], #allow button').length + [...document.querySelectorAll("[data-needs]")].filter((e) => !e.hidden).length`); n != 0.0 {
		t.Errorf("a viewer has %v buttons that would be refused", n)
	}
	b.Eval(`document.querySelector("#logout button").click()`)
	b.Until("the form again", `location.pathname === "/login" && document.getElementById("token")`)
	// What the page asked for while its session ended.
	b.Faults = slices.DeleteFunc(b.Faults, func(f string) bool { return strings.Contains(f, "401") })
}
