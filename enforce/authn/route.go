package authn

import (
	"fmt"
	"strings"
)

// pattern is a route and its methods, ready to be matched.
type pattern struct {
	all     bool // every path
	parts   []string
	below   bool // ends with /*: the path, and all below it
	methods []string
}

// patternError says what is wrong with a route or its methods.
type patternError struct {
	method bool
	text   string
}

const maxParts = 64

// compile reads a route and its methods.
func compile(route string, methods []string) (pattern, *patternError) {
	p := pattern{}
	for _, m := range methods {
		if !methodName(m) {
			return p, &patternError{true, fmt.Sprintf("%.40q is no method: write GET, POST …", m)}
		}
		p.methods = append(p.methods, strings.ToUpper(m))
	}
	if route == "*" || route == "/*" {
		p.all = true
		return p, nil
	}
	if !strings.HasPrefix(route, "/") {
		return p, &patternError{text: fmt.Sprintf("%.80q is no route: it begins with /, as in /orders/{id} or /orders/*", route)}
	}
	if strings.ContainsAny(route, "?#;\\%") || strings.Contains(route, "//") {
		return p, &patternError{text: fmt.Sprintf("%.80q: write the plain path, without ? # ; %% \\ or //: other spellings of it are seen by themselves", route)}
	}
	text, below := strings.CutSuffix(route, "/*")
	p.below = below
	p.parts = strings.Split(strings.TrimSuffix(text[1:], "/"), "/")
	if len(p.parts) > maxParts {
		return p, &patternError{text: fmt.Sprintf("has more than %d parts", maxParts)}
	}
	for _, part := range p.parts {
		switch {
		case part == "." || part == "..", part == "" && len(p.parts) > 1:
			return p, &patternError{text: fmt.Sprintf("%.80q has an empty part, or one that is . or ..", route)}
		case strings.Contains(part, "*"):
			return p, &patternError{text: fmt.Sprintf("%.80q: * stands only at the end, after a /; write {name} for one part", route)}
		}
	}
	return p, nil
}

func methodName(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return s[i] == '-' && i > 0 && methodName(s[i+1:]+"X")
		}
	}
	return s != "" && len(s) <= 32
}

// fits tells whether a reading of a path is one of the pattern's. With fold, capitals and
// small letters are the same, as some servers have it.
func (p *pattern) fits(path string, fold bool) bool {
	if p.all {
		return true
	}
	rest, more := strings.CutPrefix(path, "/")
	for _, want := range p.parts {
		if !more {
			return false
		}
		var have string
		have, rest, more = strings.Cut(rest, "/")
		parameter := len(want) > 2 && want[0] == '{' && want[len(want)-1] == '}'
		switch {
		case parameter && have == "", !parameter && !same(want, have, fold):
			return false
		}
	}
	return !more || p.below
}

func same(a, b string, fold bool) bool {
	return a == b || fold && strings.EqualFold(a, b)
}

// takes tells whether a method is one of the pattern's. HEAD asks for what GET does.
func (p *pattern) takes(method string) bool {
	if len(p.methods) == 0 {
		return true
	}
	for _, m := range p.methods {
		if strings.EqualFold(m, method) || m == "GET" && strings.EqualFold(method, "HEAD") {
			return true
		}
	}
	return false
}
