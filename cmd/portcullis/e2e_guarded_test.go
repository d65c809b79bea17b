package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// guardedGateways are the real ones, each as its documentation wants it to be set up.
var guardedGateways = []struct {
	name string
	most int // entries that it is for; 0 = no bound
	open func(t *testing.T, c course) *guarded
}{
	{"nginx", 0, openNginx},
	{"nginx-lua", 0, openNginxLua},
	{"haproxy", 0, openHAProxy},
	{"envoy", 0, openEnvoy},
	{"traefik", 10_000, openTraefik},
	{"caddy", 10_000, openCaddy},
	{"apache", 0, openApache},
	{"nftables", 0, openNftables},
	{"authz", 0, openAuthz},
}

// course is what a guarded gateway is started for.
type course struct {
	enforce string // the section of the settings
	own     bool   // the service reads the gateway's own log, not one that the test writes
}

// newGuarded has an API, a rig and an address for the gateway. The gateway's settings
// follow. A request for the API itself is written into the log where that is all there is.
func newGuarded(t *testing.T, c course) (g *guarded, api string) {
	t.Helper()
	g = &guarded{course: c, r: newRig(t, ""), addr: testbed.FreeAddr(t), tells: "header",
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if g.own && g.tells == "peer" {
			from, _, _ := net.SplitHostPort(r.RemoteAddr)
			f, err := os.OpenFile(g.r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err == nil {
				_, err = f.WriteString(line(from, time.Now(), r.Method+" "+r.RequestURI, http.StatusOK, "-"))
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(site.Close)
	return g, site.Listener.Addr().String()
}

// set writes the settings; format is that of the gateway's own log. What follows the log
// is the shipped, unless the log is the gateway's own.
func (g *guarded) set(section, format string) {
	source := "format: nginx-combined"
	if g.own {
		source = "format: " + format + ", poll: 20ms, grace: 60ms"
	}
	g.r.settings(section + g.enforce + "snapshot: 1m\nsources: [{name: log, path: " + g.r.log + ", " + source + "}]\n")
}

// logged is how the gateway is told to write its log, with the path in the place of %s, or
// what stands there when it writes none.
func (g *guarded) logged(lines, without string) string {
	if !g.own {
		return without
	}
	return strings.ReplaceAll(lines, "%s", g.r.log)
}

// setup is what portcullis setup says, once it has made the files that the gateway needs.
func (g *guarded) setup(kind string) string {
	g.r.t.Helper()
	out, err := exec.Command("portcullis", "setup", kind, "--install", "-c", g.r.config).CombinedOutput()
	if err != nil {
		g.r.t.Fatalf("setup %s: %v\n%s", kind, err, out)
	}
	return string(out)
}

func (g *guarded) file(name, text string) string {
	g.r.t.Helper()
	path := filepath.Join(g.r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		g.r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		g.r.t.Fatal(err)
	}
	return path
}

// start runs the gateway until it answers, and then the service.
func (g *guarded) start(program string, args ...string) *guarded {
	t := g.r.t
	t.Helper()
	var out spoken
	p := exec.Command(program, args...)
	p.Dir, p.Stdout, p.Stderr = g.r.dir, &out, &out
	if g.stdout != "" {
		f, err := os.Create(g.stdout)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p.Stdout = f
	}
	p.Env = append(os.Environ(), "XDG_DATA_HOME="+g.r.dir, "XDG_CONFIG_HOME="+g.r.dir)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Signal(os.Interrupt)
		_ = p.Wait()
	})
	await(t, program+" answers", out.String, func() bool {
		resp, err := g.client.Get("http://" + g.addr + "/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	g.r.up()
	return g
}

func openNginx(t *testing.T, c course) *guarded {
	s := newSite(t, "")
	g, _ := newGuarded(t, c)
	g.addr = strings.TrimPrefix(s.URL, "http://")
	if g.own {
		g.r.log = s.Log
	}
	g.set(s.gateway(), "nginx-combined")
	g.r.up()
	return g
}

func openNginxLua(t *testing.T, c course) *guarded {
	lua := gateways.NeedLua(t)
	g, api := newGuarded(t, c)
	dir := filepath.Join(g.r.dir, "portcullis")
	g.set(fmt.Sprintf("gateways: [{type: nginx-lua, nginx-lua: {dir: %s, listen: %q}}]\n", dir, testbed.FreeAddr(t)), "nginx-combined")
	g.setup("nginx-lua")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	conf := g.file("nginx.conf", fmt.Sprintf("%[1]s%[2]sworker_processes 2;\ndaemon off;\npid %[3]s/nginx.pid;\nerror_log %[3]s/error.log;\nevents { worker_connections 256; }\nhttp {\n"+
		"\t%[8]s\n\tclient_body_temp_path %[3]s/body; proxy_temp_path %[3]s/proxy; fastcgi_temp_path %[3]s/fcgi; uwsgi_temp_path %[3]s/uwsgi; scgi_temp_path %[3]s/scgi;\n"+
		"\tlua_package_path \"%[4]s/?.lua;;\";\n\tset_real_ip_from 127.0.0.1;\n\treal_ip_header X-Forwarded-For;\n\tinclude %[5]s/portcullis-lua-http.conf;\n"+
		"\tserver {\n\t\tinclude %[5]s/portcullis-lua-server.conf;\n\t\tlisten %[6]s;\n\t\tlocation / { proxy_pass http://%[7]s; }\n\t}\n}\n",
		lua.Load, user, g.r.dir, lua.Path, dir, g.addr, api, g.logged("access_log %s;", "access_log off;")))
	return g.start("env", lua.Env, gateways.Program(t, "nginx"), "-c", conf, "-e", filepath.Join(g.r.dir, "error.log"))
}

func openHAProxy(t *testing.T, c course) *guarded {
	gateways.Need(t, "haproxy")
	g, api := newGuarded(t, c)
	short, err := os.MkdirTemp("", "pc") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short) })
	socket := filepath.Join(short, "s")
	g.set(fmt.Sprintf("gateways: [{type: haproxy, haproxy: {socket: %s, dir: %s}}]\n", socket, filepath.Join(g.r.dir, "maps")), "haproxy-http")
	table, rules := "", ""
	for line := range strings.Lines(g.setup("haproxy")) {
		switch {
		case strings.HasPrefix(line, "\thttp-request"):
			rules += line
		case strings.HasPrefix(line, "backend portcullis"), strings.HasPrefix(line, "\tstick-table"):
			table += line
		}
	}
	conf := g.file("haproxy.cfg", fmt.Sprintf("global\n\tstats socket %s mode 600 level admin\n%s\tmode http\n\ttimeout connect 5s\n\ttimeout client 20s\n\ttimeout server 20s\n%s"+
		"frontend site\n\tbind %s\n\thttp-request set-src req.hdr(x-forwarded-for) if { req.hdr(x-forwarded-for) -m found }\n%s\tdefault_backend api\nbackend api\n\tserver api %s\n",
		socket, g.logged("\tlog stdout len 8192 format raw local0\ndefaults\n\tlog global\n\toption httplog\n", "defaults\n"), table, g.addr, rules, api))
	g.stdout = g.logged("%s", "")
	return g.start(gateways.Program(t, "haproxy"), "-db", "-f", conf)
}

func openEnvoy(t *testing.T, c course) *guarded {
	gateways.Need(t, "envoy")
	g, api := newGuarded(t, c)
	admin := testbed.FreeAddr(t)
	g.set(fmt.Sprintf("gateways: [{type: envoy, envoy: {dir: %s, admin: \"http://%s\"}}]\n", filepath.Join(g.r.dir, "list"), admin), "envoy-json")
	filter := ""
	for line := range strings.Lines(g.setup("envoy")) {
		if strings.HasPrefix(line, "    ") {
			filter += "      " + line
		}
	}
	at := func(hostport string) string {
		host, port, _ := strings.Cut(hostport, ":")
		return fmt.Sprintf("{socket_address: {address: %s, port_value: %s}}", host, port)
	}
	// Whom Envoy takes for the client: between loopback and itself it adds an address of the machine.
	settled := strings.Replace(envoyJSON, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "%DOWNSTREAM_REMOTE_ADDRESS%", 1)
	conf := g.file("envoy.yaml", fmt.Sprintf(`
node: {id: x, cluster: x}
admin: {address: %s}
static_resources:
  listeners:
  - address: %s
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: site
          use_remote_address: true
          xff_num_trusted_hops: 1
%s          http_filters:
%s
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: api}}]}]}
  clusters:
  - {name: api, type: STATIC, load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]}}
`, at(admin), at(g.addr), g.logged(`          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: %s
              log_format: {json_format: `+settled+"}\n", ""), strings.TrimRight(filter, "\n"), at(api)))
	return g.start(gateways.Program(t, "envoy"), "-c", conf, "--concurrency", "1", "--disable-hot-restart", "-l", "error")
}

func openTraefik(t *testing.T, c course) *guarded {
	gateways.Need(t, "traefik")
	g, api := newGuarded(t, c)
	g.tells = "proxy"
	dir, admin := filepath.Join(g.r.dir, "dynamic"), testbed.FreeAddr(t)
	g.set(fmt.Sprintf("gateways: [{type: traefik, traefik: {dir: %s, api: \"http://%s\"}}]\n", dir, admin), "traefik-json")
	g.file("dynamic/site.yml", fmt.Sprintf("http:\n  routers:\n    all: {entryPoints: [main], rule: 'PathPrefix(`/`)', service: api}\n  services:\n    api: {loadBalancer: {servers: [{url: 'http://%s'}]}}\n", api))
	throttle := ""
	for line := range strings.Lines(g.setup("traefik")) {
		if strings.HasPrefix(line, "\t  providersThrottleDuration:") { // as an operator copies it
			throttle = strings.TrimPrefix(line, "\t")
		}
	}
	conf := g.file("traefik.yml", fmt.Sprintf(`global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints:
  main: {address: %q, proxyProtocol: {trustedIPs: [127.0.0.0/8]}}
  traefik: {address: %q}
api: {insecure: true}
log: {level: ERROR}
%sproviders:
%s  file: {directory: %s, watch: true}
`, g.addr, admin, g.logged("accessLog: {filePath: %s, format: json}\n", ""), throttle, dir))
	return g.start(gateways.Program(t, "traefik"), "--configfile="+conf)
}

func openCaddy(t *testing.T, c course) *guarded {
	gateways.Need(t, "caddy")
	g, api := newGuarded(t, c)
	g.drops = true
	admin := testbed.FreeAddr(t)
	_, port, _ := strings.Cut(g.addr, ":")
	g.set(fmt.Sprintf("gateways: [{type: caddy, caddy: {admin: \"http://%s\"}}]\n", admin), "caddy")
	conf := g.file("Caddyfile", fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tpersist_config off\n\tgrace_period 2s\n\tservers {\n\t\ttrusted_proxies static 127.0.0.0/8\n\t}\n}\n"+
		"http://:%s {\n\tbind 127.0.0.1\n%s\treverse_proxy %s\n}\n", admin, port, g.logged("\tlog {\n\t\toutput file %s\n\t\tformat json\n\t}\n", ""), api))
	return g.start(gateways.Program(t, "caddy"), "run", "--adapter", "caddyfile", "--config", conf)
}

