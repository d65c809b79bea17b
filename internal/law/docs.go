package law

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// checkPackageComments wants one comment for each package that is not made of
// tests only.
func checkPackageComments(t *tree, r *report) {
	packages := map[string][]*file{}
	for f := range t.parsed {
		if !f.test {
			packages[f.dir] = append(packages[f.dir], f)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		files := packages[dir]
		var with []*file
		for _, f := range files {
			if f.ast.Doc.Text() != "" {
				with = append(with, f)
			}
		}
		name := files[0].ast.Name.Name
		want := "Package " + name
		if name == "main" {
			want = "Command " + path.Base(dir)
		}
		switch {
		case len(with) == 0:
			r.at(files[0], files[0].ast.Package, fmt.Sprintf("package %s has no comment", name),
				fmt.Sprintf("say in one file what it is for: // %s ...", want))
		case len(with) > 1:
			for _, f := range with[1:] {
				r.at(f, f.ast.Package, fmt.Sprintf("package %s has a second comment, the first is in %s", name, with[0].path),
					"keep one that is true of the whole package")
			}
		case !opensWith(with[0].ast.Doc.Text(), want):
			r.at(with[0], with[0].ast.Package, "the package comment does not open with its name",
				fmt.Sprintf("begin it with %q", want+" "))
		}
	}
}

// opensWith reports whether a comment begins with these words and goes on.
func opensWith(doc, words string) bool {
	rest, ok := strings.CutPrefix(doc, words)
	return ok && rest != "" && (rest[0] == ' ' || rest[0] == '\n') && strings.TrimSpace(rest) != ""
}

// checkExported wants a comment on every exported name of product code and of
// the contract suites.
func checkExported(t *tree, r *report) {
	for f := range t.parsed {
		if f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc.Text() == "" && ast.IsExported(receiver(d, d.Name.Name)) {
					undocumented(r, f, d.Name)
				}
			case *ast.GenDecl:
				checkGroup(r, f, d)
			}
		}
	}
}

// receiver returns the name of a method's receiver type, or other.
func receiver(d *ast.FuncDecl, other string) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return other
	}
	for typ := d.Recv.List[0].Type; ; {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return other
		}
	}
}

// checkGroup looks at one declaration of types, constants or variables. A
// comment on a group of constants or variables covers its members.
func checkGroup(r *report, f *file, d *ast.GenDecl) {
	grouped := d.Doc.Text() != ""
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			own := s.Doc.Text() != "" || s.Comment.Text() != "" || grouped && d.Lparen == token.NoPos
			if s.Name.IsExported() && !own {
				undocumented(r, f, s.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc.Text() == "" && s.Comment.Text() == "" && !grouped {
					undocumented(r, f, name)
				}
			}
		}
	}
}

// undocumented reports an exported name without a comment.
func undocumented(r *report, f *file, name *ast.Ident) {
	r.at(f, name.Pos(), fmt.Sprintf("exported %s has no comment", name.Name),
		"say what it is for, with units and errors, or do not export it")
}
