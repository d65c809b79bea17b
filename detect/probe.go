package detect

import (
	"hash/maphash"
	"strings"

	"github.com/portcullis/portcullis/detect/probe"
	"github.com/portcullis/portcullis/ingest"
)

// Probe is what is known from scanners of one event's path and agent.
type Probe struct {
	Path      *probe.Entry // the path is one that scanners ask for; nil otherwise
	Agent     *probe.Entry // the agent names a scanner; nil otherwise
	AgentHash uint64       // of the agent, the same in every process; 0 where it is empty
	Who       uint64       // place of the user, or else of the agent, in the bitmap of people
}

// prober remembers its answers for routes and agents: both repeat.
type prober struct {
	seed   maphash.Seed
	routes []routeProbe
	admin  []uint8 // by route number: 0 not asked yet, 1 no, 2 yes
	shapes []shape // by route number
	agents [2048]agentProbe
}

type routeProbe struct {
	known bool
	open  bool // the template has a place that may hold anything
	entry *probe.Entry
}

type agentProbe struct {
	agent string
	hash  uint64
	entry *probe.Entry
}

func newProber() *prober { return &prober{seed: maphash.MakeSeed()} }

const maxRouteProbes = 1 << 16

func (p *prober) look(ev *ingest.Event) Probe {
	var out Probe
	out.Path = p.path(ev)
	h := maphash.String(p.seed, ev.Agent)
	a := &p.agents[h%uint64(len(p.agents))]
	if a.agent != ev.Agent || a.hash == 0 {
		*a = agentProbe{agent: strings.Clone(ev.Agent), hash: stableHash(ev.Agent) | 1<<63, entry: probe.Agent(ev.Agent)}
	}
	out.Agent, out.Who = a.entry, agentBit(a.hash)
	if ev.Agent != "" {
		out.AgentHash = a.hash
	}
	if ev.User != "" {
		out.Who = userBit(stableHash(ev.User))
	}
	return out
}

// path asks by route where the template holds the whole path, else by path.
func (p *prober) path(ev *ingest.Event) *probe.Entry {
	if ev.RouteID == 0 || ev.RouteID >= maxRouteProbes {
		return probe.Path(ev.Target)
	}
	for int(ev.RouteID) >= len(p.routes) {
		p.routes = append(p.routes, routeProbe{})
	}
	r := &p.routes[ev.RouteID]
	if !r.known {
		*r = routeProbe{known: true, open: strings.IndexByte(ev.Route, '{') >= 0, entry: probe.Path(ev.Route)}
	}
	if r.entry == nil && r.open && hasDot(ev.Target) {
		return probe.Path(ev.Target)
	}
	return r.entry
}

// administrative asks by route where it has a number: that is asked of every event.
func (p *prober) administrative(ev *ingest.Event) bool {
	if ev.RouteID == 0 || ev.RouteID >= maxRouteProbes {
		return probe.Function(ev.Target) != nil
	}
	for int(ev.RouteID) >= len(p.admin) {
		p.admin = append(p.admin, make([]uint8, 64)...)
	}
	a := &p.admin[ev.RouteID]
	if *a == 0 {
		*a = 1
		if probe.Function(ev.Route) != nil {
			*a = 2
		}
	}
	return *a == 2
}

// hasDot reports a dot in the path: what is known of scanners that a template
// could hide as an id is a file.
func hasDot(target string) bool {
	if i := strings.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	return strings.IndexByte(target, '.') >= 0
}

// stableHash is the same in every process, since it decides bits that are saved.
func stableHash(s string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
