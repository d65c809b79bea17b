package gateways

import (
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/portcullis/portcullis/fixtures/testbed"
)

// begin starts what each gateway needs: Portcullis, a service, a certificate.
func begin(t *testing.T) (e *edge, dir, api string) {
	dir = t.TempDir()
	certificate(t, filepath.Join(dir, "gateway"))
	e = &edge{plain: testbed.FreeAddr(t), secure: testbed.FreeAddr(t), portcullis: startPortcullis(t)}
	e.key = e.portcullis.issue(t, "shop")
	return e, dir, service(t)
}

// TestNGINX starts the reference configuration and asks it.
func TestNGINX(t *testing.T) {
	program := found(t, "nginx")
	e, dir, api := begin(t)
	e.format, e.server, e.moved, e.undecided, e.untold = "syslog:"+formatOf(t, "nginx"), "nginx", 301, 503, 413
	to, log := syslog(t)
	e.log = log
	paths := "http {\n    "
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		paths += kind + "_temp_path " + dir + "/" + kind + "; "
	}
	conf := replaced(t, read(t, "nginx/nginx.conf"), "http {\n", paths+"\n", "listen 80", "listen "+e.plain, "listen 443", "listen "+e.secure,
		"127.0.0.1:9000", api, "127.0.0.1:8471", e.portcullis.http, "127.0.0.1:5514", to, "10.0.0.0/8", "127.0.0.1/32", "read_timeout 500ms", patient, "read_timeout 2s", patient)
	write(t, filepath.Join(dir, "nginx.conf"), "daemon off; master_process off; pid "+dir+"/pid;\n"+conf)
	write(t, filepath.Join(dir, "mime.types"), "types { application/json json; }\n")
	write(t, filepath.Join(dir, "gateway", "ask.conf"), read(t, "nginx/gateway/ask.conf"))
	write(t, filepath.Join(dir, "gateway", "users"), "reader:{PLAIN}secret\n")
	run(t, e.plain, program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	e.suite(t)
}

