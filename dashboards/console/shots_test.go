package console_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
)

// TestScreenshots draws the picture of the documentation, to be kept when told
// where, and with PORTCULLIS_SCREENSHOTS_ALL=1 those to judge a change of the page by:
//
//	PORTCULLIS_SCREENSHOTS=../../docs go test -run TestScreenshots ./dashboards/console
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("PORTCULLIS_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir() // that they can be drawn is worth a test
	}
	h := open(t, console.Config{})
	b := chromium(t)
	b.call(b.session, "Emulation.setTimezoneOverride", map[string]any{"timezoneId": "UTC"})
	for _, s := range []struct {
		name          string
		width, height int
		dark          bool
		unfold        string // index of the finding to unfold
	}{
		{"console.png", 1280, 800, false, ""},
		{"console-dark.png", 1280, 800, true, "1"},
		{"console-phone.png", 390, 844, false, ""},
		{"console-evidence.png", 1280, 1500, false, "5"},
		{"console-phone-evidence.png", 390, 3600, true, "5"},
	} {
		if s.name != "console.png" && os.Getenv("PORTCULLIS_SCREENSHOTS_ALL") == "" {
			continue
		}
		b.visit(h.http.URL+"/", s.width, s.height, s.dark)
		b.until("the lists", `document.querySelectorAll("details.finding").length === 12 && document.querySelectorAll("li.decision").length === 7 && document.querySelectorAll(".numbers dd").length > 0 && document.querySelectorAll("#chart rect").length > 60`)
		if s.unfold != "" {
			b.eval(`document.querySelectorAll("details.finding")[` + s.unfold + `].open = true`)
			b.until("the evidence", `document.querySelector("details[open] .evidence li")`)
		}
		b.shot(filepath.Join(dir, s.name), false)
		if s.width == 390 && !s.dark {
			b.shot(filepath.Join(dir, "console-phone-whole.png"), true)
		}
	}
	for _, f := range b.faults {
		t.Errorf("the page complained: %s", f)
	}
}
