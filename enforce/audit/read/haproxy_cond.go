package read

import (
	"regexp"
	"slices"
	"strings"
)

// term is one ACL of a condition.
type term struct {
	not   bool
	fetch string // hdr(x-api-key),map(...)
	rest  []string
}

// condition is an OR of ANDs.
type condition [][]term

// conditionOf reads what follows if or unless; nil is no condition, which always
// holds.
func (s *section) conditionOf(l *hapLine) condition {
	i := slices.IndexFunc(l.words, func(w string) bool { return w == "if" || w == "unless" })
	if i < 0 {
		return nil
	}
	var out condition
	var all []term
	words := l.words[i+1:]
	for k := 0; k < len(words); k++ {
		w := words[k]
		if w == "||" || w == "or" {
			out, all = append(out, all), nil
			continue
		}
		t := term{not: strings.HasPrefix(w, "!")}
		if w = strings.TrimPrefix(w, "!"); w == "" && k+1 < len(words) {
			k++
			w = words[k]
		}
		if w == "{" {
			end := k + 1
			for end < len(words) && words[end] != "}" {
				end++
			}
			if end > k+1 {
				t.fetch, t.rest = words[k+1], words[k+2:end]
			}
			k = end
			all = append(all, t)
			continue
		}
		all = append(all, s.named(t, w))
	}
	out = append(out, all)
	if l.words[i] == "unless" {
		return negate(out)
	}
	return out
}

// named looks an ACL up; of several lines with one name, which are an OR, their values
// are put together.
func (s *section) named(t term, name string) term {
	for _, l := range s.find("acl", name) {
		if len(l.words) < 3 {
			continue
		}
		if t.fetch == "" {
			t.fetch = l.words[2]
		}
		t.rest = append(t.rest, l.words[3:]...)
	}
	if t.fetch == "" { // predefined
		switch name {
		case "METH_GET", "METH_POST", "METH_HEAD", "METH_OPTIONS", "METH_TRACE", "METH_CONNECT", "METH_PUT", "METH_DELETE":
			t.fetch = "method"
		case "HTTP_URL_ABS", "HTTP_CONTENT", "REQ_CONTENT", "TRUE", "FALSE", "LOCALHOST", "HTTP", "HTTP_1.0", "HTTP_1.1":
			t.fetch = name
		}
	}
	return t
}

// negate turns a condition round; what it would grow to is bounded.
func negate(c condition) condition {
	out := condition{nil}
	for _, all := range c {
		var next condition
		for _, done := range out {
			for _, t := range all {
				t.not = !t.not
				next = append(next, append(slices.Clone(done), t))
			}
		}
		if out = next; len(out) > 64 {
			return out[:64]
		}
	}
	return out
}

// The kinds of terms.
type termKind uint8

const (
	aboutOther termKind = iota
	aboutPath
	aboutMethod
	aboutScheme
	aboutCredential
	aboutSource
	aboutRate
	aboutSize
)

var (
	rateFetch   = regexp.MustCompile(`http_req_rate|sess_rate|conn_rate|gpc0_rate|http_err_rate`)
	headerFetch = regexp.MustCompile(`hdr(?:_[a-z]+)?\(([^),]+)`)
	paramFetch  = regexp.MustCompile(`url_?p(?:aram)?(?:_[a-z]+)?\(([^),]+)`)
)

// kind tells what a term is about.
func (t term) kind() termKind {
	f := t.fetch
	base, _, _ := strings.Cut(f, ",")
	base, _, _ = strings.Cut(base, "(")
	switch {
	case rateFetch.MatchString(f):
		return aboutRate
	case strings.Contains(f, "body_size") || strings.Contains(f, "content-length"):
		return aboutSize
	case base == "method":
		return aboutMethod
	case base == "ssl_fc" || base == "dst_port" || base == "HTTP":
		return aboutScheme
	case base == "src":
		return aboutSource
	case strings.HasPrefix(base, "path") || base == "url_beg" || base == "url":
		return aboutPath
	case strings.HasPrefix(base, "http_auth") || strings.Contains(f, "jwt_verify") || strings.HasPrefix(base, "ssl_c_"):
		return aboutCredential
	}
	for _, re := range []*regexp.Regexp{headerFetch, paramFetch} {
		if m := re.FindStringSubmatch(f); m != nil && isSecretName(strings.ToLower(m[1])) {
			return aboutCredential
		}
	}
	if base == "var" && regexp.MustCompile(`auth|jwt|consumer|key|token`).MatchString(f) {
		return aboutCredential
	}
	return aboutOther
}

// presence reports whether a term asks only whether something is there.
func (t term) presence() bool {
	i := slices.Index(t.rest, "-m")
	return i >= 0 && i+1 < len(t.rest) && t.rest[i+1] == "found" && !strings.Contains(t.fetch, "map") && !strings.Contains(t.fetch, "var(") ||
		strings.Contains(t.fetch, "_cnt(")
}

// onPath tells whether a term about the path is true for a path.
func (t term) onPath(path string) bool {
	base, _, _ := strings.Cut(t.fetch, ",")
	match := strings.TrimPrefix(strings.TrimPrefix(base, "path"), "url")
	if i := slices.Index(t.rest, "-m"); i >= 0 && i+1 < len(t.rest) {
		match = "_" + t.rest[i+1]
	}
	hit := false
	for _, v := range t.rest {
		if strings.HasPrefix(v, "-") {
			continue
		}
		switch match {
		case "_beg":
			hit = hit || strings.HasPrefix(path, v)
		case "_end":
			hit = hit || strings.HasSuffix(path, v)
		case "_sub", "_dir":
			hit = hit || strings.Contains(path, v)
		case "_reg":
			re, err := regexp.Compile(v)
			hit = hit || err == nil && re.MatchString(path)
		default:
			hit = hit || path == v
		}
	}
	return hit != t.not
}

// samplePath is a path for which a term about the path is true.
func (t term) samplePath() string {
	for i, v := range t.rest {
		if strings.HasPrefix(v, "-") || i > 0 && t.rest[i-1] == "-m" {
			continue
		}
		if strings.HasSuffix(t.fetch, "_reg") || slices.Contains(t.rest, "reg") {
			return sample(v)
		}
		return "/" + strings.TrimLeft(v, "/")
	}
	return "/"
}

// at leaves of a condition what is not about the path, for one path: each AND that
// may hold. ok is false where none can.
func (c condition) at(path string) (rest condition, ok bool) {
	if c == nil {
		return nil, true
	}
	for _, all := range c {
		var left []term
		holds := true
		for _, t := range all {
			if t.kind() == aboutPath {
				holds = holds && t.onPath(path)
			} else {
				left = append(left, t)
			}
		}
		if holds {
			rest = append(rest, left)
		}
	}
	return rest, len(rest) > 0
}
