package enrich

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

var templates = map[string]string{
	"/":                                   "/",
	"":                                    Malformed,
	"*":                                   "*",
	"evil.example:443":                    "{authority}",
	"/orders":                             "/orders",
	"/orders/":                            "/orders",
	"/orders/4711":                        "/orders/{id}",
	"/orders/4711?x=1#y":                  "/orders/{id}",
	"/orders/4711;v=2/items;jsessionid=1": "/orders/{id}/items",
	"/api/v1/users/7/items":               "/api/v1/users/{id}/items",
	"/oauth2/token":                       "/oauth2/token",
	"/u/123e4567-e89b-12d3-a456-426614174000":        "/u/{id}",
	"/u/123E4567E89B12D3A456426614174000":            "/u/{id}",
	"/c/deadbeef":                                    "/c/deadbeef",
	"/c/deadbee1":                                    "/c/{id}",
	"/c/beef1":                                       "/c/beef1",
	"/2024-01-15/report":                             "/{id}/report",
	"/o/user-123":                                    "/o/{id}",
	"/o/ord_1a2b3c":                                  "/o/{id}",
	"/o/sign-in":                                     "/o/sign-in",
	"/o/dXNlcjo0NzExOjEyMzQ1":                        "/o/{id}",
	"/o/ck9x2v8y30000qzrmn831i7rn":                   "/o/{id}",
	"/blog/how-to-bake-a-very-good-cake":             "/blog/{id}",
	"/u/bob@example.com":                             "/u/{id}",
	"/caf%C3%A9":                                     "/{id}",
	"/caf\xc3\xa9":                                   "/{odd}",
	"/nul\x00x":                                      "/{odd}",
	"/${jndi:ldap://x/a}":                            "/{odd}/x/{odd}",
	"/api//%6Cogin":                                  "/api/login",
	"/api/./x/../login":                              "/api/login",
	"/../../../../etc/passwd":                        "/etc/passwd",
	"http://abs.example/abs/7?q":                     "/abs/{id}",
	"http://abs.example":                             "/",
	"https://abs.example?q":                          "/",
	"/a?next=http://x/y":                             "/a",
	"//double//slash":                                "/double/slash",
	"/" + strings.Repeat("A", 5000):                  "/{id}",
	"/a/b/c/d/e/f/g/h":                               "/a/b/c/d/e/f/g/h",
	"/a/b/c/d/e/f/g/h/i":                             "/a/b/c/d/e/f/g/{rest}",
	strings.Repeat("/a", 5000):                       "/a/a/a/a/a/a/a/{rest}",
	strings.Repeat("/abcdefghijklmnopqrstuvwxyz", 4): "/abcdefghijklmnopqrstuvwxyz/abcdefghijklmnopqrstuvwxyz/abcdefghijklmnopqrstuvwxyz/{rest}",
	"/index.html":                                    "/index.html",
	"/o/01ARZ3NDEKTSV4RRFFQ69G5FAV":                  "/o/{id}", // ULID
	"/o/01arz3ndektsv4rrffq69g5fav":                  "/o/{id}",
	"/o/507f1f77bcf86cd799439011":                    "/o/{id}", // ObjectId
	"/o/V1StGXR8_Z5jdHi6B-myT":                       "/o/{id}", // nanoid
	"/watch/dQw4w9WgXcQ":                             "/watch/{id}",
	"/o/dXNlcjo0NzEx==":                              "/o/{id}",
	"/o/Z2lkOi8vc2hvcA=":                             "/o/{id}",
	"/day/2024-01-15T10:00:00Z":                      "/day/{id}",
	"/day/2024-01-15T10:00:00+01:00":                 "/day/{id}",
	"/day/2024.01.15":                                "/day/{id}",
	"/week/2024-W03":                                 "/week/{id}",
	"/at/48.2082,16.3738":                            "/at/{id}",
	"/list/1,2,3":                                    "/list/{id}",
	"/o/user:123":                                    "/o/{id}",
	"/o/id=4711":                                     "/o/{id}",
	"/ip/10.0.0.12":                                  "/ip/{id}",
	"/orders/4711.json":                              "/orders/{id}",
	"/o/user12345":                                   "/o/{id}",
	"/u/bob%40example.com":                           "/u/{id}",
	"/a/file%2Fname":                                 "/a/{id}",
	"/m;a=1;b=2/x;c":                                 "/m/x",
	"/a/;x=1/b":                                      "/a/b",
	"/api/1.0/users":                                 "/api/1.0/users",
	"/lib/2.1.3/x":                                   "/lib/2.1.3/x",
	"/api/OAuth2Callback":                            "/api/OAuth2Callback",
	"/api/getV2Items":                                "/api/getV2Items",
	"/dl/sha256sum":                                  "/dl/sha256sum",
	"/oauth2/callback":                               "/oauth2/callback",
	"/a=b":                                           "/a=b",
	"/robots.txt":                                    "/robots.txt",
	"/" + strings.Repeat("a/../", 200) + "x":         "/x",
	strings.Repeat("/a", 80) + strings.Repeat("/..", 79) + "/x":  "/a/x",
	strings.Repeat("/./", 300) + "x":                             "/x",
	strings.Repeat("/a", 9) + strings.Repeat("/..", 20) + "/b/c": "/b/c",
	"/images/kibana-dashboard3.png":                              "/images/kibana-dashboard3.png",
}

