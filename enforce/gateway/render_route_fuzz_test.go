package gateway

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// everyWhere tells four kinds of subjects.
var everyWhere = map[string]string{"consumer": "X-Consumer", "key": "X-Key", "session": "X-Session", "account": "X-Account"}

// kindAt is the kind that is told by a header.
func kindAt(t *testing.T, header string) string {
	t.Helper()
	for kind, h := range everyWhere {
		if h == header {
			return kind
		}
	}
	t.Fatalf("nobody is told by %.100q", header)
	return ""
}

var parameters = regexp.MustCompile(`\{[^/{}]*\}`)

// onRoutes are the entries with the names of parameters left out, which no pattern has.
func onRoutes(list []enforce.Entry) []enforce.Entry {
	out := make([]enforce.Entry, len(list))
	for i, e := range list {
		e.Route = parameters.ReplaceAllString(e.Route, "{}")
		out[i] = e
	}
	return out
}

// routeOf is the route that an anchored pattern stands for.
func routeOf(t *testing.T, pattern string) string {
	t.Helper()
	inner, ok := strings.CutPrefix(pattern, "^")
	inner, ok2 := strings.CutSuffix(inner, "$")
	if !ok || !ok2 {
		t.Fatalf("the pattern %.200q is not anchored", pattern)
	}
	segments := strings.Split(strings.ReplaceAll(inner, "[^/]+", "{}"), "/")
	for i, seg := range segments {
		plain := regexp.MustCompile(`\\(.)`).ReplaceAllString(seg, "$1")
		if seg != "{}" && regexp.QuoteMeta(plain) != seg {
			t.Fatalf("the pattern %.200q is more than a path", pattern)
		}
		segments[i] = plain
	}
	return strings.Join(segments, "/")
}

// FuzzCaddyRender reads the matchers as https://caddyserver.com/docs/json/apps/http/servers/routes/match/
// has them; no name may have a placeholder in it, which Caddy would fill in.
func FuzzCaddyRender(f *testing.F) {
	g, err := NewCaddy(CaddyConfig{Admin: "http://x", Timeout: time.Second, Subjects: everyWhere})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		var matches []struct {
			Path *struct{ Pattern string }  `json:"path_regexp"`
			IP   *struct{ Ranges []string } `json:"client_ip"`
			Vars map[string][]string        `json:"vars"`
		}
		strictly(t, written(t, caddyMatches(list, g.cfg.Subjects)), &matches)
		back := found{}
		for _, m := range matches {
			route := ""
			if m.Path != nil {
				route = routeOf(t, m.Path.Pattern)
			}
			if (m.IP != nil) == (len(m.Vars) == 1) {
				t.Fatalf("a matcher %+v", m)
			}
			for place, values := range m.Vars {
				for _, v := range values {
					if strings.ContainsAny(v, "{}") {
						t.Fatalf("a placeholder in %.200q", v)
					}
					back.add(t, enforce.Target{Subject: detect.Subject{Kind: kindAt(t, strings.Trim(place, "{}")), Value: v}, Route: route}, "block")
				}
			}
			if m.IP != nil {
				for _, r := range m.IP.Ranges {
					back.add(t, enforce.Target{Prefix: netip.MustParsePrefix(r), Route: route}, "block")
				}
			}
		}
		back.want(t, onRoutes(list))
	})
}

// FuzzTraefikRender reads the file as JSON, which is YAML, and its rules as Traefik does,
// which is as Go does; Traefik runs the file as a template before, so none may begin in it.
func FuzzTraefikRender(f *testing.F) {
	g, err := NewTraefik(TraefikConfig{Dir: "/d", Timeout: time.Second, Subjects: everyWhere})
	if err != nil {
		f.Fatal(err)
	}
	fuzzRender(f, g, g.normal, func(t *testing.T, list []enforce.Entry) {
		text, _, err := g.file(list)
		if err != nil || strings.Contains(text, "{{") {
			t.Fatalf("%.300q, %v", text, err)
		}
		var file struct {
			HTTP struct {
				Routers map[string]struct{ Rule string } `json:"routers"`
			} `json:"http"`
		}
		if err := json.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		back := found{}
		for _, r := range file.HTTP.Routers {
			rule, err := parser.ParseExpr(r.Rule)
			if err != nil {
				t.Fatalf("the rule %.300q: %v", r.Rule, err)
			}
			readRule(t, rule, "", back)
		}
		back.want(t, onRoutes(list))
	})
}

// readRule adds what a rule lets nobody do, on a route or everywhere.
func readRule(t *testing.T, rule ast.Expr, route string, back found) {
	t.Helper()
	switch e := rule.(type) {
	case *ast.ParenExpr:
		readRule(t, e.X, route, back)
	case *ast.BinaryExpr:
		if name, of := callOf(t, e.X); e.Op == token.LAND && name == "PathRegexp" && route == "" {
			readRule(t, e.Y, routeOf(t, of[0]), back)
			return
		}
		if e.Op != token.LOR {
			t.Fatalf("a rule with %s", e.Op)
		}
		readRule(t, e.X, route, back)
		readRule(t, e.Y, route, back)
	default:
		switch name, of := callOf(t, rule); {
		case name == "ClientIP" && len(of) == 1:
			back.add(t, enforce.Target{Prefix: netip.MustParsePrefix(of[0]), Route: route}, "block")
		case name == "Header" && len(of) == 2:
			back.add(t, enforce.Target{Subject: detect.Subject{Kind: kindAt(t, of[0]), Value: of[1]}, Route: route}, "block")
		default:
			t.Fatalf("a condition %s%q", name, of)
		}
	}
}

// callOf is a function of a rule and its strings; "" if it is none.
func callOf(t *testing.T, e ast.Expr) (name string, of []string) {
	t.Helper()
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return "", nil
	}
	if f, ok := call.Fun.(*ast.Ident); ok {
		name = f.Name
	}
	for _, a := range call.Args {
		lit, ok := a.(*ast.BasicLit)
		if !ok {
			t.Fatalf("an argument of %s is no string", name)
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		of = append(of, text)
	}
	return name, of
}
