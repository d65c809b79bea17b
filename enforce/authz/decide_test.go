package authz

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlcommon "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authpb "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	ratepb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
)

// clock is a time that only a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// asked is a service with a clock, which never listens.
func asked(t testing.TB, cfg Config) (*Service, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	d := testDeps()
	d.Now = c.now
	s, err := New(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func (s *Service) forwarded(peer, chain, target string, more ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://authz/authz", nil)
	r.RemoteAddr = peer
	if chain != "" {
		r.Header.Set("X-Forwarded-For", chain)
	}
	r.Header.Set("X-Forwarded-Uri", target)
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func blockOf(p string) []enforce.Entry {
	return []enforce.Entry{{Decision: "d1", Prefix: netip.MustParsePrefix(p), Action: enforce.Block}}
}

// TestUndecided: what cannot be decided passes, except where it is told to fail closed,
// and is counted by its reason.
func TestUndecided(t *testing.T) {
	const gateway = "127.0.0.1:9"
	for _, c := range []struct {
		name, peer, chain, target string
		list                      bool
		later                     time.Duration
		status                    int
		why                       reason
	}{
		{"no list", gateway, "192.0.2.1", "/", false, 0, 200, notReady},
		{"no list, closed", gateway, "192.0.2.1", "/admin/users", false, 0, 503, notReady},
		{"no list, closed exactly", gateway, "192.0.2.1", "/pay?x=1", false, 0, 503, notReady},
		{"no list, beside it", gateway, "192.0.2.1", "/payment", false, 0, 200, notReady},
		{"no list, another spelling", gateway, "192.0.2.1", "/x/..//%61dmin/./users", false, 0, 503, notReady},
		{"no list, capitals", gateway, "192.0.2.1", "/ADMIN/users", false, 0, 503, notReady},
		{"no list, broken escape", gateway, "192.0.2.1", "/%zz", false, 0, 503, notReady},
		{"stale", gateway, "192.0.2.1", "/", true, 6 * time.Minute, 200, stale},
		{"stale, closed", gateway, "192.0.2.1", "/admin", true, 6 * time.Minute, 503, stale},
		{"not yet stale", gateway, "192.0.2.1", "/", true, 4 * time.Minute, 403, decided},
		{"a gateway nobody trusts", "198.51.100.9:9", "192.0.2.1", "/", true, 0, 200, stranger},
		{"no address", gateway, "", "/", true, 0, 200, anonymous},
		{"an address that the client wrote", gateway, "192.0.2.1, 192.0.2.99", "/", true, 0, 200, decided},
		{"a chain that is no address", gateway, "192.0.2.1, unknown", "/", true, 0, 200, decided},
		{"a hop of our own", gateway, "127.0.0.7", "/", true, 0, 200, decided},
		{"blocked", gateway, "10.9.9.9, 192.0.2.1, 127.0.0.1", "/", true, 0, 403, decided},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, clock := asked(t, Config{MaxAge: 5 * time.Minute, FailClosed: []string{"/admin/", "/pay"}})
			if c.list {
				if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
					t.Fatal(err)
				}
			}
			clock.at = clock.at.Add(c.later)
			w := s.forwarded(c.peer, c.chain, c.target)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			st := s.Stats()
			for name, n := range st.Undecided {
				if want := name == c.why.String() && c.why != decided; (n == 1) != want {
					t.Errorf("undecided as %s: %d", name, n)
				}
			}
			if bad := s.Health(); (bad != nil) != (c.why == notReady || c.why == stale) {
				t.Errorf("health: %v", bad)
			}
		})
	}
}

// TestNginxStatus: auth_request gets no status but 200 and 403, and errors for what is one.
func TestNginxStatus(t *testing.T) {
	s, _ := asked(t, Config{FailClosed: []string{"/"}})
	ask := func(chain string) (int, string) {
		r := httptest.NewRequest(http.MethodGet, "http://authz/authz/nginx", nil)
		r.RemoteAddr = "127.0.0.1:9"
		r.Header.Set("X-Forwarded-For", chain)
		r.Header.Set("X-Forwarded-Uri", "/")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Header().Get(statusField)
	}
	if code, real := ask("192.0.2.9"); code != 403 || real != "503" {
		t.Errorf("closed: %d %q", code, real)
	}
	want := append(blockOf("192.0.2.1/32"), enforce.Entry{Decision: "d2", Prefix: netip.MustParsePrefix("192.0.2.2/32"), Action: enforce.Throttle, Rate: 1})
	if _, err := s.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		chain, real string
		code        int
	}{{"192.0.2.1", "403", 403}, {"192.0.2.2", "", 200}, {"192.0.2.2", "429", 403}, {"192.0.2.3", "", 200}} {
		if code, real := ask(c.chain); code != c.code || real != c.real {
			t.Errorf("%s: %d %q, want %d %q", c.chain, code, real, c.code, c.real)
		}
	}
}

