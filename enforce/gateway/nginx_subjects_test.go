package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/enforce/nginxconf"
)

func (s *site) wantAs(status int, client, path, header, value string) {
	s.t.Helper()
	resp, err := s.requestAs(client, path, header, value)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != status {
		s.t.Errorf("%s on %s with %s: %s got %d, want %d", client, path, header, value, resp.StatusCode, status)
	}
}

// TestNginxNamesHaveCase: a map of nginx takes no notice of it, keys do.
func TestNginxNamesHaveCase(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	apply(t, g, onSubject("key", "AbC", enforce.Block), onSubject("consumer", "Ann", enforce.Block), onSubject("consumer", "aNN.", enforce.Block), onSubject("consumer", "ann", enforce.Block))
	s.wantAs(403, "192.0.2.1", "/", "X-Api-Key", "AbC")
	for _, v := range []string{"abc", "ABC", "AbCd", " "} {
		s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", v)
	}
	for v, status := range map[string]int{"Ann": 403, "ann": 403, "ANN": 200, "anN": 200, "aNN.": 403, "aNNx": 200} {
		s.wantAs(status, "192.0.2.1", "/", "X-Consumer", v)
	}
}

// TestNginxThrottlesKeys: a key has one budget, wherever it is used from, and one that differs
// in case has none. An address that is throttled goes by its own.
func TestNginxThrottlesKeys(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	slow := func(kind, value string, rate float64, burst int) enforce.Entry {
		e := onSubject(kind, value, enforce.Throttle)
		e.Rate, e.Burst = rate, burst
		return e
	}
	set := []enforce.Entry{slow("key", "AbC d", 0.1, 5), slow("key", "x", 0.1, 0), slow("key", "X", 1, 0), slow("consumer", "acme", 0.1, 10),
		onSubject("key", "bad", enforce.Block), throttle("198.51.100.1/32", 100, 20)}
	apply(t, g, set...)
	passed := 0
	for i := range 20 {
		resp, err := s.requestAs(fmt.Sprintf("192.0.2.%d", i), fmt.Sprintf("/%d", i), "X-Api-Key", "AbC d")
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case resp.StatusCode == 200:
			passed++
		case resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "10":
			t.Errorf("beyond the rate: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if passed != 6 { // one, and a burst of five; the next is due after ten seconds
		t.Errorf("%d of 20 requests passed at 0.1/s with burst 5, want exactly 6", passed)
	}
	for range 3 {
		for _, v := range []string{"abc d", "ABC D", "AbC", "AbC d AbC d", "r0_1b5 AbC d", ""} {
			s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", v)
		}
		s.wantAs(200, "198.51.100.1", "/", "X-Api-Key", "AbC d")
		s.wantAs(403, "192.0.2.1", "/", "X-Api-Key", "bad")
	}
	s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", "x")
	s.wantAs(429, "192.0.2.2", "/", "X-Api-Key", "x")
	s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", "X")
	s.wantAs(200, "192.0.2.1", "/", "X-Consumer", "acme")
	if again := apply(t, g, set...); again.Changed != 0 {
		t.Errorf("the same again: %+v", again)
	}
	apply(t, g)
	for range 3 {
		s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", "AbC d")
	}
}

// TestNginxThrottlesOnARoute: with the headers of a 429, and nowhere else.
func TestNginxThrottlesOnARoute(t *testing.T) {
	s := newSite(t, "")
	s.start()
	narrow, wide, both := throttle("192.0.2.9/32", 0.1, 0), block("192.0.2.0/24"), throttle("192.0.2.9/32", 100, 20)
	narrow.Route, wide.Route = "/orders/{id}", "/login"
	apply(t, s.gateway(), narrow, wide, both, onSubject("route", "/closed", enforce.Block))
	s.wantAs(200, "192.0.2.9", "/orders/1", "", "")
	for i := range 5 {
		s.wantAs(429, "192.0.2.9", fmt.Sprintf("/orders/%d", i), "", "")
		s.wantAs(200, "192.0.2.9", "/other", "", "")
		s.wantAs(403, "192.0.2.9", "/login", "", "") // what holds for the network holds for a part of it
		s.wantAs(200, "192.0.2.8", "/orders/1", "", "")
	}
	s.wantAs(403, "192.0.2.8", "/login", "", "")
	s.wantAs(403, "203.0.113.1", "/closed", "", "")
	if h := s.fetch("192.0.2.9", "/orders/7").Header; h.Get("Retry-After") != "10" {
		t.Errorf("headers of a 429: %v", h)
	}
}

// TestNginxNamesThatDoNotFit: nginx would refuse them, so that they are not held.
func TestNginxNamesThatDoNotFit(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	long := onSubject("key", strings.Repeat("x", 46), enforce.Block)
	apply(t, g, long)
	s.wantAs(403, "192.0.2.1", "/", "X-Api-Key", long.Subject.Value)
	on := onSubject("key", "x", enforce.Block)
	on.Route = "/a"
	for _, e := range []enforce.Entry{onSubject("key", strings.Repeat("x", 47), enforce.Block), onSubject("key", "default", enforce.Block), onSubject("key", "a\"", enforce.Block),
		onSubject("route", "/x", enforce.Throttle), onSubject("session", "x", enforce.Block), on} {
		if enforce.Holds(g, e.Target(), e.Action) == nil {
			t.Errorf("it says that it can hold %+v", e)
		}
	}
}

// TestNginxManyKeys: a hundred thousand keys, counted from the call to the refusal.
func TestNginxManyKeys(t *testing.T) {
	s := newSite(t, "")
	s.start()
	n := measured()[len(measured())-1]
	list := subjectEntries("key", n)
	g := s.gateway()
	took := apply(t, g, list...).Took
	s.wantAs(403, "192.0.2.1", "/", "X-Api-Key", list[n-1].Subject.Value)
	s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", "name-x")
	again := apply(t, g, list[1:]...)
	if again.Changed != 1 {
		t.Errorf("one removed: %+v", again)
	}
	s.wantAs(200, "192.0.2.1", "/", "X-Api-Key", list[0].Subject.Value)
	t.Logf("MEASURED nginx: %d keys: %s, one removed %s", n, took, again.Took)
}

// FuzzNginxRender: whatever a subject or a route is called, the file is read back as one
// entry of one map, by nginx's own syntax.
func FuzzNginxRender(f *testing.F) {
	for _, v := range enforcetest.HostileValues {
		f.Add(v, "/"+v)
	}
	g, err := NewNginx(NginxConfig{HashBucket: 4096, Subjects: map[string]string{"key": "$http_x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value, route string) {
		list, err := g.normal(fuzzed(g, value, route))
		if err != nil {
			t.Fatal(err)
		}
		if len(value)%2 == 0 {
			for i := range list {
				list[i].Action, list[i].Rate = enforce.Throttle, 1
			}
		}
		parsed, err := nginxconf.Parse(newNginxState(list, nil).httpFile(g.cfg))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed {
			last := d.Args[len(d.Args)-1]
			if d.Name == "map" && last == "$portcullis_is_key" && len(d.Body) > 1 {
				if len(d.Body) != 2 || d.Body[1].Name != value || len(d.Body[1].Args) != 1 || d.Body[1].Args[0] != value {
					t.Fatalf("%q became %+v", value, d.Body)
				}
			}
			if d.Name == "map" && last == "$portcullis_slow_key" && (len(d.Body) != 2 || d.Body[1].Name != value || d.Body[1].Args[0] != "r1b0 "+value) {
				t.Fatalf("%q, throttled, became %+v", value, d.Body)
			}
			if d.Name == "map" && last == "$portcullis_route" && len(d.Body) > 2 {
				t.Fatalf("the route %q became %+v", route, d.Body)
			}
			if d.Name != "map" && d.Name != "geo" && d.Name != "include" && d.Name != "limit_req_zone" {
				t.Fatalf("a directive %q", d.Name)
			}
		}
	})
}
