package detecttest

import (
	"fmt"
	"net/netip"

	"github.com/portcullis/portcullis/ingest"
)

// credentials are requests of a fleet that tries logins, grants and resets, of many
// accounts and with a few keys, and sometimes gets in.
func credentials(ev *ingest.Event, client, i int) {
	ev.Method, ev.Status = "POST", 401
	ev.Client = netip.AddrFrom4([4]byte{198, 18, byte(client), byte(i % 13)})
	if client%2 == 1 {
		ev.Client = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", client, i%9))
	}
	ev.User, ev.ASN = fmt.Sprintf("user%d", i%17), uint32(64500+client)
	ev.Country = [2]byte{'A' + byte(client), 'A' + byte(i%2)}
	switch i % 4 {
	case 0, 1:
		ev.Target, ev.Route, ev.RouteID, ev.Kind = "/login", "/login", 2, ingest.RouteLogin
	case 2:
		ev.Target, ev.Route, ev.RouteID, ev.Kind, ev.Status = "/oauth/token", "/oauth/token", 3, ingest.RouteToken, 400
	case 3:
		ev.Target, ev.Route, ev.RouteID, ev.Kind, ev.Status = "/password/reset", "/password/reset", 4, ingest.RouteReset, 404
		ev.BytesOut = int64(i % 3)
	}
	switch {
	case i%7 == 6:
		ev.Status = 200
	case i%5 == 4:
		ev.Method, ev.Target, ev.Route, ev.RouteID, ev.Kind, ev.Status = "GET", fmt.Sprintf("/items/%d", i), "/items/{id}", 1, ingest.RouteOrdinary, 200
		ev.Key, ev.Session = fmt.Sprintf("k_%d", i%2), fmt.Sprintf("s_%d", i%3)
	}
}
