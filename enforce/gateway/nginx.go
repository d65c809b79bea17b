package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

var nginxActions = []enforce.Action{enforce.Block, enforce.Throttle}

func init() {
	Register("nginx", Spec{
		Doc:     "NGINX 1.17.6 or later through generated include files: 403 for a block, 429 for a throttle",
		How:     "generated include files, `nginx -t`, reload",
		Tested:  "1.22.1 (Debian 12)",
		Holds:   "addresses and prefixes, throttles too on one route, or of a user agent on a route; subjects by a variable of nginx; 100 000 entries measured",
		Actions: nginxActions,
		Config:  func() any { return new(NginxConfig) },
		Open: func(config any) (enforce.Gateway, error) {
			return NewNginx(*config.(*NginxConfig))
		},
		Setup: func(ctx context.Context, w io.Writer, config any, install bool) error {
			return SetupNginx(ctx, w, *config.(*NginxConfig), install)
		},
	})
}

// NginxConfig is the "nginx" section of the gateways.
type NginxConfig struct {
	Binary        string            `yaml:"binary" default:"nginx" doc:"The nginx program: a path, or a name looked up in PATH."`
	Conf          string            `yaml:"conf" default:"/etc/nginx/nginx.conf" doc:"Main configuration file of the nginx that serves the traffic."`
	Dir           string            `yaml:"dir" default:"/etc/nginx/portcullis" doc:"Directory of the generated include files; Portcullis must be able to write there."`
	PIDFile       string            `yaml:"pid_file" doc:"File with the process id of nginx; empty = the pid line of the configuration, or else the path nginx was built with."`
	TestCommand   []string          `yaml:"test_command" doc:"Command that tests the configuration, such as sudo nginx -t; empty = BINARY -t -q -c CONF."`
	ReloadCommand []string          `yaml:"reload_command" doc:"Command that reloads nginx, such as sudo systemctl reload nginx; empty = a HUP signal to the process in the pid file."`
	ZoneKB        int               `yaml:"zone_kb" default:"512" doc:"Shared memory of one rate class in KiB; 512 keeps about 4000 throttled subjects that are active at once, the oldest is forgotten beyond that."`
	Subjects      map[string]string `yaml:"subjects" doc:"Variables that tell subjects which are no addresses, as kind: variable, such as {key: $http_x_api_key, account: $remote_user}."`
	HashBucket    int               `yaml:"hash_bucket" default:"64" doc:"What map_hash_bucket_size is in nginx's configuration (64 unless it says otherwise); names up to 18 bytes shorter than that can be held."`
	Timeout       time.Duration     `yaml:"timeout" default:"30s" doc:"How long one test, or one reload until the new workers serve, may take, in seconds; 100 000 entries took under 2 s on two cores."`
}

var nginxVariable = regexp.MustCompile(`^\$[a-z][a-z0-9_]{0,80}$`)

// Check reports settings that cannot work, by the rules of internal/config.
func (c NginxConfig) Check(report func(key, message string)) {
	if c.Dir != "" && !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~- since it is written into nginx's configuration")
	}
	if c.ZoneKB != 0 && (c.ZoneKB < 32 || c.ZoneKB > 1<<20) {
		report("zone_kb", "must be between 32 and 1048576: nginx needs at least eight pages")
	}
	checkSubjects(c.Subjects, nginxVariable, report)
	if c.HashBucket != 0 && (c.HashBucket < 32 || c.HashBucket > 16384) {
		report("hash_bucket", "must be between 32 and 16384")
	}
	if c.Timeout < 0 {
		report("timeout", "must not be negative")
	}
}

// withDefaults fills what a caller without the config loader left out.
func (c NginxConfig) withDefaults() NginxConfig {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Binary, "nginx")
	def(&c.Conf, "/etc/nginx/nginx.conf")
	def(&c.Dir, "/etc/nginx/portcullis")
	c.Dir = filepath.Clean(c.Dir)
	if c.ZoneKB == 0 {
		c.ZoneKB = 512
	}
	if c.HashBucket == 0 {
		c.HashBucket = 64
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	return c
}

