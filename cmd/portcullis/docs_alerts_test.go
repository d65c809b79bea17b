package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/config"
)

// TestDocsAlerts: docs/alerts.md has every channel with how it was tested, every field of
// a notice and every metric.
func TestDocsAlerts(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, kind := range alert.Kinds() {
		spec, err := alert.Lookup(kind)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(page, "| `"+kind+"` |")
		if at < 0 {
			t.Errorf("docs/alerts.md has no channel %s", kind)
			continue
		}
		row, _, _ := strings.Cut(page[at:], "\n")
		if !strings.HasSuffix(row, "| "+spec.Tested+" |") {
			t.Errorf("%s: tested with %s, the page says %s", kind, spec.Tested, row)
		}
		if spec.Redacts == strings.Contains(row, "| nothing |") {
			t.Errorf("%s: what it leaves out by itself is not what the page says: %s", kind, row)
		}
	}
	n := reflect.TypeFor[alert.Notice]()
	for i := range n.NumField() {
		f := n.Field(i)
		for _, name := range []string{f.Tag.Get("json"), "." + f.Name} {
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("docs/alerts.md does not name the field %s", name)
			}
		}
	}
	loadsAlerts(t, page)
	for _, m := range alertMetrics {
		if !strings.Contains(page, "`"+m.Name) {
			t.Errorf("docs/alerts.md does not name %s", m.Name)
		}
	}
}

// loadsAlerts loads the settings that the page shows, with files of secrets that are there.
func loadsAlerts(t *testing.T, page string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range regexp.MustCompile(`/etc/portcullis/([a-z.]+)`).FindAllStringSubmatch(page, -1) {
		if err := os.WriteFile(filepath.Join(dir, name[1]), []byte("https://example.org/secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	blocks := strings.Split(page, "```yaml\n")[1:]
	for i, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		text = strings.ReplaceAll(text, "/etc/portcullis/", dir+"/")
		if err := config.Load(fmt.Sprintf("alerts.md, block %d", i+1), []byte(text), nil, new(App).newSettings()); err != nil {
			t.Error(err)
		}
	}
	if len(blocks) != 3 {
		t.Errorf("%d pieces of settings", len(blocks))
	}
}
