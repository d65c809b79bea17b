package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
)

// newHAProxyRig configures a HAProxy by the lines that setup prints.
func newHAProxyRig(t testing.TB) (*rig, *HAProxy) {
	t.Helper()
	r := newRig(t, "haproxy")
	cfg := HAProxyConfig{Socket: r.path("s.sock"), Dir: r.path("maps"), Keep: true, Counter: 2, Timeout: 20 * time.Second,
		Subjects: map[string]string{"consumer": "req.fhdr(x-consumer)", "country": "req.fhdr(x-country)",
			"session": "req.fhdr(x-session),hmac(sha256,a2V5),bytes(0,8),hex,lower"}}
	g, err := NewHAProxy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.prepare(); err != nil {
		t.Fatal(err)
	}
	conf := r.write("haproxy.cfg", fmt.Sprintf(`global
	stats socket %s mode 600 level admin
	nbthread 2
defaults
	mode http
	timeout connect 5s
	timeout client 20s
	timeout server 20s
	timeout tarpit 200ms
%sfrontend site
	bind %s
	http-request set-src req.hdr(x-forwarded-for) if { req.hdr(x-forwarded-for) -m found }
%s	default_backend api
backend api
	server api %s
`, cfg.Socket, g.table(), r.addr, g.rules(), r.api))
	r.program = []string{gateways.Program(t, "haproxy"), "-db", "-f", conf}
	return r, g
}

