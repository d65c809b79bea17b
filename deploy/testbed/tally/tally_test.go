package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// house is a small module whose tests end in every way that tests can.
var house = map[string]string{
	"go.mod":                "module example.org/house\n\ngo 1.26\n",
	"none/none.go":          "package none\n",
	"good/good_test.go":     "package good\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Run(\"sub\", func(*testing.T) {}) }\n",
	"skip/skip_test.go":     "package skip\nimport \"testing\"\nfunc TestB(t *testing.T) { t.Skip(\"no nginx: apt-get install nginx-light\") }\n",
	"bad/bad_test.go":       "package bad\nimport \"testing\"\nfunc TestC(t *testing.T) { t.Error(\"broken on purpose\") }\n",
	"dead/dead_test.go":     "package dead\nimport (\"os\"; \"testing\")\nfunc TestD(t *testing.T) { os.Exit(3) }\n",
	"unbuilt/unbuilt.go":    "package unbuilt\nvar x int = \"no number\"\n",
	"unbuilt/a_test.go":     "package unbuilt\nimport \"testing\"\nfunc TestE(*testing.T) {}\n",
	"noisy/noisy_test.go":   "package noisy\nimport (\"fmt\"; \"testing\")\nfunc TestF(*testing.T) { fmt.Println(\"quiet please\") }\n",
	"main/main_test.go":     "package main\nimport (\"os\"; \"testing\")\nfunc TestG(*testing.T) {}\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(7) }\n",
	"example/ex_test.go":    "package example\nimport \"fmt\"\nfunc Example() {\n\tfmt.Println(1)\n\t// Output: 1\n}\n",
	"parallel/pall_test.go": "package parallel\nimport \"testing\"\nfunc TestP(t *testing.T) { t.Parallel() }\nfunc TestQ(t *testing.T) { t.Parallel() }\n",
}

// stream runs the real go test over some packages of the house.
func stream(t *testing.T, packages ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, data := range house {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, packages...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("go test: %v", err)
	}
	return out
}

func TestTally(t *testing.T) {
	for _, c := range []struct {
		name     string
		packages []string
		strict   bool
		ok       bool
		count    string
		shows    []string
		hides    string
	}{
		{
			name: "all well", packages: []string{"./good", "./noisy", "./none", "./example", "./parallel"}, strict: true, ok: true,
			count: "6 passed, 0 failed, 0 skipped", shows: []string{"ok  \texample.org/house/good\t", "?   \texample.org/house/none\t"}, hides: "quiet please",
		},
		{
			name: "a skip is told", packages: []string{"./good", "./skip"}, ok: true,
			count: "2 passed, 0 failed, 1 skipped", shows: []string{"example.org/house/skip TestB: skip_test.go:3: no nginx: apt-get install nginx-light"},
		},
		{
			name: "a skip fails where nothing may be skipped", packages: []string{"./skip"}, strict: true,
			count: "0 passed, 0 failed, 1 skipped",
		},
		{
			name: "failures of every kind", packages: []string{"./..."},
			count: "7 passed, 4 failed, 1 skipped",
			shows: []string{"broken on purpose", "FAIL\texample.org/house/bad\t", "FAIL\texample.org/house/dead\t", "cannot use \"no number\"", "FAIL\texample.org/house/unbuilt [build failed]", "FAIL\texample.org/house/main\t"},
			hides: "quiet please",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			tl := newTally(&out)
			ok, err := tl.run(bytes.NewReader(stream(t, c.packages...)), c.strict)
			if ok != c.ok || (err == nil) == (c.strict && !c.ok) {
				t.Errorf("ok = %v, err = %v, want ok = %v", ok, err, c.ok)
			}
			if !strings.HasSuffix(out.String(), c.count+"\n") || !strings.HasSuffix(tl.closing.String(), c.count+"\n") {
				t.Errorf("want at the end %q, got:\n%s", c.count, out.String())
			}
			for _, want := range c.shows {
				if !strings.Contains(out.String(), want) {
					t.Errorf("want %q in:\n%s", want, out.String())
				}
			}
			if c.hides != "" && strings.Contains(out.String(), c.hides) {
				t.Errorf("want no %q in:\n%s", c.hides, out.String())
			}
		})
	}
}

// TestNothingRan: an empty stream, as after a wrong pattern, is no success.
func TestNothingRan(t *testing.T) {
	var out bytes.Buffer
	ok, err := newTally(&out).run(strings.NewReader("go: downloading something\n"), false)
	if ok || err == nil || !strings.Contains(out.String(), "go: downloading something") {
		t.Errorf("ok = %v, err = %v, out = %q", ok, err, out.String())
	}
}
