package gateway

import (
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/enforce/nginxconf"
)

func onClass(route, agent string) enforce.Entry {
	e := onSubject("class", "", enforce.Throttle)
	e.Subject, e.Rate, e.Burst = detect.Class{Route: route, Agent: agent}.Subject(), 0.1, 0
	return e
}

// TestNginxThrottlesAClass: a user agent on a route has one budget, whoever sends it; who
// is spared, and every other agent and route, are left alone. Members that are throttled
// besides do not get a budget of their own by that.
func TestNginxThrottlesAClass(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	e, member := onClass("/login", "Tool/1.0 (a+b; *)"), throttle("192.0.2.1/32", 100, 20)
	e.Spare, member.Route = "198.51.100.0/24 2001:db8::/64", "/login"
	apply(t, g, e, member, throttle("192.0.2.2/32", 100, 20))
	s.wantAs(200, "203.0.113.1", "/login", "User-Agent", "Tool/1.0 (a+b; *)")
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8:1::1"} {
		s.wantAs(429, client, "/login?x=1", "User-Agent", "Tool/1.0 (a+b; *)")
		s.wantAs(200, client, "/login", "User-Agent", "tool/1.0 (a+b; *)")
		s.wantAs(200, client, "/login", "User-Agent", "Tool/1.0 (aab; *)")
		s.wantAs(200, client, "/", "User-Agent", "Tool/1.0 (a+b; *)")
	}
	s.wantAs(200, "198.51.100.9", "/login", "User-Agent", "Tool/1.0 (a+b; *)")
	s.wantAs(200, "2001:db8::9", "/login", "User-Agent", "Tool/1.0 (a+b; *)")
	if again := apply(t, g, member, e, throttle("192.0.2.2/32", 100, 20)); again.Changed != 0 {
		t.Errorf("the same again: %+v", again)
	}
	apply(t, g, member)
	s.wantAs(200, "192.0.2.3", "/login", "User-Agent", "Tool/1.0 (a+b; *)")
}

// TestNginxHostileClasses: nginx itself takes all that the gateway says it can hold, and
// nobody else is hit.
func TestNginxHostileClasses(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	var held []enforce.Entry
	for _, v := range enforcetest.HostileValues {
		for _, e := range []enforce.Entry{onClass("/login", v), onClass("/"+v, "tool")} {
			if enforce.Holds(g, e.Target(), e.Action) == nil {
				held = append(held, e)
			} else if _, err := g.Apply(t.Context(), []enforce.Entry{e}); err == nil {
				t.Errorf("it says that it cannot hold %.80q, and takes it", e.Subject.Value)
			}
		}
	}
	if len(held) < 10 {
		t.Fatalf("only %d are held", len(held))
	}
	apply(t, g, held...)
	for range 3 {
		s.wantAs(200, "192.0.2.1", "/login", "User-Agent", "victim")
		s.wantAs(200, "192.0.2.1", "/victim", "User-Agent", "victim")
	}
	if e := onClass("/login", "x"); enforce.Holds(g, e.Target(), enforce.Block) == nil {
		t.Error("it says that it can block a class")
	}
}

// FuzzNginxClass: the file is read back as one pattern and one pair, by nginx's own syntax.
func FuzzNginxClass(f *testing.F) {
	for _, v := range enforcetest.HostileValues {
		f.Add("/login", v)
		f.Add("/"+v, "tool/1")
	}
	g, err := NewNginx(NginxConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, route, agent string) {
		e := onClass(route, agent)
		if enforce.Holds(g, e.Target(), e.Action) != nil {
			return
		}
		list, err := g.normal([]enforce.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := nginxconf.Parse(newNginxState(list, nil).httpFile(g.cfg))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed {
			last := d.Args[len(d.Args)-1]
			if (last == "$portcullis_agent" || last == "$portcullis_route" || last == "$portcullis_agent_class") && (len(d.Body) != 2 || len(d.Body[1].Args) != 1) {
				t.Fatalf("%q on %q became %+v", agent, route, d.Body)
			}
			if d.Name != "map" && d.Name != "geo" && d.Name != "include" && d.Name != "limit_req_zone" {
				t.Fatalf("a directive %q", d.Name)
			}
		}
	})
}
