package enforcetest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// Ask is one request: from an address, as a subject of some kind (the zero one is
// nobody in particular), to a path.
type Ask struct {
	Client netip.Addr
	As     detect.Subject
	Path   string
}

// elsewhere is the address from which the suite asks as other subjects.
var elsewhere = netip.MustParseAddr("198.51.100.77")

// named is an entry for a subject that is no address.
func named(kind, value string) enforce.Entry {
	return enforce.Entry{Decision: "d-" + kind, Subject: detect.Subject{Kind: kind, Value: value}, Action: enforce.Block, Why: "why"}
}

// wantAs polls until a request as the subject gets its status.
func (h *harness) wantAs(status int, kind, value, path string) {
	h.Helper()
	h.wantAsk(status, Ask{Client: elsewhere, As: detect.Subject{Kind: kind, Value: value}, Path: path})
}

func (h *harness) wantAsk(status int, a Ask) {
	h.Helper()
	got, again := 0, h.patience()
	for {
		if got = h.probe.Ask(h, a); got == status || !again() {
			break
		}
	}
	if got != status {
		h.Errorf("%s as %s %.60q on %q got status %d, want %d", a.Client, a.As.Kind, a.As.Value, a.Path, got, status)
	}
}

// can tells whether the gateway says that it can hold an entry.
func (h *harness) can(e enforce.Entry) bool {
	return enforce.Holds(h.gw, e.Target(), e.Action) == nil
}

func subjects(h *harness) {
	if h.probe.Ask == nil {
		h.Log("does not apply: the probe has no Ask")
		return
	}
	for _, kind := range h.probe.Kinds {
		value, other := h.probe.value(kind)
		if e := named(kind, value); !h.can(e) {
			h.Errorf("it cannot hold a subject of kind %s: %v", kind, enforce.Holds(h.gw, e.Target(), e.Action))
			continue
		}
		h.apply(named(kind, value))
		h.wantAs(403, kind, value, "/")
		h.wantAs(200, kind, other, "/")
		if got := h.apply(named(kind, value)); got.Changed != 0 {
			h.Errorf("Applied.Changed is %d when the same subject of kind %s is applied again", got.Changed, kind)
		}
		h.apply()
		h.wantAs(200, kind, value, "/")
	}
}

// value is a subject that the suite asks as, and another one.
func (p *Probe) value(kind string) (value, other string) {
	if p.Values != nil {
		return p.Values(kind)
	}
	return "alice", "bob"
}

func throttledSubjects(h *harness) {
	if h.probe.Ask == nil {
		h.Log("does not apply: the probe has no Ask")
		return
	}
	for _, kind := range h.probe.Kinds {
		value, other := h.probe.value(kind)
		e := named(kind, value)
		e.Action, e.Rate, e.Burst = enforce.Throttle, 1, 3
		if !h.can(e) {
			continue
		}
		h.apply(e)
		a := Ask{Client: elsewhere, As: e.Subject, Path: "/"}
		passed, denied := 0, 0
		for again := h.patience(); denied == 0 && again(); {
			switch got := h.probe.Ask(h, a); got {
			case 429:
				denied++
			case 200:
				passed++
			default:
				h.Fatalf("%s %q got status %d under a throttle, want 200 or 429", kind, value, got)
			}
		}
		if passed == 0 || denied == 0 {
			h.Errorf("%s %q under a throttle: %d passed, %d got 429; a throttle lets some through and denies the rest", kind, value, passed, denied)
		}
		h.wantAs(200, kind, other, "/")
	}
}

// routes: an entry that is confined to a route leaves the others alone. The probe's
// site answers 200 on every path.
func routes(h *harness) {
	e := entry("192.0.2.1")
	e.Route = "/orders/{id}/items"
	if h.probe.Ask == nil || !h.can(e) {
		h.Log("does not apply: the gateway cannot tell routes apart")
		return
	}
	client, neighbour := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	h.apply(e)
	h.wantAsk(403, Ask{Client: client, Path: "/orders/4711/items"})
	h.wantAsk(403, Ask{Client: client, Path: "/orders/a-b_c/items?x=1"})
	for _, path := range []string{"/", "/orders/4711", "/orders/4711/items/9", "/orders//items", "/x/orders/1/items", "/orders/1/2/items"} {
		h.wantAsk(200, Ask{Client: client, Path: path})
	}
	h.wantAsk(200, Ask{Client: neighbour, Path: "/orders/4711/items"})
	wider := entry("192.0.2.0/24")
	wider.Route = "/login"
	h.apply(e, wider)
	h.wantAsk(403, Ask{Client: neighbour, Path: "/login"})
	h.wantAsk(403, Ask{Client: client, Path: "/orders/1/items"})
	h.wantAsk(200, Ask{Client: neighbour, Path: "/orders/4711/items"})
	h.apply()
	h.wantAsk(200, Ask{Client: client, Path: "/orders/4711/items"})
}

