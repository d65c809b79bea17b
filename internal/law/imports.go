package law

import (
	"fmt"
	"go/ast"
	"path"
	"strconv"
	"strings"
)

// The places that are no rooms of the pipeline.
const (
	placeInternal = "internal"
	placeFixtures = "fixtures"
	placeDeploy   = "deploy"
)

// rank orders the rooms along the pipeline: a room imports its own rank and what
// is below. 0 means that there is no such room.
func rank(room string) int {
	switch room {
	case "ingest":
		return 1
	case "detect":
		return 2
	case "enforce":
		return 3
	case "dashboards":
		return 4
	case "cmd":
		return 5
	}
	return 0
}

// checkImports follows every import of our own module.
func checkImports(t *tree, r *report) {
	for f := range t.parsed {
		from := room(f.dir)
		if rank(from) == 0 && from != placeInternal && from != placeFixtures && from != placeDeploy {
			r.at(f, f.ast.Package, fmt.Sprintf("%q is no room of this house", f.dir),
				"put it in ingest, detect, enforce, dashboards, cmd, deploy, fixtures or internal")
			continue
		}
		for _, spec := range f.ast.Imports {
			to, ok := t.own(spec)
			if !ok {
				continue
			}
			if mend := whyNot(f, from, to); mend != "" {
				r.at(f, spec.Pos(), fmt.Sprintf("%s imports %s", f.dir, to), mend)
			}
		}
	}
}

// own returns the folder of an import of our own module.
func (t *tree) own(spec *ast.ImportSpec) (dir string, ok bool) {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return "", false
	}
	if p == t.module {
		return ".", true
	}
	return strings.CutPrefix(p, t.module+"/")
}

// room is the first element of a folder's path.
func room(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// whyNot returns how to mend an import that is not allowed, or "".
func whyNot(f *file, from, to string) string {
	switch target := room(to); {
	case target == placeInternal:
		return ""
	case target == placeFixtures:
		if f.testCode || from == "cmd" || from == placeDeploy || from == placeFixtures {
			return ""
		}
		return "fixtures are for cmd, deploy and tests: move the import into a test"
	case target == placeDeploy:
		if f.testCode || from == "cmd" || from == placeDeploy {
			return ""
		}
		return "deploy is for cmd and tests: pass what is needed as an argument"
	case from == placeInternal:
		return "internal is plumbing and knows no room: pass an interface or a function"
	case from == placeFixtures:
		if f.test || strings.HasPrefix(f.dir, "fixtures/peers/") { // a module of its own, which measures us
			return ""
		}
		return "fixtures know no room, lest they share its mistakes: write what the gateway would write"
	case from == placeDeploy:
		if f.test || f.dir == "deploy/demo" || path.Dir(f.dir) == "deploy/demo" {
			return ""
		}
		return "in deploy only deploy/demo wires rooms together: move it there or to cmd"
	case rank(target) == 0:
		return "there is no such room: see docs/architecture.md"
	case rank(target) > rank(from):
		return "imports go cmd, dashboards, enforce, detect, ingest: declare an interface where it is consumed, or move the type down"
	}
	return ""
}

// checkTestCode keeps testing helpers out of the binary.
func checkTestCode(t *tree, r *report) {
	for f := range t.product {
		if room(f.dir) == placeFixtures {
			continue
		}
		for _, spec := range f.ast.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if p == "testing" || strings.HasPrefix(p, "testing/") {
				r.at(f, spec.Pos(), fmt.Sprintf("product code imports %q", p),
					"move it to a _test.go file or to the room's contract suite")
			}
			if to, ok := t.own(spec); ok && isContractDir(to) {
				r.at(f, spec.Pos(), fmt.Sprintf("product code imports the contract suite %s", to),
					"import it from a _test.go file")
			}
		}
	}
}
