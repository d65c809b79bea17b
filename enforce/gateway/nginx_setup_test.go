package gateway

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce"
)

// debianSite lays the files out as Debian does: symbolic links in
// sites-enabled, snippets, a stream block whose servers are none of ours.
func debianSite(t *testing.T) *site {
	s := newSite(t, "")
	conf := strings.ReplaceAll(readString(t, s.cfg.Conf), "include "+s.cfg.Dir, "#")
	head, tail, _ := strings.Cut(conf, "\tserver {")
	_, rest, _ := strings.Cut(tail, "\n\t}\n")
	s.write("nginx.conf", head+"\tinclude sites-enabled/*;\n"+rest)
	for _, dir := range []string{"sites-available", "sites-enabled"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.write("sites-available/default", "# a server { in a comment\nserver { listen "+s.addr+"; server_name a.example b.example;\n"+
		"  set $x '{';\n  set $y \"${x}}\";\n  location / { empty_gif; } }\nserver {\n\tlisten "+s.addr+"; server_name c.example;\n\tlocation ~ \"^/x{2}$\" { return 204; }\n}\n")
	if err := os.Symlink("../sites-available/default", filepath.Join(s.dir, "sites-enabled", "default")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(s.dir, "sites-available/default"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNginxSetupInstalls(t *testing.T) {
	s := debianSite(t)
	s.start()
	s.want(200, "192.0.2.1")
	var out bytes.Buffer
	if err := SetupNginx(context.Background(), &out, s.cfg, true); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"` + s.addr + ` a.example b.example"`, "c.example", "added the include to http", "nginx tested and took", "kept "} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("said %q, which lacks %q", out.String(), part)
		}
	}
	g := s.gateway()
	if err := g.Check(context.Background()); err != nil {
		t.Error(err)
	}
	apply(t, g, block("192.0.2.1/32"))
	s.want(403, "192.0.2.1")
	s.want(200, "192.0.2.2")
	real := filepath.Join(s.dir, "sites-available/default")
	if n := strings.Count(readString(t, real), NginxServerFile); n != 2 {
		t.Errorf("%d of 2 servers got the line:\n%s", n, readString(t, real))
	}
	if info, err := os.Lstat(filepath.Join(s.dir, "sites-enabled/default")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the symbolic link is gone: %v, %v", info, err)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode changed: %v, %v", info, err)
	}
	out.Reset()
	if err := SetupNginx(context.Background(), &out, s.cfg, true); err != nil || !strings.Contains(out.String(), "in place already") {
		t.Errorf("the second time: %q, %v", out.String(), err)
	}
	if entries, err := g.Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")}); err != nil || entries.Changed != 0 {
		t.Errorf("setup lost the state: %+v, %v", entries, err)
	}
}

func TestNginxSetupGivesBack(t *testing.T) {
	s := debianSite(t)
	real := filepath.Join(s.dir, "sites-available/default")
	// The server's own status makes nginx refuse ours.
	s.write("sites-available/default", strings.Replace(readString(t, real), "server_name", "limit_req_status 503; server_name", 1))
	conf, server := readString(t, s.cfg.Conf), readString(t, real)
	var out bytes.Buffer
	err := SetupNginx(context.Background(), &out, s.cfg, true)
	wantError(t, err, "duplicate", "take it out", "all files are as they were")
	if readString(t, s.cfg.Conf) != conf || readString(t, real) != server {
		t.Error("files were not put back")
	}
	s.write("nginx.conf", "events {}\n")
	wantError(t, SetupNginx(context.Background(), &out, s.cfg, true), "no http {}")
	s.write("nginx.conf", "events {}\nhttp {}\n")
	wantError(t, SetupNginx(context.Background(), &out, s.cfg, true), "no server {}")
	s.write("nginx.conf", "events {}\nhttp {\n")
	wantError(t, SetupNginx(context.Background(), &out, s.cfg, true), "line 3", "no end")
}

func TestNginxSetupPrints(t *testing.T) {
	s := debianSite(t)
	var out bytes.Buffer
	if err := SetupNginx(context.Background(), &out, s.cfg, false); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"\tinclude " + s.cfg.Dir + "/portcullis-http.conf;\n", "\tinclude " + s.cfg.Dir + "/portcullis-server.conf;\n",
		"http: missing", "c.example\" in ", "nginx -t && nginx -s reload",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("printed %q, which lacks %q", out.String(), part)
		}
	}
	if _, err := os.Stat(s.cfg.Dir); !os.IsNotExist(err) {
		t.Error("printing made files")
	}
	out.Reset()
	s.cfg.Conf = filepath.Join(s.dir, "absent")
	if err := SetupNginx(context.Background(), &out, s.cfg, false); err != nil || !strings.Contains(out.String(), "Note: ") {
		t.Errorf("without a configuration: %q, %v", out.String(), err)
	}
}

func TestNginxSiteReading(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("nginx.conf", `pid "/run/x.pid"; # pid /no;
		include http.inc;
		stream { server { listen 1; } }
		mail { server { listen 2; } }`)
	write("http.inc", `http {
		init_by_lua_block { local t = { a = "}" } -- }
			s = [[ } ]] }
		include loop.inc;
		include s.inc;
	}`)
	write("s.inc", "server { listen 80; return 200 '}'; } server { server_name ~^(?<x>\\d+)$; location / { if ($a) { return 1; } } }")
	site, err := readNginxSite(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if site.pid != "/run/x.pid" || len(site.servers) != 2 || filepath.Base(site.httpFile) != "http.inc" {
		t.Errorf("read %+v", site)
	}
	write("loop.inc", "include loop.inc;")
	_, err = readNginxSite(filepath.Join(dir, "nginx.conf"))
	wantError(t, err, "more than 2000 files")
}
