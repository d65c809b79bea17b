package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// SetupHAProxy tells on w which lines let Portcullis into HAProxy. With install it makes
// the map files of an empty state; the lines are for a person: HAProxy has no include.
func SetupHAProxy(_ context.Context, w io.Writer, cfg HAProxyConfig, install bool) error {
	g, err := NewHAProxy(cfg)
	if err != nil {
		return err
	}
	if install {
		if err := g.prepare(); err != nil {
			return err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `Lines that let Portcullis guard what this HAProxy serves.

1. In the section global:

	stats socket %s mode 660 level admin

2. A section of its own:

%s
3. In each frontend to be guarded, before its other http-request lines (where a load
   balancer stands in front: after the line that sets src from X-Forwarded-For):

%s
The map files must be there first: portcullis setup haproxy --install makes them,
empty, in %s. Then: haproxy -c -f haproxy.cfg && systemctl reload haproxy
`, g.cfg.Socket, g.table(), g.rules(), g.cfg.Dir)
	_, err = io.WriteString(w, b.String())
	return err
}

// prepare makes the map files that are not there.
func (g *HAProxy) prepare() error {
	if err := os.MkdirAll(g.cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("gateway haproxy: make the folder of the maps: %w", err)
	}
	for _, m := range haproxyMaps(nil, g.cfg.Subjects) {
		if _, err := os.Stat(g.file(m.name)); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := writeAtomic(g.file(m.name), []byte(m.file())); err != nil {
			return fmt.Errorf("gateway haproxy: make the maps: %w", err)
		}
	}
	return nil
}

// table is the section in which throttled requests are counted.
func (g *HAProxy) table() string {
	return fmt.Sprintf(`backend portcullis_throttle
	stick-table type string len 32 size 100k expire 1m store gpc0_rate(%ds)
`, haproxyWindow)
}

// rules are the lines of a frontend. What a request is found under goes into variables: what
// happens (txn.pc_ACTION…), the strictest first.
func (g *HAProxy) rules() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\t"+format+"\n", args...) }
	vars := []string{"pc_address", "pc_on_address", "pc_on_route"}
	line("http-request set-var(txn.pc_address) src,map_ip(%s)", g.file(mapAddress))
	line("http-request set-var(txn.pc_route) path,url_dec,map_reg(%s)", g.file(mapRoute))
	line("http-request set-var(txn.pc_prefix) src,map_ip(%s)", g.file(mapPrefix))
	pair := func(to, from string) {
		line("http-request set-var(txn.%s) var(txn.%s),concat(|,txn.pc_route,),map_str(%s) if { var(txn.pc_route) -m found } { var(txn.%s) -m found }", to, from, g.file(mapPair), from)
	}
	pair("pc_on_address", "pc_prefix")
	line("http-request set-var(txn.pc_on_route) str(*),concat(|,txn.pc_route,),map_str(%s) if { var(txn.pc_route) -m found }", g.file(mapPair))
	for _, kind := range slices.Sorted(maps.Keys(g.cfg.Subjects)) {
		line("http-request set-var(txn.pc_id_%s) %s,sha2(256),hex if { %s -m found }", kind, g.cfg.Subjects[kind], g.cfg.Subjects[kind])
		line("http-request set-var(txn.pc_%s) var(txn.pc_id_%s),map_str(%s)", kind, kind, g.file(kind))
		pair("pc_on_"+kind, "pc_id_"+kind)
		vars = append(vars, "pc_"+kind, "pc_on_"+kind)
	}
	for _, v := range vars {
		line("http-request deny deny_status 403 if { var(txn.%s) -m str block }", v)
	}
	for _, v := range vars {
		line("http-request tarpit deny_status 403 if { var(txn.%s) -m str tarpit }", v)
	}
	for _, v := range vars {
		line("http-request set-var(txn.pc_throttle) var(txn.%s) if { var(txn.%s) -m beg throttle } !{ var(txn.pc_throttle) -m found }", v, v)
	}
	throttled := "{ var(txn.pc_throttle) -m found }"
	line("http-request set-var(txn.pc_limit) var(txn.pc_throttle),field(2,|) if %s", throttled)
	line("http-request set-var(txn.pc_who) var(txn.pc_throttle),field(3,|) if %s", throttled)
	line("http-request track-sc%d var(txn.pc_who) table portcullis_throttle if %s", g.cfg.Counter, throttled)
	line(`http-request deny deny_status 429 hdr Retry-After %d hdr RateLimit "\"portcullis\";r=0;t=%d" hdr RateLimit-Policy "\"portcullis\";q=%%[var(txn.pc_limit)];w=%d" if %s { sc%d_gpc0_rate(portcullis_throttle),sub(txn.pc_limit) ge 0 }`,
		haproxyWindow, haproxyWindow, haproxyWindow, throttled, g.cfg.Counter)
	line("http-request sc-inc-gpc0(%d) if %s", g.cfg.Counter, throttled)
	return b.String()
}