// The files in NginxConfig.Dir. Who is hit stands in the first one only, so
// that one rename switches the whole state.
const (
	NginxHTTPFile    = "portcullis-http.conf"    // for http {}: who is refused, who is throttled
	NginxServerFile  = "portcullis-server.conf"  // for server {}: what happens to them
	NginxHeadersFile = "portcullis-headers.conf" // for locations with an add_header of their own
	nginxLoadedFile  = ".portcullis-loaded"      // hash of the files that nginx has taken
	nginxHeldFile    = ".portcullis-held"        // what they hold
)

// Nginx is the gateway NGINX. It fails open: without Portcullis, nginx goes on
// with the last files, and what they hold stays in force until the next push.
//
// A push is: write beside, fsync, rename, nginx -t, reload, wait for the new
// workers. Idle keep-alive connections are closed by a reload, hence pushes are
// to be gathered by the caller.
type Nginx struct {
	ability
	cfg NginxConfig
	mu  sync.Mutex // one Apply at a time: the files have one writer
}

// NewNginx makes the gateway; it touches nothing until Apply.
func NewNginx(cfg NginxConfig) (*Nginx, error) {
	cfg = cfg.withDefaults()
	var bad []error
	cfg.Check(func(key, message string) {
		bad = append(bad, fmt.Errorf("gateway nginx: %s: %s", key, message))
	})
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	return &Nginx{cfg: cfg, ability: ability{name: "nginx", actions: nginxActions, kinds: withClass(withRoute(cfg.Subjects)), routes: true, longest: cfg.HashBucket - 18}}, nil
}

// Name implements enforce.Gateway.
func (g *Nginx) Name() string { return g.name }

// nginxName is what a name may be made of: what stands between quotes as it is, and begins
// no pattern or keyword of a map.
var nginxName = regexp.MustCompile(`^[A-Za-z0-9_:@/+=(\[<#%&',;|^{-][ !#%&'()*+,./0-9:;<=>?@A-Z\[\]^_a-z{|}~-]*$`)

// Holds implements enforce.Holder.
func (g *Nginx) Holds(t enforce.Target, a enforce.Action) error {
	if t.Subject.Kind == "class" {
		return g.holdsClass(t.Subject, a)
	}
	if err := g.ability.Holds(t, a); err != nil || t.Prefix.IsValid() || t.Subject.Kind == "route" {
		return g.blocksRoutes(t, a, err)
	}
	switch name := t.Subject.Value; {
	case t.Route != "":
		return fmt.Errorf("gateway nginx: it cannot confine a subject of kind %.32q to a route", t.Subject.Kind)
	case !nginxName.MatchString(name) || strings.TrimSpace(name) != name, slices.Contains([]string{"default", "hostnames", "include", "volatile"}, name):
		return fmt.Errorf("gateway nginx: a subject of kind %.32q has bytes that cannot be written for it", t.Subject.Kind)
	}
	return nil
}

// blocksRoutes adds that throttles are for somebody, not for a route.
func (g *Nginx) blocksRoutes(t enforce.Target, a enforce.Action, err error) error {
	if err == nil && a == enforce.Throttle && !t.Prefix.IsValid() {
		return fmt.Errorf("gateway nginx: it cannot throttle a subject of kind %.32q", t.Subject.Kind)
	}
	return err
}

