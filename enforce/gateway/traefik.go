package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("traefik", Spec{
		Doc:     "Traefik 3 through a file that it watches: 403 for a block",
		How:     "file provider: routers before all others",
		Tested:  "3.7.15",
		Holds:   "addresses and prefixes of the peer, subjects by a request header; one route",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(TraefikConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewTraefik(*config.(*TraefikConfig)) },
		Setup: func(_ context.Context, w io.Writer, config any, install bool) error {
			return SetupTraefik(w, *config.(*TraefikConfig), install)
		},
	})
}

// TraefikConfig is the "traefik" section of a gateway.
type TraefikConfig struct {
	Dir         string            `yaml:"dir" default:"/etc/traefik/dynamic" doc:"Folder that Traefik's file provider watches (providers.file.directory)."`
	EntryPoints []string          `yaml:"entry_points" doc:"Entry points to be guarded; empty = Traefik's default ones."`
	TLS         bool              `yaml:"tls" default:"false" doc:"Guard what comes over TLS too: Traefik has routers of their own for that."`
	API         string            `yaml:"api" doc:"Traefik's API, such as http://127.0.0.1:8080, which says when the list is in force; empty = it is not asked, and settle is waited for."`
	Subjects    map[string]string `yaml:"subjects" doc:"Request headers that tell subjects which are no addresses, as kind: header, such as {consumer: X-Consumer}."`
	Settle      time.Duration     `yaml:"settle" default:"3s" doc:"Without api: how long after writing the list Traefik is taken to have read it; it gathers changes for providersThrottleDuration, 2 s by default."`
	Timeout     time.Duration     `yaml:"timeout" default:"15s" doc:"How long Traefik may take for a list."`
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c TraefikConfig) Check(report func(key, message string)) {
	if !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~-")
	}
	if c.API != "" {
		checkURL("api", c.API, report)
	}
	for i, p := range c.EntryPoints {
		if !plainWord.MatchString(p) {
			report(fmt.Sprintf("entry_points[%d]", i), fmt.Sprintf("%.64q is no name of an entry point", p))
		}
	}
	checkSubjects(c.Subjects, headerName, report)
	if c.Timeout <= 0 || c.Settle < 0 {
		report("timeout", "timeout must be more than 0, and settle not negative")
	}
}

// The files in TraefikConfig.Dir.
const (
	traefikFile     = "portcullis.yml"
	traefikHeldFile = ".portcullis-held"
)

// traefikNobody is the service that the routers name, since each needs one: without a server,
// and never reached. A service of Traefik's own (noop@internal) would keep what is refused out
// of the access log, unless accessLog.addInternals is set, and no decision were ever seen to hold.
const traefikNobody = "portcullis-nobody"

// traefikRule bounds the conditions of one router; the others go into further ones.
const traefikRule = 500

// Traefik is the gateway Traefik. It fails open: without the file it lets everybody pass; a
// Traefik that restarts reads the file.
//
// Traefik has no list of whom to refuse. So routers that match them stand before all others,
// with a middleware that lets nobody in. The client is the peer of the connection, or whom
// the PROXY protocol names: Traefik's matcher does not look at X-Forwarded-For.
type Traefik struct {
	ability
	cfg TraefikConfig
	api *rest
	mu  sync.Mutex // one Apply at a time
}

// NewTraefik makes the gateway; it touches nothing until Apply.
func NewTraefik(cfg TraefikConfig) (*Traefik, error) {
	if err := settled("traefik", cfg.Check); err != nil {
		return nil, err
	}
	return &Traefik{cfg: cfg, api: newREST(cfg.API, cfg.Timeout),
		ability: ability{name: "traefik", actions: []enforce.Action{enforce.Block}, kinds: withRoute(cfg.Subjects), routes: true, longest: 8192, refuse: "\x00\r\n"}}, nil
}

