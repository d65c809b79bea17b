package detecttest

import (
	"fmt"
	"net/netip"
	"sort"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// Stream draws a log with ordinary requests and bursts of every kind of offence,
// over about two hours, without a gap of an hour.
func Stream(t *rapid.T) Log {
	var log Log
	sec := rapid.Int64Range(1_700_000_000, 1_700_100_000).Draw(t, "start")
	for n := rapid.IntRange(1, 12).Draw(t, "scenes"); n > 0; n-- {
		sec += rapid.SampledFrom([]int64{0, 1, 7, 29, 31, 59, 61, 600, 1799, 3500}).Draw(t, "pause")
		client := rapid.IntRange(0, 5).Draw(t, "client")
		kind := rapid.SampledFrom([]string{"guess", "guess", "credentials", "flood", "scan", "inject", "walk", "forbidden", "odd", "fail", "costly", "unlisted", "deprecated", "departs", "clear", "plain", "plain"}).Draw(t, "kind")
		size := rapid.IntRange(1, 60).Draw(t, "size")
		if kind == "flood" {
			size *= 12
		}
		step := rapid.SampledFrom([]int64{0, 1e7, 3e8, 1e9, 4e9}).Draw(t, "step")
		at := sec * 1e9
		for i := range size {
			log = append(log, scene(kind, client, i, at))
			at += step
			if kind == "flood" && i%20 != 0 {
				at -= step
			}
		}
	}
	sort.SliceStable(log, func(i, j int) bool { return log[i].Time < log[j].Time })
	for i := range log {
		log[i].Pos = ingest.Position{Source: "test", File: 1, Offset: int64(i) * 200}
		log[i].Line = fmt.Sprintf("line %d %s %s %d", i, log[i].Method, log[i].Target, log[i].Status)
	}
	return log
}

func scene(kind string, client, i int, at int64) ingest.Event {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(client)})
	if client == 5 {
		addr = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i%7+1))
	}
	ev := ingest.Event{Time: at, Client: addr, Method: "GET", Target: "/items/1", Route: "/items/{id}", RouteID: 1, Status: 200, Agent: fmt.Sprintf("agent/%d", i%3)}
	switch kind {
	case "guess":
		ev.Method, ev.Target, ev.Route, ev.RouteID, ev.Kind, ev.Status = "POST", "/login", "/login", 2, ingest.RouteLogin, 401
		ev.User = []string{"", "ann", "bob"}[i%3]
		if i%11 == 10 {
			ev.Status = 200
		}
	case "credentials":
		credentials(&ev, client, i)
	case "unlisted", "deprecated", "departs", "clear":
		described(&ev, kind, client, i)
	case "scan":
		ev.Target, ev.RouteID, ev.Status = fmt.Sprintf("/probe/%d.bak?x=%d", i%40, i), 0, 404
		if i%9 == 3 {
			ev.Target = "/.env"
		}
	case "walk":
		ev.Target, ev.Consumer = fmt.Sprintf("/items/%d", 1000+i), "partner"
		if i%4 == 1 {
			ev.Status = 403
		}
	case "forbidden":
		ev.Target, ev.Route, ev.RouteID, ev.Status = fmt.Sprintf("/admin/part%d", i%9), fmt.Sprintf("/admin/part%d", i%9), uint32(10+i%9), 403
		if i%13 == 12 {
			ev.Status = 200
		}
	case "odd":
		ev.Method, ev.Status, ev.Kind, ev.Crawler, ev.TLS = []string{"TRACE", "PUT", "GET", "DELETE"}[i%4], 405, ingest.RouteDocs, ingest.CrawlerFake, "TLSv1"
		ev.Target = fmt.Sprintf("/docs/%d", i%7)
	case "fail":
		ev.Status = 503
	case "costly":
		ev.BytesOut, ev.Duration = 200<<20, 30e9
	case "inject":
		ev.Target = "/items?q=1%27%20UNION%20SELECT%20password%20FROM%20users--"
		if i%2 == 0 {
			ev.Target = "/items?q=%3Cb%3E&z=${7*7}"
		}
		if i%3 == 0 { // an answer that stands out among those of the route
			ev.BytesOut, ev.Duration = 40_000, int64(i%2)*3e9
		}
	}
	return ev
}

// Shuffle delays every event by at most late seconds: none comes behind the
// late bound.
func Shuffle(t *rapid.T, log Log, late int64) Log {
	type keyed struct {
		at int64
		ev ingest.Event
	}
	list := make([]keyed, len(log))
	seed := rapid.Uint64().Draw(t, "shuffle")
	for i := range log {
		seed = seed*6364136223846793005 + 1442695040888963407
		list[i] = keyed{log[i].Time + int64(seed>>1)%(late*1e9+1), log[i]}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].at < list[j].at })
	out := make(Log, len(log))
	for i := range list {
		out[i] = list[i].ev
	}
	return out
}
