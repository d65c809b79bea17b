package law

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tree is what the rules look at: every Go file parsed once, and the text files
// that people and tools read.
type tree struct {
	module string
	fset   *token.FileSet
	files  []*file
	texts  []*text
	names  map[string]bool // every file and folder, for links
}

// file is one Go file.
type file struct {
	path      string
	dir       string
	ast       *ast.File // nil when it does not parse
	err       error
	lines     int
	test      bool // its name ends in _test.go
	testCode  bool // a test, or part of a contract suite such as ingesttest
	generated bool
}

// text is a document, a script or a build file.
type text struct {
	path string
	data string
}

// load reads the tree once.
func load(fsys fs.FS) (*tree, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	t := &tree{fset: token.NewFileSet(), names: map[string]bool{".": true}, module: moduleOf(mod)}
	if t.module == "" {
		return nil, errors.New("go.mod names no module")
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(name) {
				return fs.SkipDir
			}
			t.names[name] = true
			return nil
		}
		t.names[name] = true
		return t.add(fsys, name)
	})
	return t, err
}

// moduleOf returns the module path of a go.mod file.
func moduleOf(mod []byte) string {
	for line := range bytes.Lines(mod) {
		if rest, ok := bytes.CutPrefix(line, []byte("module ")); ok {
			return string(bytes.TrimSpace(rest))
		}
	}
	return ""
}

// skipDir leaves out what is not ours: test data, fetched parts, build output.
func skipDir(name string) bool {
	base := path.Base(name)
	switch base {
	case ".", ".ci":
		return false
	case "testdata", "vendor", "node_modules", "bin":
		return true
	}
	return base[0] == '.' || base[0] == '_'
}

// add reads one file, if the law is about its kind.
func (t *tree) add(fsys fs.FS, name string) error {
	isGo := path.Ext(name) == ".go"
	if !isGo && !isText(name) {
		return nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if !isGo {
		t.texts = append(t.texts, &text{path: name, data: string(data)})
		return nil
	}
	f := &file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	f.testCode = f.test || isContractDir(f.dir)
	f.lines = bytes.Count(data, []byte("\n"))
	f.ast, f.err = parser.ParseFile(t.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if f.err != nil {
		f.ast = nil
	} else {
		f.generated = ast.IsGenerated(f.ast)
	}
	t.files = append(t.files, f)
	return nil
}

// isText reports whether a file is prose, a script or a build file.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".md", ".sh", ".yml", ".yaml", ".conf", ".service", ".awk":
		return true
	}
	return slices.Contains([]string{"Makefile", ".ci/run"}, name) ||
		strings.HasPrefix(name, "deploy/") && path.Ext(name) == ""
}

// isContractDir reports whether a folder holds a contract suite: ingesttest,
// detecttest, enforcetest.
func isContractDir(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

// parsed yields the Go files that could be parsed and are not generated.
func (t *tree) parsed(yield func(*file) bool) {
	for _, f := range t.files {
		if f.ast != nil && !f.generated && !yield(f) {
			return
		}
	}
}

// product yields those of them that end up in a binary.
func (t *tree) product(yield func(*file) bool) {
	for f := range t.parsed {
		if !f.testCode && !yield(f) {
			return
		}
	}
}

// checkSyntax reports what could not be parsed.
func checkSyntax(t *tree, r *report) {
	for _, f := range t.files {
		if f.err != nil {
			r.line(f.path, 1, fmt.Sprintf("cannot be parsed: %v", f.err), "run gofmt on it")
		}
	}
}
