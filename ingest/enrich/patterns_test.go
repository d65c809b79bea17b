package enrich

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func TestOwnTemplates(t *testing.T) {
	cfg := RoutesConfig{
		Templates: []string{"/shops/{shop}/carts/{cart}", "/shops/{shop}", "/shops/featured", "/api/{version}/tenants/{tenant}/login", "/Files/{name}"},
		Login:     []string{"/t/4711/enter", "/u/{user}/unlock"},
		Ordinary:  []string{"/kiosk/login"},
	}
	for request, want := range map[string]string{
		"GET /shops/vienna/carts/now":               "/shops/{shop}/carts/{cart} ordinary",
		"GET /shops/vienna/carts/now/":              "/shops/{shop}/carts/{cart} ordinary",
		"GET //shops/./x/../vienna;a=1/carts/%6e?q": "/shops/{shop}/carts/{cart} ordinary",
		"GET /shops/vienna":                         "/shops/{shop} ordinary",
		"GET /shops/featured":                       "/shops/featured ordinary",
		"GET /shops/featured/carts/7":               "/shops/{shop}/carts/{cart} ordinary", // back from a word to a name in braces
		"GET /shops":                                "/shops ordinary",
		"GET /shops/a/b/c":                          "/shops/a/b/c ordinary",
		"POST /api/v7/tenants/acme/login":           "/api/{version}/tenants/{tenant}/login login",
		"GET /files/a.txt":                          "/Files/{name} ordinary",
		"GET /shops/${jndi}":                        "/shops/{shop} ordinary",
		"POST /t/4711/enter":                        "/t/4711/enter login",
		"POST //t/./4711;x=1/enter":                 "/t/4711/enter login",
		"POST /T/4711/ENTER":                        "/t/4711/enter login",
		"POST /t%2F4711%2Fenter":                    "/t/4711/enter login",
		"POST /t/4712/enter":                        "/t/{id}/enter ordinary",
		"POST /u/bob/unlock":                        "/u/{user}/unlock login",
		"POST /kiosk/login":                         "/kiosk/login ordinary",
		"POST /kiosk%2Flogin":                       "/kiosk/login login", // which of both it is, only the application knows
	} {
		r := NewRoutes(cfg)
		method, target, _ := strings.Cut(request, " ")
		for _, status := range []uint16{404, 200, 200} {
			ev := ingest.Event{Method: method, Target: target, Status: status}
			r.Resolve(&ev)
			if got := ev.Route + " " + kindNames[ev.Kind]; got != want {
				t.Errorf("%s: %s, want %s", request, got, want)
			}
		}
	}
}

// TestOwnTemplatesAreNumbered: probes cannot use up the numbers of what is configured.
func TestOwnTemplatesAreNumbered(t *testing.T) {
	r := NewRoutes(RoutesConfig{Templates: []string{"/shops/{shop}"}, MaxTemplates: 3})
	for i := range 10 {
		r.Resolve(&ingest.Event{Method: "GET", Target: fmt.Sprintf("/page%c", 'a'+i), Status: 200})
	}
	ev := ingest.Event{Method: "GET", Target: "/shops/x", Status: 404}
	if r.Resolve(&ev); ev.RouteID == Other || ev.Route != "/shops/{shop}" {
		t.Errorf("/shops/x: route %q has number %d, want one of its own", ev.Route, ev.RouteID)
	}
	if len(r.ids) != 3 {
		t.Errorf("%d templates are kept, the bound is 3", len(r.ids))
	}
}

func TestBadPatterns(t *testing.T) {
	for text, want := range map[string]string{
		"shops":                        "a path begins with a /",
		"/a?b":                         "without query",
		"/a b":                         "without query",
		"/a%20b":                       "unescaped",
		"/caf\xc3\xa9":                 "unescaped",
		"/files/{name}.json":           "a whole segment",
		"/{}":                          "a whole segment",
		"/{a{b}}":                      "a whole segment",
		strings.Repeat("/a", 33):       "more than 32 segments",
		"/" + strings.Repeat("a", 200): "longer than 200 bytes",
	} {
		c := RoutesConfig{Templates: []string{text}, Health: []string{text}}
		said := map[string]string{}
		c.Check(func(key, message string) { said[key] = message })
		if len(said) != 2 || !strings.Contains(said["templates"], want) || !strings.Contains(said["health"], want) {
			t.Errorf("%.40q: %q, want %q for both keys", text, said, want)
		}
		if r := NewRoutes(c); r.own != nil {
			t.Errorf("%.40q is used although it is wrong", text)
		}
	}
	good := RoutesConfig{Templates: []string{"/", "/a/{b}/c", strings.Repeat("/a", 32)}}
	good.Check(func(key, message string) { t.Errorf("%s: %s", key, message) })
}

// FuzzPatterns: any template and any path do; what is found is a template of the config.
func FuzzPatterns(f *testing.F) {
	f.Add("/shops/{shop}", "/shops/x", "/login")
	f.Add("/a/{b}/c", "/a/%2e%2e/a/x;y/c", "/a%2Fb")
	f.Add("/{x}/{y}", `/\..\x`, "/{")
	f.Fuzz(func(t *testing.T, text, path, login string) {
		r := NewRoutes(RoutesConfig{Templates: []string{text, "/x/{y}"}, Login: []string{login}})
		for _, target := range []string{path, text, login} {
			if p := r.own.find(Path(target)); p != nil && p.text != text && p.text != "/x/{y}" && p.text != login {
				t.Errorf("%q: found %q, which nobody configured", target, p.text)
			}
		}
		if badPattern(login) == "" && !strings.ContainsAny(login, "{.") {
			ev := ingest.Event{Method: "POST", Target: login}
			if r.Resolve(&ev); ev.Kind != ingest.RouteLogin {
				t.Errorf("the login %q is kind %d on %q", login, ev.Kind, ev.Route)
			}
		}
	})
}