// Apply implements enforce.Gateway. When the wanted state is what nginx has
// confirmed before, nothing is written or reloaded; an nginx that restarts
// reads the same files, and so needs no reconciling.
func (g *Nginx) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	old, err := os.ReadFile(g.path(NginxHTTPFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return enforce.Applied{}, g.explainWrite(err)
	}
	if err := heldAll(g, want); err != nil {
		return enforce.Applied{}, err
	}
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	files := g.files(newNginxState(list, old))
	done := enforce.Applied{Entries: len(list)}
	if !g.inPlace(files) || !g.confirmed(files) {
		now := heldOf(list)
		done.Changed = max(1, now.changed(readHeld(g.path(nginxHeldFile))))
		if err := g.push(ctx, files); err != nil {
			return enforce.Applied{}, err
		}
		if err := now.write(g.path(nginxHeldFile)); err != nil {
			return enforce.Applied{}, g.explainWrite(err)
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// push makes the files what nginx serves, or leaves everything as it was.
func (g *Nginx) push(ctx context.Context, files []nginxFile) error {
	change, err := g.replaceFiles(files)
	if err != nil {
		change.rollback()
		return g.explainWrite(err)
	}
	if err := g.test(ctx); err != nil {
		change.rollback()
		return g.blame(ctx, err)
	}
	if err := ctx.Err(); err != nil {
		change.rollback()
		return fmt.Errorf("gateway nginx: %w", err)
	}
	// From here on nginx may take the new files even if we do not live, or wait long
	// enough, to see it: no state counts as confirmed until it is. So it is also
	// seen through (within Timeout) when ctx ends meanwhile.
	if err := os.Remove(g.path(nginxLoadedFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		change.rollback()
		return g.explainWrite(err)
	}
	if err := g.reload(context.WithoutCancel(ctx)); err != nil {
		if errors.Is(err, ErrNotRunning) {
			// Kept: the files are tested, and whoever starts nginx starts it with them.
			change.keep()
			return err
		}
		change.rollback()
		return err
	}
	change.keep()
	if err := writeAtomic(g.path(nginxLoadedFile), []byte(digest(files)+"\n")); err != nil {
		return g.explainWrite(err)
	}
	return nil
}

// replaceFiles puts all generated files in place, keeping the ones they replace.
func (g *Nginx) replaceFiles(files []nginxFile) (*fileChange, error) {
	change := new(fileChange)
	for _, f := range files {
		path := g.path(f.name)
		if g.inPlace([]nginxFile{f}) {
			continue
		}
		if err := change.replace(path, f.body); err != nil {
			return change, err
		}
	}
	return change, nil
}

type nginxFile struct {
	name string
	body []byte
}

// files lists what belongs into the directory. The order matters for whoever
// restarts nginx in between: what is referred to comes first.
func (g *Nginx) files(s *nginxState) []nginxFile {
	return []nginxFile{
		{NginxHeadersFile, nginxHeadersFile()},
		{NginxHTTPFile, s.httpFile(g.cfg)},
		{NginxServerFile, nginxServerFile(g.cfg, s.classes)},
	}
}

// inPlace tells whether the files stand as they should.
func (g *Nginx) inPlace(files []nginxFile) bool {
	for _, f := range files {
		if old, err := os.ReadFile(g.path(f.name)); err != nil || !bytes.Equal(old, f.body) {
			return false
		}
	}
	return true
}

// confirmed tells whether a running nginx has once taken these very files. An
// nginx started later has read them too.
func (g *Nginx) confirmed(files []nginxFile) bool {
	mark, err := os.ReadFile(g.path(nginxLoadedFile))
	return err == nil && string(bytes.TrimSpace(mark)) == digest(files)
}

// digest names a set of files.
func digest(files []nginxFile) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %d\n", f.name, len(f.body))
		h.Write(f.body)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// path names a generated file.
func (g *Nginx) path(name string) string { return filepath.Join(g.cfg.Dir, name) }

// explainWrite adds what an operator can do when the directory cannot be written.
func (g *Nginx) explainWrite(err error) error {
	hint := ""
	switch {
	case errors.Is(err, os.ErrPermission), strings.Contains(err.Error(), "read-only file system"):
		hint = ": let the user that Portcullis runs as write there (under systemd also ReadWritePaths=), or set another dir"
	case errors.Is(err, os.ErrNotExist):
		hint = ": run portcullis setup nginx, which makes it"
	case errors.Is(err, syscall.ENOTDIR):
		hint = ": a part of this path is a file: set another dir"
	case strings.Contains(err.Error(), "no space left"):
		hint = ": free some disk space; what nginx has stays in force"
	}
	// Without the name of the temporary file, which differs each time: the same
	// trouble is said once.
	var where *os.PathError
	if errors.As(err, &where) {
		err = where.Err
	}
	return fmt.Errorf("gateway nginx: cannot write the include files in %s%s: %w", g.cfg.Dir, hint, err)
}