// field is a field whatever its name's capitals, which are those of the draft here.
func field(h http.Header, name string) string {
	for key, values := range h {
		if strings.EqualFold(key, name) {
			return values[0]
		}
	}
	return ""
}

// TestStandingLimits: whose requests are counted together, and on which route.
func TestStandingLimits(t *testing.T) {
	s, clock := asked(t, Config{Consumer: "X-Consumer", Limits: []Limit{
		{Name: "login", Route: "/login", Rate: 1, Burst: 1},
		{Name: "key", Per: perKey, Rate: 10, Burst: 4},
		{Name: "who", Route: "/who", Per: perConsumer, Rate: 1},
	}})
	if _, err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, status int, policy, limit string, chain, target string, more ...string) {
		t.Helper()
		w := s.forwarded("127.0.0.1:9", chain, target, more...)
		if w.Code != status || field(w.Header(), "RateLimit-Policy") != policy || field(w.Header(), "RateLimit") != limit {
			t.Errorf("%s: %d %v", what, w.Code, w.Header())
		}
	}
	const login, key = `"login";q=2;w=2`, `"key";q=5;w=1`
	expect("first", 200, login, `"login";r=1;t=1`, "192.0.2.1", "/login", "X-Api-Key", "a")
	expect("second", 200, login, `"login";r=0;t=1`, "192.0.2.1", "/login?x", "X-Api-Key", "a")
	expect("third", 429, login, `"login";r=0;t=1`, "192.0.2.1", "/login", "X-Api-Key", "a")
	expect("another route", 200, key, `"key";r=2;t=1`, "192.0.2.1", "/orders/1", "X-Api-Key", "a")
	expect("the key from elsewhere", 200, key, `"key";r=1;t=1`, "192.0.2.77", "/orders/1", "X-Api-Key", "a")
	expect("another key", 200, key, `"key";r=4;t=1`, "192.0.2.1", "/orders/1", "X-Api-Key", "b")
	expect("no key is by client", 200, key, `"key";r=4;t=1`, "2001:db8::1", "/orders/1")
	expect("its /64", 200, key, `"key";r=3;t=1`, "2001:db8::2", "/orders/1")
	clock.at = clock.at.Add(time.Second)
	expect("a second later", 200, login, `"login";r=0;t=1`, "192.0.2.1", "/login", "X-Api-Key", "c")
	if w := s.forwarded("127.0.0.1:9", "192.0.2.50", "/who", "X-Consumer", "alice"); w.Code != 200 {
		t.Error(w.Code)
	}
	if w := s.forwarded("127.0.0.1:9", "192.0.2.51", "/who", "X-Consumer", "alice"); w.Code != 429 {
		t.Error("a consumer at another address was not counted:", w.Code)
	}
}

