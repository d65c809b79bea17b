package detecttest

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/ingest"
)

// described makes an event one that an API's documents have something to say of, or one of
// plain HTTP.
func described(ev *ingest.Event, kind string, client, i int) {
	ev.Target, ev.Route, ev.RouteID = "/v1/things", "/v1/things", 30
	if client%2 == 0 {
		ev.Consumer = "partner"
	}
	switch kind {
	case "unlisted":
		ev.Target, ev.Route, ev.RouteID, ev.API.Facts = "/v0/things", "/v0/things", 31, ingest.APIUnlisted
	case "deprecated":
		ev.API.Facts = ingest.APIDescribed | ingest.APIDeprecated
		ev.Method = []string{"GET", "DELETE"}[i%2]
	case "departs":
		ev.API.Facts = []ingest.APIFacts{ingest.APIDescribed, ingest.APIMethod}[i%5/4]
		ev.API.Depart(ingest.DepartureName, fmt.Sprintf("p%d", i%29))
		ev.API.Depart(ingest.DepartureValue, fmt.Sprintf("v%d", i%3))
		ev.Status = []uint16{200, 400, 400}[(client+i)%3]
		if i%2 == 0 {
			ev.Client = netip.AddrFrom4([4]byte{198, 51, 100, byte(client)})
		}
	case "clear":
		ev.Scheme, ev.Key = "http", []string{"", "", "k1"}[i%3]
	}
}
