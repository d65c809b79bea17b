package law

import (
	"fmt"
	"go/ast"
	"go/token"
)

// checkFileLength counts the lines of every file, tests included.
func checkFileLength(t *tree, r *report) {
	for f := range t.parsed {
		if f.lines > MaxFileLines {
			r.line(f.path, 1, fmt.Sprintf("%d lines, at most %d", f.lines, MaxFileLines),
				"split it by concept, not by size")
		}
	}
}

// checkFuncLength measures declared functions, and function literals of package
// variables. A literal inside a function counts with that function.
func checkFuncLength(t *tree, r *report) {
	for f := range t.parsed {
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				t.measure(r, f, d.Name.Name, d.Type.Func, d.End())
			case *ast.GenDecl:
				ast.Inspect(d, func(n ast.Node) bool {
					lit, ok := n.(*ast.FuncLit)
					if ok {
						t.measure(r, f, "function literal", lit.Pos(), lit.End())
					}
					return !ok
				})
			}
		}
	}
}

// measure reports a function that is too long.
func (t *tree) measure(r *report, f *file, name string, from, to token.Pos) {
	n := t.fset.Position(to).Line - t.fset.Position(from).Line + 1
	if n > MaxFuncLines {
		r.at(f, from, fmt.Sprintf("%s has %d lines, at most %d", name, n, MaxFuncLines),
			"give a step of it a name of its own")
	}
}