func TestTemplate(t *testing.T) {
	for target, want := range templates {
		if got := Template(target); got != want {
			t.Errorf("Template(%.60q) = %q, want %q", target, got, want)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		request string
		want    ingest.RouteKind
	}{
		{"POST /login", ingest.RouteLogin}, {"POST /api/v1/Login", ingest.RouteLogin}, {"GET /signin", ingest.RouteLogin},
		{"POST /users/sign-in", ingest.RouteLogin}, {"POST /auth", ingest.RouteLogin}, {"GET /auth/profile", ingest.RouteOrdinary},
		{"POST /sessions", ingest.RouteLogin}, {"GET /sessions", ingest.RouteOrdinary}, {"POST /api/%6cogin", ingest.RouteLogin},
		{"POST /x/../login;a=b?c", ingest.RouteLogin}, {"POST /login/", ingest.RouteLogin}, {"POST /wp-login.php", ingest.RouteLogin},
		{"POST /oauth/token", ingest.RouteToken}, {"POST /connect/token", ingest.RouteToken}, {"POST /token", ingest.RouteToken},
		{"POST /oauth2/v1/token", ingest.RouteToken}, {"POST /auth/refresh", ingest.RouteToken}, {"GET /cache/refresh", ingest.RouteOrdinary},
		{"POST /password/reset/4711", ingest.RouteReset}, {"POST /forgot-password", ingest.RouteReset}, {"POST /signup", ingest.RouteReset},
		{"POST /users/7/password", ingest.RouteReset}, {"POST /api/register", ingest.RouteReset},
		{"GET /swagger/index.html", ingest.RouteDocs}, {"GET /v3/api-docs", ingest.RouteDocs}, {"GET /openapi.json", ingest.RouteDocs},
		{"GET /docs/intro/x", ingest.RouteDocs}, {"GET /redoc", ingest.RouteDocs}, {"GET /orders/docs", ingest.RouteOrdinary},
		{"GET /healthz", ingest.RouteHealth}, {"GET /api/v1/health", ingest.RouteHealth}, {"GET /status", ingest.RouteHealth},
		{"GET /orders/7/status", ingest.RouteOrdinary}, {"GET /health/ready", ingest.RouteHealth}, {"GET /actuator/health", ingest.RouteHealth},
		{"GET /", ingest.RouteOrdinary}, {"GET /api/v1", ingest.RouteOrdinary}, {"GET /orders/1", ingest.RouteOrdinary},
		{"GET /mine/7", ingest.RouteLogin}, {"GET /exact/one", ingest.RouteToken}, {"GET /exact/two", ingest.RouteOrdinary},
		{"POST /kiosk/login", ingest.RouteOrdinary},
	} {
		r := NewRoutes(RoutesConfig{Login: []string{"/mine/{id}"}, Token: []string{"/exact/one"}, Ordinary: []string{"/kiosk/login"}})
		method, target, _ := strings.Cut(c.request, " ")
		for _, status := range []uint16{404, 200, 200} { // unknown, new, remembered
			ev := ingest.Event{Method: method, Target: target, Status: status}
			if r.Resolve(&ev); ev.Kind != c.want {
				t.Errorf("%s (status %d): kind %d, want %d", c.request, status, ev.Kind, c.want)
			}
		}
	}
}

func TestBound(t *testing.T) {
	r := NewRoutes(RoutesConfig{MaxTemplates: 3})
	resolve := func(target string, status uint16) ingest.Event {
		ev := ingest.Event{Method: "GET", Target: target, Status: status}
		r.Resolve(&ev)
		return ev
	}
	for i := range 100 {
		if ev := resolve(fmt.Sprintf("/probe%cx", 'a'+i%26), 404); ev.RouteID != Other {
			t.Fatalf("a probe that found nothing got the number %d", ev.RouteID)
		}
	}
	a := resolve("/a", 200)
	if late := resolve("/probebx", 200); late.RouteID == Other || late.RouteID == a.RouteID || late.Route != "/probebx" {
		t.Errorf("a route that exists after all has number %d", late.RouteID)
	}
	if again := resolve("/a", 404); again.RouteID != a.RouteID {
		t.Errorf("the number of /a changed from %d to %d", a.RouteID, again.RouteID)
	}
	resolve("/c", 201)
	for range 2 {
		if d := resolve("/d", 200); d.RouteID != Other || d.Route != "/d" {
			t.Errorf("beyond the bound: %q, %d", d.Route, d.RouteID)
		}
	}
	if n := len(r.ids); n != 3 {
		t.Errorf("%d templates are kept, the bound is 3", n)
	}
	bad := ingest.Event{Target: "GARBAGE", Flags: ingest.FlagMalformed}
	if r.Resolve(&bad); bad.Route != Malformed || bad.RouteID != Other {
		t.Errorf("malformed: %q, %d", bad.Route, bad.RouteID)
	}
}

// TestPure: two finders with another past give the same text and kind, and it is that
// of Template.
func TestPure(t *testing.T) {
	old := NewRoutes(RoutesConfig{MaxTemplates: 10})
	rapid.Check(t, func(t *rapid.T) {
		target := rapid.OneOf(
			rapid.StringMatching(`(/[a-z0-9%.;-]{0,12}){0,10}(\?[a-z=&]{0,9})?`), rapid.String(),
			rapid.SampledFrom([]string{"/login", "/orders/1", "/orders/2", "//x"}),
		).Draw(t, "target")
		method := rapid.SampledFrom([]string{"GET", "PUT", "POST", ""}).Draw(t, "method")
		status := rapid.SampledFrom([]uint16{200, 404}).Draw(t, "status")
		a := ingest.Event{Method: method, Target: target, Status: status, Peer: netip.IPv6Loopback()}
		b := a
		old.Resolve(&a)
		NewRoutes(RoutesConfig{}).Resolve(&b)
		if a.Route != b.Route || a.Kind != b.Kind || a.Route != Template(target) {
			t.Fatalf("%q: %q %d, %q %d, %q", target, a.Route, a.Kind, b.Route, b.Kind, Template(target))
		}
	})
}

func TestCheck(t *testing.T) {
	c := RoutesConfig{MaxTemplates: -1, Login: []string{"login", "/a"}, Docs: []string{"/a"}}
	var got []string
	c.Check(func(key, message string) { got = append(got, key+": "+message) })
	if want := "[max_templates: must not be negative login: a path begins with a / docs: this path is in login too]"; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"/orders/4711", "/a/../b;c/%6C?d", "http://x/y", "*", "/${jndi}", "/\x00", strings.Repeat("/aaaaaaaaaaaaaaaaaaaaaaaaa", 9)} {
		f.Add(s)
	}
	r := NewRoutes(RoutesConfig{MaxTemplates: 50})
	f.Fuzz(func(t *testing.T, target string) {
		got := Template(target)
		if got == "" || len(got) > maxBytes || strings.Count(got, "/") > maxSegments || !utf8.ValidString(got) {
			t.Errorf("%q: template %q", target, got)
		}
		for i := range len(got) {
			if got[i] <= ' ' || got[i] > '~' || got[i] == '"' || got[i] == '<' {
				t.Errorf("%q: template %q holds %q", target, got, got[i])
			}
		}
		ev := ingest.Event{Method: "GET", Target: target}
		if r.Resolve(&ev); ev.Route != got {
			t.Errorf("%q: route %q, template %q", target, ev.Route, got)
		}
	})
}

