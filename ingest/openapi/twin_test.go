package openapi

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// slowly finds the template of a path by the words of the specification (OpenAPI 3.1,
// section 4.8.8.2): each template is an expression in which a parameter stands for anything
// but a slash, and templates that name more are asked before those that name less. Where that
// leaves a choice, which the specification leaves to tools, the first segment that differs
// decides. Only where nothing fits capitals and small letters are the same.
func slowly(templates []string, path string) string {
	segs, ok := plainly(path)
	if !ok {
		return ""
	}
	for _, fold := range []bool{false, true} {
		best, bestRank := "", []string(nil)
		for _, t := range templates {
			parts := splitTemplate(t)
			if rank, ok := ranked(parts, segs, fold); ok && (best == "" || slices.Compare(rank, bestRank) < 0) {
				best, bestRank = t, rank
			}
		}
		if best != "" {
			return best
		}
	}
	return ""
}

func splitTemplate(t string) (out []string) {
	for _, s := range strings.Split(t, "/") {
		if s != "" && s != "." && s != ".." {
			out = append(out, s)
		}
	}
	return out
}

var braces = regexp.MustCompile(`\{[^{}]*\}`)

// ranked matches segment by segment; the less of two ranks names more.
func ranked(parts, segs []string, fold bool) (rank []string, ok bool) {
	if len(parts) != len(segs) {
		return nil, false
	}
	small := func(s string) string {
		return strings.Map(func(r rune) rune {
			if fold && r >= 'A' && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, s)
	}
	for i, part := range parts {
		texts, seg := braces.Split(part, -1), segs[i]
		if fold {
			seg = string(lowered(nil, seg))
		}
		form, length := "", 0
		for j, x := range texts {
			if j > 0 {
				form += "(?s:.+)"
			}
			if fold {
				x = string(lowered(nil, x))
				texts[j] = x
			}
			form += regexp.QuoteMeta(x)
			length += len(x)
		}
		switch {
		case len(texts) == 1 && seg == small(unescaped(part)):
			rank = append(rank, "a")
		case len(texts) == 2 && length == 0:
			rank = append(rank, "c")
		case len(texts) > 1 && bytesMatch(form, seg):
			rank = append(rank, "b"+string(rune(0xD000-length))+strings.Join(texts, "\x00"))
		default:
			return nil, false
		}
	}
	return rank, true
}

// bytesMatch matches bytes, not characters.
func bytesMatch(form, seg string) bool {
	wide := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		return b.String()
	}
	return regexp.MustCompile("^" + wide(form) + "$").MatchString(wide(seg))
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func unescaped(s string) string {
	return escape.ReplaceAllStringFunc(s, func(x string) string {
		return string([]byte{unhex(x[1])<<4 | unhex(x[2])})
	})
}

// plainly reads a path by the letter of what segments promises.
func plainly(path string) (out []string, ok bool) {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "%") && len(path) > maxEscaped {
		return nil, false
	}
	for _, seg := range strings.Split(path[1:], "/") {
		if k := strings.Index(seg, ";"); k > 0 {
			seg = seg[:k]
		}
		switch seg = unescaped(seg); seg {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			if len(out) == maxSegments {
				return nil, false
			}
			out = append(out, seg)
		}
	}
	return out, true
}

// apiOf is an API that has GET on each template that can be one.
func apiOf(t testing.TB, templates []string) (*API, []string) {
	t.Helper()
	paths, kept := openapi3.NewPaths(), []string(nil)
	for _, p := range templates {
		if _, err := templateSegments(p); err == nil && strings.HasPrefix(p, "/") {
			paths.Set(p, &openapi3.PathItem{Get: &openapi3.Operation{}})
		}
	}
	for name := range paths.Map() {
		kept = append(kept, name)
	}
	slices.Sort(kept)
	api := &API{trees: []*tree{{}}}
	c := &compiler{api: api}
	if err := c.add(&Document{File: "twin"}, &openapi3.T{Paths: paths}); err != nil && len(kept) > 0 {
		t.Fatal(err)
	}
	return api, kept
}

// same compares the tree with the slow way.
func same(t *testing.T, templates []string, path string) {
	t.Helper()
	api, kept := apiOf(t, templates)
	got := api.Reader().Find(0, "GET", path).Template
	want := slowly(kept, path)
	if got == "" && want == "" {
		return
	}
	for _, t := range kept { // the one that was found has that route, and fixes what the wanted one fixes
		segs, _ := templateSegments(t)
		if want != "" && routeOf(segs) == got && erased(t) == erased(want) {
			return
		}
	}
	t.Errorf("%q among %q: the tree finds %q, slowly it is %q", path, kept, got, want)
}

// erased leaves the names of parameters and empty segments out: templates that differ in
// nothing else are one.
func erased(template string) string {
	return strings.ToLower(unescaped(braces.ReplaceAllString(strings.Join(splitTemplate(template), "/"), "{}")))
}

func TestFindIsTheSpecificationsWay(t *testing.T) {
	templates := []string{"/pets/{id}", "/pets/mine", "/{kind}/mine", "/pets", "/{a}/{b}/c", "/pets/{id}.json", "/pets/cat-{n}.json", "/pets/{a}-{b}",
		"/x/{a}{b}", "/Caf%C3%A9/{id}", "/files/{name}/raw/", "/", "/a/{b}/c/d", "/a/b/{c}/e"}
	for _, p := range []string{"/pets/mine", "/pets/7", "/dogs/mine", "/pets/", "/pets/7/c", "/pets/7.json", "/pets/cat-7.json", "/pets/cat-.json", "/pets/a-b", "/pets/-b",
		"/x/a", "/x/ab", "/Caf\xc3\xa9/1", "/caf%c3%a9/1", "/files/a%2Fb/raw", "/", "//pets//mine", "/pets/./../pets/mine", "/PETS/Mine", "/pets/mine;v=1", "/pets/;x=1",
		"/a/b/c/d", "/a/b/c/e", "/none/such/thing/here", "*", "", "/pets/%", "/pets/%2", "/" + strings.Repeat("a/", 40)} {
		same(t, templates, p)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("/a/{b}\n/a/c\n/{x}/c", "/a/c")
	f.Add("/f/{n}.{e}\n/f/x{n}\n/f/{n}", "/f/x.y.z")
	f.Add("/a/{b}{c}-{d}\n/A/b", "/a/b-")
	f.Add("/%41/{b}\n/a;b/c", "/A/%2e%2e/a;x/c")
	f.Fuzz(func(t *testing.T, templates, path string) {
		list := strings.Split(templates, "\n")
		if len(list) > 12 || len(templates) > 400 || len(path) > 2000 {
			return
		}
		for _, p := range list {
			for _, s := range textsOf(p) {
				if strings.ContainsAny(s, "{}") {
					return // not a template: refused when it is read
				}
			}
		}
		same(t, list, path)
	})
}
