package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

//go:embed nginx_lua.lua
var nginxLuaModule []byte

func init() {
	Register("nginx-lua", Spec{
		Doc:     "NGINX with its Lua module (OpenResty, or libnginx-mod-http-lua): a shared dictionary, changed without a reload",
		How:     "a dictionary shared by the workers, over a loopback port; no reload",
		Tested:  "1.22.1 with lua-nginx-module 0.10.23 (Debian 12)",
		Holds:   "addresses, prefixes, and subjects by a variable of nginx, blocked or throttled; one route",
		Actions: nginxActions,
		Config:  func() any { return new(NginxLuaConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewNginxLua(*config.(*NginxLuaConfig)) },
		Setup: func(_ context.Context, w io.Writer, config any, install bool) error {
			return setupNginxLua(w, *config.(*NginxLuaConfig), install)
		},
	})
}

// NginxLuaConfig is the "nginx-lua" section of the gateways.
type NginxLuaConfig struct {
	Dir      string            `yaml:"dir" default:"/etc/nginx/portcullis" doc:"Directory of the files that nginx includes, and of the list that it reads when it starts; Portcullis must be able to write there."`
	Listen   string            `yaml:"listen" default:"127.0.0.1:8474" doc:"Loopback address at which nginx takes the changes; a token in dir keeps others on the machine out."`
	DictMB   int               `yaml:"dict_mb" default:"64" doc:"Shared memory of the dictionary in MiB; 64 keep about 400 000 entries. What does not fit is refused, and nothing that is held makes room for it."`
	Subjects map[string]string `yaml:"subjects" doc:"Variables that tell subjects which are no addresses, as kind: variable, such as {key: $http_x_api_key, account: $remote_user}."`
	Timeout  time.Duration     `yaml:"timeout" default:"15s" doc:"How long nginx may take for one part of a list."`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c NginxLuaConfig) Check(report func(key, message string)) {
	if !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~- since it is written into nginx's configuration")
	}
	if a, err := netip.ParseAddrPort(c.Listen); err != nil || !a.Addr().IsLoopback() || a.Port() == 0 {
		report("listen", fmt.Sprintf("%.60q is no loopback address with a port, such as 127.0.0.1:8474", c.Listen))
	}
	if c.DictMB < 1 || c.DictMB > 4096 {
		report("dict_mb", "must be from 1 to 4096")
	}
	checkSubjects(c.Subjects, nginxVariable, report)
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// The files in NginxLuaConfig.Dir.
const (
	nginxLuaFile      = "portcullis.lua"
	nginxLuaHTTPFile  = "portcullis-lua-http.conf"
	nginxLuaServer    = "portcullis-lua-server.conf"
	nginxLuaList      = "portcullis-lua.list"  // what nginx reads when it starts
	nginxLuaToken     = "portcullis-lua.token" // by which it knows Portcullis
	nginxLuaHeld      = ".portcullis-lua-held" // what it held at the last push
	nginxLuaChunk     = 4000                   // changes of one message
	nginxLuaNameMax   = 1024                   // bytes of a subject's name
	nginxLuaTokenSize = 24
)

// NginxLua is NGINX with a dictionary in the place of include files. It fails open: without
// Portcullis nginx goes on with what it holds; nothing expires until Portcullis is back. An
// nginx that restarts reads the list of the last push from a file.
type NginxLua struct {
	ability
	cfg  NginxLuaConfig
	base string
	mu   sync.Mutex        // one Apply at a time
	mark string            // of the state that this process pushed last
	last map[string]string // that state
}

// NewNginxLua makes the gateway; it touches nothing until Apply.
func NewNginxLua(cfg NginxLuaConfig) (*NginxLua, error) {
	if err := settled("nginx-lua", cfg.Check); err != nil {
		return nil, err
	}
	return &NginxLua{cfg: cfg, base: "http://" + cfg.Listen, ability: ability{name: "nginx-lua", actions: nginxActions,
		kinds: withRoute(cfg.Subjects), routes: true, longest: nginxLuaNameMax}}, nil
}

// Name implements enforce.Gateway.
func (g *NginxLua) Name() string { return g.name }

func (g *NginxLua) path(name string) string { return filepath.Join(g.cfg.Dir, name) }

// Check implements enforce.Gateway.
func (g *NginxLua) Check(ctx context.Context) error {
	_, err := g.ask(ctx, "GET", "/", nil)
	return err
}

// Apply implements enforce.Gateway. nginx says by a mark which state it has; only what
// differs is sent, and where nginx has another state than this process left there, its
// keys are read first.
func (g *NginxLua) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	state := nginxLuaState(list)
	mark := markOf(state)
	have, err := g.ask(ctx, "GET", "/", nil)
	if err != nil {
		return enforce.Applied{}, err
	}
	done := enforce.Applied{Entries: len(list)}
	if string(have) != mark {
		now := heldOf(list)
		done.Changed = max(1, now.changed(readHeld(g.path(nginxLuaHeld))))
		if err := g.push(ctx, string(have), mark, state); err != nil {
			return enforce.Applied{}, err
		}
		if err := now.write(g.path(nginxLuaHeld)); err != nil {
			return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
		}
	} else if err := g.keep(mark, state); err != nil {
		return enforce.Applied{}, err
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// push sends the changes. The mark is taken away first and set last: a push that ends in
// between is seen as that, and the next one reads what is there.
func (g *NginxLua) push(ctx context.Context, have, mark string, state map[string]string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gateway nginx-lua: %w", err)
	}
	old := g.last
	if have != g.mark || old == nil {
		var err error
		if old, err = g.keys(ctx); err != nil {
			return err
		}
	}
	lines := nginxLuaChanges(old, state)
	g.mark, g.last = "", nil
	unmark, marked := marking("changing"), marking(mark)
	send := append(append([]string{unmark}, lines...), marked)
	if len(lines) < nginxLuaChunk { // all in one message
		send = append(lines, marked)
	}
	for chunk := range slices.Chunk(send, nginxLuaChunk) {
		if _, err := g.ask(ctx, "POST", "/", []byte(strings.Join(chunk, ""))); err != nil {
			return err
		}
	}
	if err := g.keep(mark, state); err != nil {
		return err
	}
	g.mark, g.last = mark, state
	return nil
}

// marking is the line that says which state it is.
func marking(mark string) string { return "m mark " + hex.EncodeToString([]byte(mark)) + "\n" }

// keep writes what nginx reads when it starts, unless it is there. The lines come in any
// order: a file that is as long and ends with the mark is taken for it.
func (g *NginxLua) keep(mark string, state map[string]string) error {
	text := make([]byte, 0, 64*len(state))
	for k, v := range state {
		text = appendNginxLua(text, k, v)
	}
	text = append(text, marking(mark)...)
	if old, err := os.ReadFile(g.path(nginxLuaList)); err == nil && len(old) == len(text) && bytes.HasSuffix(old, []byte(marking(mark))) {
		return nil
	}
	if err := writeAtomic(g.path(nginxLuaList), text); err != nil {
		return explainDir(g.name, g.cfg.Dir, err)
	}
	return nil
}

// keys reads what nginx holds. Values are not told: all of them are sent again.
func (g *NginxLua) keys(ctx context.Context) (map[string]string, error) {
	text, err := g.ask(ctx, "GET", "/?keys", nil)
	if err != nil {
		return nil, err
	}
	have := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, err := hex.DecodeString(strings.TrimSpace(line)); err == nil {
			have["e"+string(key)] = "?"
		}
	}
	return have, nil
}

