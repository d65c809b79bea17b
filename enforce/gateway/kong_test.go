package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

func TestKongContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		k, g := newKong(t)
		p := k.probe("consumer")
		p.Restart = func(testing.TB) { k.restore() }
		p.Ask, p.Revocable, p.Credentials = k.ask, []string{"key", "consumer"}, k.credentials
		p.Again, p.Remembers = func(t testing.TB) enforce.Gateway { return k.open(t, k.base) }, true
		return g, p
	})
}

// TestKongConsumers: one that is not there stops nobody else, nor does one that has such a
// plugin already; another's plugins stay.
func TestKongConsumers(t *testing.T) {
	k, g := newKong(t, "acme", "umbrella")
	if _, err := g.api.call(t.Context(), "PUT", "/consumers/umbrella/plugins/site", object{"name": "rate-limiting", "tags": []string{"site"}, "config": object{"minute": 5}}, nil); err != nil {
		t.Fatal(err)
	}
	apply(t, g, onSubject("consumer", "nobody", enforce.Block), onSubject("consumer", "acme", enforce.Throttle), block("192.0.2.1/32"))
	if got := len(k.plugins); got != 3 { // acme's, the addresses, and the site's own
		t.Errorf("%d plugins", got)
	}
	_, err := g.Apply(t.Context(), []enforce.Entry{onSubject("consumer", "umbrella", enforce.Throttle), onSubject("consumer", "acme", enforce.Block)})
	wantError(t, err, "gateway kong", "has a plugin rate-limiting already")
	if got := k.sim.StatusOf(netip.MustParseAddr("192.0.2.9"), detect.Subject{Kind: "consumer", Value: "acme"}, "/"); got != 403 {
		t.Errorf("another consumer, beside one that cannot be throttled, got %d", got)
	}
	apply(t, g)
	if p, ok := k.plugins["site"]; !ok || len(k.plugins) != 1 || p["config"].(object)["minute"] != 5.0 {
		t.Errorf("what is left: %v", k.plugins)
	}
	if enforce.Holds(g, enforce.Target{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, enforce.Throttle) == nil {
		t.Error("it says that it can throttle an address")
	}
}

// TestKongLimits: the rate by the minute, the burst by the second where Kong takes it, and a
// large one is known again.
func TestKongLimits(t *testing.T) {
	k, g := newKong(t)
	for _, c := range []struct {
		rate   float64
		burst  int
		second any
		minute float64
	}{{1, 3, 4.0, 60}, {0.5, 5, 6.0, 30}, {0.01, 5, nil, 1}, {20000, 0, 20000.0, 1e6}} {
		e := onSubject("consumer", "acme", enforce.Throttle)
		e.Rate, e.Burst = c.rate, c.burst
		apply(t, g, e)
		config := k.plugins[uuidOf("rate-limiting", "acme")]["config"].(object)
		if config["second"] != c.second || config["minute"] != c.minute {
			t.Errorf("%v: %v", c, config)
		}
		if again := apply(t, g, e); again.Changed != 0 {
			t.Errorf("%v again: %+v", c, again)
		}
	}
}

// TestKongKeys: a credential keeps all but its key, and what somebody else makes of it.
func TestKongKeys(t *testing.T) {
	k, g := newKong(t)
	alice := k.keys[uuidOf("key", "alice")]
	alice["ttl"], alice["tags"] = 3600.0, nil
	revoke := onSubject("key", "alice", enforce.Revoke)
	apply(t, g, revoke)
	locked := alice["key"].(string)
	if key, ok := unlockKey(locked); !ok || key != "alice" || alice["ttl"] != 3600.0 {
		t.Errorf("revoked, it is %v", alice)
	}
	taken := object{"id": "new", "key": "alice", "tags": nil, "consumer": object{"id": "x"}}
	k.keys["new"] = taken // the same key for somebody else: it must not be lost, and not be silent
	_, err := g.Apply(t.Context(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "cannot be given its key back")
	if strings.Contains(err.Error(), "alice") || alice["key"] != locked || k.lists["deny"][0] != "192.0.2.1" {
		t.Errorf("%v; %v", err, alice)
	}
	delete(k.keys, "new")
	apply(t, g)
	if alice["key"] != "alice" || alice["tags"] != nil || alice["ttl"] != 3600.0 {
		t.Errorf("released, it is %v", alice)
	}
	k.meanwhile = func() { alice["key"] = "rotated" }
	_, err = g.Apply(t.Context(), []enforce.Entry{revoke})
	if wantError(t, err, "changed meanwhile"); alice["key"] != "rotated" {
		t.Errorf("a key that was put in meanwhile became %v", alice["key"])
	}
	delete(k.keys, alice["id"].(string))
	apply(t, g, revoke) // nobody has it
}

// TestKongRefuses: the contract server is as strict as the published schemas.
func TestKongRefuses(t *testing.T) {
	_, g := newKong(t)
	for _, c := range []struct {
		body object
		want string
	}{
		{object{"name": "ip-restriction", "config": object{"denied": []string{"::1"}}}, "denied: unknown field"},
		{object{"name": "ip-restriction", "config": object{"deny": []string{"fe80::1%eth0"}}}, "invalid ip"},
		{object{"name": "ip-restriction", "config": object{}}, "at least one of"},
		{object{"name": "rate-limiting", "config": object{"minute": "60"}}, "expected a number"},
		{object{"name": "rate-limiting", "config": object{"second": 9, "minute": 5}}, "cannot be lower"},
		{object{"name": "rate-limiting", "config": object{"minute": 5, "burst": 5}}, "burst: unknown field"},
		{object{"name": "request-termination", "config": object{"status_code": 99}}, "from 100 to 599"},
		{object{"name": "consumer-restriction", "config": object{}}, "not enabled"},
		{object{"name": "ip-restriction", "tags": []string{"a,b"}, "config": object{"deny": []string{}}}, "tags"},
	} {
		_, err := g.api.call(t.Context(), "PUT", "/plugins/x", c.body, nil)
		wantError(t, err, "status 400", c.want)
	}
}
