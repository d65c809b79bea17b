package authn

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// servers are what may stand behind a gateway, each written in another way than the steps of
// readings: a server is a sequence of these.
var servers = []func(string) string{
	func(s string) string { // a decoder that leaves what it cannot read
		if d, err := url.PathUnescape(s); err == nil {
			return d
		}
		return s
	},
	func(s string) string { // one that decodes parts, so that an encoded slash stays
		parts := strings.Split(strings.NewReplacer("%2f", "%252f", "%2F", "%252F", "%5c", "%255c", "%5C", "%255C").Replace(s), "/")
		for i, p := range parts {
			if d, err := url.PathUnescape(p); err == nil {
				parts[i] = d
			} else {
				return s
			}
		}
		return strings.Join(parts, "/")
	},
	path.Clean,
	func(s string) string { u := url.URL{Path: s}; return u.JoinPath(".").Path },
	func(s string) string { return strings.Join(strings.Split(s, `\`), "/") },
	func(s string) string { // path parameters
		var out strings.Builder
		skip := false
		for _, c := range []byte(s) {
			if skip = (skip || c == ';') && c != '/'; !skip {
				out.WriteByte(c)
			}
		}
		return out.String()
	},
	func(s string) string { s, _, _ = strings.Cut(s, "?"); return s },
	func(s string) string { s, _, _ = strings.Cut(s, "#"); return s },
	func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s },
	func(s string) string { // a file system that drops what stands at the end of a name
		var out []string
		for p := range strings.SplitSeq(s, "/") {
			for p != "." && p != ".." && p != "" && strings.ContainsRune(". \t", rune(p[len(p)-1])) {
				p = p[:len(p)-1]
			}
			out = append(out, p)
		}
		return strings.Join(out, "/")
	},
	strings.ToLower, // the last two only change letters
	strings.ToUpper,
}

// slowNeed is what a path needs, told by itself alone.
func slowNeed(rules []Rule, fallback, p string) string {
	for _, r := range rules {
		want, below := strings.CutSuffix(r.Route, "/*")
		if p == want || below && strings.HasPrefix(p, want+"/") {
			return r.Need
		}
	}
	return fallback
}

var fuzzRules = []Rule{{Route: "/open/*", Need: NeedNone}, {Route: "/admin/*", Need: NeedKey}, {Route: "/pay", Need: NeedKey}}

// FuzzReadings: whatever a server makes of a path, a request for what needs credentials is
// refused without, by rules that name the closed routes, and by rules that name the open ones.
func FuzzReadings(f *testing.F) {
	for _, p := range []string{
		"/admin/x", "//admin", "/open/../admin", "/open/..%2fadmin", "/open/%2e%2e/admin", "/open/..;/admin", "/open/%252e%252e%252fadmin",
		`/open\..\admin`, "/ADMIN/x", "/admin;a=b/x", "/open/;/../admin", "/admin%00.css", "/admin%3fx", "/%61dmin", "/admin/", "/pay/", "/pay/.", "/open/.%2e/pay",
		"/open/a b", "/open/%zz", "/x;/..;a/admin", "/pay#/open", "/pay.", "/./pay", "/open//../../admin", "/%2561dmin", "/a%2fb%5cc/%2e/",
	} {
		for _, how := range []string{"", "\x00\x02", "\x01\x00\x05\x02", "\x05\x02", "\x04\x02\x09", "\x00\x06\x02", "\x00\x08", "\x02\x03\x0a", "\x09\x02"} {
			f.Add(p, how)
		}
	}
	closed := guardOf(f, Config{Access: fuzzRules, Default: NeedNone})
	opened := guardOf(f, Config{Access: fuzzRules[:1], Default: NeedAny})
	f.Fuzz(func(t *testing.T, p, how string) {
		if !strings.HasPrefix(p, "/") || len(p) > 4096 || len(how) > 6 {
			return
		}
		taken, cased := p, false
		for i := range len(how) {
			at := int(how[i]) % len(servers)
			taken, cased = servers[at](taken), cased || at >= len(servers)-2
		}
		for _, v := range []string{taken, strings.ToLower(taken), strings.TrimRight(taken, "/")} {
			if need := slowNeed(fuzzRules, NeedNone, v); need != NeedNone && passes(closed, p) {
				t.Errorf("%q is %q to a server, which needs %s, and passed", p, v, need)
			}
		}
		// A server to which all letters are alike opens what is open in any letters.
		if !cased && slowNeed(fuzzRules[:1], NeedAny, taken) != NeedNone && passes(opened, p) {
			t.Errorf("%q is %q to a server, which is not open, and passed", p, taken)
		}
	})
}

func passes(g *Guard, p string) bool {
	return g.Check(context.Background(), &Request{Path: p, Method: "GET"}, time.Time{}).Status == 0
}

func guardOf(t testing.TB, cfg Config) *Guard {
	t.Helper()
	g, err := New(cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestPlainPaths: what nearly all requests look like has one reading, and the way to it
// allocates nothing.
func TestPlainPaths(t *testing.T) {
	var into [4]string
	for _, p := range []string{"/", "/orders/17", "/api/v1/Orders/a-b_c~d", "/files/report.pdf", "/a+b/c:d@e,f=g!$&'()*", "/öl"} {
		if list, ok := readings(into[:0], p); !ok || len(list) != 1 {
			t.Errorf("%q has the readings %q, %v", p, list, ok)
		}
		if n := testing.AllocsPerRun(100, func() { readings(into[:0], p) }); n != 0 {
			t.Errorf("%q costs %v allocations", p, n)
		}
	}
	if list, ok := readings(nil, "/a%2fb/../c;d"); !ok || !slices.Contains(list, "/a/c") || !slices.Contains(list, "/c") {
		t.Errorf("readings are %q, %v", list, ok)
	}
	if _, ok := readings(nil, "/%"+strings.Repeat("25", 100)+"2e"); ok {
		t.Error("a path of endless readings is taken to be readable")
	}
}

// TestPlainPathIsFixed: a path is plain exactly when no step changes it.
func TestPlainPathIsFixed(t *testing.T) {
	signs := []string{"a", "A", "/", ".", "%41", "%", ";", `\`, "?", "#", " ", "\t", "\x00", "~"}
	for _, a := range signs {
		for _, b := range signs {
			for _, c := range signs {
				p := "/" + a + b + c
				fixed := !slices.ContainsFunc(steps, func(step func(string) string) bool { return step(p) != p })
				if plainPath(p) && !fixed {
					t.Errorf("%q is plain, and a step changes it", p)
				}
			}
		}
	}
}