// TestHAProxy starts the reference configuration and asks it.
func TestHAProxy(t *testing.T) {
	program := found(t, "haproxy")
	e, dir, api := begin(t)
	e.format, e.moved, e.undecided, e.untold = "syslog:"+formatOf(t, "haproxy"), 301, 503, 411
	ask := testbed.FreeAddr(t)
	to, log := syslog(t)
	e.log = log
	conf := replaced(t, read(t, "haproxy/haproxy.cfg"), "bind :80", "bind "+e.plain, "bind :443", "bind "+e.secure, "127.0.0.1:9000", api,
		"127.0.0.1:5515", to, "127.0.0.1:8471", e.portcullis.http, "127.0.0.1:8479", ask, "10.0.0.0/8", "127.0.0.1/32", "timeout server 2s", "timeout server 10s", "/run/haproxy/admin.sock", filepath.Join(dir, "admin.sock"), "/etc/haproxy", dir)
	write(t, filepath.Join(dir, "haproxy.cfg"), conf)
	write(t, filepath.Join(dir, "gateway", "portcullis.lua"), replaced(t, read(t, "haproxy/gateway/portcullis.lua"), "127.0.0.1:8479", ask))
	// The hash of "secret", as mkpasswd -m sha-256 makes it.
	env := []string{"READER_HASH=" + readerHash}
	runWith(t, log, env, e.plain, program, "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	e.suite(t)
}

// TestTraefik starts the reference configuration and asks it.
func TestTraefik(t *testing.T) {
	program := found(t, "traefik")
	e, dir, api := begin(t)
	e.format, e.moved, e.undecided, e.untold, e.quic, e.log = formatOf(t, "traefik"), 301, 500, 413, true, &lines{}
	ask := testbed.FreeAddr(t)
	write(t, filepath.Join(dir, "traefik.yaml"), replaced(t, read(t, "traefik/traefik.yaml"), `":80"`, e.plain, `":443"`, e.secure,
		"10.0.0.0/8", "127.0.0.1/32", "127.0.0.1:8479", ask, "filename: dynamic.yaml", "filename: "+filepath.Join(dir, "dynamic.yaml")))
	write(t, filepath.Join(dir, "dynamic.yaml"), replaced(t, read(t, "traefik/dynamic.yaml"), "127.0.0.1:9000", api, "127.0.0.1:8471", e.portcullis.http,
		"127.0.0.1:8479", ask, "/etc/traefik", dir, "responseHeaderTimeout: 500ms", "responseHeaderTimeout: 10s"))
	write(t, filepath.Join(dir, "gateway", "users"), readerBcrypt+"\n")
	runWith(t, e.log, nil, e.secure, program, "--configFile", filepath.Join(dir, "traefik.yaml"))
	e.suite(t)
}

// TestCaddy starts the reference configuration and asks it.
func TestCaddy(t *testing.T) {
	program := found(t, "caddy")
	e, dir, api := begin(t)
	e.format, e.moved, e.undecided, e.untold, e.quic, e.log = formatOf(t, "caddy"), 308, 502, 413, true, &lines{}
	open := testbed.FreeAddr(t)
	conf := replaced(t, read(t, "caddy/Caddyfile"), "\tadmin localhost:2019\n", "\tadmin "+testbed.FreeAddr(t)+"\n\thttp_port "+port(t, e.plain)+"\n\thttps_port "+port(t, e.secure)+"\n\tdefault_bind 127.0.0.1\n\tstorage file_system "+dir+"/data\n",
		"127.0.0.1:9000", api, "127.0.0.1:8471", e.portcullis.http, "127.0.0.1:8479", open, "10.0.0.0/8", "127.0.0.1/32", "/etc/caddy", dir,
		"header_timeout 500ms", "header_timeout 10s", "header_timeout 2s", "header_timeout 10s")
	write(t, filepath.Join(dir, "Caddyfile"), conf)
	write(t, filepath.Join(dir, "gateway", "users"), "reader "+readerBcrypt[len("reader:"):]+"\n")
	runWith(t, e.log, []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, e.secure, program, "run", "--config", filepath.Join(dir, "Caddyfile"))
	e.suite(t)
}

// TestEnvoy starts the reference configuration and asks it.
func TestEnvoy(t *testing.T) {
	program := found(t, "envoy")
	e, dir, api := begin(t)
	e.format, e.moved, e.undecided, e.untold, e.quic, e.log = formatOf(t, "envoy"), 301, 503, 413, true, &lines{}
	pairs := []string{"0.0.0.0", "127.0.0.1", "/etc/envoy", dir, "address_prefix: 10.0.0.0, prefix_len: 8", "address_prefix: 127.0.0.1, prefix_len: 32", "timeout: 0.5s", "timeout: 10s", "timeout: 2s", "timeout: 10s"}
	for from, to := range map[string]string{"80": e.plain, "443": e.secure, "9000": api, "8472": e.portcullis.grpc, "9901": testbed.FreeAddr(t)} {
		pairs = append(pairs, "port_value: "+from+"}", "port_value: "+port(t, to)+"}")
	}
	write(t, filepath.Join(dir, "envoy.yaml"), replaced(t, read(t, "envoy/envoy.yaml"), pairs...))
	write(t, filepath.Join(dir, "gateway", "users"), readerSHA+"\n")
	runWith(t, e.log, nil, e.secure, program, "-c", filepath.Join(dir, "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "100")
	e.suite(t)
}

// The password "secret", as mkpasswd -m sha-256, htpasswd -B and htpasswd -s write it.
const (
	readerHash   = "$5$refssalt$6GNqu2Crz37tFLFAOtf3cLfpLPyUgZIhJaR7GKxcNlD"
	readerSHA    = "reader:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
	readerBcrypt = "reader:$2a$06$AZdV05iqd104lCynus15eeZRIP12GZ.mL4TEdGl23fR0TXuBGXyF2"
)

// patient replaces how long NGINX waits for Portcullis: other tests run beside these.
const patient = "read_timeout 10s"

// formatOf is the format that portcullis.yaml names for a gateway.
func formatOf(t *testing.T, gateway string) string {
	t.Helper()
	var settings struct {
		Sources []struct{ Name, Format string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "portcullis.yaml")), &settings); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings.Sources {
		if s.Name == gateway {
			return s.Format
		}
	}
	t.Fatalf("portcullis.yaml has no source named %s", gateway)
	return ""
}
