package console_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/fixtures/browsertest"
)

// many puts n findings of the last week into the store: of 40 rules and 20 000 addresses,
// one in a thousand of a rule that is rare.
func many(b *testing.B, h *house, n int) {
	b.Helper()
	kinds := consoletest.Findings(consoletest.Noon)
	var batch []detect.Finding
	for i := range n {
		f := kinds[i%len(kinds)]
		f.Rule = fmt.Sprintf("rule-%02d", i%40)
		if i%1000 == 7 {
			f.Rule, f.Family = "rare", detect.API
		}
		if f.Subject.Kind == "ip" {
			f.Subject.Value = fmt.Sprintf("10.%d.%d.%d", i%7, i/200%100, i%200)
		}
		f.FiredAt = consoletest.Noon.Add(-time.Duration(i) * 6 * time.Second).UnixNano()
		f.Window = f.FiredAt
		f.ID = detect.FindingID(f.Rule, f.Subject, f.Window+int64(i))
		if batch = append(batch, f); len(batch) == 5000 {
			if err := h.db.SaveFindings(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// BenchmarkFindings measures what the pages ask for with 100 000 findings in the store.
func BenchmarkFindings(b *testing.B) {
	h := open(b, console.Config{})
	many(b, h, 100_000)
	next := parse(b, h.do("GET", "/api/v1/findings?limit=500&since=100h", ""))["next"].(string)
	for name, path := range map[string]string{
		"first page":         "/api/v1/findings?limit=50",
		"page by its cursor": "/api/v1/findings?limit=50&cursor=" + next,
		"rare rule":          "/api/v1/findings?limit=50&rule=rare",
		"rare family":        "/api/v1/findings?limit=50&family=api",
		"two filters":        "/api/v1/findings?limit=50&family=rate&severity=high",
		"campaigns":          "/api/v1/findings?limit=50&kind=campaign",
		"summary of a day":   "/api/v1/summary",
		"summary of all":     "/api/v1/summary?since=720h",
		"subject":            "/api/v1/subject?subject=ip:10.1.1.1",
		"rules":              "/api/v1/rules",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.move(time.Second) // the limit of reads
				if a := h.do("GET", path, ""); a.status != 200 {
					b.Fatal(a.status, a.body)
				}
			}
		})
	}
	b.Run("overview in chromium", func(b *testing.B) {
		page := browsertest.Chromium(b)
		page.Visit(h.http.URL+"/", 1280, 800, false) // starts the browser's own things
		for b.Loop() {
			h.move(10 * time.Second)
			start := time.Now()
			page.Visit(h.http.URL+"/", 1280, 800, false)
			page.Until("the lists", `document.querySelectorAll("#findings details.finding").length === 50 && document.querySelectorAll("#families li").length === 5 && document.querySelector(".numbers dd")`)
			b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/interactive")
		}
	})
}