// nginxLuaState is the dictionary that a wanted state makes: "e" and a key, or "m" and a name.
func nginxLuaState(list []enforce.Entry) map[string]string {
	state := make(map[string]string, len(list)+3)
	routes := map[string]bool{}
	bits := [2]map[int]bool{{}, {}}
	for i := range list {
		e := &list[i]
		place, key := "", ""
		route := e.Route
		switch {
		case e.Prefix.IsValid():
			family := "4"
			if e.Prefix.Addr().Is6() {
				family = "6"
			}
			bits[(family[0]-'4')/2][e.Prefix.Bits()] = true
			raw := e.Prefix.Addr().AsSlice()[:(e.Prefix.Bits()+7)/8]
			key = family + string([]byte{byte(e.Prefix.Bits())}) + string(raw)
		case e.Subject.Kind == "route":
			route, key = e.Subject.Value, "r"
		default:
			key = "s" + e.Subject.Kind + "|" + e.Subject.Value
		}
		if route != "" {
			place, routes[route] = label(route), true
		}
		value := "block"
		if e.Action == enforce.Throttle {
			value = fmt.Sprint(perSpan(e.Rate, 10))
		}
		state["e"+place+"|"+key] = value
	}
	for i, family := range [...]string{"4", "6"} {
		text := ""
		for _, n := range slices.Backward(slices.Sorted(maps.Keys(bits[i]))) {
			text += fmt.Sprint(n, " ")
		}
		state["mbits"+family] = text
	}
	var b strings.Builder
	for _, r := range slices.SortedFunc(maps.Keys(routes), byRoute) {
		pattern, _ := routePattern(r) // normal has asked for it
		fmt.Fprintf(&b, "%s %s\n", label(r), pattern)
	}
	state["mroutes"] = b.String()
	return state
}

// nginxLuaChanges are the lines that make one state of another, in no order.
func nginxLuaChanges(old, state map[string]string) []string {
	var lines []string
	for k, v := range state {
		if k[0] == 'm' || old[k] != v {
			lines = append(lines, string(appendNginxLua(nil, k, v)))
		}
	}
	for k := range old {
		if _, stays := state[k]; !stays && k[0] == 'e' {
			lines = append(lines, fmt.Sprintf("- %x\n", k[1:]))
		}
	}
	return lines
}

