package law

import (
	"fmt"
	"go/ast"
	"go/token"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// machinePath matches a folder that one person has on one machine. The first
// group keeps a longer word or a host name in front from matching.
func machinePath(folders string) *regexp.Regexp {
	return regexp.MustCompile(`(^|[^A-Za-z0-9_.])/(` + folders + `)/`)
}

// checkPaths looks at the literals of product code and at scripts and documents.
// What attackers ask for, in the detectors' lists and in fixtures, is data.
func checkPaths(t *tree, r *report) {
	const mend = "use a relative path, a flag, or os.MkdirTemp"
	inCode, inText := machinePath("root|home|tmp|work"), machinePath("root|home|work")
	for f := range t.product {
		if f.dir == "detect/inspect" || f.dir == "detect/rule" || room(f.dir) == placeFixtures {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && inCode.MatchString(lit.Value) {
				r.at(f, lit.Pos(), "a literal names a folder of one machine", mend)
			}
			return true
		})
	}
	for _, doc := range t.texts {
		for i, line := range strings.Split(doc.data, "\n") {
			if inText.MatchString(line) {
				r.line(doc.path, i+1, "names a folder of one machine", mend)
			}
		}
	}
}

// checkUnfinished finds the marks of what was left for later.
func checkUnfinished(t *tree, r *report) {
	word := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	const mend = "finish it, or open an issue and describe today's behaviour"
	for f := range t.product {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				if m := word.FindString(c.Text); m != "" {
					r.at(f, c.Pos(), fmt.Sprintf("a comment says %s", m), mend)
				}
			}
		}
	}
	for _, doc := range t.texts {
		if path.Ext(doc.path) == ".md" {
			continue
		}
		for i, line := range strings.Split(doc.data, "\n") {
			if m := word.FindString(line); m != "" {
				r.line(doc.path, i+1, fmt.Sprintf("says %s", m), mend)
			}
		}
	}
}

// checkLinks follows the relative links of the Markdown documents.
func checkLinks(t *tree, r *report) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, doc := range t.texts {
		if path.Ext(doc.path) != ".md" {
			continue
		}
		for i, line := range strings.Split(doc.data, "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				u, err := url.Parse(m[1])
				if err != nil || u.Scheme != "" || u.Host != "" || u.Path == "" {
					continue
				}
				if target := path.Join(path.Dir(doc.path), u.Path); !t.names[target] {
					r.line(doc.path, i+1, fmt.Sprintf("links to %s, which is not there", target),
						"write the file or drop the link")
				}
			}
		}
	}
}
