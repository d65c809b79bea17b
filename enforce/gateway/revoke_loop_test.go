package gateway

import (
	"net/netip"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// TestRevokeLoop goes from a finding on a key to its end: proposed, approved by a person, the
// key refused with 401, verified by that, released, and good again.
func TestRevokeLoop(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (enforce.Gateway, func(testing.TB, enforcetest.Ask) int, func(testing.TB) string){
		"kong": func(t *testing.T) (enforce.Gateway, func(testing.TB, enforcetest.Ask) int, func(testing.TB) string) {
			k, g := newKong(t)
			return g, k.ask, k.credentials
		},
		"apisix": func(t *testing.T) (enforce.Gateway, func(testing.TB, enforcetest.Ask) int, func(testing.TB) string) {
			s, g := newAPISIX(t)
			return g, s.ask, s.stored
		},
	} {
		t.Run(name, func(t *testing.T) {
			gw, ask, credentials := open(t)
			before := credentials(t)
			key := detect.Subject{Kind: "key", Value: "k_0011223344556677"} // as findings know it
			l := newLoop(t, WithKeys(gw, Keys{"0011223344556677": "alice"}), func(c *enforce.Config) { c.Policy.Revoke = 1 })
			now := time.Now().UnixNano()
			l.e.Offer(detect.Finding{ID: "f1", Rule: "key-shared", Family: detect.Credential, Severity: detect.High, Confidence: 0.9, Subject: key, FiredAt: now, LastSeen: now, Why: "seen from two networks"})
			l.until("it is proposed", func() bool { return l.state() == enforce.Proposed })
			client := netip.MustParseAddr("203.0.113.200")
			status := func() int {
				return ask(t, enforcetest.Ask{Client: client, As: detect.Subject{Kind: "key", Value: "alice"}, Path: "/"})
			}
			if got := status(); got != 200 {
				t.Fatalf("before anybody approved it: %d", got)
			}
			l.post("approve")
			l.until("the key is refused", func() bool { return status() == 401 })
			l.until("it is pushed", func() bool { return l.state() == enforce.Pushed })
			l.until("it is verified", func() bool {
				l.e.Saw(detect.Sighting{Subject: key, Client: client, Time: time.Now().UnixNano(), Status: uint16(status()), Route: "/", Source: "log"})
				return l.state() == enforce.Verified
			})
			l.post("release")
			l.until("the key is good again", func() bool { return status() == 200 })
			if after := credentials(t); after != before {
				t.Errorf("before and after:\n%s\n%s", before, after)
			}
		})
	}
}

// post has a person ask for something about the one decision.
func (l *loop) post(verb string) {
	l.t.Helper()
	ds, err := l.ledger.Decisions(l.t.Context(), enforce.DecisionQuery{})
	if err != nil || len(ds) != 1 {
		l.t.Fatalf("decisions %+v, %v", ds, err)
	}
	if _, err := l.ledger.Post(l.t.Context(), enforce.Command{Who: "ana", Verb: verb, Arg: ds[0].ID, Why: "a reason"}); err != nil {
		l.t.Fatal(err)
	}
}
