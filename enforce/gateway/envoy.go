package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("envoy", Spec{
		Doc:     "Envoy through a filter that it reads from a file (ECDS): 403 for a block",
		How:     "RBAC filter in a file (ECDS)",
		Tested:  "1.40.0",
		Holds:   "addresses and prefixes in a trie, subjects by a request header; one route",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(EnvoyConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewEnvoy(*config.(*EnvoyConfig)) },
		Setup: func(_ context.Context, w io.Writer, config any, install bool) error {
			return SetupEnvoy(w, *config.(*EnvoyConfig), install)
		},
	})
}

// EnvoyConfig is the "envoy" section of a gateway.
type EnvoyConfig struct {
	Dir      string            `yaml:"dir" default:"/etc/envoy/portcullis" doc:"Folder of the file that Envoy watches; nothing else may be in it."`
	Admin    string            `yaml:"admin" default:"http://127.0.0.1:9901" doc:"Envoy's admin interface, which says whether it took the list; empty = it is not asked, and settle is waited for instead."`
	Subjects map[string]string `yaml:"subjects" doc:"Request headers that tell subjects which are no addresses, as kind: header, such as {consumer: x-consumer}."`
	Most     int               `yaml:"max_entries" default:"200000" min:"1" doc:"How many entries the list may have (100000 were measured); above it the push fails and the last list stays: ask authz then (ext_authz)."`
	Settle   time.Duration     `yaml:"settle" default:"1s" doc:"Without admin: how long after writing the list Envoy is taken to have read it."`
	Timeout  time.Duration     `yaml:"timeout" default:"10s" doc:"How long Envoy may take for a list."`
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c EnvoyConfig) Check(report func(key, message string)) {
	if !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~- ")
	}
	if c.Admin != "" {
		checkURL("admin", c.Admin, report)
	}
	checkSubjects(c.Subjects, headerName, report)
	if c.Timeout <= 0 || c.Settle < 0 {
		report("timeout", "timeout must be more than 0, and settle not negative")
	}
}

// The files in EnvoyConfig.Dir.
const (
	envoyFile     = "portcullis.json"
	envoyHeldFile = ".portcullis-held"
	envoyFilter   = "portcullis"
)

// Envoy is the gateway Envoy. It fails open: without the file, or with one that it refuses,
// it lets everybody pass or keeps the last good list; a restarted Envoy reads the file.
//
// The list is a filter of its own (extension config discovery, from a file): a new one
// takes the place of the old one at once, and no connection is closed.
type Envoy struct {
	ability
	cfg   EnvoyConfig
	admin *rest
	mu    sync.Mutex // one Apply at a time
}

// NewEnvoy makes the gateway; it touches nothing until Apply.
func NewEnvoy(cfg EnvoyConfig) (*Envoy, error) {
	if err := settled("envoy", cfg.Check); err != nil {
		return nil, err
	}
	return &Envoy{cfg: cfg, admin: newREST(cfg.Admin, cfg.Timeout),
		ability: ability{name: "envoy", actions: []enforce.Action{enforce.Block}, kinds: withRoute(cfg.Subjects), routes: true, longest: 8192, refuse: "\x00\r\n"}}, nil
}

