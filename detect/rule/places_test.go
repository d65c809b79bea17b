package rule_test

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// caller is somebody who uses the API by name.
type caller struct {
	addr    string
	agent   string
	asn     uint32
	country string
	set     func(*ingest.Event) // its name
}

// calls adds requests of a caller, one every so many seconds.
func (w *borough) calls(from, to, every float64, c caller, route string) {
	for at := from; at < to; at += every {
		w.add(at, netip.MustParseAddr(c.addr), c.agent, 200, false)
		ev := &w.log[len(w.log)-1]
		ev.Target, ev.Route, ev.ASN = route, route, c.asn
		copy(ev.Country[:], c.country)
		c.set(ev)
	}
}

func key(ev *ingest.Event)  { ev.Key = "k_0123456789abcdef" }
func user(ev *ingest.Event) { ev.User = "alice" }

// worst is the gravest finding of a rule, and how many there are.
func worst(found []detect.Finding, rule string) (f detect.Finding, n int) {
	for _, x := range found {
		if x.Rule != rule {
			continue
		}
		if n++; n == 1 || x.Severity > f.Severity {
			f = x
		}
	}
	return f, n
}

const dayLong = 86_400

// placeCase is what a rule says of one way in which identities are used.
type placeCase struct {
	rule string
	want detect.Severity // Info: nothing is said
	make func(w *borough)
}

var (
	office = caller{"203.0.113.10", "partner/1.0", 64501, "DE", key}
	thief  = caller{"198.51.100.77", "curl/8.5", 64666, "BR", key}
	at     = func(c caller, addr, agent string) caller { c.addr, c.agent = addr, agent; return c }
	alice  = caller{"203.0.113.20", "app/3.1", 64501, "DE", user}
	spain  = func(c caller) caller { c.asn, c.country = 64700, "ES"; return c }
)

// keyCases are of keys.
var keyCases = map[string]placeCase{
	"a key that leaked": {"key-shared", detect.High, func(w *borough) {
		w.calls(0, 2*dayLong/24, 30, office, "/v1/orders")
		w.calls(5000, 6000, 40, thief, "/v1/orders")
	}},
	"a key that leaked and opens other doors": {"key-shared", detect.High, func(w *borough) {
		w.calls(0, 2*dayLong/24, 30, office, "/v1/orders")
		w.calls(5000, 6000, 200, thief, "/v1/customers")
	}},
	"a thief who looks around between two visits of an hourly partner": {"key-shared", detect.Medium, func(w *borough) {
		for h := range 4 {
			w.calls(float64(h)*3600, float64(h)*3600+120, 2, office, "/v1/orders")
		}
		w.calls(12_000, 12_600, 100, thief, "/v1/customers")
		w.calls(12_010, 12_600, 100, thief, "/v1/reports")
	}},
	"an hourly partner, and a thief": {"key-shared", detect.High, func(w *borough) {
		for h := range 12 {
			w.calls(float64(h)*3600, float64(h)*3600+120, 2, office, "/v1/orders")
		}
		w.calls(20_000, 30_000, 500, thief, "/v1/orders")
	}},
	"a thief who imitates the agent": {"key-shared", detect.Info, func(w *borough) {
		w.calls(0, 7200, 30, office, "/v1/orders")
		w.calls(5000, 6000, 40, at(thief, thief.addr, office.agent), "/v1/orders")
	}},
	"a thief who imitates the agent and looks around": {"key-shared", detect.Medium, func(w *borough) {
		w.calls(0, 14_400, 30, office, "/v1/orders")
		for i, route := range []string{"/v1/customers", "/v1/reports", "/v1/me", "/v1/users", "/v1/export"} {
			w.calls(10_000+float64(i)*7, 10_600, 40, at(thief, thief.addr, office.agent), route)
		}
	}},
	"a phone between two networks that is used for much in one of them": {"key-shared", detect.Info, func(w *borough) {
		w.calls(0, 14_400, 30, at(office, "203.0.113.10", "app/3.1"), "/v1/orders")
		for i, route := range []string{"/v1/customers", "/v1/reports", "/v1/me", "/v1/users", "/v1/export", "/v1/carts"} {
			w.calls(9000+float64(i)*7, 14_400, 300, at(office, "203.0.113.10", "app/3.1"), route)
			w.calls(9100+float64(i)*7, 14_400, 300, at(thief, "198.51.100.77", "app/3.1"), route)
		}
	}},
	"a partner opens a second place with the same program": {"key-shared", detect.Info, func(w *borough) {
		w.calls(0, 14_400, 30, office, "/v1/orders")
		w.calls(9000, 14_400, 40, at(thief, thief.addr, office.agent), "/v1/orders")
		w.calls(9000, 14_400, 40, at(thief, thief.addr, office.agent), "/v1/reports")
	}},
	"a partner moves to other servers": {"key-shared", detect.Info, func(w *borough) {
		w.calls(0, 5000, 30, office, "/v1/orders")
		w.calls(5000, 9000, 30, thief, "/v1/orders")
	}},
	"a phone between two networks": {"key-shared", detect.Info, func(w *borough) {
		w.calls(0, 7200, 30, at(office, "203.0.113.10", "app/3.1"), "/v1/orders")
		w.calls(3000, 7200, 77, at(thief, "198.51.100.77", "app/3.1"), "/v1/orders")
	}},
	"a key that an app has for all": {"key-shared", detect.Info, func(w *borough) {
		for i := range 200 {
			c := at(thief, netip.AddrFrom4([4]byte{100, 64, byte(i), 1}).String(), w.agents[i%4])
			c.asn = uint32(64500 + i%7)
			w.calls(float64(i*20), 7200, 400+float64(i), c, "/v1/orders")
		}
	}},
	"a key that is passed around": {"key-shared", detect.High, func(w *borough) {
		w.calls(0, 7200, 30, office, "/v1/orders")
		for i := range 12 {
			w.calls(5000+float64(i*20), 6000, 100, at(office, netip.AddrFrom4([4]byte{100, 64, byte(i), 1}).String(), office.agent), "/v1/orders")
		}
	}},
}

