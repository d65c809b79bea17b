package law

import (
	"go/ast"
	"slices"
	"strings"
)

// checkSkip wants each skip to say in a literal how to get the test to run.
func checkSkip(t *tree, r *report) {
	for f := range t.parsed {
		if !f.testCode {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isSkip(call) && !saysHow(f, call) {
				r.at(f, call.Pos(), "a test is skipped without saying how to run it",
					"name in the message, as a literal, what to install (apt-get install ...), set (PORTCULLIS_...=1) or leave out (-short)")
			}
			return true
		})
	}
}

// isSkip reports whether a call skips a test, by the names that tests use.
func isSkip(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && slices.Contains([]string{"t", "b", "f", "tb"}, id.Name)
}

// saysHow reports whether the message holds a way out, written in the call or
// in what is assigned to a name that the call passes.
func saysHow(f *file, call *ast.CallExpr) bool {
	for _, arg := range call.Args {
		if hints(arg) {
			return true
		}
		if id, ok := arg.(*ast.Ident); ok && assigned(f, id.Name, hints) {
			return true
		}
	}
	return false
}

// assigned reports whether a value that is given to a name in a file is like
// that. Scopes are not told apart: two messages of one name are rare.
func assigned(f *file, name string, like func(ast.Node) bool) bool {
	found := false
	named := func(n ast.Expr) bool {
		id, ok := n.(*ast.Ident)
		return ok && id.Name == name
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.AssignStmt:
			if slices.ContainsFunc(d.Lhs, named) {
				found = found || slices.ContainsFunc(d.Rhs, func(e ast.Expr) bool { return like(e) })
			}
		case *ast.ValueSpec:
			if slices.ContainsFunc(d.Names, func(id *ast.Ident) bool { return id.Name == name }) {
				found = found || slices.ContainsFunc(d.Values, func(e ast.Expr) bool { return like(e) })
			}
		}
		return !found
	})
	return found
}

// hints reports whether a literal in an expression holds a way out.
func hints(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			for _, hint := range []string{"install", "make ", "PORTCULLIS_", "-short", "as root"} {
				found = found || strings.Contains(lit.Value, hint)
			}
		}
		return !found
	})
	return found
}