func TestHitsDoNotAllocate(t *testing.T) {
	r := NewRoutes(RoutesConfig{})
	known := ingest.Event{Method: "GET", Target: "/api/v1/orders/4711?page=3", Status: 200}
	r.Resolve(&known)
	if n := testing.AllocsPerRun(100, func() { ev := known; r.Resolve(&ev) }); n != 0 {
		t.Errorf("a known path: %v allocations", n)
	}
	targets := make([]string, 100_000)
	for i := range targets {
		targets[i] = fmt.Sprint("/api/v1/orders/", i)
	}
	i := 0
	miss := func() {
		r.Resolve(&ingest.Event{Method: "GET", Target: targets[i%len(targets)], Status: 200})
		i++
	}
	for range targets {
		miss()
	}
	if n := testing.AllocsPerRun(10_000, miss); n != 0 {
		t.Errorf("a new path of a known template: %v allocations", n)
	}
}

// benchmark resolves n paths in turn; n is a power of two.
func benchmark(b *testing.B, format string, n int) {
	r := NewRoutes(RoutesConfig{})
	targets := make([]string, n)
	ev := ingest.Event{Method: "GET", Status: 200}
	for i := range targets {
		targets[i] = fmt.Sprintf(format, i*7919)
		ev.Target = targets[i]
		r.Resolve(&ev)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ev.Target = targets[i&(n-1)]
		r.Resolve(&ev)
	}
}

// A hit: 64 paths that come again and again.
func BenchmarkRouteHit(b *testing.B) { benchmark(b, "/api/v1/orders/list%d?page=1&size=50", 64) }

// A miss: ids that are hardly ever seen twice.
func BenchmarkRouteMiss(b *testing.B) { benchmark(b, "/api/v1/orders/%d/items", 1<<15) }