// Name implements enforce.Gateway.
func (g *Traefik) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *Traefik) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	text, version, err := g.file(list)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway traefik: %w", err)
	}
	done := enforce.Applied{Entries: len(list)}
	settle := time.Duration(0)
	if path := g.path(traefikFile); !same(path, text) {
		if err := g.reachable(ctx); err != nil {
			return enforce.Applied{}, err
		}
		now := heldOf(list)
		done.Changed, settle = max(1, now.changed(readHeld(g.path(traefikHeldFile)))), g.cfg.Settle
		var change fileChange
		if err := change.replace(path, []byte(text)); err != nil {
			change.rollback()
			return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
		}
		if err := g.taken(ctx, version, settle); err != nil {
			change.rollback()
			return enforce.Applied{}, err
		}
		change.keep()
		if err := now.write(g.path(traefikHeldFile)); err != nil {
			return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
		}
	} else if err := g.taken(ctx, version, 0); err != nil {
		return enforce.Applied{}, err
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// reachable asks before anything is changed.
func (g *Traefik) reachable(ctx context.Context) error {
	if g.cfg.API == "" {
		return nil
	}
	if _, err := g.api.call(ctx, "GET", "/api/version", nil, nil); err != nil {
		return fmt.Errorf("gateway traefik: ask its API: %w", err)
	}
	return nil
}

// taken waits until Traefik has a version. The whole file is put in force at once, so it
// suffices to see one piece of it.
func (g *Traefik) taken(ctx context.Context, version string, settle time.Duration) error {
	if g.cfg.API == "" {
		return pause(ctx, settle)
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	var state struct {
		Status string   `json:"status"`
		Err    []string `json:"error"`
	}
	err := until(ctx, 10*time.Millisecond, func() (bool, error) {
		_, err := g.api.call(ctx, "GET", "/api/http/middlewares/"+traefikName(version)+"@file", nil, &state)
		switch {
		case refusedWith(err, 404):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("gateway traefik: ask its API: %w", err)
		case state.Status != "enabled":
			return false, fmt.Errorf("gateway traefik: it refuses the list: %.300q", state.Err)
		}
		return true, nil
	})
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("gateway traefik: it has not taken the list: does its file provider watch %s, and what does its log say? %w", g.cfg.Dir, ctx.Err())
}

func traefikName(version string) string { return "portcullis-" + version }

// traefikRouter is a router of the dynamic configuration.
type traefikRouter struct {
	Rule        string    `json:"rule"`
	Priority    int       `json:"priority"`
	Middlewares []string  `json:"middlewares"`
	Service     string    `json:"service"`
	EntryPoints []string  `json:"entryPoints,omitempty"`
	TLS         *struct{} `json:"tls,omitempty"`
}

// file renders the whole file, and its version. It is JSON, which is YAML too.
func (g *Traefik) file(list []enforce.Entry) (text, version string, err error) {
	rules := g.rules(list)
	version = label(append([]string{fmt.Sprint(g.cfg.TLS, g.cfg.EntryPoints)}, rules...)...)
	routers := map[string]traefikRouter{}
	for i, rule := range rules {
		r := traefikRouter{Rule: rule, Priority: 2_000_000_000, Middlewares: []string{traefikName(version)}, Service: traefikNobody, EntryPoints: g.cfg.EntryPoints}
		routers[fmt.Sprintf("portcullis-%04d", i)] = r
		if g.cfg.TLS {
			r.TLS = &struct{}{}
			routers[fmt.Sprintf("portcullis-tls-%04d", i)] = r
		}
	}
	http := object{"middlewares": object{traefikName(version): object{"ipAllowList": object{"sourceRange": []string{"255.255.255.255/32"}}}}}
	if len(routers) > 0 {
		http["routers"] = routers
		http["services"] = object{traefikNobody: object{"loadBalancer": object{"servers": []object{}}}}
	}
	body, err := json.Marshal(object{"http": http})
	if err != nil {
		return "", "", err
	}
	return untemplated(string(body)), version, nil
}

// untemplated keeps Traefik, which runs its files as templates, from reading one in a name.
// JSON's own braces never stand side by side like that.
func untemplated(body string) string { return strings.ReplaceAll(body, "{{", `\u007b\u007b`) }

// rules renders the conditions: what holds everywhere first, then route by route.
func (g *Traefik) rules(list []enforce.Entry) []string {
	by := map[string][]string{}
	var routes []string
	for i := range list {
		e := &list[i]
		route, rule := e.Route, ""
		switch {
		case e.Subject.Kind == "route":
			route, rule = e.Subject.Value, "PathPrefix(`/`)"
		case e.Prefix.IsValid():
			rule = "ClientIP(`" + e.Prefix.String() + "`)"
		default:
			rule = "Header(`" + g.cfg.Subjects[e.Subject.Kind] + "`, " + strconv.QuoteToASCII(e.Subject.Value) + ")"
		}
		if by[route] == nil {
			routes = append(routes, route)
		}
		by[route] = append(by[route], rule)
	}
	slices.Sort(routes)
	var out []string
	for _, route := range routes {
		for part := range slices.Chunk(by[route], traefikRule) {
			rule := strings.Join(part, " || ")
			if route != "" {
				pattern, _ := routePattern(route) // normal has asked for it
				rule = "PathRegexp(`" + pattern + "`) && (" + rule + ")"
			}
			out = append(out, rule)
		}
	}
	return out
}

func (g *Traefik) path(name string) string { return filepath.Join(g.cfg.Dir, name) }

// Check implements enforce.Gateway: the folder can be written, and the API answers.
func (g *Traefik) Check(ctx context.Context) error {
	if err := probeDir(g.name, g.cfg.Dir); err != nil {
		return err
	}
	return g.reachable(ctx)
}

// SetupTraefik tells on w what Traefik needs. With install it makes the file of an empty list.
func SetupTraefik(w io.Writer, cfg TraefikConfig, install bool) error {
	g, err := NewTraefik(cfg)
	if err != nil {
		return err
	}
	if install {
		text, _, err := g.file(nil)
		if err == nil {
			err = prepareFile(g.name, g.path(traefikFile), text)
		}
		if err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, `Traefik needs a file provider that watches a folder, in its static configuration:

	providers:
	  providersThrottleDuration: 100ms   # how long it gathers changes; 2s, its default, are as much later a block
	  file: {directory: %s, watch: true}
	api: {}   # so that Portcullis can ask whether a list is in force (setting api)

Behind a load balancer Traefik must be told the client by the PROXY protocol
(entryPoints.NAME.proxyProtocol.trustedIPs): what it matches is the peer, never
X-Forwarded-For. Where that cannot be had, use forwardAuth.
`, g.cfg.Dir)
	return err
}
