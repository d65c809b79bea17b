package gateway

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("apache", Spec{
		Doc:     "Apache HTTP Server 2.4 through rewrite maps that it reads anew by itself: 403 for a block",
		How:     "`RewriteMap txt:` files, no reload",
		Tested:  "2.4.71 (Debian 12)",
		Holds:   "IPv4 addresses and prefixes up to /16, IPv6 addresses and prefixes from /48 to /64, subjects by a request header",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(ApacheConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewApache(*config.(*ApacheConfig)) },
		Setup: func(_ context.Context, w io.Writer, config any, install bool) error {
			return SetupApache(w, *config.(*ApacheConfig), install)
		},
	})
}

// ApacheConfig is the "apache" section of a gateway.
type ApacheConfig struct {
	Dir      string            `yaml:"dir" default:"/etc/apache2/portcullis" doc:"Folder of the maps and of the file to be included."`
	Subjects map[string]string `yaml:"subjects" doc:"Request headers that tell subjects which are no addresses, as kind: header, such as {consumer: X-Consumer}."`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c ApacheConfig) Check(report func(key, message string)) {
	if !plainPath(c.Dir) {
		report("dir", "must be an absolute path of letters, digits and /._@%+=:,~- since it is written into Apache's configuration")
	}
	checkSubjects(c.Subjects, headerName, report)
}

// Apache is the gateway Apache. It fails open: without Portcullis the last maps stay in
// force, also over a restart; a map that cannot be read matches nobody.
//
// Apache looks names up and knows no prefixes in a map. So the first octets of IPv4 and the
// first groups of IPv6 are looked up too, and other prefixes are written as several of those.
// Names are looked up by their SHA-1, the strongest hash that Apache has: no name stands in a
// map, and whoever wanted to have somebody else hit would need a second preimage of it.
type Apache struct {
	ability
	cfg ApacheConfig
	mu  sync.Mutex // one Apply at a time
}

// NewApache makes the gateway; it touches nothing until Apply.
func NewApache(cfg ApacheConfig) (*Apache, error) {
	if err := settled("apache", cfg.Check); err != nil {
		return nil, err
	}
	return &Apache{cfg: cfg, ability: ability{name: "apache", actions: []enforce.Action{enforce.Block}, kinds: cfg.Subjects}}, nil
}

// Name implements enforce.Gateway.
func (g *Apache) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *Apache) Holds(t enforce.Target, a enforce.Action) error {
	if err := g.ability.Holds(t, a); err != nil || !t.Prefix.IsValid() {
		return err
	}
	p, err := servable(t.Prefix)
	if err != nil {
		return fmt.Errorf("gateway apache: %w", err)
	}
	if _, ok := apacheStep(p); !ok {
		return fmt.Errorf("gateway apache: it cannot hold %s: want IPv4 to /16, IPv6 from /48 to /64 or a whole address", p)
	}
	return nil
}

// apacheStep is the length of the prefixes that Apache looks up, the next that is no
// shorter than p.
func apacheStep(p netip.Prefix) (bits int, ok bool) {
	steps := []int{16, 24, 32}
	if p.Addr().Is6() {
		steps = []int{48, 64, 128}
	}
	i, _ := slices.BinarySearch(steps, p.Bits())
	// What is not of such a length becomes up to 2^16 that are.
	return steps[min(i, 2)], p.Bits() >= steps[0] && steps[min(i, 2)]-p.Bits() <= 16
}

// apacheKeys are the names under which Apache finds the addresses of a prefix.
func apacheKeys(p netip.Prefix) []string {
	bits, _ := apacheStep(p)
	var keys []string
	one := netip.PrefixFrom(p.Addr(), bits)
	for range 1 << (bits - p.Bits()) {
		keys = append(keys, apacheKey(one))
		one = netip.PrefixFrom(after(one), bits)
	}
	return keys
}

// apacheKey writes whole octets or groups without the rest.
func apacheKey(p netip.Prefix) string {
	switch a := p.Addr(); {
	case p.IsSingleIP():
		return a.String()
	case a.Is4():
		return strings.Join(strings.Split(a.String(), ".")[:p.Bits()/8], ".")
	default:
		groups := a.As16()
		var out []string
		for i := 0; i < p.Bits()/8; i += 2 {
			out = append(out, fmt.Sprintf("%x", uint(groups[i])<<8|uint(groups[i+1])))
		}
		return strings.Join(out, ":")
	}
}

