package doc

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaces: the same document in three languages has the same parts, each with the
// line and the text where it stands.
func TestPlaces(t *testing.T) {
	for name, text := range map[string]string{
		"a.yaml": "# c\nserver:\n  port: 8443\n  names: [one, \"two\"]\n  on: yes\n",
		"a.json": "{\n\"server\": {\n \"port\": 8443,\n \"names\": [\"one\", \"two\"], \"on\": true}}\n",
		"a.toml": "# c\n[server]\nport = 8443\nnames = [\"one\", \"two\"]\non = true\n",
	} {
		n, err := Parse(NewFile(name, []byte(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		port := n.Get("server", "port")
		if v, ok := port.Number(); !ok || v != 8443 || port.At.FullText() != "8443" || port.At.Line() != 3 {
			t.Errorf("%s: port is %q at line %d, %q", name, port.Text(), port.At.Line(), port.At.FullText())
		}
		if names := n.Get("server", "names").Texts(); strings.Join(names, " ") != "one two" {
			t.Errorf("%s: names are %q", name, names)
		}
		if !n.Get("server", "on").True() || n.Get("server", "off").Has() || n.Get("server", "port", "deeper").Has() {
			t.Errorf("%s: on or off", name)
		}
	}
}

// TestEdits: a changed document has what was put in, and the rest as it was.
func TestEdits(t *testing.T) {
	for name, text := range map[string]string{
		"a.yaml": "a:\n  b: 1\n  list:\n  - x: 1\n  - x: 2\n",
		"b.yaml": "a: {b: 1, list: [{x: 1}, {x: 2}]}\n",
		"c.json": `{"a": {"b": 1, "list": [{"x": 1}, {"x": 2}]}}`,
	} {
		f := NewFile(name, []byte(text))
		n, err := Parse(f)
		if err != nil {
			t.Fatal(err)
		}
		a := n.Get("a")
		edits := append(a.Set("b", 2), a.Put("c", map[string]any{"d": "e"})...)
		edits = append(edits, a.Get("list").Prepend(map[string]int{"x": 0})...)
		after, err := Parse(NewFile(name, f.Apply(append(edits, edits...)))) // twice is once
		if err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, f.Apply(edits))
		}
		if v := after.Get("a", "b").Text() + after.Get("a", "c", "d").Text(); v != "2e" {
			t.Errorf("%s: %s in\n%s", name, v, f.Apply(edits))
		}
		list := after.Get("a", "list").List()
		if len(list) != 3 || list[0].Get("x").Text() != "0" || list[2].Get("x").Text() != "2" {
			t.Errorf("%s: a list of %d in\n%s", name, len(list), f.Apply(edits))
		}
	}
}

// TestPatchApplies: patch -p1 makes of the old file what Apply makes.
func TestPatchApplies(t *testing.T) {
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("patch is not here: apt-get install patch")
	}
	for _, text := range []string{"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\n", "a\nb", "one\n", strings.Repeat("line\n", 60)} {
		dir := t.TempDir()
		path := filepath.Join(dir, "f.conf")
		f := NewFile("f.conf", []byte(text))
		edits := []Edit{f.Insert(0, "first\n"), f.Insert(len(text), "last\n")}
		if len(text) > 12 {
			edits = append(edits, f.At(6, 8).Swap("X\nY\n"), f.At(4, 7).Swap("lost, since it overlaps"))
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("patch", "-p1", "-s")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(Patch(edits))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("patch: %v, %s\n%s", err, out, Patch(edits))
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(f.Apply(edits)) {
			t.Errorf("patched\n%s\nwant\n%s", have, f.Apply(edits))
		}
	}
}

// TestAliases: anchors and merge keys are followed; an alias that multiplies without
// end is refused.
func TestAliases(t *testing.T) {
	n, err := Parse(NewFile("a.yaml", []byte("base: &b {x: 1, y: 2}\nuse: {<<: *b, x: 3}\nagain: *b\n")))
	if err != nil {
		t.Fatal(err)
	}
	if v := n.Get("use", "x").Text() + n.Get("use", "y").Text() + n.Get("again", "y").Text(); v != "322" {
		t.Errorf("read %s", v)
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"} {
		last := "*a" + string(rune('0'+i))
		bomb += name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat(last+", ", 10), ", ") + "]\n"
	}
	if _, err := Parse(NewFile("b.yaml", []byte(bomb))); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("error %v", err)
	}
}

// FuzzParse: no document panics, and every place lies within it.
func FuzzParse(f *testing.F) {
	f.Add("a.yaml", "a: {b: [1, 'x']}\nc: &x\n- d\n- *x\n")
	f.Add("a.json", `{"a": [1, {"b": null}]}`)
	f.Add("a.toml", "[a.b]\nc = {d = 1}\n[[e]]\nf = [1, 2]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		if len(text) > 4096 {
			return
		}
		file := NewFile(name, []byte(text))
		n, err := Parse(file)
		if err == nil {
			within(t, file, n, 0)
		}
	})
}

func within(t *testing.T, f *File, n *Node, depth int) {
	for _, p := range []Place{n.At, n.KeyAt} {
		if p.File != nil && (p.Start < 0 || p.End < p.Start || p.End > len(f.Text)) {
			t.Fatalf("place %d to %d of %d bytes", p.Start, p.End, len(f.Text))
		}
	}
	if depth < 8 {
		for _, item := range n.Items {
			within(t, f, item, depth+1)
		}
	}
	f.Apply(append(n.Put("k", 1), n.Set("k", "v")...))
}