func openApache(t *testing.T, c course) *guarded {
	gateways.Need(t, "apache")
	g, api := newGuarded(t, c)
	program := gateways.Program(t, "apache")
	modules, err := gateways.ApacheModules(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{g.r.dir, filepath.Dir(g.r.dir)} { // its workers are another user
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(g.r.dir, "portcullis")
	g.set(fmt.Sprintf("gateways: [{type: apache, apache: {dir: %s}}]\n", dir), "apache-combined")
	g.setup("apache")
	load, user := "", ""
	for _, m := range []string{"mpm_event", "unixd", "log_config", "authz_core", "proxy", "proxy_http", "rewrite", "setenvif", "remoteip"} {
		load += fmt.Sprintf("<IfModule !%[1]s_module>\nLoadModule %[1]s_module \"%[2]s/mod_%[1]s.so\"\n</IfModule>\n", m, modules)
	}
	if os.Geteuid() == 0 {
		user = "User #65534\nGroup #65534\n"
	}
	conf := g.file("apache.conf", fmt.Sprintf("ServerRoot %[1]q\nDefaultRuntimeDir %[1]q\nPidFile \"%[1]s/pid\"\nErrorLog /dev/stderr\nServerName localhost\n%[2]s%[3]sListen %[4]s\n"+
		"<VirtualHost *:*>\nRemoteIPHeader X-Forwarded-For\nRemoteIPInternalProxy 127.0.0.1\n%[7]sInclude %[5]s/portcullis.conf\nProxyPass / http://%[6]s/ nocanon\n</VirtualHost>\n",
		g.r.dir, load, user, g.addr, dir, api, g.logged(`CustomLog "%s" "%a %l %u %t \"%r\" %>s %B \"%{Referer}i\" \"%{User-Agent}i\""`+"\n", "")))
	return g.start(program, "-D", "FOREGROUND", "-f", conf)
}

// openAuthz is a Caddy that asks for each request, in the place of a pushed list.
func openAuthz(t *testing.T, c course) *guarded {
	g, _ := newGuarded(t, c)
	at := testbed.FreeAddr(t)
	g.set(fmt.Sprintf("authz: {listen: %q}\n", at), "caddy")
	g.r.up()
	caddy := gateways.Start(t, "caddy", gateways.Options{Log: g.logged("%s", ""), Variant: "trust-xff", Extra: "forward_auth " + at + " {\n\turi /authz\n}"})
	g.addr = strings.TrimPrefix(caddy.URL, "http://")
	return g
}

// inNetspace says that the test runs in a network namespace of its own.
const inNetspace = "TEST_NETSPACE"

// openNftables has the whole test run once more in a network namespace, where a packet
// filter hits nobody else.
func openNftables(t *testing.T, c course) *guarded {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("a network namespace needs root: run this test as root")
		}
		t.Skip("SKIPPED, a network namespace needs root: run it as root, or leave it out (-short)")
	}
	if os.Getenv(inNetspace) == "" {
		script := "ip link set lo up"
		for i := range 9 {
			script += fmt.Sprintf(" && ip addr add 198.51.100.%d/32 dev lo && ip addr add 203.0.113.%d/32 dev lo", 1+i, 9+i)
		}
		again := exec.Command("unshare", "-n", "sh", "-c", script+` && exec "$0" "$@"`, os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.timeout=30m")
		again.Env = append(os.Environ(), inNetspace+"=1")
		out, err := again.CombinedOutput()
		if err != nil {
			t.Fatalf("in its own network namespace: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if _, row, ok := strings.Cut(line, "MEASURED "); ok {
				t.Logf("MEASURED %s", strings.TrimSpace(row))
			}
		}
		return nil
	}
	g, api := newGuarded(t, c)
	g.addr, g.tells = api, "peer"
	g.set("gateways: [{type: nftables, nftables: {reset: true}}]\n", "nginx-combined")
	g.r.up()
	return g
}
