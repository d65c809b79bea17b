package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("caddy", Spec{
		Doc:     "Caddy 2.7 or later through its admin API: 403 for a block",
		How:     "admin API: a first route in each server",
		Tested:  "2.11.7",
		Holds:   "addresses and prefixes, subjects by a placeholder of Caddy; one route",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(CaddyConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewCaddy(*config.(*CaddyConfig)) },
		Setup: func(ctx context.Context, w io.Writer, config any, _ bool) error {
			return SetupCaddy(ctx, w, *config.(*CaddyConfig))
		},
	})
}

// CaddyConfig is the "caddy" section of a gateway.
type CaddyConfig struct {
	Admin    string            `yaml:"admin" default:"http://127.0.0.1:2019" doc:"Caddy's admin endpoint."`
	Servers  []string          `yaml:"servers" doc:"Names of the servers to be guarded, as Caddy's JSON has them (srv0); empty = all."`
	Subjects map[string]string `yaml:"subjects" doc:"Placeholders that yield subjects which are no addresses, as kind: placeholder, such as {consumer: 'http.request.header.X-Consumer'}."`
	Timeout  time.Duration     `yaml:"timeout" default:"15s" doc:"How long Caddy may take for a change; it reloads its whole configuration."`
}

var caddyPlaceholder = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,120}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c CaddyConfig) Check(report func(key, message string)) {
	checkURL("admin", c.Admin, report)
	checkSubjects(c.Subjects, caddyPlaceholder, report)
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// Caddy is the gateway Caddy. It fails open: without Portcullis, the last list stays in
// force; a Caddy that restarts from a Caddyfile begins without it, until the next push or
// the reconciling.
//
// A push is one change of all servers, on the condition that nobody else changed them
// meanwhile. Caddy checks the whole, and keeps its old configuration if it refuses. Every
// change closes idle connections.
type Caddy struct {
	ability
	cfg CaddyConfig
	api *rest
	mu  sync.Mutex // one Apply at a time
}

// NewCaddy makes the gateway; it touches nothing until Apply.
func NewCaddy(cfg CaddyConfig) (*Caddy, error) {
	if err := settled("caddy", cfg.Check); err != nil {
		return nil, err
	}
	return &Caddy{cfg: cfg, api: newREST(cfg.Admin, cfg.Timeout),
		// Braces would be placeholders of Caddy.
		ability: ability{name: "caddy", actions: []enforce.Action{enforce.Block}, kinds: withRoute(cfg.Subjects), routes: true, longest: 8192, refuse: "{}\x00\r\n"}}, nil
}

// Name implements enforce.Gateway.
func (g *Caddy) Name() string { return g.name }

const caddyServers = "/config/apps/http/servers"

// caddyTries is how often a change is made anew when somebody else changed the
// configuration in between.
const caddyTries = 4

// Apply implements enforce.Gateway.
func (g *Caddy) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	done := enforce.Applied{Entries: len(list)}
	matches := caddyMatches(list, g.cfg.Subjects)
	for try := 1; ; try++ {
		done.Changed, err = g.change(ctx, matches)
		if refusedWith(err, 412) && try < caddyTries {
			continue
		}
		if err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway caddy: %w", err)
		}
		break
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// change makes the matches the first route of every guarded server, if they are not.
func (g *Caddy) change(ctx context.Context, matches []caddyMatch) (changed int, err error) {
	var servers map[string]map[string]json.RawMessage
	header, err := g.api.call(ctx, "GET", caddyServers, nil, &servers)
	if err != nil {
		return 0, err
	}
	guarded, err := g.guarded(servers)
	if err != nil {
		return 0, err
	}
	differs := false
	for _, name := range guarded {
		n, other, err := guardServer(name, servers[name], matches)
		if err != nil {
			return 0, fmt.Errorf("server %.64q: %w", name, err)
		}
		changed, differs = max(changed, n), differs || other
	}
	if !differs {
		return 0, nil
	}
	_, err = g.api.call(ctx, "PATCH", caddyServers, servers, nil, "If-Match", header.Get("Etag"))
	return max(changed, 1), err
}

// guarded names the servers to be guarded.
func (g *Caddy) guarded(servers map[string]map[string]json.RawMessage) ([]string, error) {
	if len(servers) == 0 {
		return nil, fmt.Errorf("Caddy has no HTTP server")
	}
	if len(g.cfg.Servers) == 0 {
		return slices.Sorted(maps.Keys(servers)), nil
	}
	for _, name := range g.cfg.Servers {
		if servers[name] == nil {
			return nil, fmt.Errorf("Caddy has no server %.64q: there are %.300q", name, slices.Sorted(maps.Keys(servers)))
		}
	}
	return g.cfg.Servers, nil
}

// caddyRoute is our route in Caddy's JSON.
type caddyRoute struct {
	ID       string       `json:"@id"`
	Match    []caddyMatch `json:"match,omitempty"`
	Handle   []caddyDeny  `json:"handle,omitempty"`
	Terminal bool         `json:"terminal,omitempty"`
}

type caddyDeny struct {
	Handler string `json:"handler"`
	Status  int    `json:"status_code"`
}

// caddyMatch is one set of conditions that all have to hold; any of the sets suffices.
type caddyMatch struct {
	ClientIP *caddyRanges        `json:"client_ip,omitempty"`
	Vars     map[string][]string `json:"vars,omitempty"`
	Path     *caddyPattern       `json:"path_regexp,omitempty"`
}

type caddyRanges struct {
	Ranges []string `json:"ranges"`
}

type caddyPattern struct {
	Pattern string `json:"pattern"`
}

// guardServer puts the route in the first place of a server's routes, or takes it out when
// it would match nothing. It returns how many entries differ, and whether anything does.
func guardServer(name string, server map[string]json.RawMessage, matches []caddyMatch) (changed int, differs bool, err error) {
	var routes []json.RawMessage
	if raw := server["routes"]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &routes); err != nil {
			return 0, false, err
		}
	}
	route := caddyRoute{ID: "portcullis-" + name, Match: matches, Handle: []caddyDeny{{"static_response", 403}}, Terminal: true}
	var before []caddyMatch
	place := -1
	others := make([]json.RawMessage, 0, len(routes)+1)
	for i, raw := range routes {
		var have caddyRoute
		var head struct {
			ID string `json:"@id"`
		}
		if json.Unmarshal(raw, &head) != nil || head.ID != route.ID {
			others = append(others, raw)
			continue
		}
		if err := json.Unmarshal(raw, &have); err == nil && slices.Equal(have.Handle, route.Handle) && have.Terminal {
			before, place = have.Match, i
		} else {
			differs = true // somebody changed what it does
		}
	}
	was, is := caddyHeld(before), caddyHeld(matches)
	changed = is.changed(was)
	differs = differs || changed > 0 || place > 0 || len(routes)-len(others) > 1
	if !differs {
		return 0, false, nil
	}
	if len(matches) > 0 {
		raw, err := json.Marshal(route)
		if err != nil {
			return 0, false, err
		}
		others = slices.Insert(others, 0, raw)
	}
	raw, err := json.Marshal(others)
	server["routes"] = raw
	return changed, true, err
}

