package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/fixtures/browsertest"
)

// TestE2EBrowser takes a block back in the console of a running pipeline, as a person does
// at night: by the page, with a click and a reason; and then nginx lets the client in.
func TestE2EBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.r.up()
	const addr = "203.0.113.24"
	d := s.blocked(addr)
	b := browsertest.Chromium(t)
	b.Visit(s.r.url()+"/", 1280, 800, false)
	of := fmt.Sprintf(`[...document.querySelectorAll("#decisions li.decision")].find((d) => d.textContent.includes(%q))`, addr)
	b.Until("the block, verified", of+`.querySelector(".tag.ok").textContent === "✓ Verified"`)
	b.Until("the finding", fmt.Sprintf(`[...document.querySelectorAll("#findings details.finding")].some((d) => d.textContent.includes(%q))`, addr))
	b.Eval(of + `.querySelector('[data-verb="release"]').click()`)
	b.Until("the dialog", `document.getElementById("ask").open`)
	b.Eval(`document.getElementById("ask-why").value = "our own test"; document.getElementById("ask-ok").click()`)
	b.Until("the answer", `!document.getElementById("ask").open && document.getElementById("toast").textContent.includes("released")`)
	s.awaitStatus(addr, http.StatusOK)
	// The whole story, on the page of the subject.
	b.Visit(s.r.url()+"/subject?subject="+url.QueryEscape("ip:"+addr), 1280, 800, false)
	b.Until("the timeline", `["found", "approved", "pushed", "verified", "released"].every((w) => [...document.querySelectorAll("#timeline .tag")].some((e) => e.textContent === w))`)
	b.Eval(`document.querySelectorAll("details.finding").forEach((d) => { d.open = true; })`)
	b.Until("what was matched", `document.querySelector(".evidence mark")`)
	if got := fmt.Sprint(b.Eval(`document.querySelector(".evidence mark").textContent.toLowerCase()`)); !strings.Contains(got, "union") {
		t.Errorf("marked: %s", got)
	}
	b.Visit(s.r.url()+"/audit", 1280, 800, false)
	b.Until("the audit", fmt.Sprintf(`[...document.querySelectorAll("#audit tr")].some((r) => r.textContent.includes("release") && r.textContent.includes(%q) && r.textContent.includes("console (127.0.0.1)"))`, d.ID))
	b.Visit(s.r.url()+"/rules", 1280, 800, false)
	b.Until("the rules", `document.querySelectorAll("#rules > li").length > 30`)
	b.Visit(s.r.url()+"/gateways", 1280, 800, false)
	b.Until("the gateway", `document.querySelector("#gateways .tag.ok")`)
	for _, f := range b.Faults {
		t.Errorf("a page complained: %s", f)
	}
}
