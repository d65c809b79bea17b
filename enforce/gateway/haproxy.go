package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

var haproxyActions = []enforce.Action{enforce.Block, enforce.Throttle, enforce.Tarpit}

func init() {
	Register("haproxy", Spec{
		Doc:     "HAProxy 2.4 or later through its Runtime API: maps that are replaced whole, without a reload",
		How:     "Runtime API: versioned maps",
		Tested:  "2.6.12 (Debian 12)",
		Holds:   "addresses, prefixes, and subjects of any kind that an expression of HAProxy yields; one route",
		Actions: haproxyActions,
		Config:  func() any { return new(HAProxyConfig) },
		Open: func(config any) (enforce.Gateway, error) {
			return NewHAProxy(*config.(*HAProxyConfig))
		},
		Setup: func(ctx context.Context, w io.Writer, config any, install bool) error {
			return SetupHAProxy(ctx, w, *config.(*HAProxyConfig), install)
		},
	})
}

// HAProxyConfig is the "haproxy" section of a gateway.
type HAProxyConfig struct {
	Socket   string            `yaml:"socket" default:"/run/haproxy/admin.sock" doc:"The stats socket, with level admin: a path, or HOST:PORT."`
	Dir      string            `yaml:"dir" default:"/etc/haproxy/portcullis" doc:"Folder of the map files as HAProxy names them. Portcullis keeps them up to date, so that HAProxy starts with the last state."`
	Keep     bool              `yaml:"keep" default:"true" doc:"Write the map files, after the running HAProxy has taken the state; false where HAProxy runs on another machine."`
	Subjects map[string]string `yaml:"subjects" doc:"Where HAProxy finds subjects that are no addresses, as kind: expression, such as {consumer: 'req.fhdr(x-consumer)', country: 'src,map_ip(/etc/haproxy/country.map)'}."`
	Counter  int               `yaml:"counter" default:"2" min:"0" max:"2" doc:"Which of HAProxy's sticky counters (sc0, sc1, sc2) throttles may use."`
	Timeout  time.Duration     `yaml:"timeout" default:"10s" doc:"How long one answer of the socket may take."`
}

// haproxyExpression is what may stand in the place of an expression: it is printed into
// lines for a configuration file.
var haproxyExpression = regexp.MustCompile(`^[A-Za-z0-9_.,()/:|+-]{1,400}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c HAProxyConfig) Check(report func(key, message string)) {
	if c.Socket == "" {
		report("socket", "is missing")
	}
	if !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~- since it is written into HAProxy's configuration")
	}
	checkSubjects(c.Subjects, haproxyExpression, report)
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// subjectKinds are the kinds that a gateway may be told where to find.
var subjectKinds = []string{"consumer", "account", "key", "session", "fingerprint", "asn", "country"}

// checkSubjects reports kinds that do not exist and places that cannot be written.
func checkSubjects(subjects map[string]string, place *regexp.Regexp, report func(key, message string)) {
	for kind, where := range subjects {
		if !slices.Contains(subjectKinds, kind) {
			report("subjects."+kind, "is no kind of subject: there are "+strings.Join(subjectKinds, ", "))
		} else if !place.MatchString(where) {
			report("subjects."+kind, fmt.Sprintf("%.80q cannot be written into the gateway's configuration: want %s", where, place))
		}
	}
}

// settled returns what Check of settings reports, as an error.
func settled(name string, check func(report func(key, message string))) error {
	var bad []error
	check(func(key, message string) { bad = append(bad, fmt.Errorf("gateway %s: %s: %s", name, key, message)) })
	return errors.Join(bad...)
}

// HAProxy is the gateway HAProxy. It fails open: without Portcullis, the last maps stay in
// force; a HAProxy that restarts reads the files of the last push. A subject's name never
// reaches it: maps hold its SHA-256, prefixes and numbers.
//
// A push reads each map, and mends it by single commands where little changed; else it
// builds a new version beside the old one, counts what arrived, and switches.
type HAProxy struct {
	ability
	cfg HAProxyConfig
	mu  sync.Mutex // one Apply at a time
}

// NewHAProxy makes the gateway; it touches nothing until Apply.
func NewHAProxy(cfg HAProxyConfig) (*HAProxy, error) {
	if err := settled("haproxy", cfg.Check); err != nil {
		return nil, err
	}
	return &HAProxy{ability: ability{name: "haproxy", actions: haproxyActions, kinds: withRoute(cfg.Subjects), routes: true}, cfg: cfg}, nil
}

// withRoute adds the subject that every gateway finds that knows routes.
func withRoute(subjects map[string]string) map[string]string {
	out := map[string]string{"route": "path"}
	for k, v := range subjects {
		out[k] = v
	}
	return out
}

// Name implements enforce.Gateway.
func (g *HAProxy) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *HAProxy) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	maps := haproxyMaps(list, g.cfg.Subjects)
	api := haproxyAPI{socket: g.cfg.Socket, timeout: g.cfg.Timeout}
	if err := g.loaded(ctx, api, maps); err != nil {
		return enforce.Applied{}, err
	}
	done := enforce.Applied{Entries: len(list)}
	for _, m := range maps {
		n, err := api.become(ctx, g.file(m.name), m.lines)
		if err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway haproxy: map %s: %w", m.name, err)
		}
		if m.counts {
			done.Changed += n
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	g.keep(maps)
	return done, nil
}

// loaded demands that HAProxy has all the maps before any is touched.
func (g *HAProxy) loaded(ctx context.Context, api haproxyAPI, maps []haproxyMap) error {
	known, err := api.maps(ctx)
	if err != nil {
		return fmt.Errorf("gateway haproxy: %w", err)
	}
	for _, m := range maps {
		if !slices.Contains(known, g.file(m.name)) {
			return fmt.Errorf("gateway haproxy: it has no map %s: put the lines of portcullis setup haproxy into its configuration, and reload it", g.file(m.name))
		}
	}
	return nil
}

// keep writes the state for the next start of HAProxy. A failure is no failure of the push:
// the state is in force, and would be restored after a restart; Check says it.
func (g *HAProxy) keep(maps []haproxyMap) {
	if !g.cfg.Keep {
		return
	}
	for _, m := range maps {
		body := m.file()
		if old, err := os.ReadFile(g.file(m.name)); err != nil || string(old) != body {
			_ = writeAtomic(g.file(m.name), []byte(body))
		}
	}
}

// Check implements enforce.Gateway: the socket answers with the rights that are needed,
// every map is loaded, and the files can be written.
func (g *HAProxy) Check(ctx context.Context) error {
	api := haproxyAPI{socket: g.cfg.Socket, timeout: g.cfg.Timeout}
	if err := g.loaded(ctx, api, haproxyMaps(nil, g.cfg.Subjects)); err != nil {
		return err
	}
	if !g.cfg.Keep {
		return nil
	}
	probe, err := os.CreateTemp(g.cfg.Dir, ".portcullis-*.tmp")
	if err != nil {
		return fmt.Errorf("gateway haproxy: cannot write the map files, so that a restart would begin without them until the next push: let Portcullis write into %s, or set keep: false: %w", g.cfg.Dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (g *HAProxy) file(name string) string { return filepath.Join(g.cfg.Dir, name+".map") }