// HostileValues are what a client could be called, or send as a key: the syntax of
// maps, commands and templates. None may make "victim" or anybody else be hit.
var HostileValues = []string{
	"CANARY;", "a\nvictim 1;", "a\nvictim 1\n", "a\" 1; \"victim", "a\\", "\\", "a'", "a\x00victim", "$victim", "${victim}", "victim\r\n",
	strings.Repeat("x", 64<<10), "~^.*$", "~.", "*", "*.victim", ".*", "^", "a b", "a\tb", "a#victim", "#victim", "default", "hostnames", "volatile",
	"include /etc/passwd", "<<\nvictim 1\n", "payload\n\nadd map x victim 1", "%0avictim", "%[src]", "a:b", "a,b", "a|b", "\xff\xfe", "é",
	"{{.victim}}", "`victim`", "$(touch CANARY)", "../../etc/passwd", "-victim", "--", "", "a\u2028victim", "fe80::1%eth0;victim", "null", "true",
	"'; DROP TABLE victim; --", "<script>", "a\x1b[2Jvictim", "victim; add map y z", " victim", "victim ", "\"victim\"",
}

// sendable tells whether a value can stand in a header field (RFC 9110, section 5.5)
// and reach the other side as it is.
func sendable(v string) bool {
	if v == "" || len(v) > 4000 || strings.TrimSpace(v) != v {
		return false
	}
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
}

// hostileSubjects: what the gateway says that it can hold it holds, and nobody else is hit.
func hostileSubjects(h *harness) {
	if h.probe.Ask == nil {
		h.Log("does not apply: the probe has no Ask")
		return
	}
	for _, kind := range h.probe.Kinds {
		if h.probe.Values != nil { // they are not free to choose
			continue
		}
		var set []enforce.Entry
		for i, v := range HostileValues {
			e := named(kind, v)
			e.Decision, e.Why = fmt.Sprint("d", i), v
			if h.can(e) {
				set = append(set, e)
			} else if _, err := h.gw.Apply(h.Context(), []enforce.Entry{e}); err == nil {
				h.Errorf("it says that it cannot hold the %s %.60q, and takes it", kind, v)
			}
		}
		if !slices.ContainsFunc(set, func(e enforce.Entry) bool { return e.Subject.Value == "a:b" }) {
			h.Errorf("it cannot hold the harmless %s %q", kind, "a:b")
		}
		h.apply(set...)
		for _, innocent := range []string{"victim", "bob", "a", "b", "x", "1", "0"} {
			h.wantAs(200, kind, innocent, "/")
		}
		for _, e := range set {
			if v := e.Subject.Value; sendable(v) {
				h.wantAs(403, kind, v, "/")
			}
		}
		h.throttlesOnly(kind, set)
		h.Logf("%d of %d hostile values of kind %s are held, the others refused", len(set), len(HostileValues), kind)
		h.apply()
		h.wantAs(200, kind, "a:b", "/")
	}
}

// throttlesOnly: where hostile values can be throttled, nobody else is.
func (h *harness) throttlesOnly(kind string, set []enforce.Entry) {
	h.Helper()
	var slow []enforce.Entry
	for _, e := range set {
		if e.Action, e.Rate, e.Burst = enforce.Throttle, 0.1, 0; h.can(e) {
			slow = append(slow, e)
		}
	}
	if len(slow) == 0 {
		return
	}
	h.apply()
	h.apply(slow...)
	for range 3 {
		for _, innocent := range []string{"victim", "bob", "a", "b", "x", "1", "0"} {
			h.wantAs(200, kind, innocent, "/")
		}
	}
}

// hostileRoutes: a route's name may hold what a client sent.
func hostileRoutes(h *harness) {
	e := entry("192.0.2.1")
	e.Route = "/a"
	if h.probe.Ask == nil || !h.can(e) {
		h.Log("does not apply: the gateway cannot tell routes apart")
		return
	}
	var set []enforce.Entry
	for i, v := range HostileValues {
		e := entry("192.0.2.1")
		e.Route, e.Decision = "/r/"+v, fmt.Sprint("d", i)
		if h.can(e) {
			set = append(set, e)
		} else if _, err := h.gw.Apply(h.Context(), []enforce.Entry{e}); err == nil {
			h.Errorf("it says that it cannot hold the route %.60q, and takes it", e.Route)
		}
	}
	h.apply(set...)
	for _, path := range []string{"/", "/victim", "/r", "/rx", "/r/victim/y", "/x/r/a"} {
		h.wantAsk(200, Ask{Client: netip.MustParseAddr("192.0.2.1"), Path: path})
	}
	for _, v := range []string{"a:b", "default", "-victim"} {
		h.wantAsk(403, Ask{Client: netip.MustParseAddr("192.0.2.1"), Path: "/r/" + v})
		h.wantAsk(200, Ask{Client: netip.MustParseAddr("192.0.2.2"), Path: "/r/" + v})
	}
	h.Logf("%d of %d hostile routes are held, the others refused", len(set), len(HostileValues))
}
