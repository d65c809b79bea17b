package detect

import (
	"net/netip"
	"strconv"

	"github.com/portcullis/portcullis/ingest"
)

// By says what a detector's slots stand for.
type By uint8

// The subjects that state is kept by: of a client at level one, which is sharded; of all
// others at level two, merged over all clients.
const (
	ByClient   By = iota // an IPv4 address or an IPv6 /64
	ByAccount            // the user named in a request that takes credentials, or was refused
	ByNetwork            // the /24 of an IPv4 client, the /48 of an IPv6 client
	ByRoute              // the route template
	ByIdentity           // who is calling: a consumer, an API key or token, a session, a user who got in
	ByASN                // the autonomous system of the client
	ByGlobal             // all traffic
	manyBy               // how many keep state

	// ByFindings is of what is made of findings: the engine does not run it.
	ByFindings = manyBy
)

// byNames name them in messages.
var byNames = [manyBy]string{"client", "account", "network", "route", "identity", "autonomous system", "all traffic"}

// String names what slots stand for.
func (by By) String() string {
	if by < manyBy {
		return byNames[by]
	}
	return "group of findings"
}

// party is one subject of level two. Its key tells it apart; its name is made only
// where it is new.
type party struct {
	by    By
	kind  string
	value string       // empty: what net, asn or by says
	net   netip.Prefix // of a network
	asn   uint32
	k     key
}

func (p *party) subject() Subject {
	switch {
	case p.value != "":
		return Subject{p.kind, p.value}
	case p.net.IsValid():
		return Subject{p.kind, p.net.String()}
	case p.asn != 0:
		return Subject{p.kind, "AS" + strconv.FormatUint(uint64(p.asn), 10)}
	}
	return Subject{p.kind, "all"}
}

func named(by By, kind, value string) party {
	if len(value) > maxName {
		value = value[:maxName]
	}
	return party{by: by, kind: kind, value: value, k: key{hi: stableHash(kind) ^ stableHash(value), lo: uint64(by)}}
}

// maxName caps the name of an account, a consumer or a route, which a client may write.
const maxName = 128

// part decides which part of level two a subject is of. Routes, systems and all traffic
// are together in the first, since each is judged by its share of the others: they are few.
func (p *party) part(seed uint64) uint64 {
	switch p.by {
	case ByRoute, ByASN, ByGlobal:
		return 0
	}
	return p.k.hash(seed)
}

// parties calls use for each of the event's subjects of that kind. in says whether its
// credentials were not refused: else they are somebody's guess.
func (by By) parties(ev *ingest.Event, in bool, use func(*party)) {
	one := func(p party) { use(&p) }
	switch by {
	case ByAccount:
		if ev.User != "" {
			one(named(by, "account", ev.User))
		}
	case ByNetwork:
		if p, ok := network(ev.Client); ok {
			one(netParty(p))
		}
	case ByRoute:
		one(named(by, "route", routeName(ev)))
	case ByIdentity:
		identities(ev, in, one)
	case ByASN:
		if ev.ASN != 0 {
			one(party{by: by, kind: "asn", asn: ev.ASN, k: key{hi: uint64(ev.ASN), lo: uint64(by)}})
		}
	case ByGlobal:
		one(party{by: by, kind: "global", k: key{lo: uint64(by)}})
	}
}

// identities are those who call. A consumer that a token merely claims counts where the
// request got in.
func identities(ev *ingest.Event, in bool, one func(party)) {
	if ev.Consumer != "" && (in && ev.Status < 400 || ev.Flags&ingest.FlagClaimed == 0) {
		one(named(ByIdentity, "consumer", ev.Consumer))
	}
	if !in {
		return
	}
	for _, s := range [...]struct{ kind, value string }{{"key", ev.Key}, {"key", ev.Token}, {"session", ev.Session}, {"account", ev.User}} {
		if s.value != "" {
			one(named(ByIdentity, s.kind, s.value))
		}
	}
}

// network is the neighbourhood of a client: the smallest that is announced to the world.
func network(a netip.Addr) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	return p, err == nil && a.IsValid()
}

func netParty(p netip.Prefix) party {
	k := keyOf(p.Addr())
	return party{by: ByNetwork, kind: "cidr", net: p, k: key{hi: k.hi ^ k.lo, lo: uint64(ByNetwork)}}
}

// routeName is the route, or what stands for those without a number.
func routeName(ev *ingest.Event) string {
	if ev.RouteID == 0 || ev.Route == "" {
		return otherRoutes
	}
	return ev.Route
}

// otherRoutes stands for the routes without a number: those that never
// succeeded, and those beyond the bound.
const otherRoutes = "{other}"

// missing says what a log lacks where an event has no subject of that kind.
func (by By) missing(ev *ingest.Event) string {
	found := by == ByClient
	by.parties(ev, true, func(*party) { found = true })
	if found {
		return ""
	}
	switch by {
	case ByAccount:
		return "the line names no account"
	case ByIdentity:
		return "the line names no consumer, key, session or user"
	case ByASN:
		return "the autonomous system of the client is not known: set enrich.asn to a database"
	}
	return "the line has no " + by.String()
}