// caddyHeld lists what matches hit.
func caddyHeld(matches []caddyMatch) held {
	h := held{}
	for _, m := range matches {
		on := ""
		if m.Path != nil {
			on = m.Path.Pattern
		}
		if m.ClientIP == nil && len(m.Vars) == 0 {
			h[label(on)] = "block"
		}
		if m.ClientIP != nil {
			for _, r := range m.ClientIP.Ranges {
				h[label(on, "ip", r)] = "block"
			}
		}
		for place, values := range m.Vars {
			for _, v := range values {
				h[label(on, place, v)] = "block"
			}
		}
	}
	return h
}

// caddyMatches renders the conditions: those that hold everywhere first.
func caddyMatches(list []enforce.Entry, subjects map[string]string) []caddyMatch {
	ranges, names := map[string][]string{}, map[string]map[string][]string{}
	var routes []string
	add := func(route string) {
		if !slices.Contains(routes, route) {
			routes = append(routes, route)
		}
	}
	closed := map[string]bool{}
	for i := range list {
		e := &list[i]
		switch {
		case e.Subject.Kind == "route":
			closed[e.Subject.Value] = true
			add(e.Subject.Value)
			continue
		case e.Prefix.IsValid():
			ranges[e.Route] = append(ranges[e.Route], e.Prefix.String())
		default:
			if names[e.Route] == nil {
				names[e.Route] = map[string][]string{}
			}
			kind := e.Subject.Kind
			names[e.Route][kind] = append(names[e.Route][kind], e.Subject.Value)
		}
		add(e.Route)
	}
	slices.SortFunc(routes, strings.Compare)
	var out []caddyMatch
	for _, route := range routes {
		var on *caddyPattern
		if route != "" {
			pattern, _ := routePattern(route) // normal has asked for it
			on = &caddyPattern{pattern}
		}
		if closed[route] {
			out = append(out, caddyMatch{Path: on})
		}
		if r := ranges[route]; len(r) > 0 {
			out = append(out, caddyMatch{Path: on, ClientIP: &caddyRanges{r}})
		}
		for _, kind := range slices.Sorted(maps.Keys(names[route])) {
			out = append(out, caddyMatch{Path: on, Vars: map[string][]string{"{" + subjects[kind] + "}": names[route][kind]}})
		}
	}
	return out
}

// Check implements enforce.Gateway: the admin endpoint answers, and has the servers.
func (g *Caddy) Check(ctx context.Context) error {
	var servers map[string]map[string]json.RawMessage
	if _, err := g.api.call(ctx, "GET", caddyServers, nil, &servers); err != nil {
		return fmt.Errorf("gateway caddy: ask the admin endpoint: %w", err)
	}
	if _, err := g.guarded(servers); err != nil {
		return fmt.Errorf("gateway caddy: %w", err)
	}
	return nil
}

// SetupCaddy tells on w that nothing is to be changed, and what Caddy says.
func SetupCaddy(ctx context.Context, w io.Writer, cfg CaddyConfig) error {
	g, err := NewCaddy(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `Caddy's configuration needs no change: Portcullis puts a route of its own before the others,
through the admin endpoint %s. Where a load balancer stands in front, Caddy must
know it, in the global options:

	servers {
		trusted_proxies static 10.0.0.0/8
	}

`, g.cfg.Admin)
	if err := g.Check(ctx); err != nil {
		_, err = fmt.Fprintf(w, "As it stands: %v\n", err)
		return err
	}
	_, err = fmt.Fprintln(w, "As it stands: the admin endpoint answers.")
	return err
}
