package console_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/fixtures/browsertest"
)

// TestScreenshots draws the picture of the documentation, to be kept when told
// where, and with PORTCULLIS_SCREENSHOTS_ALL=1 every page, light and dark, wide and as on a
// phone, to judge a change by:
//
//	PORTCULLIS_SCREENSHOTS=../../docs go test -run TestScreenshots ./dashboards/console
func TestScreenshots(t *testing.T) {
	t.Parallel()
	dir, all := os.Getenv("PORTCULLIS_SCREENSHOTS"), os.Getenv("PORTCULLIS_SCREENSHOTS_ALL") != ""
	if dir == "" {
		dir = t.TempDir() // that they can be drawn is worth a test
	}
	h := open(t, console.Config{})
	b := browsertest.Chromium(t)
	b.Call(b.Session, "Emulation.setTimezoneOverride", map[string]any{"timezoneId": "UTC"})
	shoot := func(name, path, drawn string, width, height int, dark, whole bool) {
		b.Visit(h.http.URL+path, width, height, dark)
		b.Until(name, drawn)
		b.Shot(filepath.Join(dir, name), whole)
	}
	shoot("console.png", "/", drawn+` && document.querySelectorAll(".numbers dd").length > 0 && document.querySelectorAll("#chart rect").length > 60 && document.querySelectorAll("#families li").length === 5`, 1280, 860, false, false)
	for _, v := range views() {
		if !all {
			break
		}
		name := "console-" + strings.Trim(strings.NewReplacer("/", "", "?", "-").Replace(v.name), "-")
		shoot(name+".png", v.path, v.drawn, 1280, 800, false, true)
		shoot(name+"-dark.png", v.path, v.drawn, 1280, 800, true, true)
		shoot(name+"-phone.png", v.path, v.drawn, 390, 844, true, true)
	}
	for _, f := range b.Faults {
		t.Errorf("the page complained: %s", f)
	}
}