// TestSubjects: rules on keys, sessions, consumers and routes, everywhere and on one route.
func TestSubjects(t *testing.T) {
	s, _ := asked(t, Config{Consumer: "X-Consumer"})
	if _, err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	resolver, err := identity.New(testDeps().Identity)
	if err != nil {
		t.Fatal(err)
	}
	ev := ingest.Event{Key: "secret; DROP\n", Token: "Bearer t0k3n", Session: "sid=s1"}
	resolver.Resolve(&ev)
	rules := []wanted{
		{target: target{subject: detect.Subject{Kind: "key", Value: ev.Key}}, act: actBlock},
		{target: target{subject: detect.Subject{Kind: "key", Value: ev.Token}, route: "/orders/{id}"}, act: actBlock},
		{target: target{subject: detect.Subject{Kind: "session", Value: ev.Session}}, act: actBlock},
		{target: target{subject: detect.Subject{Kind: "consumer", Value: "alice"}}, act: actBlock},
		{target: target{subject: detect.Subject{Kind: "route", Value: "/closed"}}, act: actBlock},
		{target: target{prefix: netip.MustParsePrefix("192.0.2.9/32"), route: "/login"}, act: actBlock},
	}
	s.list.replace(rules)
	for _, c := range []struct {
		chain, target, name, value string
		status                     int
	}{
		{"192.0.2.1", "/a", "X-Api-Key", "secret; DROP\n", 403},
		{"192.0.2.1", "/a", "X-Api-Key", "secret", 200},
		{"192.0.2.1", "/orders/7", "Authorization", "Bearer t0k3n", 403},
		{"192.0.2.1", "/carts/7", "Authorization", "Bearer t0k3n", 200},
		{"192.0.2.1", "/a", "Cookie", "x=1; sid=s1", 403},
		{"192.0.2.1", "/a", "X-Consumer", "alice", 403},
		{"192.0.2.1", "/a", "X-Consumer", "bob", 200},
		{"192.0.2.1", "/closed?y", "X-Consumer", "bob", 403},
		{"192.0.2.9", "/login", "X-Consumer", "bob", 403},
		{"192.0.2.9", "/logins", "X-Consumer", "bob", 200},
		{"192.0.2.1", "/orders/a-b_c", "Authorization", "Bearer t0k3n", 403},
	} {
		if got := s.forwarded("127.0.0.1:9", c.chain, c.target, c.name, c.value).Code; got != c.status {
			t.Errorf("%s %s %s=%q: %d, want %d", c.chain, c.target, c.name, c.value, got, c.status)
		}
	}
}

// TestForeignLists: others' lists block or are only counted, and a decision counts more.
func TestForeignLists(t *testing.T) {
	s, _ := asked(t, Config{})
	throttle := []enforce.Entry{{Decision: "d1", Prefix: netip.MustParsePrefix("203.0.113.1/32"), Action: enforce.Throttle, Rate: 1, Burst: 100}}
	if _, err := s.Apply(t.Context(), throttle); err != nil {
		t.Fatal(err)
	}
	s.SetForeign([]Foreign{
		{Prefix: netip.MustParsePrefix("203.0.113.1/32"), List: "bad"}, {Prefix: netip.MustParsePrefix("203.0.113.2/32"), List: "bad"},
		{Prefix: netip.MustParsePrefix("203.0.113.3/32"), List: "maybe", Observe: true},
	})
	for chain, want := range map[string]int{"203.0.113.1": 200, "203.0.113.2": 403, "203.0.113.3": 200, "203.0.113.4": 200} {
		if got := s.forwarded("127.0.0.1:9", chain, "/").Code; got != want {
			t.Errorf("%s: %d, want %d", chain, got, want)
		}
	}
	if st := s.Stats(); st.Noted != 1 || st.Entries != 3 {
		t.Errorf("%+v", st)
	}
	if got, err := s.Apply(t.Context(), nil); err != nil || got.Entries != 0 {
		t.Errorf("%+v %v", got, err)
	}
	if got := s.forwarded("127.0.0.1:9", "203.0.113.1", "/").Code; got != 403 {
		t.Errorf("once the decision is over the list holds: %d", got)
	}
	s.SetForeign(nil)
	if st := s.Stats(); st.Entries != 0 {
		t.Errorf("%+v", st)
	}
}

// TestEnvoyChain: where the peer is a trusted hop, X-Forwarded-For is walked from its
// right end; where it is not, the peer is the client, whatever the chain says.
func TestEnvoyChain(t *testing.T) {
	s, _ := asked(t, Config{})
	if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source, chain string
		code          int32
	}{
		{"192.0.2.1", "198.51.100.1", 7}, {"192.0.2.1", "", 7}, {"198.51.100.1", "192.0.2.1", 0},
		{"127.0.0.1", "192.0.2.1", 7}, {"127.0.0.1", "192.0.2.1,127.0.0.3", 7}, {"127.0.0.1", "192.0.2.1, 198.51.100.1", 0},
		{"::ffff:192.0.2.1", "", 7}, {"", "192.0.2.1", 0}, {"not an address", "192.0.2.1", 0}, {strings.Repeat("1", 1000), "", 0},
	} {
		resp, err := (&extAuthz{s: s}).Check(context.Background(), &authpb.CheckRequest{Attributes: &authpb.AttributeContext{
			Source: &authpb.AttributeContext_Peer{Address: &corepb.Address{Address: &corepb.Address_SocketAddress{SocketAddress: &corepb.SocketAddress{Address: c.source}}}},
			Request: &authpb.AttributeContext_Request{Http: &authpb.AttributeContext_HttpRequest{
				Method: "GET", Path: "/", Headers: map[string]string{"x-forwarded-for": c.chain}}},
		}})
		if err != nil || resp.GetStatus().GetCode() != c.code {
			t.Errorf("%.20s %s: %v %v, want %d", c.source, c.chain, resp, err, c.code)
		}
	}
	if resp, err := (&extAuthz{s: s}).Check(context.Background(), nil); err != nil || resp.GetStatus().GetCode() != 0 {
		t.Errorf("an empty question: %v %v", resp, err)
	}
}

