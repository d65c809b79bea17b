// Package law reads the source tree and names every place that breaks a rule of
// the house: which room may import which, how long a file or a function may be,
// what must be documented, who may read a clock. The rules run as an ordinary
// test, so a change that breaks one does not land.
//
// Each rule says what is wrong and how to mend it. A rule that cannot fail is no
// rule: testdata holds a small tree that breaks each of them.
package law

import (
	"cmp"
	"fmt"
	"go/token"
	"io/fs"
	"slices"
)

// Limits of the house, in lines. A file is counted whole; a function from the
// line of "func" to the line of its closing brace.
const (
	MaxFileLines = 400
	MaxFuncLines = 60
)

// Problem is one place that breaks a rule.
type Problem struct {
	File string // slash-separated, from the root of the tree
	Line int    // 1 for what concerns the whole file
	Rule string
	What string // what is wrong
	Mend string // how to mend it
}

// String renders the problem as a compiler would, so that editors jump to it.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s; %s", p.File, p.Line, p.Rule, p.What, p.Mend)
}

// Rule is one law: its name, why it is there, and how it is checked.
type Rule struct {
	Name string
	Why  string

	check func(*tree, *report)
}

// Rules lists the law in the order in which it is checked.
func Rules() []Rule {
	return []Rule{
		{"syntax", "what cannot be parsed cannot be checked", checkSyntax},
		{"imports", "imports go one way: cmd, dashboards, enforce, detect, ingest", checkImports},
		{"file-length", "a file is read in one sitting", checkFileLength},
		{"func-length", "a function fits on a page", checkFuncLength},
		{"package-comment", "a package says once what it is for", checkPackageComments},
		{"exported-doc", "who calls it should not have to read its body", checkExported},
		{"clock", "the same log must give the same findings and decisions", checkClock},
		{"panic", "no input may bring the process down", checkPanic},
		{"exit", "only main ends the process, so that everybody else's defers run", checkExit},
		{"skip", "a test that was skipped must say how to run it", checkSkip},
		{"sleep", "a test that sleeps is slow on a good day and wrong on a bad one", checkSleep},
		{"test-code", "test helpers stay out of the binary", checkTestCode},
		{"machine-path", "what works on one machine only does not work", checkPaths},
		{"unfinished", "what lands is finished; the rest is an issue", checkUnfinished},
		{"links", "a document must not point at nothing", checkLinks},
	}
}

// Check reads the tree at fsys, whose root holds go.mod, and returns what breaks
// the law, sorted by file and line. The error is about the tree not being
// readable, never about its content.
func Check(fsys fs.FS) ([]Problem, error) {
	t, err := load(fsys)
	if err != nil {
		return nil, fmt.Errorf("law: read the tree: %w", err)
	}
	var out []Problem
	for _, rule := range Rules() {
		r := &report{tree: t, rule: rule.Name}
		rule.check(t, r)
		out = append(out, r.problems...)
	}
	slices.SortFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What))
	})
	return out, nil
}

// report collects the problems of one rule.
type report struct {
	tree     *tree
	rule     string
	problems []Problem
}

// at reports a problem at a position of a parsed file.
func (r *report) at(f *file, pos token.Pos, what, mend string) {
	r.line(f.path, r.tree.fset.Position(pos).Line, what, mend)
}

// line reports a problem at a line of any file.
func (r *report) line(path string, line int, what, mend string) {
	r.problems = append(r.problems, Problem{File: path, Line: line, Rule: r.rule, What: what, Mend: mend})
}