func haproxyProbe(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
	r, g := newHAProxyRig(t)
	r.start()
	return g, enforcetest.Probe{
		Status: r.status,
		Ask:    func(_ testing.TB, a enforcetest.Ask) int { return r.ask(a) },
		Kinds:  []string{"consumer", "country"},
		Break: func(t testing.TB) func() {
			move := func(from, to string) {
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
			move(g.cfg.Socket, g.cfg.Socket+".x")
			return func() { move(g.cfg.Socket+".x", g.cfg.Socket) }
		},
		Sabotage: r.saboteur(func(t testing.TB) {
			api, file := haproxyAPI{g.cfg.Socket, time.Second}, g.file("address")
			for _, c := range []string{"clear map " + file, "add map " + file + " 198.51.100.9 block"} {
				if err := api.do(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
		}, func(testing.TB) { r.write("maps/"+filepath.Base(g.file("address")), "nonsense here\n") }, func(t testing.TB) func() {
			if err := os.Rename(g.cfg.Socket, g.cfg.Socket+".x"); err != nil {
				t.Fatal(err)
			}
			_, close := silent(t, "unix", g.cfg.Socket)
			return func() {
				close()
				if err := os.Rename(g.cfg.Socket+".x", g.cfg.Socket); err != nil {
					t.Fatal(err)
				}
			}
		}),
		Restart: func(testing.TB) {
			r.stop()
			if err := os.RemoveAll(g.cfg.Dir); err != nil {
				t.Fatal(err)
			}
			if err := g.prepare(); err != nil {
				t.Fatal(err)
			}
			r.start()
		},
		Held: func(t testing.TB) string {
			all := r.held(g.cfg.Dir)
			for _, m := range haproxyMaps(nil, g.cfg.Subjects) {
				lines, err := haproxyAPI{g.cfg.Socket, time.Second}.show(t.Context(), "", g.file(m.name))
				if err != nil {
					t.Fatal(err)
				}
				all += fmt.Sprintln(lines)
			}
			return all
		},
	}
}

func TestHAProxyContract(t *testing.T) {
	enforcetest.Gateway(t, haproxyProbe)
}

// TestHAProxyThrottleIsExact: as many requests pass in the window as the rate gives, also
// while the client goes on asking, and the 429 says when to come back.
func TestHAProxyThrottleIsExact(t *testing.T) {
	r, g := newHAProxyRig(t)
	r.start()
	apply(t, g, throttle("192.0.2.9/32", 1.25, 0), throttle("2001:db8:9::/64", 0.5, 0))
	passed := 0
	for range 40 {
		if r.ask(enforcetest.Ask{Client: netip.MustParseAddr("192.0.2.9")}) == 200 {
			passed++
		}
	}
	if passed != 12 {
		t.Errorf("%d of 40 requests passed at 1.25/s within ten seconds, want exactly 12", passed)
	}
	resp, err := r.fetch(enforcetest.Ask{Client: netip.MustParseAddr("192.0.2.9")})
	if err != nil {
		t.Fatal(err)
	}
	if h := resp.Header; resp.StatusCode != 429 || h.Get("Retry-After") != "10" || h.Get("RateLimit-Policy") != `"portcullis";q=12;w=10` || h.Get("RateLimit") != `"portcullis";r=0;t=10` {
		t.Errorf("a 429: %d %v", resp.StatusCode, h)
	}
	passed = 0
	for i := range 20 { // the whole /64 shares one budget
		if r.ask(enforcetest.Ask{Client: netip.MustParseAddr(fmt.Sprintf("2001:db8:9::%x", i+1))}) == 200 {
			passed++
		}
	}
	if passed != 5 {
		t.Errorf("%d of 20 requests passed for a /64 at 0.5/s within ten seconds, want exactly 5", passed)
	}
	r.want(200, "192.0.2.10")
}

// TestHAProxyMore: tarpit, pseudonyms that HAProxy computes itself, routes with dots, a
// route of its own, and a narrower prefix that a wider one's route reaches too.
func TestHAProxyMore(t *testing.T) {
	r, g := newHAProxyRig(t)
	r.start()
	tarpit := block("192.0.2.1/32")
	tarpit.Action = enforce.Tarpit
	wide, narrow := block("198.51.100.0/24"), block("198.51.100.7/32")
	wide.Route, narrow.Route = "/a.b/{id}", "/c"
	// echo -n s3cret | openssl dgst -sha256 -hmac key, the first 16 digits
	apply(t, g, tarpit, wide, narrow, onSubject("session", "0574b240beed9f97", enforce.Block), onSubject("route", "/closed", enforce.Block))
	start := time.Now()
	r.want(403, "192.0.2.1")
	if time.Since(start) < 150*time.Millisecond {
		t.Error("the tarpit does not keep it waiting")
	}
	for path, status := range map[string]int{"/a.b/1": 403, "/aXb/1": 200, "/c": 403, "/a.b/": 200, "/closed": 403} {
		if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr("198.51.100.7"), Path: path}); got != status {
			t.Errorf("%s: got %d, want %d", path, got, status)
		}
	}
	if got := r.ask(enforcetest.Ask{Client: netip.MustParseAddr("203.0.113.1"), Path: "/closed"}); got != 403 {
		t.Errorf("anybody on the closed route got %d", got)
	}
}

// TestHAProxySabotage: what somebody else does to the maps is undone, and what HAProxy says
// when it cannot be reached or is not set up is told.
func TestHAProxySabotage(t *testing.T) {
	r, g := newHAProxyRig(t)
	_, err := g.Apply(t.Context(), nil)
	wantError(t, err, "stats socket", "does HAProxy run")
	r.start()
	apply(t, g, block("192.0.2.1/32"), onSubject("consumer", "acme", enforce.Block))
	api := haproxyAPI{g.cfg.Socket, time.Second}
	for _, c := range []string{"clear map " + g.file("address"), "add map " + g.file("address") + " 198.51.100.1 block", "add map " + g.file("address") + " 192.0.2.1/32 block",
		"add map " + g.file("address") + " 192.0.2.1/32 none", `add map ` + g.file("consumer") + ` a\;b\ c block`} {
		if err := api.do(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, g, block("192.0.2.1/32"), onSubject("consumer", "acme", enforce.Block))
	r.want(403, "192.0.2.1")
	r.want(200, "198.51.100.1")
	if lines, err := api.show(t.Context(), "", g.file("consumer")); err != nil || len(lines) != 1 {
		t.Errorf("what was added by hand stays: %v, %v", lines, err)
	}
	if done := apply(t, g, block("192.0.2.1/32"), onSubject("consumer", "acme", enforce.Block)); done.Changed != 0 {
		t.Errorf("again: %+v", done)
	}
	r.stop()
	r.start() // the files hold the last state
	r.want(403, "192.0.2.1")
	g.cfg.Subjects["asn"] = "int(1)"
	wantError(t, g.Check(t.Context()), "no map", "asn.map", "portcullis setup haproxy")
}

// TestHAProxySocketHangs: a HAProxy that does not answer costs no more than the timeout.
func TestHAProxySocketHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	g, err := NewHAProxy(HAProxyConfig{Socket: l.Addr().String(), Dir: "/x", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Apply(t.Context(), nil)
	wantError(t, err, "deadline exceeded")
}

func TestHAProxyMeasured(t *testing.T) {
	r, g := newHAProxyRig(t)
	r.start()
	r.measure(g, measured()...)
}

// FuzzHAProxyRender: whatever a subject or a route is called, what goes to the socket is made
// of commands that Portcullis renders and of nothing else.
func FuzzHAProxyRender(f *testing.F) {
	for _, v := range enforcetest.HostileValues {
		f.Add(v, "/"+v)
	}
	f.Add("alice", "/orders/{id}/a.b")
	g, err := NewHAProxy(HAProxyConfig{Socket: "/s", Dir: "/d", Timeout: time.Second, Subjects: map[string]string{"consumer": "req.hdr(x)"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, route string) {
		e := onSubject("consumer", value, enforce.Block)
		e.Route = route
		list, err := g.normal([]enforce.Entry{e, block("192.0.2.1/32")})
		if err != nil {
			return
		}
		n := 0
		for _, m := range haproxyMaps(list, g.cfg.Subjects) {
			if err := vetted(m.lines); err != nil {
				t.Fatal(err)
			}
			n += len(m.lines)
			commands, _ := haproxyDiff("/d/x.map", nil, m.lines)
			for _, c := range commands {
				if !strings.HasPrefix(c, "add map /d/x.map ") || strings.ContainsAny(c, ";\n\r\x00") || strings.Count(c, " ") != 4 {
					t.Fatalf("a command %q", c)
				}
			}
		}
		if n < 2 || n > 4 {
			t.Fatalf("two entries became %d lines", n)
		}
	})
}
