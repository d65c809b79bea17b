package authz

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

func classOf(route, agent string) enforce.Entry {
	return enforce.Entry{Decision: "d", Subject: detect.Class{Route: route, Agent: agent}.Subject(), Action: enforce.Throttle, Rate: 0.1, Burst: 1}
}

// TestClass: all who ask for the route with the agent share one budget, whatever their
// address; nobody else is hit, nor who is spared.
func TestClass(t *testing.T) {
	s, _ := asked(t, Config{})
	e := classOf("/login", "tool/1 \"x\"")
	e.Spare = "198.51.100.0/24 2001:db8::/64"
	apply := func(want ...enforce.Entry) {
		t.Helper()
		if _, err := s.Apply(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(want int, client, target, agent string) {
		t.Helper()
		if got := s.forwarded("127.0.0.1:9", client, target, "User-Agent", agent).Code; got != want {
			t.Errorf("%s %s %q: %d, want %d", client, target, agent, got, want)
		}
	}
	apply(e)
	ask(200, "192.0.2.1", "/login", "tool/1 \"x\"")
	ask(200, "192.0.2.2", "/login?a=1", "tool/1 \"x\"")
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "203.0.113.9", "2001:db8:1::9"} {
		ask(429, client, "/login", "tool/1 \"x\"")
		ask(200, client, "/login", "tool/1")
		ask(200, client, "/login", "")
		ask(200, client, "/logins", "tool/1 \"x\"")
	}
	ask(200, "198.51.100.7", "/login", "tool/1 \"x\"")
	ask(200, "2001:db8::7", "/login", "tool/1 \"x\"")
	e.Spare = ""
	apply(e)
	ask(429, "198.51.100.7", "/login", "tool/1 \"x\"") // a budget that is altered does not begin anew
	apply()
	ask(200, "192.0.2.1", "/login", "tool/1 \"x\"")
}

// TestClassHostile: whatever an agent or a route is called, only that pair is hit.
func TestClassHostile(t *testing.T) {
	s, _ := asked(t, Config{})
	for _, v := range enforcetest.HostileValues {
		for _, e := range []enforce.Entry{classOf("/login", v), classOf("/"+v, "tool"), {Decision: "d", Subject: detect.Subject{Kind: "class", Value: v}, Action: enforce.Throttle, Rate: 1}} {
			_, err := s.Apply(t.Context(), []enforce.Entry{e})
			if can := enforce.Holds(s, e.Target(), e.Action) == nil; can != (err == nil) {
				t.Fatalf("%q: it says that it can: %v, and Apply: %v", e.Subject.Value, can, err)
			}
			for range 3 {
				if got := s.forwarded("127.0.0.1:9", "192.0.2.1", "/login", "User-Agent", "victim").Code; got != 200 {
					t.Fatalf("%q: victim got %d", e.Subject.Value, got)
				}
			}
		}
	}
	if e := classOf("/login", "x"); enforce.Holds(s, e.Target(), enforce.Block) == nil {
		t.Error("it says that it can block a class")
	}
}
