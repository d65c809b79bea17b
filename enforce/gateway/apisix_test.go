package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

func TestAPISIXContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		s, g := newAPISIX(t)
		p := s.probe("consumer")
		p.Values = func(string) (string, string) { return "alice", "bob" } // only consumers that are there can ask
		p.Ask, p.Revocable, p.Credentials = s.ask, []string{"key", "consumer"}, s.stored
		p.Again, p.Remembers = func(t testing.TB) enforce.Gateway { return s.open(t, s.base) }, true
		p.Restart = func(testing.TB) { s.restore() }
		return g, p
	})
	_, g := newAPISIX(t)
	g.api.header.Set("X-API-KEY", "other")
	_, err := g.Apply(t.Context(), nil)
	wantError(t, err, "gateway apisix", "401", "failed to check token")
}

// TestAPISIXOwnPlugins: what the site gave a consumer stays, whatever we do to it; where there
// is no way left, it is told, and nobody else suffers.
func TestAPISIXOwnPlugins(t *testing.T) {
	s, g := newAPISIX(t)
	before := s.stored(t)
	apply(t, g, onSubject("consumer", "alice", enforce.Throttle), onSubject("consumer", "bob", enforce.Throttle))
	alice := s.consumers["alice"]["plugins"].(object)
	if alice["limit-count"].(object)["count"] != 1000.0 || alice["limit-req"].(object)["burst"] != 3.0 {
		t.Errorf("alice, throttled: %v", alice)
	}
	own := object{"rate": 7.0, "burst": 0.0, "key": "remote_addr"}
	alice["limit-req"] = own // somebody else takes it over
	apply(t, g, onSubject("consumer", "bob", enforce.Throttle))
	if alice = s.consumers["alice"]["plugins"].(object); alice["limit-req"].(object)["rate"] != 7.0 {
		t.Errorf("what somebody else made of our plugin became %v", alice)
	}
	_, err := g.Apply(t.Context(), []enforce.Entry{onSubject("consumer", "alice", enforce.Throttle), onSubject("consumer", "bob", enforce.Block), block("192.0.2.1/32")})
	wantError(t, err, "gateway apisix", "d-consumer", "plugins of its own")
	if e := s.rest["bob consumer-restriction"]; e.Action != enforce.Block || len(s.lists["rule"]) != 1 {
		t.Errorf("the others: %+v", s.rest)
	}
	apply(t, g)
	delete(s.consumers["alice"]["plugins"].(object), "limit-req")
	if after := s.stored(t); after != before {
		t.Errorf("before and after:\n%s\n%s", before, after)
	}
}

// TestAPISIXMeanwhile: a change that somebody else makes while we work is kept.
func TestAPISIXMeanwhile(t *testing.T) {
	s, g := newAPISIX(t)
	s.meanwhile = func() { s.consumers["bob"]["desc"] = "changed meanwhile" }
	apply(t, g, onSubject("consumer", "bob", enforce.Block))
	if got := s.consumers["bob"]; got["desc"] != "changed meanwhile" || got["plugins"].(object)["consumer-restriction"] == nil {
		t.Errorf("bob: %v", got)
	}
	s.meanwhile = nil
	apply(t, g)
	s.meanwhile = func() {
		s.credentials["dave/first"]["plugins"].(object)["key-auth"].(object)["key"] = "rotated"
	}
	_, err := g.Apply(t.Context(), []enforce.Entry{onSubject("key", "bob", enforce.Revoke)})
	wantError(t, err, "changed meanwhile")
	if key := keyOf(s.credentials["dave/first"]["plugins"].(object)); key != "rotated" {
		t.Errorf("a key that was put in meanwhile became %q", key)
	}
}