func appendNginxLua(b []byte, key, value string) []byte {
	if key[0] == 'm' {
		b = append(append(b, "m "...), key[1:]...)
	} else {
		b = hex.AppendEncode(append(b, "+ "...), []byte(key[1:]))
	}
	return append(hex.AppendEncode(append(b, ' '), []byte(value)), '\n')
}

// markOf names a state: the sum of the hashes of what is in it, so that nothing has to be
// sorted.
func markOf(state map[string]string) string {
	var sum [2]uint64
	var line []byte
	for k, v := range state {
		line = appendNginxLua(line[:0], k, v)
		h := sha256.Sum256(line)
		sum[0] += binary.LittleEndian.Uint64(h[:])
		sum[1] += binary.LittleEndian.Uint64(h[8:])
	}
	return fmt.Sprintf("%016x%016x", sum[0], sum[1])
}

// ask sends one message to nginx.
func (g *NginxLua) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	token, err := os.ReadFile(g.path(nginxLuaToken))
	if err != nil {
		return nil, explainDir(g.name, g.cfg.Dir, err)
	}
	r := newREST(g.base, g.cfg.Timeout, "X-Portcullis-Token", string(bytes.TrimSpace(token)))
	answer, err := r.raw(ctx, method, path, body)
	switch {
	case err == nil:
		return answer, nil
	case refusedWith(err, 401):
		return nil, fmt.Errorf("gateway nginx-lua: nginx has another token than %s: reload it: %w", g.path(nginxLuaToken), err)
	case refusedWith(err, 507):
		return nil, fmt.Errorf("gateway nginx-lua: the dictionary is full: raise dict_mb, run portcullis setup nginx-lua --install, restart nginx: %w", err)
	}
	return nil, fmt.Errorf("gateway nginx-lua: nginx does not answer at %s: is it up, with the lines of portcullis setup nginx-lua? %w", g.cfg.Listen, err)
}

// prepare makes the files that nginx includes.
func (g *NginxLua) prepare() error {
	token := make([]byte, nginxLuaTokenSize)
	if _, err := rand.Read(token); err != nil {
		return fmt.Errorf("gateway nginx-lua: %w", err)
	}
	if err := prepareFile(g.name, g.path(nginxLuaToken), hex.EncodeToString(token)+"\n"); err != nil {
		return err
	}
	if err := os.Chmod(g.path(nginxLuaToken), 0o600); err != nil {
		return explainDir(g.name, g.cfg.Dir, err)
	}
	for name, body := range map[string][]byte{nginxLuaFile: nginxLuaModule, nginxLuaHTTPFile: []byte(g.httpFile()), nginxLuaServer: []byte(nginxBanner +
		"# It belongs into server {}, as its first line.\n\nserver_rewrite_by_lua_block { portcullis.decide() }\n")} {
		if err := writeAtomic(g.path(name), body); err != nil {
			return explainDir(g.name, g.cfg.Dir, err)
		}
	}
	return nil
}

// httpFile is the include for http {}.
func (g *NginxLua) httpFile() string {
	subjects := ""
	for _, kind := range slices.Sorted(maps.Keys(g.cfg.Subjects)) {
		subjects += fmt.Sprintf("\n\t\t{ kind = %q, variable = %q },", kind, strings.TrimPrefix(g.cfg.Subjects[kind], "$"))
	}
	host, port, _ := net.SplitHostPort(g.cfg.Listen)
	return fmt.Sprintf(`%s# It belongs into http {}. A second init_by_lua in http {} would replace this one: call both there.

lua_shared_dict portcullis %dm;
init_by_lua_block {
	portcullis = dofile("%s")
	portcullis.setup({ token = "%s", list = "%s", subjects = {%s
	} })
}
server {
	listen %s;
	access_log off;
	client_max_body_size 8m;
	client_body_buffer_size 8m;
	location / { content_by_lua_block { portcullis.door() } }
}
`, nginxBanner, g.cfg.DictMB, g.path(nginxLuaFile), g.path(nginxLuaToken), g.path(nginxLuaList), subjects, net.JoinHostPort(host, port))
}

func setupNginxLua(w io.Writer, cfg NginxLuaConfig, install bool) error {
	g, err := NewNginxLua(cfg)
	if err != nil {
		return err
	}
	if install {
		if err := g.prepare(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, `Lines that let Portcullis guard what this nginx serves, by its Lua module (OpenResty has it;
on Debian: apt-get install libnginx-mod-http-lua).

1. In http {}:

	include %s;

2. In each server {} to be guarded, as its first line:

	include %s;

Then: nginx -t && nginx -s reload
portcullis setup nginx-lua --install makes the files; run it again when settings change. The
token in %s is for Portcullis and nginx's master only.
`, g.path(nginxLuaHTTPFile), g.path(nginxLuaServer), g.path(nginxLuaToken))
	return err
}
