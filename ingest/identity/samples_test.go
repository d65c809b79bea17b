package identity_test

import (
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// vouched says what each chain in the samples means if the gateway's own machine is
// trusted and nothing else: nginx saw 127.0.0.1 or ::1, and the hop behind it wrote the
// last element.
func vouched(peer, chain string) string {
	switch {
	case strings.HasPrefix(chain, "2001:db8::"): // "2001:db8::N, 10.0.0.1"
		return "10.0.0.1"
	case chain == "203.0.113.9:1234":
		return "203.0.113.9"
	case chain == "", chain == `1.2.3.4, "evil", <x>`, chain == ";drop table":
		return peer
	}
	return chain // the curl runs forwarded one documentation address each
}

// TestSampleClients reads a real gateway's log through format and identity: no client
// but those that the trusted hop vouched for.
func TestSampleClients(t *testing.T) {
	data, err := os.ReadFile("../../fixtures/samples/nginx-json.log")
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Open("nginx-json")
	if err != nil {
		t.Fatal(err)
	}
	local, err := identity.New(identity.Config{TrustedProxies: []string{"127.0.0.0/8", "::1/128"}, Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	none, err := identity.New(identity.Config{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	p := f.New()
	clients, keys := map[string]int{}, 0
	for line := range strings.Lines(string(data)) {
		var ev ingest.Event
		if r := p.Parse([]byte(strings.TrimSuffix(line, "\n")), &ev); r != ingest.OK {
			t.Fatalf("%s: %s", r, line)
		}
		if strings.HasPrefix(ev.Key, "key-") {
			keys++
		}
		local.Resolve(&ev)
		if want := vouched(ev.Peer.String(), ev.Chain); ev.Client.String() != want {
			t.Errorf("chain %q from %s: client %s, want %s", ev.Chain, ev.Peer, ev.Client, want)
		}
		if ev.Key != "" && !strings.HasPrefix(ev.Key, "k_") {
			t.Errorf("the API key %q is not replaced", ev.Key)
		}
		clients[ev.Client.String()]++
		if none.Resolve(&ev); ev.Client != ev.Peer {
			t.Errorf("nobody is trusted, and the client is %s instead of %s", ev.Client, ev.Peer)
		}
	}
	for addr, want := range map[string]int{"203.0.113.1": 2, "203.0.113.9": 3, "198.51.100.7": 25, "198.51.100.9": 15, "192.0.2.66": 31, "127.0.0.1": 75, "10.0.0.1": 10} {
		if clients[addr] != want {
			t.Errorf("%d requests of %s, want %d", clients[addr], addr, want)
		}
	}
	if len(clients) != 25 || keys == 0 {
		t.Errorf("%d clients, want 25 (and %d keys): %v", len(clients), keys, clients)
	}
}