// Name implements enforce.Gateway.
func (g *Envoy) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *Envoy) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	if g.cfg.Most > 0 && len(list) > g.cfg.Most {
		return enforce.Applied{}, fmt.Errorf("gateway envoy: %d entries are wanted, and max_entries is %d: the last list stays; have Envoy ask authz for each request (ext_authz), or raise it", len(list), g.cfg.Most)
	}
	text, version, err := envoyDiscovery(list, g.cfg.Subjects)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway envoy: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway envoy: %w", err)
	}
	done := enforce.Applied{Entries: len(list)}
	if path := g.path(envoyFile); !same(path, text) {
		now := heldOf(list)
		done.Changed = max(1, now.changed(readHeld(g.path(envoyHeldFile))))
		if err := g.put(ctx, path, text, version); err != nil {
			return enforce.Applied{}, err
		}
		if err := now.write(g.path(envoyHeldFile)); err != nil {
			return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
		}
	} else if err := g.taken(ctx, version, envoyState{}, 0); err != nil {
		return enforce.Applied{}, err
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// put replaces the list, and puts the old one back if Envoy does not take it.
func (g *Envoy) put(ctx context.Context, path, text, version string) error {
	before, err := g.state(ctx)
	if err != nil {
		return err
	}
	var change fileChange
	if err := change.replace(path, []byte(text)); err != nil {
		change.rollback()
		return explainDir(g.name, g.cfg.Dir, err)
	}
	if err := g.taken(ctx, version, before, g.cfg.Settle); err != nil {
		change.rollback()
		return err
	}
	change.keep()
	return nil
}

// envoyState is what the admin interface says of the filter.
type envoyState struct {
	known    bool   // a listener has it
	version  string // of the list that is served
	rejected int    // lists that were refused since the start
}

// taken waits until Envoy serves a version. before is the state when it was not written yet.
func (g *Envoy) taken(ctx context.Context, version string, before envoyState, settle time.Duration) error {
	if g.cfg.Admin == "" {
		return pause(ctx, settle)
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	var now envoyState
	err := until(ctx, 5*time.Millisecond, func() (bool, error) {
		var err error
		if now, err = g.state(ctx); err != nil {
			return false, err
		}
		switch {
		case !now.known:
			return false, g.missing()
		case now.version != version && now.rejected > before.rejected:
			return false, fmt.Errorf("gateway envoy: it refused the list; its log says why")
		}
		return now.version == version, nil
	})
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("gateway envoy: it has not taken the list, and serves %.40q: %w", now.version, ctx.Err())
}

func (g *Envoy) missing() error {
	return fmt.Errorf("gateway envoy: it has no filter %s: put the lines of portcullis setup envoy into each listener", envoyFilter)
}

// state asks the admin interface.
func (g *Envoy) state(ctx context.Context) (s envoyState, err error) {
	if g.cfg.Admin == "" {
		return s, nil
	}
	const prefix = "extension_config_discovery.http_filter." + envoyFilter + "."
	var stats struct {
		Stats []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"`
		} `json:"stats"`
	}
	query := url.Values{"format": {"json"}, "filter": {"^" + regexp.QuoteMeta(prefix) + "(version_text|update_rejected)$"}}
	if _, err := g.admin.call(ctx, "GET", "/stats?"+query.Encode(), nil, &stats); err != nil {
		return s, fmt.Errorf("gateway envoy: ask the admin interface: %w", err)
	}
	for _, x := range stats.Stats {
		s.known = true
		switch strings.TrimPrefix(x.Name, prefix) {
		case "version_text":
			err = json.Unmarshal(x.Value, &s.version)
		case "update_rejected":
			err = json.Unmarshal(x.Value, &s.rejected)
		}
		if err != nil {
			return s, fmt.Errorf("gateway envoy: what the admin interface says of %s: %w", x.Name, err)
		}
	}
	return s, nil
}

// Check implements enforce.Gateway: the folder can be written, and Envoy has the filter.
func (g *Envoy) Check(ctx context.Context) error {
	if err := probeDir(g.name, g.cfg.Dir); err != nil || g.cfg.Admin == "" {
		return err
	}
	if s, err := g.state(ctx); err != nil || s.known {
		return err
	}
	return g.missing()
}

func (g *Envoy) path(name string) string { return filepath.Join(g.cfg.Dir, name) }

// prepare makes the file of an empty list.
func (g *Envoy) prepare() error {
	text, _, err := envoyDiscovery(nil, nil)
	if err != nil {
		return err
	}
	return prepareFile(g.name, g.path(envoyFile), text)
}

// filter is the entry for http_filters, as YAML.
func (g *Envoy) filter() string {
	const rbac = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
	return fmt.Sprintf(`- name: %s
  config_discovery:
    config_source:
      resource_api_version: V3
      path_config_source:
        path: %s
        watched_directory: {path: %s}
    apply_default_config_without_warming: true
    default_config: {"@type": %s}
    type_urls: [%s]
`, envoyFilter, g.path(envoyFile), g.cfg.Dir, rbac, rbac)
}

// SetupEnvoy tells on w which lines let Portcullis into Envoy. With install it makes the
// file that they name.
func SetupEnvoy(w io.Writer, cfg EnvoyConfig, install bool) error {
	g, err := NewEnvoy(cfg)
	if err != nil {
		return err
	}
	if install {
		if err := g.prepare(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, `Lines that let Portcullis guard what this Envoy serves: in each HTTP connection manager to
be guarded, as the first entry of http_filters:

%s
Envoy must know the client: use_remote_address: true, and xff_num_trusted_hops where a
load balancer stands in front. By default it believes what the client writes.
portcullis setup envoy --install makes the file.
`, strings.ReplaceAll(indented(g.filter()), "\t", "    "))
	if err == nil && install {
		_, err = os.Stat(g.path(envoyFile))
	}
	return err
}