// TestAPISIXKeyTaken: a key that another consumer got meanwhile cannot be given back; that is
// told without the key, and what is locked stays.
func TestAPISIXKeyTaken(t *testing.T) {
	s, g := newAPISIX(t)
	apply(t, g, onSubject("key", "bob", enforce.Revoke))
	s.consumers["bob"]["plugins"] = object{"key-auth": object{"key": "bob"}}
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "another one has its key")
	if key, locked := unlockKey(keyOf(s.credentials["dave/first"]["plugins"].(object))); !locked || key != "bob" || strings.Contains(err.Error(), "portcullis-revoked") {
		t.Errorf("%q, %v", key, err)
	}
	delete(s.consumers["bob"], "plugins")
	apply(t, s.open(t, s.base), block("192.0.2.1/32"))
	if key := keyOf(s.credentials["dave/first"]["plugins"].(object)); key != "bob" || s.consumers["dave"]["labels"] != nil {
		t.Errorf("%q, %v", key, s.consumers["dave"])
	}
}

// TestAPISIXLimits: rates become windows, the narrowest prefix is asked first, and more than
// the Admin API takes is told before.
func TestAPISIXLimits(t *testing.T) {
	for _, c := range []struct {
		rate           float64
		count, seconds int
	}{{1, 10, 10}, {0.1, 1, 10}, {0.05, 1, 20}, {1e-9, 1, 3600}, {1234.56, 12345, 10}} {
		if count, seconds := apisixWindow(c.rate); count != c.count || seconds != c.seconds {
			t.Errorf("%v a second: %d in %d s", c, count, seconds)
		}
	}
	s, g := newAPISIX(t)
	wide, narrow := block("192.0.2.0/24"), block("192.0.2.1/32")
	wide.Action, wide.Rate, narrow.Action, narrow.Rate = enforce.Throttle, 1, enforce.Throttle, 5
	apply(t, g, wide, narrow)
	rules := s.rule["plugins"].(object)["workflow"].(object)["rules"].([]any)
	if first := rules[0].(object)["case"].([]any)[0].([]any)[2].([]any)[0]; first != "192.0.2.1/32" {
		t.Errorf("the first is %v", first)
	}
	third := onSubject("consumer", "bob", enforce.Throttle)
	third.Rate = 1.0 / 3
	apply(t, g, third)
	if again := apply(t, s.open(t, s.base), third); again.Changed != 0 {
		t.Errorf("a third a second again: %+v", again)
	}
	var many []enforce.Entry
	for i := range 45000 {
		many = append(many, block(fmt.Sprintf("2001:db8:1111:2222:3333:4444:%x:%x/128", 0x1000+i>>12, 0x1000+i&0xfff)))
	}
	_, err := g.Apply(t.Context(), many)
	wantError(t, err, "45000 addresses", "the Admin API takes 1572864", "the last state stays")
}

// TestAPISIXRefuses: the contract server is as strict as the published tables.
func TestAPISIXRefuses(t *testing.T) {
	_, g := newAPISIX(t)
	for _, c := range []struct {
		plugin string
		config object
		want   string
	}{
		{"limit-req", object{"rate": 1, "burst": 1}, "key: required"},
		{"limit-req", object{"rate": "1", "burst": 1, "key": "x"}, "expected a number"},
		{"limit-count", object{"count": 1.5, "time_window": 1}, "expected an integer"},
		{"limit-count", object{"count": 1, "time_window": 1, "burst": 2}, "burst: unknown field"},
		{"consumer-restriction", object{"blacklist": []string{}}, "array of 1 at least"},
		{"fault-injection", object{"abort": object{"status": 403}}, "status: unknown field"},
		{"request-termination", object{}, "unknown plugin"},
	} {
		_, err := g.api.call(t.Context(), "PUT", apisixConsumers+"/bob", object{"username": "bob", "plugins": object{c.plugin: c.config}}, nil)
		wantError(t, err, "status 400", c.want)
	}
	_, err := g.api.call(t.Context(), "PUT", g.rulePath(), object{"plugins": object{"ip-restriction": object{"blacklist": []string{"fe80::1%eth0"}}}}, nil)
	wantError(t, err, "invalid ip")
	_, err = g.api.call(t.Context(), "PATCH", apisixConsumers+"/bob", object{"desc": "x"}, nil)
	wantError(t, err, "405")
}