// after is the first address behind a prefix.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	add := 1 << ((8 - p.Bits()%8) % 8)
	for i := (p.Bits() - 1) / 8; i >= 0 && add > 0; i-- {
		add += int(b[i])
		b[i], add = byte(add), add>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Apply implements enforce.Gateway.
func (g *Apache) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	if err := heldAll(g, want); err != nil {
		return enforce.Applied{}, err
	}
	list, err := g.normal(want)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway apache: %w", err)
	}
	done := enforce.Applied{Entries: len(list)}
	for name, text := range g.maps(list) {
		if path := g.path(name); !same(path, text) {
			if err := writeAtomic(path, []byte(text)); err != nil {
				return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
			}
			done.Changed = 1
		}
	}
	if done.Changed > 0 {
		now := heldOf(list)
		done.Changed = max(1, now.changed(readHeld(g.path(apacheHeldFile))))
		if err := now.write(g.path(apacheHeldFile)); err != nil {
			return enforce.Applied{}, explainDir(g.name, g.cfg.Dir, err)
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

const (
	apacheHeldFile = ".portcullis-held"
	apacheInclude  = "portcullis.conf"
)

// maps renders all maps, by the name of the file.
func (g *Apache) maps(list []enforce.Entry) map[string]string {
	const banner = "# Written by Portcullis and replaced at every push: changes made here are lost.\n"
	keys := map[string][]string{"address": nil}
	for kind := range g.cfg.Subjects {
		keys[kind] = nil
	}
	for i := range list {
		e := &list[i]
		if e.Prefix.IsValid() {
			keys["address"] = append(keys["address"], apacheKeys(e.Prefix)...)
			continue
		}
		sum := sha1.Sum([]byte(e.Subject.Value))
		keys[e.Subject.Kind] = append(keys[e.Subject.Kind], hex.EncodeToString(sum[:]))
	}
	out := map[string]string{}
	for name, list := range keys {
		slices.Sort(list)
		var b strings.Builder
		b.WriteString(banner)
		for _, k := range slices.Compact(list) {
			b.WriteString(k + " block\n")
		}
		out["portcullis-"+name+".txt"] = b.String()
	}
	return out
}

func (g *Apache) path(name string) string { return filepath.Join(g.cfg.Dir, name) }

// Check implements enforce.Gateway: the folder can be written. Whether Apache reads it shows
// in its log only.
func (g *Apache) Check(context.Context) error { return probeDir(g.name, g.cfg.Dir) }

// include is the file for each virtual host.
func (g *Apache) include() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by portcullis setup apache. It belongs into each VirtualHost to be guarded,\n# before its other rewrite rules.")
	line("RewriteEngine On")
	line("RewriteMap portcullis-address txt:%s", g.path("portcullis-address.txt"))
	found := func(pattern string, keys ...string) {
		line("RewriteCond %%{REMOTE_ADDR} %s", pattern)
		test := "${portcullis-address:%{REMOTE_ADDR}|-}"
		for _, k := range keys {
			test += "${portcullis-address:" + k + "|-}"
		}
		line("RewriteCond %s block", test)
		line("RewriteRule ^ - [F,L]")
	}
	const h = "[0-9a-f]+"
	found(`^(([0-9]+\.[0-9]+)\.[0-9]+)\.[0-9]+$`, "%1", "%2")
	// An IPv6 address leaves out one run of zeros: what its first four and three groups are.
	found("^(("+h+":"+h+":"+h+"):"+h+"):", "%1", "%2")
	found("^("+h+":"+h+":"+h+")::", "%1:0", "%1")
	found("^("+h+":"+h+")::", "%1:0:0", "%1:0")
	found("^("+h+")::("+h+"(:"+h+"){0,3})?$", "%1:0:0:0", "%1:0:0")
	found("^("+h+")::("+h+")(:"+h+"){4}$", "%1:0:0:%2", "%1:0:0")
	for _, kind := range slices.Sorted(maps.Keys(g.cfg.Subjects)) {
		name := "PORTCULLIS_" + strings.ToUpper(kind)
		line("RewriteMap portcullis-%s txt:%s", kind, g.path("portcullis-"+kind+".txt"))
		line(`SetEnvIfExpr "sha1(req('%s')) =~ /^(.+)$/" %s=$1`, g.cfg.Subjects[kind], name)
		line("RewriteCond ${portcullis-%s:%%{ENV:%s}|-} block", kind, name)
		line("RewriteRule ^ - [F,L]")
	}
	return b.String()
}

// prepare makes the maps of an empty list, and the file to be included.
func (g *Apache) prepare() error {
	for name, text := range g.maps(nil) {
		if err := prepareFile(g.name, g.path(name), text); err != nil {
			return err
		}
	}
	if err := writeAtomic(g.path(apacheInclude), []byte(g.include())); err != nil {
		return explainDir(g.name, g.cfg.Dir, err)
	}
	return nil
}

// SetupApache tells on w which line lets Portcullis into Apache. With install it makes the
// files that this line brings in.
func SetupApache(w io.Writer, cfg ApacheConfig, install bool) error {
	g, err := NewApache(cfg)
	if err != nil {
		return err
	}
	if install {
		if err := g.prepare(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, `One line lets Portcullis guard what this Apache serves: in each VirtualHost, before its
other rewrite rules:

	Include %s

It needs the modules rewrite and setenvif (a2enmod rewrite setenvif), and where a load
balancer stands in front remoteip, with RemoteIPHeader and RemoteIPInternalProxy.
portcullis setup apache --install makes the file and empty maps; run it again when
subjects change. Then: apachectl configtest && apachectl graceful
The file:

%s`, g.path(apacheInclude), indented(g.include()))
	return err
}