// TestRateLimitHits: a descriptor may stand for many requests, and for none of ours.
func TestRateLimitHits(t *testing.T) {
	s, _ := asked(t, Config{Limits: []Limit{{Name: "all", Rate: 1, Burst: 9}}})
	if _, err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	call := func(hits uint32, entries ...string) *ratepb.RateLimitResponse {
		d := &rlcommon.RateLimitDescriptor{}
		for i := 0; i+1 < len(entries); i += 2 {
			d.Entries = append(d.Entries, &rlcommon.RateLimitDescriptor_Entry{Key: entries[i], Value: entries[i+1]})
		}
		resp, err := (&rateLimit{s: s}).ShouldRateLimit(context.Background(), &ratepb.RateLimitRequest{Domain: "x", HitsAddend: hits, Descriptors: []*rlcommon.RateLimitDescriptor{d}})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if r := call(7, "remote_address", "192.0.2.1"); r.OverallCode != ratepb.RateLimitResponse_OK || r.Statuses[0].LimitRemaining != 3 {
		t.Errorf("seven: %v", r)
	}
	if r := call(4, "remote_address", "192.0.2.1"); r.OverallCode != ratepb.RateLimitResponse_OVER_LIMIT || r.Statuses[0].DurationUntilReset.AsDuration() <= 0 {
		t.Errorf("four more: %v", r)
	}
	if r := call(3, "remote_address", "192.0.2.1"); r.OverallCode != ratepb.RateLimitResponse_OK {
		t.Errorf("what was refused was counted: %v", r)
	}
	if r := call(0, "generic_key", "x"); r.OverallCode != ratepb.RateLimitResponse_OK || len(r.Statuses) != 1 {
		t.Errorf("none of ours: %v", r)
	}
}

func TestApplyRefuses(t *testing.T) {
	s, _ := asked(t, Config{})
	if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	p := netip.MustParsePrefix("192.0.2.2/32")
	for _, e := range []enforce.Entry{
		{Decision: "d", Action: enforce.Block},
		{Decision: "d", Prefix: p, Action: enforce.Revoke},
		{Decision: "d", Prefix: p, Action: enforce.Throttle},
		{Decision: "d", Prefix: p, Action: enforce.Throttle, Rate: -1},
	} {
		if _, err := s.Apply(t.Context(), []enforce.Entry{e}); err == nil {
			t.Errorf("%+v was taken", e)
		}
	}
	if got := s.forwarded("127.0.0.1:9", "192.0.2.1", "/").Code; got != 403 {
		t.Errorf("the last good list is not in force: %d", got)
	}
}

func TestConfigCheck(t *testing.T) {
	bad := Config{Listen: "0.0.0.0:1", ListenGRPC: "x", MaxAge: -1, Cells: 1, FailClosed: []string{"admin"}, Limits: []Limit{
		{Name: "a b", Rate: 1}, {Name: "a", Rate: 0}, {Name: "a", Rate: 1, Burst: -1, Route: "x", Per: "planet"}}}
	var keys []string
	bad.Check(func(key, _ string) { keys = append(keys, key) })
	want := "listen listen_grpc max_age cells fail_closed[0] limits[0].name limits[1].rate limits[2].route limits[2].per limits[2].burst limits[2].name"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	good := Config{Listen: "127.0.0.1:1", ListenGRPC: "[::1]:2", Limits: []Limit{{Name: "a-1", Rate: 0.1, Per: perKey, Route: "/x"}}}
	good.Check(func(key, message string) { t.Error(key, message) })
}
