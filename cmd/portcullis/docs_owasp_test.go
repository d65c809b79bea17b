package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/audit"
)

// TestOWASPTable: every check, setting, detector and test that docs/owasp.md names exists,
// and every item has some of each.
func TestOWASPTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/owasp.md")
	if err != nil {
		t.Fatal(err)
	}
	known := [4]map[string]bool{checkIDs(), settingKeys(t), {}, testNames(t)}
	for _, name := range detect.Rules() {
		known[2][name] = true
	}
	quoted, items := regexp.MustCompile("`([^`]+)`"), 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| API") {
			continue
		}
		items++
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 5 {
			t.Fatalf("a row has %d cells: %s", len(cells), line)
		}
		for i, cell := range cells[1:] {
			names := quoted.FindAllStringSubmatch(cell, -1)
			if len(names) == 0 {
				t.Errorf("%s: nothing in column %d", cells[0], i+2)
			}
			for _, n := range names {
				if !known[i][n[1]] {
					t.Errorf("%s: there is no %q, column %d", cells[0], n[1], i+2)
				}
			}
		}
	}
	if items != 10 {
		t.Errorf("%d items, want 10", items)
	}
	tagged(t, string(text))
}

// tagged wants each detector in the row of each item that its own tags name.
func tagged(t *testing.T, text string) {
	t.Helper()
	rows := map[string]string{}
	for line := range strings.Lines(text) {
		if item, rest, ok := strings.Cut(strings.TrimPrefix(line, "| API"), " "); ok && strings.HasPrefix(line, "| API") {
			rows[item] = rest
		}
	}
	for _, name := range detect.Rules() {
		spec, _ := detect.SpecOf(name)
		for _, tag := range spec.Tags {
			item, ok := strings.CutPrefix(tag, "owasp:api")
			if item, ok2 := strings.CutSuffix(item, ":2023"); ok && ok2 && !strings.Contains(rows[item], "`"+name+"`") {
				t.Errorf("%s says that it is about API%s, and is not in that row", name, item)
			}
		}
	}
}

func checkIDs() map[string]bool {
	out := map[string]bool{}
	for _, c := range audit.Checks() {
		out[c.ID] = true
	}
	return out
}

// settingKeys are the keys of docs/configuration.md, with their sections.
func settingKeys(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	out, section := map[string]bool{}, ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			section = strings.TrimSuffix(strings.Trim(strings.TrimSpace(title), "`"), "[]")
			out[section] = true
		}
		if cells := strings.Split(line, "`"); strings.HasPrefix(line, "| `") && len(cells) > 2 {
			out[section+"."+cells[1]] = true
		}
	}
	return out
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testNames are the tests of the whole tree.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".testbed", "testdata"}, d.Name()):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			out[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