// accountCases are of accounts.
var accountCases = map[string]placeCase{
	"a new phone in a new network": {"account-place", detect.Low, func(w *borough) {
		w.calls(0, dayLong, 600, alice, "/v1/me")
		w.calls(dayLong, dayLong+3600, 60, at(spain(alice), "198.51.100.7", "app/4.0"), "/v1/me")
	}},
	"a new network": {"account-place", detect.Info, func(w *borough) {
		w.calls(0, dayLong, 600, alice, "/v1/me")
		w.calls(dayLong, dayLong+3600, 60, at(spain(alice), "198.51.100.7", alice.agent), "/v1/me")
	}},
	"an update": {"account-place", detect.Info, func(w *borough) {
		w.calls(0, dayLong, 600, alice, "/v1/me")
		w.calls(dayLong, dayLong+3600, 60, at(alice, alice.addr, "app/4.0"), "/v1/me")
	}},
	"two countries within minutes": {"impossible-travel", detect.Medium, func(w *borough) {
		w.calls(0, 4400, 60, alice, "/v1/me")
		w.calls(4500, 4600, 60, at(spain(alice), "198.51.100.7", "Mozilla/5.0"), "/v1/me")
	}},
	"two countries by turns": {"impossible-travel", detect.High, func(w *borough) {
		w.calls(0, 9000, 60, alice, "/v1/me")
		w.calls(5000, 5200, 60, at(spain(alice), "198.51.100.7", "Mozilla/5.0"), "/v1/me")
	}},
	"two countries, and back once": {"impossible-travel", detect.High, func(w *borough) {
		w.calls(0, 9000, 1000, alice, "/v1/me")
		w.calls(0, 1000, 30, alice, "/v1/me")
		w.calls(4500, 4600, 60, at(spain(alice), "198.51.100.7", "Mozilla/5.0"), "/v1/me")
	}},
	"a traveller": {"impossible-travel", detect.Info, func(w *borough) {
		w.calls(0, 9000, 60, alice, "/v1/me")
		w.calls(9000+3*3600, 30_000, 60, at(spain(alice), "198.51.100.7", "Mozilla/5.0"), "/v1/me")
	}},
	"a phone that roams, beside a laptop": {"impossible-travel", detect.Info, func(w *borough) {
		w.calls(0, 3600, 60, alice, "/v1/me")
		w.calls(0, 3600, 77, at(alice, "203.0.113.99", "Mozilla/5.0"), "/v1/me")
		w.calls(5000, 9000, 60, alice, "/v1/me")
		w.calls(5000, 9000, 77, at(spain(alice), "198.51.100.7", "Mozilla/5.0"), "/v1/me")
	}},
}

// TestWhereIdentitiesAreUsed: a key that leaked and an account that is used in two
// countries are told from people who move, travel and get a new phone, and from partners
// who move to other servers.
func TestWhereIdentitiesAreUsed(t *testing.T) {
	cases := maps.Clone(keyCases)
	maps.Copy(cases, accountCases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newBorough(3)
			w.people(0, 2*dayLong, 0.05, 9, 100) // so that the log has no gap
			c.make(w)
			found := w.run(t, "key-shared", "account-place", "impossible-travel")
			f, n := worst(found, c.rule)
			if n == 0 && c.want != detect.Info || n > 0 && f.Severity != c.want {
				t.Errorf("%d findings, the worst %s: %s; want %s", n, f.Severity, f.Why, c.want)
			}
			if n > 0 && (f.Members == "" || strings.Contains(f.Members, "203.0.113.10 ")) {
				t.Errorf("members are %q", f.Members)
			}
			if n > 0 && (len(f.EvidenceLines()) == 0 || f.Evidence[0].Time == 0) {
				t.Errorf("evidence is %+v", f.EvidenceLines())
			}
		})
	}
}
