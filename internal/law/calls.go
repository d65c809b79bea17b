package law

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// use is a mention of an imported package's name: time.Now, called or passed on.
type use struct {
	node *ast.SelectorExpr
	in   *ast.FuncDecl // the declared function it stands in; nil in a declaration
}

// uses finds the mentions of names of a package in a file, under whatever name
// it was imported.
func uses(f *file, pkg string, names ...string) []use {
	local := importedAs(f, pkg)
	if local == "" {
		return nil
	}
	var out []use
	for _, decl := range f.ast.Decls {
		fn, _ := decl.(*ast.FuncDecl)
		ast.Inspect(decl, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == local && slices.Contains(names, sel.Sel.Name) {
				out = append(out, use{sel, fn})
			}
			return true
		})
	}
	return out
}

// importedAs returns the name under which a file imports a package, or "".
func importedAs(f *file, pkg string) string {
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != pkg {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(pkg)
	}
	return ""
}

// checkClock keeps detection and policy a function of the log alone.
func checkClock(t *tree, r *report) {
	for f := range t.product {
		if !clockless(f) {
			continue
		}
		if importedAs(f, "time") == "." {
			r.at(f, f.ast.Package, "package time is imported with a dot, which hides the clock", "import it by its name")
		}
		for _, u := range uses(f, "time", "Now", "Since", "Until", "After", "AfterFunc",
			"NewTimer", "NewTicker", "Tick", "Sleep") {
			r.at(f, u.node.Pos(), fmt.Sprintf("time.%s reads a wall clock where only event time counts", u.node.Sel.Name),
				"take the time from the event or as an argument")
		}
	}
}

// clockless reports whether a file must not read a clock: all of detect but the
// store, the alerts and what carries things between processes (collect, task, index),
// and the parts of enforce that judge.
func clockless(f *file) bool {
	if room(f.dir) == "detect" {
		sub, _, _ := strings.Cut(strings.TrimPrefix(f.dir, "detect/"), "/")
		switch sub {
		case "store", "alert", "collect", "task", "index":
			return false
		}
		return true
	}
	if f.dir != "enforce" {
		return false
	}
	base := path.Base(f.path)
	return strings.HasPrefix(base, "policy") || strings.HasPrefix(base, "guard") || strings.HasPrefix(base, "verify")
}

// checkPanic allows panic only where a registry fills at start, and in functions
// that load what is compiled into the binary: their name says so (must...), and
// no input reaches them.
func checkPanic(t *tree, r *report) {
	for f := range t.product {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok &&
				(strings.HasPrefix(fn.Name.Name, "Register") || strings.HasPrefix(fn.Name.Name, "must")) {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
					r.at(f, call.Pos(), "panic outside a registry's Register function",
						"return an error with a hint the operator can act on; if only data compiled into the binary can be wrong, name the function must...")
				}
				return true
			})
		}
	}
}

// checkExit allows the process to be ended by main, and by TestMain.
func checkExit(t *tree, r *report) {
	for f := range t.parsed {
		if f.ast.Name.Name == "main" && path.Base(f.path) == "main.go" {
			continue
		}
		all := uses(f, "os", "Exit")
		if !f.test {
			all = append(all, uses(f, "log", "Fatal", "Fatalf", "Fatalln")...)
		}
		for _, u := range all {
			if f.test && u.in != nil && u.in.Name.Name == "TestMain" {
				continue
			}
			r.at(f, u.node.Pos(), fmt.Sprintf("%s.%s outside main.go", u.node.X, u.node.Sel.Name),
				"return an error, and let main choose the exit status")
		}
	}
}

// checkSleep keeps tests from waiting for the clock. A file that works in a
// synctest bubble may sleep: the time is the bubble's.
func checkSleep(t *tree, r *report) {
	for f := range t.parsed {
		if !f.testCode || importedAs(f, "testing/synctest") != "" {
			continue
		}
		for _, u := range uses(f, "time", "Sleep") {
			r.at(f, u.node.Pos(), "a test sleeps",
				"use event time, testing/synctest, or poll with a deadline on a channel or a ticker")
		}
	}
}
