package detect_test

import (
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// answered gives the events our own status from the given second on.
func answered(evs []ingest.Event, status uint16, from int64) []ingest.Event {
	for i := range evs {
		if evs[i].Time >= from*1e9 {
			evs[i].Status = status
		}
	}
	return evs
}

// TestOurOwnAnswersAreNoOffence: 403 from our block on the login route would be
// refusals; for a watched subject they are sightings instead.
func TestOurOwnAnswersAreNoOffence(t *testing.T) {
	for _, c := range []struct {
		name   string
		watch  []detect.Watch
		seen   int // sightings
		denied int64
		fires  bool
	}{
		{"nobody is watched", nil, 0, 0, true},
		{"the client is", []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: attacker}, Deny: 403}}, 30, 30, false},
		{"its network is", []detect.Watch{{Subject: detect.Subject{Kind: "cidr", Value: "192.0.2.0/24"}, Deny: 403}}, 31, 30, false},
		{"somebody else is", []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: "192.0.2.99"}, Deny: 403}}, 0, 0, true},
		{"our answer is another", []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: attacker}, Deny: 429}}, 30, 0, true},
		{"our block is younger", []detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: attacker}, Deny: 403, Since: (start + 15) * 1e9}}, 30, 15, true},
		{"what is watched is no address", []detect.Watch{{Subject: detect.Subject{Kind: "account", Value: "ann"}, Deny: 403}, {Subject: detect.Subject{Kind: "ip", Value: "junk"}}}, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := logOf(answered(each(30, start, guess), 403, start), one(plain(start+30, "192.0.2.2")))
			var seen []detect.Sighting
			e := detecttest.Engine(t, detecttest.Setup{Late: 30, Rules: []string{"auth-burst"}, Saw: func(s detect.Sighting) { seen = append(seen, s) }}, log)
			defer e.Close()
			e.Watch(c.watch)
			feed(e, 0, len(log))
			s := e.Finish()
			if len(seen) != c.seen {
				t.Errorf("%d sightings, want %d", len(seen), c.seen)
			}
			if (len(s.Findings) > 0) != c.fires {
				t.Errorf("findings %+v, want some: %v", s.Findings, c.fires)
			}
			var denied int64
			for _, r := range s.Rollups {
				if r.Route == "" {
					denied += r.Denied
				}
			}
			if denied != c.denied {
				t.Errorf("%d requests counted as denied by us, want %d", denied, c.denied)
			}
		})
	}
}

// TestSightingSaysWhatTheEnforcerNeeds, for a client that was known before it was
// watched, for an IPv6 neighbour behind the same /64, and no longer once the
// watch is taken back.
func TestSightingSaysWhatTheEnforcerNeeds(t *testing.T) {
	log := logOf(one(plain(start, "2001:db8::1")), one(plain(start+1, "2001:db8::2")), one(plain(start+2, "2001:db8:0:1::1")), one(plain(start+3, "2001:db8::1")))
	var seen []detect.Sighting
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Saw: func(s detect.Sighting) { seen = append(seen, s) }}, log)
	defer e.Close()
	feed(e, 0, 1)
	e.Watch([]detect.Watch{{Subject: detect.Subject{Kind: "cidr", Value: "2001:db8::/64"}, Deny: 403}})
	feed(e, 1, 3)
	want := detect.Sighting{Client: netip.MustParseAddr("2001:db8::2"), Time: (start + 1) * 1e9, Status: 200, Route: "/items/{id}", Source: "test"}
	if len(seen) != 1 || seen[0] != want {
		t.Errorf("seen %+v, want %+v", seen, want)
	}
	e.Watch(nil)
	feed(e, 3, 4)
	if len(seen) != 1 {
		t.Errorf("seen %+v although nobody is watched any more", seen)
	}
}

// TestWatchOneOfANetwork: of a /64 that holds one watched address only that
// address is sighted.
func TestWatchOneOfANetwork(t *testing.T) {
	log := logOf(one(plain(start, "2001:db8::1")), one(plain(start+1, "2001:db8::2")))
	var seen []detect.Sighting
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Saw: func(s detect.Sighting) { seen = append(seen, s) }}, log)
	defer e.Close()
	e.Watch([]detect.Watch{{Subject: detect.Subject{Kind: "ip", Value: "2001:db8::2"}, Deny: 403}})
	feed(e, 0, 2)
	if len(seen) != 1 || seen[0].Client.String() != "2001:db8::2" {
		t.Errorf("seen %+v, want 2001:db8::2 alone", seen)
	}
}

// TestNamedSubjectsAreWatched: by what a request tells of itself, whoever sends it.
func TestNamedSubjectsAreWatched(t *testing.T) {
	is := func(kind, value string) detect.Subject { return detect.Subject{Kind: kind, Value: value} }
	evs := logOf(each(6, start, func(sec int64) ingest.Event { return plain(sec, "192.0.2.9") }))
	evs[0].Consumer, evs[1].Key, evs[2].Token, evs[3].Session, evs[4].Print = "acme", "k_1", "k_1", "s_1", "ja4"
	evs[5].ASN, evs[5].Country, evs[5].User = 64500, [2]byte{'D', 'E'}, "ann"
	for s, want := range map[detect.Subject]int{
		is("consumer", "acme"): 1, is("key", "k_1"): 2, is("session", "s_1"): 1, is("fingerprint", "ja4"): 1, is("asn", "AS64500"): 1,
		is("country", "DE"): 1, is("account", "ann"): 1, is("route", "/items/{id}"): 6, is("consumer", "ACME"): 0, is("key", "acme"): 0,
	} {
		var seen []detect.Sighting
		e := detecttest.Engine(t, detecttest.Setup{Late: 30, Saw: func(s detect.Sighting) { seen = append(seen, s) }}, evs)
		e.Watch([]detect.Watch{{Subject: s, Deny: 403}})
		feed(e, 0, len(evs))
		e.Close()
		if len(seen) != want {
			t.Errorf("%v was seen %d times, want %d", s, len(seen), want)
		}
		for _, x := range seen {
			if x.Subject != s || x.Client != netip.MustParseAddr("192.0.2.9") {
				t.Errorf("%v: seen as %+v", s, x)
			}
		}
	}
}
