package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is one line of "go test -json"; "go doc test2json" describes it.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// key names a test, or with an empty test the package itself.
type key struct{ pkg, test string }

// tally counts and prints. What passes is forgotten at once.
type tally struct {
	out     io.Writer
	output  map[key]*strings.Builder
	failing map[string]bool // packages with a failed test
	skips   []string
	closing strings.Builder

	passed, failed, packages int
}

// newTally prints to out.
func newTally(out io.Writer) *tally {
	return &tally{out: out, output: map[key]*strings.Builder{}, failing: map[string]bool{}}
}

// run reads the stream to its end and reports whether all is well.
func (t *tally) run(in io.Reader, strict bool) (ok bool, err error) {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			t.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, fmt.Errorf("read the test stream: %w", err)
		}
	}
	for _, s := range t.skips {
		fmt.Fprintln(t.out, "skipped:", s)
	}
	count := fmt.Sprintf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skips))
	t.closing.WriteString(count)
	fmt.Fprint(t.out, count)
	if strict && len(t.skips) > 0 {
		return false, fmt.Errorf("%d skipped where nothing may be: install what is missing", len(t.skips))
	}
	if t.packages == 0 {
		return false, fmt.Errorf("no package was tested: is the pattern right?")
	}
	return t.failed == 0, nil
}

// line takes one line; what is no event, such as a download notice, is shown.
func (t *tally) line(line string) {
	var ev event
	if json.Unmarshal([]byte(line), &ev) != nil || ev.Action == "" {
		fmt.Fprint(t.out, line)
		return
	}
	k := key{ev.Package, ev.Test}
	switch ev.Action {
	case "build-output":
		fmt.Fprint(t.out, ev.Output)
	case "run":
		t.buffer(k)
	case "output":
		t.buffer(k).WriteString(ev.Output)
	case "pass", "fail", "skip":
		t.end(k, ev.Action)
	}
}

// buffer returns what a test has printed so far.
func (t *tally) buffer(k key) *strings.Builder {
	b := t.output[k]
	if b == nil {
		b = &strings.Builder{}
		t.output[k] = b
	}
	return b
}

// end closes a test or a package.
func (t *tally) end(k key, action string) {
	text := t.buffer(k).String()
	delete(t.output, k)
	if k.test == "" {
		t.endPackage(k.pkg, action, text)
		return
	}
	switch action {
	case "pass":
		t.passed++
	case "fail":
		t.fail(k.pkg, text)
	case "skip":
		t.skips = append(t.skips, k.pkg+" "+k.test+reason(text))
	}
}

// fail counts a failed test and shows what it said.
func (t *tally) fail(pkg, text string) {
	t.failed++
	t.failing[pkg] = true
	fmt.Fprint(t.out, text)
}

// endPackage shows the package's closing line, and all it said when it failed.
// Tests that never ended, because the process died, have failed.
func (t *tally) endPackage(pkg, action, text string) {
	t.packages++
	open := slices.SortedFunc(maps.Keys(t.output), func(a, b key) int { return strings.Compare(a.test, b.test) })
	for _, k := range open {
		if k.pkg == pkg {
			t.fail(pkg, t.output[k].String())
			delete(t.output, k)
		}
	}
	if action == "fail" && !t.failing[pkg] {
		t.failed++
	}
	for line := range strings.Lines(text) {
		closes := strings.HasPrefix(line, "ok") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?")
		if closes {
			t.closing.WriteString(line)
		}
		if closes || action == "fail" {
			fmt.Fprint(t.out, line)
		}
	}
}

// reason picks the message of a skipped test out of what it printed.
func reason(text string) string {
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "===") && !strings.HasPrefix(trimmed, "---") {
			return ": " + trimmed
		}
	}
	return ""
}
